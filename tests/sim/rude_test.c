// SPDX-License-Identifier: Apache-2.0
//
// Clients with bad manners against the real proxy: malformed requests, messages that stop half way,
// silence, never reading, closing one direction early. Each must come to an end, malformed bytes must
// be refused with a well-formed answer and never reach an origin, and polite clients beside them
// must not notice.

#include <stdio.h>

#include "client.h"
#include "edge.h"
#include "origin.h"
#include "wire.h"

enum { RUDE_MAX = 24, POLITE = 12, SECOND_NS = 1000000000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

static const char config[] = "limits: {body_size: 300KiB, header_size: 4KiB, header_count: 20}\n"
                             "sites:\n"
                             "  default:\n"
                             "    proxy: '10.1.0.1:80'\n";

// An origin that sees one of these has been lied to: "/never" is in no plan.
static const char *const malformed[] = {
    "GET /never HTTP/1.1\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /never HTTP/1.1\nHost: a\n\n",
    "GET /never HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "GET /never HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET  /never HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET never HTTP/1.1\r\nHost: a\r\n\r\n",
    "G@T /never HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    "0\r\n\r\n",
    "POST /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "POST /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "POST /never HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nabc",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "TRACE /never HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\nHost: a.test\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "GET /never HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\nI:\r\nJ:\r\n"
    "K:\r\nL:\r\nM:\r\nN:\r\nO:\r\nP:\r\nQ:\r\nR:\r\nS:\r\nT:\r\nU:\r\nV:\r\nW:\r\n\r\n",
};

enum manners {
    MALFORMED,
    HALF_A_HEAD,
    HALF_A_BODY,
    SILENT,
    NEVER_READS,
    CLOSES_ONE_SIDE,
    MANNERS,
};

struct rude {
    struct world *w;
    struct sim_end *end;
    enum manners manners;
    char out[512];
    size_t out_len, out_pos;
    struct plan *plan; // of NEVER_READS and CLOSES_ONE_SIDE
    struct wire wire;
    bool answered;
    bool done;
};

static struct rude rudes[RUDE_MAX];

static void end_rude(struct rude *x)
{
    struct sim_case *c = x->w->c;
    wire_eof(&x->wire);
    if (x->manners == CLOSES_ONE_SIDE && !x->answered) {
        sim_fail(c, "request %u: half a close took its answer away", x->plan->id);
    }
    if (x->manners == MALFORMED && !x->answered) {
        sim_fail(c, "no answer to: %s", x->out);
    }
    x->done = true;
    x->w->clients_left--;
    sim_close(x->end);
}

static void on_rude_body(void *user, struct slice bytes, uint64_t at)
{
    struct rude *x = user;
    if (x->manners == CLOSES_ONE_SIDE && wire_field(&x->wire, "x-id").len > 0) {
        plan_check(x->w, x->plan, true, bytes, at);
    }
}

static void read_answer(struct rude *x)
{
    struct sim_case *c = x->w->c;
    char buffer[2000];
    size_t n;
    while ((n = sim_recv(x->end, buffer, sizeof(buffer))) > 0) {
        for (size_t at = 0; at < n && !x->answered;) {
            bool head;
            at += wire_feed(&x->wire, slice_of(buffer + at, n - at), &head);
            if (x->wire.state == WIRE_BAD) {
                sim_fail(c, "a broken answer (%s) to: %s", x->wire.wrong, x->out);
                x->answered = true;
            } else if (x->wire.state == WIRE_DONE) {
                x->answered = true;
            }
        }
    }
    if (x->answered && x->manners != CLOSES_ONE_SIDE && x->wire.status < 400) {
        sim_fail(c, "status %d to: %s", x->wire.status, x->out);
    }
}

static void rude_event(struct sim_end *e, unsigned events, void *user)
{
    struct rude *x = user;
    (void)events;
    while (x->out_pos < x->out_len) {
        size_t piece = 1 + (size_t)rng_below(sim_rng(x->w->s), 40);
        size_t left = x->out_len - x->out_pos;
        size_t n = sim_send(e, slice_of(x->out + x->out_pos, piece < left ? piece : left));
        x->out_pos += n;
        if (n == 0) {
            break;
        }
    }
    if (x->manners == CLOSES_ONE_SIDE && x->out_pos == x->out_len) {
        sim_shutdown(e);
    }
    if (x->manners != NEVER_READS) {
        read_answer(x);
    }
    if (sim_is_reset(e) || sim_at_eof(e)) {
        end_rude(x);
    }
}

static void rude_begin(void *user)
{
    struct rude *x = user;
    x->end = sim_connect(x->w->s, &edge_at, rude_event, x);
}

static void set_text(struct rude *x, const char *text)
{
    x->out_len = strlen(text);
    ensure(x->out_len < sizeof(x->out));
    memcpy(x->out, text, x->out_len + 1);
}

static void make_rude(struct world *w, struct rude *x, struct plan *plan)
{
    struct rng *r = sim_rng(w->s);
    *x = (struct rude){.w = w, .manners = (enum manners)rng_below(r, MANNERS), .plan = plan};
    x->wire.on_body = on_rude_body;
    x->wire.user = x;
    wire_reset(&x->wire);
    char path[64];
    switch (x->manners) {
    case MALFORMED:
        set_text(x, malformed[rng_below(r, array_len(malformed))]);
        break;
    case HALF_A_HEAD:
        set_text(x, "GET /never HTTP/1.1\r\nHost: sim.test\r\nX-");
        x->out_len = 1 + (size_t)rng_below(r, x->out_len);
        break;
    case HALF_A_BODY:
        (void)snprintf(path, sizeof(path), "PUT /r/%u HTTP/1.1\r\nHost: sim.test\r\n", plan->id);
        set_text(x, path);
        strcat(x->out, rng_chance(r, 0.5) ? "Content-Length: 1000\r\n\r\n"
                                          : "Transfer-Encoding: chunked\r\n\r\n20\r\n");
        x->out_len = strlen(x->out);
        break;
    case SILENT:
        set_text(x, "");
        break;
    case NEVER_READS:
    case CLOSES_ONE_SIDE:
    case MANNERS:
        (void)snprintf(path, sizeof(path), "GET /r/%u HTTP/1.1\r\nHost: sim.test\r\n\r\n",
                       plan->id);
        set_text(x, path);
        break;
    }
    w->clients_left++;
    sim_after(w->s, rng_below(r, SECOND_NS), rude_begin, x);
}

static bool all_done(void *user)
{
    const struct world *w = user;
    return w->clients_left == 0;
}

static void set_plans(struct world *w, uint32_t polite)
{
    struct rng *r = sim_rng(w->s);
    for (uint32_t i = 0; i < w->plan_count; i++) {
        struct plan *p = &w->plans[i];
        *p = (struct plan){
            .id = i, .method = "GET", .status = 200, .allowed = OUT_GOOD, .piece_max = 4000};
        p->response_framing = rng_chance(r, 0.5) ? PLAN_LENGTH : PLAN_CHUNKED;
        p->response_bytes = i < polite ? rng_below(r, 20000) : 300000;
        if (i >= polite && rudes[i - polite].manners == HALF_A_BODY) {
            p->method = "PUT";
        }
    }
}

static void run(struct sim_case *c, const struct sim_faults *faults)
{
    static struct world w;
    struct sim *s = sim_new(c->seed, faults);
    uint32_t rude_count = 4 + (uint32_t)rng_below(sim_rng(s), RUDE_MAX - 4);
    w = (struct world){.c = c, .s = s, .plan_count = POLITE + rude_count};
    struct edge_limits limits = {.cores = 2, .chunks_max = 100000, .connections_max = 1000};
    struct edge *e = edge_open(c, s, &edge_at, config, &limits);
    for (uint32_t i = 0; i < rude_count; i++) {
        w.plans[POLITE + i].id = POLITE + i;
        make_rude(&w, &rudes[i], &w.plans[POLITE + i]);
    }
    set_plans(&w, POLITE);
    origin_open(&w, &origin_at);
    struct client_habits habits = {.depth = 1, .piece_max = 1000, .read_max = 4000};
    for (uint32_t first = 0; first < POLITE; first += 4) {
        client_open(&w, &edge_at, first, 4, &habits, rng_below(sim_rng(s), SECOND_NS));
    }
    if (edge_run(e, (uint64_t)600 * SECOND_NS, all_done, &w) != SIM_DONE) {
        for (uint32_t i = 0; i < rude_count; i++) {
            if (!rudes[i].done) {
                sim_fail(c, "manners %d is still there: %s", (int)rudes[i].manners, rudes[i].out);
            }
        }
        client_tell_hanging();
    }
    edge_settle(c, e);
    edge_close(c, e);
    sim_free(s);
    client_free_all();
    origin_free_all();
}

static void bears_rude_clients(struct sim_case *c)
{
    struct sim_faults f = sim_calm_network;
    f.no_splice = 0.5;
    run(c, &f);
}

static void bears_rude_clients_on_a_rough_network(struct sim_case *c)
{
    struct sim_faults f = sim_rough_network;
    f.no_splice = 0.5;
    f.latency_max_ns = 20000000;
    run(c, &f);
}

static const struct sim_scenario scenarios[] = {
    {"bears_rude_clients", bears_rude_clients, 200},
    {"bears_rude_clients_on_a_rough_network", bears_rude_clients_on_a_rough_network, 200},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
