// SPDX-License-Identifier: Apache-2.0
//
// The whole proxy on the simulated kernel, between two clients and an origin that say what the fuzzer
// wants: the input is a list of acts. Nothing may crash, break a promise or hang; when the actors are
// gone, every exchange, connection, buffer, timer and descriptor must be gone soon after, and what a
// client got must begin like an answer.
//
// The first bytes choose the seed of the network, its faults, and the configuration. Each act begins
// with a byte that names actor and act; pieces of real traffic can be asked for by number, so that
// the fuzzer does not have to invent HTTP first.

#include <stdlib.h>

#include "../sim/edge.h"
#include "base/error.h"
#include "base/slice.h"
#include "input.h"
#include "network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 2, ORIGINS = 6, ACTS_MAX = 200 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

static const char *const configs[] = {
    "log: error\nsites:\n  default:\n    proxy: 10.1.0.1:80\n",
    ("log: error\n"
     "limits: {header_size: 1KiB, header_count: 5, target_size: 256, body_size: 100KiB}\n"
     "timeouts: {header: 2s, idle: 3s, body: 2s, response: 4s, read: 3s, tunnel: 5s, write: 4s}\n"
     "sites:\n  default:\n    compress: on\n    proxy: {to: [\"10.1.0.1:80\"], connections: 2, "
     "retry: {attempts: 2, body: 1KiB}}\n"),
    ("log: error\nsites:\n  default:\n    routes:\n      - {path: /r, respond: \"hello\"}\n"
     "      - {path: /d/*, redirect: /e/$match(1)}\n      - {proxy: 10.1.0.1:80, compress: on}\n"),
};

#define HOST "Host: a\r\n"

static const char *const requests[] = {
    "GET / HTTP/1.1\r\n" HOST "\r\n",
    "GET /r HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n",
    "HEAD /d/x HTTP/1.1\r\n" HOST "\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n",
    "0123456789",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-T: 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
    "PUT /x HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n",
    "\r\n",
};

#define A100                                                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaa"                                                                                         \
    "aaaa"
#define A1000 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100
#define OK    "HTTP/1.1 200 OK\r\n"

static const char *const answers[] = {
    OK "Content-Length: 5\r\n\r\nhello",
    OK "Content-Length: 0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-T: 1\r\n\r\n",
    OK "\r\nuntil the end",
    "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    OK "Content-Length: 100000\r\n\r\n",
    OK "Content-Type: text/html\r\nContent-Length: 3000\r\n\r\n",
    "HTTP/1.1 500 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxx",
    "HTTP/1.1 103 Early Hints\r\nLink: </" A1000 ">\r\n\r\n",
    OK "X: " A1000 A1000 "\r\nContent-Length: 5\r\n\r\nhello",
};

// ---- actors ------------------------------------------------------------------------------------------

struct actor {
    struct sim_end *end; // NULL: none
    bool deaf;           // does not read
    size_t got;
    char first[16]; // the first bytes that it got
};

struct world {
    struct sim *sim;
    struct edge *edge;
    struct actor clients[CLIENTS];
    struct actor origins[ORIGINS];
    unsigned origin_count; // accepted so far
};

static void read_all(struct actor *a)
{
    char buffer[4096];
    size_t n;
    while (!a->deaf && (n = sim_recv(a->end, buffer, sizeof(buffer))) > 0) {
        for (size_t i = 0; i < n && a->got + i < sizeof(a->first); i++) {
            a->first[a->got + i] = buffer[i];
        }
        a->got += n;
    }
}

static void close_actor(struct actor *a)
{
    if (a->end != NULL) {
        sim_close(a->end);
        a->end = NULL;
    }
}

static void on_actor(struct sim_end *e, unsigned events, void *user)
{
    struct actor *a = user;
    (void)events;
    ensure(a->end == e);
    read_all(a);
    if (sim_is_reset(e)) {
        close_actor(a);
    }
}

static void on_accept(struct sim_end *e, void *user)
{
    struct world *w = user;
    struct actor *a = &w->origins[w->origin_count++ % ORIGINS];
    close_actor(a);
    *a = (struct actor){.end = e};
    sim_set_actor(e, on_actor, a);
}

static void check_answer(const struct actor *a)
{
    size_t n = a->got < 9 ? a->got : 9;
    ensure(memcmp(a->first, "HTTP/1.1 ", n) == 0);
}

static void run_for(struct world *w, uint64_t ms)
{
    (void)sim_run(w->sim, edge_loops(w->edge), edge_core_count(w->edge),
                  sim_now_ns(w->sim) + ms * 1000000, NULL, NULL);
}

static void send_bytes(struct actor *a, struct slice bytes)
{
    if (a->end != NULL && bytes.len > 0) {
        (void)sim_send(a->end, bytes);
    }
}

static void send_filler(struct actor *a, size_t n)
{
    static char filler[16384];
    memset(filler, 'f', sizeof(filler));
    while (n > 0) {
        size_t part = n < sizeof(filler) ? n : sizeof(filler);
        send_bytes(a, slice_of(filler, part));
        n -= part;
    }
}

// ---- acts --------------------------------------------------------------------------------------------

static struct actor *actor_of(struct world *w, uint8_t op)
{
    if ((op & 0x80) == 0) {
        struct actor *a = &w->clients[op >> 6 & 1];
        if (a->end == NULL) {
            check_answer(a);
            *a = (struct actor){0};
            a->end = sim_connect(w->sim, &edge_at, on_actor, a);
            run_for(w, 10);
        }
        return a;
    }
    unsigned back = op >> 6 & 1; // the newest connection or the one before it
    unsigned newest = w->origin_count + ORIGINS - 1;
    return &w->origins[(newest - back) % ORIGINS];
}

static void act(struct world *w, struct input *in)
{
    uint8_t op = next_byte(in);
    struct actor *a = actor_of(w, op);
    bool origin = (op & 0x80) != 0;
    uint8_t n = next_byte(in);
    switch (op & 7) {
    case 0:
    case 1: {
        const char *text =
            origin ? answers[n % array_len(answers)] : requests[n % array_len(requests)];
        send_bytes(a, slice_str(text));
        break;
    }
    case 2:
        send_bytes(a, next_bytes(in, n));
        break;
    case 3:
        send_filler(a, (size_t)n * 1000);
        break;
    case 4:
        if (a->end != NULL && (n & 1) != 0) {
            sim_shutdown(a->end);
        } else {
            close_actor(a);
        }
        break;
    case 5:
        if (a->end != NULL && (n & 3) == 0) {
            sim_reset(a->end);
            a->end = NULL;
        }
        break;
    case 6:
        run_for(w, (uint64_t)n * n);
        break;
    default:
        a->deaf = (n & 1) != 0;
        if (a->end != NULL) {
            read_all(a);
        }
        break;
    }
    if ((op & 8) == 0) {
        run_for(w, 20);
    }
}

// ---- a run -------------------------------------------------------------------------------------------

static void finish(struct world *w, struct sim_case *c)
{
    for (int i = 0; i < CLIENTS; i++) {
        check_answer(&w->clients[i]);
        close_actor(&w->clients[i]);
    }
    for (int i = 0; i < ORIGINS; i++) {
        close_actor(&w->origins[i]);
    }
    run_for(w, 300 * 1000);
    for (int i = 0; i < ORIGINS; i++) { // what was retried meanwhile
        close_actor(&w->origins[i]);
    }
    run_for(w, 2 * 3600 * 1000);
    ensure(edge_exchanges(w->edge) == 0);
    ensure(edge_connections(w->edge) == 0);
    edge_close(c, w->edge);
    ensure(c->failures == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    struct sim_case c = {.scenario = "fuzz", .seed = data[0]};
    struct sim_faults faults = network_of(data[1]);
    faults.no_splice = (data[1] & 8) != 0;
    struct world w = {.sim = sim_new(c.seed, &faults)};
    sim_listen(w.sim, &origin_at, on_accept, &w);
    struct edge_limits limits = {.cores = 1, .chunks_max = 4096, .connections_max = 100};
    w.edge = edge_open(&c, w.sim, &edge_at, configs[data[2] % array_len(configs)], &limits);
    struct input in = {data + 3, size - 3};
    for (unsigned i = 0; i < ACTS_MAX && in.left > 0; i++) {
        act(&w, &in);
    }
    finish(&w, &c);
    sim_free(w.sim);
    return 0;
}
