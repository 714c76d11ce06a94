// SPDX-License-Identifier: Apache-2.0
//
// TCP streams through the real proxy in the simulated world: each client says a number and then sends
// bytes that are known by it, the origin answers with others, both end their direction when all is
// sent. What arrives must be what was sent, in order, and an end that is not the real one must never
// look like one: a cut shows as a reset.

#include <stdlib.h>

#include "edge.h"
#include "plan.h"

enum { SESSIONS = 24, PIECE = 5000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 5432, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

static const char config[] =
    "streams: [{listen: '127.0.0.1:5432', proxy: '10.1.0.1:80', timeouts: {idle: 1h}}]\n";

struct side {
    struct sim_end *end;
    int id; // -1: an origin's, before the first byte
    bool origin;
    bool greeted, shut, ended, cut;
    uint64_t sent, got;
};

struct story {
    struct sim_case *c;
    uint64_t bytes[SESSIONS][2]; // to send: the client, the origin
    struct side client[SESSIONS];
    struct side origins[8 * SESSIONS]; // some connections may come to nothing
    uint32_t origin_count;
};

static struct story w;

static void close_side(struct side *x, bool cut)
{
    x->cut = cut;
    x->ended = true;
    sim_close(x->end);
}

static void take(struct side *x, const char *bytes, size_t n)
{
    size_t at = 0;
    if (x->origin && x->id < 0 && n > 0) {
        x->id = bytes[0];
        at = 1;
    }
    for (; at < n; at++, x->got++) {
        uint64_t all = w.bytes[x->id][x->origin ? 0 : 1];
        if (x->got >= all || bytes[at] != plan_byte((uint32_t)x->id, !x->origin, x->got)) {
            sim_fail(w.c, "session %d: a wrong byte at %llu", x->id, (unsigned long long)x->got);
            return;
        }
    }
}

static void receive(struct side *x)
{
    char bytes[PIECE];
    size_t n;
    while ((n = sim_recv(x->end, bytes, sizeof(bytes))) > 0 && w.c->failures == 0) {
        take(x, bytes, n);
    }
}

static void send_some(struct side *x)
{
    uint64_t all = x->id < 0 ? 0 : w.bytes[x->id][x->origin ? 1 : 0];
    char bytes[PIECE];
    while (x->id >= 0 && x->sent < all) {
        size_t n = all - x->sent < PIECE ? (size_t)(all - x->sent) : PIECE;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = plan_byte((uint32_t)x->id, x->origin, x->sent + i);
        }
        size_t put = sim_send(x->end, slice_of(bytes, n));
        x->sent += put;
        if (put < n) {
            return;
        }
    }
    if (x->id >= 0 && !x->shut) {
        x->shut = true;
        sim_shutdown(x->end);
    }
}

static void on_side(struct sim_end *e, unsigned events, void *user)
{
    struct side *x = user;
    if (x->ended) {
        return;
    }
    if (!x->origin && !x->greeted && (events & SYS_WRITE) != 0) {
        char id = (char)x->id;
        x->greeted = sim_send(e, slice_of(&id, 1)) == 1;
    }
    receive(x);
    if (sim_is_reset(e)) {
        close_side(x, true);
        return;
    }
    if (x->origin || x->greeted) {
        send_some(x);
    }
    if (sim_at_eof(e) && (x->shut || x->id < 0)) {
        uint64_t all = x->id < 0 ? 0 : w.bytes[x->id][x->origin ? 0 : 1];
        if (x->got != all) {
            sim_fail(w.c, "session %d: %s saw an end after %llu of %llu bytes", x->id,
                     x->origin ? "the origin" : "the client", (unsigned long long)x->got,
                     (unsigned long long)all);
        }
        close_side(x, false);
    }
}

static void on_origin(struct sim_end *e, void *user)
{
    (void)user;
    ensure(w.origin_count < array_len(w.origins));
    struct side *x = &w.origins[w.origin_count++];
    *x = (struct side){.end = e, .id = -1, .origin = true};
    sim_set_actor(e, on_side, x);
}

static bool all_ended(void *user)
{
    (void)user;
    bool all = true;
    for (unsigned i = 0; i < SESSIONS; i++) {
        all = all && w.client[i].ended;
    }
    return all || w.c->failures > 0;
}

static void run(struct sim_case *c, const struct sim_faults *faults, bool calm)
{
    struct sim *s = sim_new(c->seed, faults);
    memset(&w, 0, sizeof(w));
    w.c = c;
    const struct edge_limits limits = {.cores = 2, .chunks_max = 400, .connections_max = 200};
    sim_listen(s, &origin_at, on_origin, NULL);
    struct edge *e = edge_open(c, s, &edge_at, config, &limits);
    for (unsigned i = 0; i < SESSIONS; i++) {
        for (unsigned k = 0; k < 2; k++) {
            w.bytes[i][k] = rng_below(sim_rng(s), i % 3 == 0 ? 2000000 : i % 3 == 1 ? 40000 : 300);
        }
        w.client[i] = (struct side){.id = (int)i};
        w.client[i].end = sim_connect(s, &edge_at, on_side, &w.client[i]);
    }
    enum sim_outcome end =
        sim_run(s, edge_loops(e), edge_core_count(e), UINT64_C(3000) * 1000000000, all_ended, NULL);
    unsigned cuts = 0;
    for (unsigned i = 0; i < SESSIONS; i++) {
        cuts += w.client[i].cut;
    }
    if (end != SIM_DONE) {
        sim_fail(c, "sessions hang");
    } else if (calm && cuts > 0) {
        sim_fail(c, "%u of %u sessions were cut", cuts, (unsigned)SESSIONS);
    }
    edge_close(c, e);
    sim_free(s);
}

static void calm(struct sim_case *c)
{
    const struct sim_faults f = {.latency_max_ns = 3000000};
    run(c, &f, true);
}

static void short_counts(struct sim_case *c)
{
    const struct sim_faults f = {.short_read = 0.3,
                                 .short_write = 0.3,
                                 .write_again = 0.1,
                                 .spurious_event = 0.1,
                                 .late_event = 0.2,
                                 .latency_max_ns = 2000000,
                                 .buffer_min = 500,
                                 .buffer_max = 60000};
    run(c, &f, true);
}

static void without_splice(struct sim_case *c)
{
    const struct sim_faults f = {
        .short_write = 0.2, .no_splice = 1, .latency_max_ns = 1000000, .buffer_max = 90000};
    run(c, &f, true);
}

static void resets(struct sim_case *c)
{
    const struct sim_faults f = {.reset = 0.2,
                                 .connect_refused = 0.2,
                                 .connect_fails = 0.05,
                                 .short_read = 0.1,
                                 .short_write = 0.1,
                                 .latency_max_ns = 2000000};
    run(c, &f, false);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenarios[] = {
        {"calm", calm, 20},
        {"short counts", short_counts, 30},
        {"without splice", without_splice, 15},
        {"resets", resets, 40},
    };
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
