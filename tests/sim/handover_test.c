// SPDX-License-Identifier: Apache-2.0
//
// A connection that is given away after its 101 (http_heir): a handler answers at once or after a
// while, its heir takes the transport and counts what the client sends from then on. No byte may be
// lost or come twice, what was sent too early must be told apart, and the heir must hear exactly once
// what became of the connection, whenever it ends.

#include <stdio.h>

#include "base/chunk.h"
#include "edge.h"
#include "kernel.h"
#include "loop/transport.h"
#include "plan.h"
#include "proxy/core.h"
#include "wire.h"

enum { CLIENTS_MAX = 12, PIECE = 2000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};

static const char config[] = "timeouts: {header: 20s, write: 20s}\n"
                             "sites: {other.test: {respond: never}}\n";

struct client {
    struct sim_case *c;
    struct sim *s;
    struct plan plan;   // request bytes follow the 101
    bool keeps_talking; // a second request follows the first: it is early as well
    struct sim_end *end;
    struct wire wire;
    char out[256];
    size_t out_len, out_pos;
    bool open, done;
    uint64_t sent;
    bool leaves; // before the answer
    // the edge's side
    struct http_heir heir;
    struct exchange *x;
    struct transport *t;
    unsigned taken, lost;
    bool was_early;
    uint64_t got;
};

static struct client clients[CLIENTS_MAX];
static uint32_t client_count;
static bool rough; // connections are reset
static bool calm;  // what was sent together comes together

// ---- the edge's side --------------------------------------------------------------------------------

static bool is_ours(const struct reserved *r, const struct exchange *x)
{
    (void)r;
    return slice_starts(x->request.path, SLICE("/take/"));
}

static void end_heir(struct client *h)
{
    struct transport *t = h->t;
    h->t = NULL;
    transport_close(t, false);
}

static void read_on(struct client *h)
{
    char buffer[PIECE];
    while (h->t != NULL && h->t->readable) {
        struct iovec iov = {buffer, sizeof(buffer)};
        struct io_result r = transport_read(h->t, &iov, 1);
        if (r.status == IO_AGAIN) {
            return;
        }
        if (r.status != IO_OK) {
            end_heir(h);
            return;
        }
        for (size_t i = 0; i < r.n && !h->keeps_talking; i++) {
            if (buffer[i] != plan_byte(h->plan.id, false, h->got + i)) {
                sim_fail(h->c, "client %u: a wrong byte", h->plan.id);
                break;
            }
        }
        h->got += r.n;
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    struct client *h = t->owner;
    (void)events;
    read_on(h);
}

static void on_take(struct http_heir *heir, struct transport *t, const struct http_peer *peer,
                    struct chunk *first, uint32_t pos)
{
    struct client *h = container_of(heir, struct client, heir);
    if (t == NULL) {
        h->lost++;
        return;
    }
    h->taken++;
    ensure(peer->transport == t);
    h->t = t;
    transport_set_owner(t, h, on_ready);
    if (first != NULL) {
        ensure(pos < first->used);
        chunk_unref(first);
        h->was_early = true;
        end_heir(h);
        return;
    }
    read_on(h);
}

static enum stage_result give(struct exchange *x, struct client *h)
{
    exchange_begin_answer(x, 101);
    x->response.upgrade = SLICE("count/1");
    h->heir.take = on_take;
    int e = exchange_hand_over(x, &h->heir);
    ensure(e == 0);
    return STAGE_ANSWER;
}

static struct client *client_of(const struct exchange *x)
{
    unsigned id = (unsigned)(x->request.path.ptr[sizeof("/take/") - 1] - 'a');
    ensure(id < client_count);
    return &clients[id];
}

static void judged(void *user)
{
    struct client *h = user;
    struct exchange *x = h->x;
    h->x = NULL;
    exchange_resume(x);
}

static enum stage_result on_answer(const struct reserved *r, struct exchange *x)
{
    (void)r;
    struct client *h = client_of(x);
    if (rng_chance(sim_rng(h->s), 0.5)) {
        return give(x, h);
    }
    h->x = x;
    sim_after(h->s, rng_below(sim_rng(h->s), 50000000), judged, h);
    return STAGE_WAIT;
}

static enum stage_result on_resume(const struct reserved *r, struct exchange *x)
{
    (void)r;
    return give(x, client_of(x));
}

static const struct reserved taker = {.is = is_ours, .answer = on_answer, .resume = on_resume};

// ---- the client's side ------------------------------------------------------------------------------

static void end_client(struct client *h)
{
    h->done = true;
    sim_close(h->end);
}

static void send_some(struct client *h)
{
    h->out_pos += sim_send(h->end, slice_of(h->out + h->out_pos, h->out_len - h->out_pos));
    if (h->leaves && h->out_pos == h->out_len) {
        end_client(h);
        return;
    }
    while (h->open && h->sent < h->plan.request_bytes) {
        char buffer[PIECE];
        uint64_t left = h->plan.request_bytes - h->sent;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        plan_fill(&h->plan, false, h->sent, buffer, n);
        size_t put = sim_send(h->end, slice_of(buffer, n));
        h->sent += put;
        if (put < n) {
            return;
        }
    }
    if (h->open) {
        sim_shutdown(h->end);
    }
}

static void receive(struct client *h)
{
    char byte;
    while (!h->done && sim_recv(h->end, &byte, 1) == 1) {
        bool head = false;
        if (h->open) {
            sim_fail(h->c, "client %u: a byte behind the 101", h->plan.id);
            end_client(h);
            return;
        }
        (void)wire_feed(&h->wire, slice_of(&byte, 1), &head);
        if (head && h->wire.status == 101 &&
            slice_eq(wire_field(&h->wire, "upgrade"), SLICE("count/1"))) {
            h->open = true;
        } else if (head) {
            sim_fail(h->c, "client %u: status %d", h->plan.id, h->wire.status);
            end_client(h);
            return;
        }
    }
}

static void client_event(struct sim_end *e, unsigned events, void *user)
{
    struct client *h = user;
    (void)events;
    receive(h);
    if (!h->done) {
        send_some(h);
    }
    if (!h->done && (sim_is_reset(e) || sim_at_eof(e))) {
        end_client(h);
    }
}

static void begin(void *user)
{
    struct client *h = user;
    h->end = sim_connect(h->s, &edge_at, client_event, h);
}

static void open_client(struct sim_case *c, struct sim *s, struct client *h, uint32_t id)
{
    struct rng *r = sim_rng(s);
    *h = (struct client){.c = c, .s = s};
    h->plan.id = id;
    h->plan.request_bytes = 1 + rng_below(r, 100000);
    h->keeps_talking = rng_chance(r, 0.2);
    h->leaves = !h->keeps_talking && rng_chance(r, 0.1);
    h->out_len =
        (size_t)snprintf(h->out, sizeof(h->out),
                         "GET /take/%c HTTP/1.1\r\nHost: nowhere.test\r\n"
                         "Connection: Upgrade\r\nUpgrade: count/1\r\n\r\n%s",
                         'a' + (int)id, h->keeps_talking ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "");
    wire_reset(&h->wire);
    sim_after(s, rng_below(r, 100000000), begin, h);
}

static bool all_done(void *user)
{
    (void)user;
    for (uint32_t i = 0; i < client_count; i++) {
        if (!clients[i].done || clients[i].t != NULL || clients[i].x != NULL) {
            return false;
        }
    }
    return true;
}

static void judge(struct sim_case *c, const struct client *h)
{
    uint32_t id = h->plan.id;
    if (h->taken + h->lost > 1 || (!rough && !h->leaves && h->taken != 1)) {
        sim_fail(c, "client %u: taken %u times, lost %u times", id, h->taken, h->lost);
    }
    if (rough || h->leaves) {
        return;
    }
    if (!h->keeps_talking && (h->was_early || h->got != h->plan.request_bytes)) {
        sim_fail(c, "client %u: %llu of %llu bytes", id, (unsigned long long)h->got,
                 (unsigned long long)h->plan.request_bytes);
    }
    // On a rough network it may come when the 101 is out: then it is in time.
    if (h->keeps_talking && calm && !h->was_early) {
        sim_fail(c, "client %u: what came too early went unnoticed", id);
    }
}

static void run(struct sim_case *c, const struct sim_faults *faults)
{
    struct sim *s = sim_new(c->seed, faults);
    rough = faults->reset > 0;
    calm = faults->short_write == 0 && faults->short_read == 0;
    struct edge_limits limits = {.cores = 2, .chunks_max = 10000, .connections_max = 100};
    struct edge *e = edge_open(c, s, &edge_at, config, &limits);
    edge_reserve(e, &taker);
    client_count = 1 + (uint32_t)rng_below(sim_rng(s), CLIENTS_MAX);
    for (uint32_t i = 0; i < client_count; i++) {
        open_client(c, s, &clients[i], i);
    }
    if (edge_run(e, UINT64_C(600000000000), all_done, NULL) != SIM_DONE) {
        sim_fail(c, "clients hang");
    }
    for (uint32_t i = 0; i < client_count; i++) {
        judge(c, &clients[i]);
    }
    edge_settle(c, e);
    edge_close(c, e);
    sim_free(s);
}

static void gives_connections_away(struct sim_case *c)
{
    run(c, &sim_calm_network);
}

static void gives_them_away_on_a_rough_network(struct sim_case *c)
{
    run(c, &sim_rough_network);
}

static void bears_resets(struct sim_case *c)
{
    run(c, &sim_resetting_network);
}

static const struct sim_scenario scenarios[] = {
    {"gives_connections_away", gives_connections_away, 150},
    {"gives_them_away_on_a_rough_network", gives_them_away_on_a_rough_network, 150},
    {"bears_resets", bears_resets, 200},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
