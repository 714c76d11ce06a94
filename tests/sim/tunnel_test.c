// SPDX-License-Identifier: Apache-2.0
//
// Upgraded connections through the real proxy: after the 101 both sides send a stream of known bytes,
// pause, and close their direction when it is out. Each direction must arrive whole, in order, and
// end by itself while the other still runs.

#include <stdio.h>
#include <stdlib.h>

#include "edge.h"
#include "plan.h"
#include "wire.h"

enum { TUNNELS_MAX = 8, PIECE = 3000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

static const char config[] = "timeouts: {tunnel: 30s}\n"
                             "sites: {default: {proxy: '10.1.0.1:80'}}\n";

/** One end of a tunnel: the client's or the origin's. */
struct side {
    struct tunnel *t;
    struct sim_end *end;
    bool origin;
    bool open; // the 101 was sent or came
    struct wire wire;
    char out[256]; // head
    size_t out_len, out_pos;
    uint64_t sent, got;
    bool saw_eof, shut, gone, paused;
    uint64_t pause_max_ns;
};

struct tunnel {
    struct sim_case *c;
    struct sim *s;
    uint32_t id;
    struct plan plan; // request bytes go up, response bytes down
    struct side client, origin;
    bool done;
};

static struct tunnel tunnels[TUNNELS_MAX];
static uint32_t tunnel_count;
static bool rough;

static void side_event(struct sim_end *e, unsigned events, void *user);

static void end_side(struct side *x)
{
    x->gone = true;
    sim_close(x->end);
}

static void pause_over(void *user)
{
    struct side *x = user;
    x->paused = false;
    if (!x->gone) {
        side_event(x->end, 0, x);
    }
}

static void check(struct side *x, struct slice bytes)
{
    struct tunnel *t = x->t;
    uint64_t total = x->origin ? t->plan.request_bytes : t->plan.response_bytes;
    for (size_t i = 0; i < bytes.len; i++) {
        if (x->got + i >= total || bytes.ptr[i] != plan_byte(t->id, !x->origin, x->got + i)) {
            sim_fail(t->c, "tunnel %u: a wrong byte at %llu", t->id,
                     (unsigned long long)(x->got + i));
            end_side(x);
            return;
        }
    }
    x->got += bytes.len;
}

static void on_origin_head(struct side *x)
{
    struct tunnel *t = NULL;
    for (uint32_t i = 0; i < tunnel_count; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/t/%u", i);
        t = slice_eq(wire_word(&x->wire, 1), slice_str(path)) ? &tunnels[i] : t;
    }
    struct sim_case *c = tunnels[0].c;
    if (t == NULL || x->wire.state == WIRE_BAD ||
        !slice_eq_nocase(wire_field(&x->wire, "upgrade"), SLICE("echo"))) {
        sim_fail(c, "the origin got: %.*s", (int)x->wire.head_len, x->wire.head);
        end_side(x);
        return;
    }
    t->origin = *x; // it has found its tunnel
    free(x);
    x = &t->origin;
    x->t = t;
    x->open = true;
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                               "Upgrade: echo\r\n\r\n";
    x->out_len = sizeof(head) - 1;
    memcpy(x->out, head, x->out_len);
    sim_set_actor(x->end, side_event, x);
}

static bool read_head(struct side *x, char *buffer, size_t n)
{
    bool head;
    size_t at = wire_feed(&x->wire, slice_of(buffer, n), &head);
    if (x->wire.state == WIRE_BAD) {
        sim_fail(x->t->c, "tunnel %u: %s", x->t->id, x->wire.wrong);
        end_side(x);
        return false;
    }
    if (!head) {
        return true;
    }
    if (x->wire.status != 101) {
        if (!rough) {
            sim_fail(x->t->c, "tunnel %u: status %d", x->t->id, x->wire.status);
        }
        end_side(x);
        return false;
    }
    x->open = true;
    check(x, slice_of(buffer + at, n - at));
    return true;
}

static void receive(struct side *x)
{
    char buffer[PIECE];
    size_t n;
    while (!x->gone && (n = sim_recv(x->end, buffer, sizeof(buffer))) > 0) {
        if (x->open) {
            check(x, slice_of(buffer, n));
        } else if (!read_head(x, buffer, n)) {
            return;
        }
    }
}

static void send_some(struct side *x)
{
    struct tunnel *t = x->t;
    uint64_t total = x->origin ? t->plan.response_bytes : t->plan.request_bytes;
    x->out_pos += sim_send(x->end, slice_of(x->out + x->out_pos, x->out_len - x->out_pos));
    while (x->open && !x->paused && x->out_pos == x->out_len && x->sent < total) {
        char buffer[PIECE];
        size_t n = 1 + (size_t)rng_below(sim_rng(t->s), PIECE);
        n = n < total - x->sent ? n : (size_t)(total - x->sent);
        plan_fill(&t->plan, x->origin, x->sent, buffer, n);
        size_t put = sim_send(x->end, slice_of(buffer, n));
        x->sent += put;
        if (put < n) {
            return;
        }
        if (x->pause_max_ns > 0 && rng_chance(sim_rng(t->s), 0.3)) {
            x->paused = true;
            sim_after(t->s, rng_below(sim_rng(t->s), x->pause_max_ns), pause_over, x);
        }
    }
    if (x->open && x->sent == total && !x->shut && !x->paused) {
        x->shut = true;
        sim_shutdown(x->end);
    }
}

static void finish(struct side *x)
{
    struct tunnel *t = x->t;
    uint64_t want = x->origin ? t->plan.request_bytes : t->plan.response_bytes;
    if (!rough && (sim_is_reset(x->end) || x->got != want)) {
        sim_fail(t->c, "tunnel %u, %s: %llu of %llu bytes, %s", t->id,
                 x->origin ? "origin" : "client", (unsigned long long)x->got,
                 (unsigned long long)want, sim_is_reset(x->end) ? "reset" : "closed");
    }
    end_side(x);
}

static void side_event(struct sim_end *e, unsigned events, void *user)
{
    struct side *x = user;
    (void)events;
    receive(x);
    if (x->gone) {
        return;
    }
    send_some(x);
    x->saw_eof = x->saw_eof || sim_at_eof(e);
    if (sim_is_reset(e) || (x->saw_eof && x->shut)) {
        finish(x);
    } else if (x->saw_eof && !x->open) {
        finish(x);
    }
}

// An origin's connection before its request is known.
static void accepted_event(struct sim_end *e, unsigned events, void *user)
{
    struct side *x = user;
    char buffer[PIECE];
    (void)events;
    // Byte by byte: what follows the head is the tunnel's.
    while (sim_recv(e, buffer, 1) == 1) {
        bool head;
        (void)wire_feed(&x->wire, slice_of(buffer, 1), &head);
        if (head) {
            on_origin_head(x);
            return;
        }
    }
    if (sim_is_reset(e) || sim_at_eof(e)) {
        sim_close(e);
        free(x);
    }
}

static void on_accept(struct sim_end *e, void *user)
{
    struct side *x = calloc(1, sizeof(*x));
    ensure(x != NULL);
    (void)user;
    x->end = e;
    x->origin = true;
    x->wire.request = true;
    wire_reset(&x->wire);
    sim_set_actor(e, accepted_event, x);
}

static void begin(void *user)
{
    struct tunnel *t = user;
    t->client.end = sim_connect(t->s, &edge_at, side_event, &t->client);
}

static bool all_done(void *user)
{
    (void)user;
    for (uint32_t i = 0; i < tunnel_count; i++) {
        if (!tunnels[i].client.gone || (tunnels[i].origin.end != NULL && !tunnels[i].origin.gone)) {
            return false;
        }
    }
    return true;
}

static void open_tunnel(struct sim_case *c, struct sim *s, struct tunnel *t, uint32_t id)
{
    struct rng *r = sim_rng(s);
    *t = (struct tunnel){.c = c, .s = s, .id = id};
    t->plan.id = id;
    t->plan.request_bytes = rng_below(r, rng_chance(r, 0.3) ? 600000 : 5000);
    t->plan.response_bytes = rng_below(r, rng_chance(r, 0.3) ? 600000 : 5000);
    t->client.t = t;
    t->client.pause_max_ns = rng_chance(r, 0.5) ? 50000000 : 0;
    t->client.out_len = (size_t)snprintf(t->client.out, sizeof(t->client.out),
                                         "GET /t/%u HTTP/1.1\r\nHost: sim.test\r\n"
                                         "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n",
                                         id);
    wire_reset(&t->client.wire);
    sim_after(s, rng_below(r, 100000000), begin, t);
}

static void run(struct sim_case *c, const struct sim_faults *faults)
{
    struct sim *s = sim_new(c->seed, faults);
    rough = faults->reset > 0;
    struct edge_limits limits = {.cores = 2, .chunks_max = 10000, .connections_max = 100};
    struct edge *e = edge_open(c, s, &edge_at, config, &limits);
    sim_listen(s, &origin_at, on_accept, NULL);
    tunnel_count = 1 + (uint32_t)rng_below(sim_rng(s), TUNNELS_MAX);
    for (uint32_t i = 0; i < tunnel_count; i++) {
        open_tunnel(c, s, &tunnels[i], i);
    }
    if (edge_run(e, UINT64_C(3600000000000), all_done, NULL) != SIM_DONE) {
        for (uint32_t i = 0; i < tunnel_count; i++) {
            const struct tunnel *t = &tunnels[i];
            sim_fail(c, "tunnel %u hangs: up %llu/%llu/%llu, down %llu/%llu/%llu", i,
                     (unsigned long long)t->client.sent, (unsigned long long)t->origin.got,
                     (unsigned long long)t->plan.request_bytes, (unsigned long long)t->origin.sent,
                     (unsigned long long)t->client.got, (unsigned long long)t->plan.response_bytes);
        }
    }
    edge_settle(c, e);
    edge_close(c, e);
    sim_free(s);
}

static void carries_both_ways(struct sim_case *c)
{
    struct sim_faults f = sim_calm_network;
    f.no_splice = 0.5;
    run(c, &f);
}

static void carries_both_ways_on_a_rough_network(struct sim_case *c)
{
    struct sim_faults f = sim_rough_network;
    f.no_splice = 0.5;
    run(c, &f);
}

static void bears_resets(struct sim_case *c)
{
    struct sim_faults f = {
        .short_read = 0.2,
        .late_event = 0.2,
        .spurious_event = 0.2,
        .reset = 0.5,
        .latency_max_ns = 5000000,
    };
    run(c, &f);
}

static const struct sim_scenario scenarios[] = {
    {"carries_both_ways", carries_both_ways, 150},
    {"carries_both_ways_on_a_rough_network", carries_both_ways_on_a_rough_network, 150},
    {"bears_resets", bears_resets, 200},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
