// SPDX-License-Identifier: Apache-2.0
//
// The real proxy in the simulated world: random clients and origins, calm and hostile networks, and
// an oracle that knows for every request which ends are right. Whatever happens: every byte belongs
// to its request, an answer that is not whole says so, nothing hangs, nothing is left at the end.

#include "client.h"
#include "edge.h"
#include "origin.h"
#include "shadow.h"

#include "base/slab.h"

enum { ORIGINS = 3, CLIENTS_MAX = 12, MINUTE = 60 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};

static const struct os_addr shadow_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 9}};

static const char config[] = "timeouts: {connect: 2s, response: 20s, read: 20s}\n"
                             "sites:\n"
                             "  default:\n"
                             "    proxy: ['10.1.0.1:80', '10.1.0.2:80', '10.1.0.3:80']\n";

/** How rough a scenario is. */
struct weather {
    struct sim_faults faults;
    bool bad_origins;
    bool rough; // anything may be cut or answered with an error
    bool aborting_clients;
    bool compresses;
    bool early_answers;
    bool again; // statuses and slow attempts are repeated, hedged; copies go to a mirror
    uint32_t reloads;
    bool drains; // at some moment
    double alloc_fail;
    uint32_t fds_max;
    uint32_t chunks_max;
    uint32_t connections_max;
};

static uint64_t pick_size(struct rng *r)
{
    switch (rng_below(r, 6)) {
    case 0:
        return 0;
    case 1:
        return rng_below(r, 100);
    case 2:
        return rng_below(r, 5000);
    case 3:
        return 16000 + rng_below(r, 1000);
    case 4:
        return rng_below(r, 60000);
    default:
        return rng_below(r, 400000);
    }
}

static void plan_request(struct rng *r, struct plan *p)
{
    static const char *const methods[] = {"GET",  "GET", "GET",    "HEAD",    "POST",
                                          "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"};
    p->method = methods[rng_below(r, array_len(methods))];
    bool bodiless = strcmp(p->method, "GET") == 0 || strcmp(p->method, "HEAD") == 0;
    p->old_client = rng_chance(r, 0.05);
    if (!bodiless || rng_chance(r, 0.03)) {
        p->request_bytes = pick_size(r);
        bool chunked = !p->old_client && rng_chance(r, 0.5);
        p->request_framing = chunked ? PLAN_CHUNKED : PLAN_LENGTH;
        p->expect = !p->old_client && p->request_bytes > 0 && rng_chance(r, 0.1);
    }
}

static void plan_response(struct rng *r, struct plan *p)
{
    static const int statuses[] = {200, 200, 200, 200, 201, 204, 301, 304, 404, 500, 503};
    p->status = statuses[rng_below(r, array_len(statuses))];
    p->response_framing = PLAN_LENGTH + (unsigned)rng_below(r, 3);
    p->response_bytes = pick_size(r);
    if (!plan_has_response_body(p) && p->response_framing == PLAN_CLOSE) {
        p->response_framing = PLAN_LENGTH;
    }
    p->interim = rng_chance(r, 0.1) ? 1 + (int)rng_below(r, 3) : 0;
    p->trailers = p->response_framing == PLAN_CHUNKED && rng_chance(r, 0.3);
    p->origin_closes = rng_chance(r, 0.1);
    p->piece_max = 1 + (uint32_t)rng_below(r, rng_chance(r, 0.2) ? 50 : 8000);
    if (p->piece_max < 50) {
        p->response_bytes %= 2000;
    }
    p->pause_max_ns = rng_chance(r, 0.3) ? rng_below(r, 20000000) : 0;
}

static void plan_fault(struct rng *r, const struct weather *wx, struct plan *p)
{
    p->fault = FAULT_NONE + 1 + (enum plan_fault)rng_below(r, FAULTS - 1);
    p->fault_times = rng_chance(r, 0.5) ? 1 : 10;
    bool cuts = p->fault == FAULT_CUT_BODY || p->fault == FAULT_RESET_BODY;
    if (cuts || p->fault == FAULT_BAD_CHUNK) {
        bool chunked = p->fault == FAULT_BAD_CHUNK || rng_chance(r, 0.5);
        p->status = 200;
        p->method = strcmp(p->method, "HEAD") == 0 ? "GET" : p->method;
        p->response_framing = chunked ? PLAN_CHUNKED : PLAN_LENGTH;
        p->response_bytes += 1;
    }
    switch (p->fault) {
    case FAULT_CLOSE_EARLY:
    case FAULT_RESET_EARLY:
        p->allowed = plan_is_idempotent(p) ? OUT_GOOD | OUT_ERROR : OUT_ERROR;
        break;
    case FAULT_GARBAGE:
    case FAULT_BAD_HEAD:
    case FAULT_SILENT:
        p->allowed = OUT_ERROR;
        break;
    case FAULT_CUT_BODY:
    case FAULT_BAD_CHUNK:
    case FAULT_RESET_BODY: // as long as nothing has gone to the client, it may be asked for again
        p->allowed = OUT_CUT | OUT_ERROR | (plan_is_idempotent(p) ? OUT_GOOD : 0);
        break;
    case FAULT_EXTRA_BYTES:
    case FAULT_TWO_ANSWERS:
        p->allowed = OUT_GOOD;
        if (p->response_framing == PLAN_CLOSE || !plan_has_response_body(p)) {
            p->fault = FAULT_NONE; // there they would be part of the body, or follow no body
        }
        if (wx->faults.short_read > 0) {
            p->fault = FAULT_NONE; // then they come later, as far as the proxy can see
        }
        break;
    case FAULT_NONE:
    case FAULTS:
        break;
    }
    if (p->fault == FAULT_BAD_HEAD && p->id % 7 == 4) {
        p->fault = FAULT_GARBAGE; // that head is only odd
    }
}

static void plan_all(struct world *w, const struct weather *wx)
{
    struct rng *r = sim_rng(w->s);
    for (uint32_t i = 0; i < w->plan_count; i++) {
        struct plan *p = &w->plans[i];
        *p = (struct plan){.id = i, .allowed = OUT_GOOD};
        plan_request(r, p);
        plan_response(r, p);
        if (wx->bad_origins && rng_chance(r, 0.4)) {
            plan_fault(r, wx, p);
        }
        bool may = wx->early_answers && p->request_bytes > 0 && p->fault == FAULT_NONE;
        if (may && rng_chance(r, 0.3)) {
            // The rest of a large request is not waited for, and closing may outrun the answer.
            p->early_answer = true;
            p->expect = false;
            p->allowed |= OUT_CUT;
        }
        if (wx->again && plan_is_idempotent(p)) {
            p->allowed |= OUT_GOOD; // another server may have done better
            if (p->status >= 500) {
                p->allowed |= OUT_ERROR; // thrown away, and then the last server was not there
            }
        }
        p->gzip = wx->compresses && rng_chance(r, 0.7);
        if (wx->drains) {
            p->allowed |= OUT_CUT; // those that come too late
        }
        if (wx->rough) {
            p->allowed = OUT_GOOD | OUT_ERROR | OUT_CUT;
        }
    }
}

static struct client_habits some_habits(struct rng *r, const struct weather *wx)
{
    struct client_habits h = {
        .depth = rng_chance(r, 0.3) ? 1 + (uint32_t)rng_below(r, 5) : 1,
        .piece_max = 1 + (uint32_t)rng_below(r, rng_chance(r, 0.2) ? 100 : 20000),
        .pause_max_ns = rng_chance(r, 0.4) ? rng_below(r, 10000000) : 0,
        .read_max = 1 + (uint32_t)rng_below(r, 8000),
        .read_pause_ns = rng_chance(r, 0.3) ? 1 + rng_below(r, 5000000) : 0,
    };
    if (h.read_pause_ns > 0 && h.read_max < 500) {
        h.read_max += 500;
    }
    if (wx->aborting_clients && rng_chance(r, 0.3)) {
        h.abort_after_ns = 1 + rng_below(r, UINT64_C(1000) << rng_below(r, 22));
        h.abort_by_reset = rng_chance(r, 0.5);
    }
    return h;
}

static bool clients_done(void *user)
{
    const struct world *w = user;
    return w->clients_left == 0;
}

static void open_clients(struct world *w, const struct weather *wx)
{
    struct rng *r = sim_rng(w->s);
    for (uint32_t first = 0; first < w->plan_count;) {
        uint32_t count = 1 + (uint32_t)rng_below(r, 8);
        count = count < w->plan_count - first ? count : w->plan_count - first;
        struct client_habits h = some_habits(r, wx);
        // A cut answer may take with it the one before, which was still on its way.
        for (uint32_t i = first; i < first + count && h.depth > 1 && wx->bad_origins; i++) {
            w->plans[i].allowed |= OUT_CUT;
        }
        client_open(w, &edge_at, first, count, &h, rng_below(r, 50000000));
        first += count;
    }
}

static const char compressing[] = "compress: {min: 50, types: [text/plain]}\n"
                                  "sites:\n"
                                  "  default:\n"
                                  "    proxy: ['10.1.0.1:80', '10.1.0.2:80', '10.1.0.3:80']\n";

static const char again[] =
    "timeouts: {connect: 2s, response: 20s, read: 20s}\n"
    "upstreams:\n"
    "  app:\n"
    "    servers: ['10.1.0.1:80', '10.1.0.2:80', '10.1.0.3:80']\n"
    "    retry: {on: [connect, timeout, reset, 5xx], timeout: 3s, attempts: 4}\n"
    "    hedge: {after: 20ms, at_most: 100%}\n"
    "  other: {servers: ['10.1.0.1:80', '10.1.0.2:80'], hedge: 5ms, retry: {on: [connect, reset, "
    "503]}}\n"
    "  shadow: {servers: '10.1.0.9:80'}\n"
    "sites:\n"
    "  default:\n"
    "    mirror: {to: shadow, share: 70%}\n"
    "    proxy:\n"
    "      split: [{to: app, when: {method: [GET, POST]}}, {to: other, share: 50%}, {to: app}]\n"
    "      by: path\n";

static const char *const other_configs[] = {
    config,
    "timeouts: {connect: 3s}\nsites:\n  default:\n    proxy: ['10.1.0.1:80', '10.1.0.2:80']\n",
    "sites:\n  sim.test:\n    proxy: {to: ['10.1.0.3:80', '10.1.0.1:80'], connections: "
    "500}\n",
    "sites:\n  sim.test:\n    routes:\n      - {path: /r/*, proxy: '10.1.0.2:80'}\n",
};

static struct edge *current_edge; // for the timers of a scenario
static bool draining;

static void reload_now(void *user)
{
    struct world *w = user;
    if (!draining) {
        double rate = w->alloc_fail;
        alloc_fail_rate(0, 0); // compiling has tests of its own
        edge_reload(current_edge,
                    other_configs[rng_below(sim_rng(w->s), array_len(other_configs))]);
        alloc_fail_rate(rate, rng_u64(sim_rng(w->s)));
    }
}

static void drain_now(void *user)
{
    (void)user;
    draining = true;
    edge_drain(current_edge);
}

static void plan_changes(struct world *w, const struct weather *wx)
{
    struct rng *r = sim_rng(w->s);
    draining = false;
    w->alloc_fail = wx->alloc_fail;
    for (uint32_t i = 0; i < wx->reloads; i++) {
        sim_after(w->s, rng_below(r, UINT64_C(300000000)), reload_now, w);
    }
    if (wx->drains) {
        sim_after(w->s, rng_below(r, UINT64_C(300000000)), drain_now, w);
    }
}

static void run(struct sim_case *c, const struct weather *wx)
{
    static struct world w;
    struct sim *s = sim_new(c->seed, &wx->faults);
    struct rng *r = sim_rng(s);
    w = (struct world){.c = c, .s = s, .plan_count = 5 + (uint32_t)rng_below(r, 30)};
    plan_all(&w, wx);
    for (uint32_t i = 0; i < ORIGINS; i++) {
        struct os_addr at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, (uint8_t)(i + 1)}};
        if (i == 0 || rng_chance(r, 0.8) || !wx->bad_origins) {
            origin_open(&w, &at);
        }
    }
    if (wx->again && rng_chance(r, 0.9)) {
        shadow_open(&w, &shadow_at);
    }
    struct edge_limits limits = {
        .cores = 1 + (uint32_t)rng_below(r, 2),
        .chunks_max = wx->chunks_max > 0 ? wx->chunks_max : 100000,
        .connections_max = wx->connections_max > 0 ? wx->connections_max : 1000,
    };
    const char *first = wx->compresses ? compressing : wx->again ? again : config;
    struct edge *e = edge_open(c, s, &edge_at, first, &limits);
    if (wx->fds_max > 0) {
        sim_fds_max(s, wx->fds_max);
    }
    current_edge = e;
    open_clients(&w, wx);
    plan_changes(&w, wx);
    alloc_fail_rate(wx->alloc_fail, c->seed);
    enum sim_outcome how = edge_run(e, UINT64_C(60) * MINUTE * 1000000000u, clients_done, &w);
    alloc_fail_rate(0, 0);
    if (how != SIM_DONE) {
        sim_fail(c, "%s", how == SIM_QUIET ? "nothing happens any more" : "the time is over");
        client_tell_hanging();
    }
    // Clients are gone: exchanges and client connections end by themselves.
    edge_settle(c, e);
    if (draining && !edge_is_idle(e)) {
        sim_fail(c, "the drain does not end");
    }
    edge_close(c, e);
    sim_free(s);
    client_free_all();
    origin_free_all();
    shadow_free_all();
}

static struct sim_faults rough_network(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed ^ 0x5eed);
    uint32_t low = 200 + (uint32_t)rng_below(&r, 10000);
    return (struct sim_faults){
        .short_read = rng_chance(&r, 0.5) ? 0.2 : 0,
        .short_write = rng_chance(&r, 0.5) ? 0.2 : 0,
        .write_again = rng_chance(&r, 0.5) ? 0.1 : 0,
        .spurious_event = rng_chance(&r, 0.5) ? 0.2 : 0,
        .late_event = rng_chance(&r, 0.5) ? 0.3 : 0,
        .no_splice = 0.3,
        .latency_max_ns = UINT64_C(1) << rng_below(&r, 23),
        .buffer_min = low,
        .buffer_max = low + (uint32_t)rng_below(&r, 300000),
    };
}

static void carries_requests(struct sim_case *c)
{
    struct weather wx = {.faults = {.latency_max_ns = 1000000, .no_splice = 0.5}};
    run(c, &wx);
}

static void carries_requests_over_a_rough_network(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed)};
    run(c, &wx);
}

static void bears_bad_origins(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .bad_origins = true};
    run(c, &wx);
}

static void bears_resets_and_leaving_clients(struct sim_case *c)
{
    struct weather wx = {
        .faults = rough_network(c->seed),
        .bad_origins = true,
        .rough = true,
        .aborting_clients = true,
        .early_answers = true,
        .reloads = (uint32_t)(c->seed % 3),
    };
    wx.faults.reset = 0.2;
    wx.faults.connect_refused = 0.1;
    wx.faults.connect_silent = 0.05;
    run(c, &wx);
}

static void bears_want_of_memory(struct sim_case *c)
{
    struct weather wx = {
        .faults = rough_network(c->seed), .rough = true, .alloc_fail = c->seed % 2 ? 0.01 : 0.1};
    run(c, &wx);
}

static void bears_want_of_everything(struct sim_case *c)
{
    struct rng r;
    rng_seed(&r, c->seed);
    struct weather wx = {
        .faults = rough_network(c->seed),
        .bad_origins = true,
        .rough = true,
        .aborting_clients = true,
        .fds_max = 4 + (uint32_t)rng_below(&r, 20),
        .chunks_max = 4 + (uint32_t)rng_below(&r, 60),
        .connections_max = 2 + (uint32_t)rng_below(&r, 10),
    };
    wx.faults.accept_fails = 0.05;
    wx.faults.connect_fails = 0.05;
    run(c, &wx);
}

static void bears_early_answers(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .early_answers = true};
    run(c, &wx);
}

static void compresses(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .compresses = true};
    run(c, &wx);
}

static void bears_resets_while_compressing(struct sim_case *c)
{
    struct weather wx = {
        .faults = rough_network(c->seed),
        .compresses = true,
        .bad_origins = true,
        .rough = true,
        .aborting_clients = true,
        .alloc_fail = c->seed % 2 == 0 ? 0.01 : 0,
    };
    wx.faults.reset = 0.2;
    run(c, &wx);
}

static void goes_on_over_reloads(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .reloads = 5};
    run(c, &wx);
}

static void drains(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .reloads = 2, .drains = true};
    run(c, &wx);
}

static void asks_again_and_copies(struct sim_case *c)
{
    struct weather wx = {.faults = rough_network(c->seed), .bad_origins = true, .again = true};
    run(c, &wx);
}

static void asks_again_whatever_happens(struct sim_case *c)
{
    struct weather wx = {
        .faults = rough_network(c->seed),
        .bad_origins = true,
        .again = true,
        .rough = true,
        .aborting_clients = true,
        .early_answers = true,
        .reloads = (uint32_t)(c->seed % 4),
        .drains = c->seed % 5 == 0,
        .alloc_fail = c->seed % 4 == 0 ? 0.01 : 0,
    };
    wx.faults.reset = 0.2;
    wx.faults.connect_refused = 0.1;
    wx.faults.connect_silent = 0.05;
    run(c, &wx);
}

static const struct sim_scenario scenarios[] = {
    {"carries_requests", carries_requests, 150},
    {"carries_requests_over_a_rough_network", carries_requests_over_a_rough_network, 300},
    {"bears_bad_origins", bears_bad_origins, 300},
    {"bears_early_answers", bears_early_answers, 200},
    {"compresses", compresses, 150},
    {"bears_resets_while_compressing", bears_resets_while_compressing, 200},
    {"goes_on_over_reloads", goes_on_over_reloads, 200},
    {"drains", drains, 200},
    {"bears_resets_and_leaving_clients", bears_resets_and_leaving_clients, 300},
    {"bears_want_of_memory", bears_want_of_memory, 200},
    {"asks_again_and_copies", asks_again_and_copies, 200},
    {"asks_again_whatever_happens", asks_again_whatever_happens, 200},
    {"bears_want_of_everything", bears_want_of_everything, 200},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
