// SPDX-License-Identifier: Apache-2.0
//
// A list of acts: each begins with a byte that names actor and act. Frames are built from a type, flags
// and a stream, header blocks are asked for by number, so that the fuzzer does not have to invent HPACK
// first; raw bytes are there as well. Nothing may crash, break a promise or hang, and when the actors
// are gone, everything else must be gone soon after.

#include "h2_world.h"

#include <stdlib.h>
#include <string.h>

#include "../sim/edge.h"
#include "base/slice.h"
#include "input.h"
#include "network.h"

enum { CLIENTS = 2, ORIGINS = 6, ACTS_MAX = 150, FRAME_PAYLOAD_MAX = 17000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

#define TIMES                                                                                      \
    "timeouts: {header: 2s, idle: 3s, body: 2s, response: 4s, read: 3s, tunnel: 5s, write: 4s}\n"

static const char *const down_configs[] = {
    "log: error\nlisten: ':80'\nsites:\n  default:\n    proxy: 10.1.0.1:80\n",
    ("log: error\nlisten: ':80'\n"
     "limits: {header_size: 1KiB, header_count: 5, target_size: 256, body_size: 100KiB}\n" TIMES
     "sites:\n  default:\n    compress: on\n    proxy: {to: [\"10.1.0.1:80\"], connections: 2, "
     "retry: {attempts: 2, body: 1KiB}}\n"),
    ("log: error\nlisten: ':80'\n" TIMES
     "sites:\n  default:\n    routes:\n      - {path: /r, respond: \"hello\"}\n"
     "      - {proxy: 'h2c://10.1.0.1:80', compress: on}\n"),
};

static const char *const up_configs[] = {
    "log: error\nlisten: ':80'\n" TIMES "sites:\n  default:\n    proxy: h2c://10.1.0.1:80\n",
    ("log: error\nlisten: ':80'\n"
     "limits: {header_size: 1KiB, header_count: 5, target_size: 256, body_size: 100KiB}\n" TIMES
     "sites:\n  default:\n    compress: on\n    proxy: {to: ['h2c://10.1.0.1:80'], "
     "retry: {attempts: 2, body: 1KiB}}\n"),
};

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// ---- header blocks -----------------------------------------------------------------------------------

struct block {
    const char *bytes;
    size_t len;
};
#define BLOCK(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define GET                                                                                        \
    "\x82\x86\x84\x41\x01"                                                                         \
    "a"
#define POST                                                                                       \
    "\x83\x86\x84\x41\x01"                                                                         \
    "a"
#define LENGTH_10                                                                                  \
    "\x0f\x0d\x02"                                                                                 \
    "10"
#define CONNECT                                                                                    \
    "\x02\x07"                                                                                     \
    "CONNECT"

static const struct block requests[] = {
    BLOCK(GET),
    BLOCK(POST),
    BLOCK(POST LENGTH_10),
    BLOCK("\x82\x86\x44\x02/r\x41\x01"
          "a"),
    BLOCK("\x02\x04"
          "HEAD\x86\x84\x41\x01"
          "a"),
    BLOCK(CONNECT "\x00\x09:protocol\x09websocket\x86\x84\x41\x01"
                  "a"),
    BLOCK(CONNECT "\x41\x03"
                  "a:1"),
    BLOCK(POST "\x00\x02te\x08trailers"),
    BLOCK(GET "\x00\x06"
              "cookie\x01"
              "a\x00\x06"
              "cookie\x01"
              "b"),
    BLOCK(GET "\x00\x08priority\x05u=1,i"),
    BLOCK(POST "\x00\x06"
               "expect\x0c"
               "100-continue" LENGTH_10),
    BLOCK("\x00\x01t\x01"
          "1"),
    BLOCK(GET "\x00\x01X\x01"
              "1"),
    BLOCK(GET "\x00\x0a"
              "connection\x05"
              "close"),
    BLOCK("\x86\x84"),
    BLOCK("\x3f\xe1\x1f" GET),
    BLOCK("\xbe"),
    BLOCK("\xff\xff\xff\xff\xff"),
};

static const struct block answers[] = {
    BLOCK("\x88"),
    BLOCK("\x88" LENGTH_10),
    BLOCK("\x08\x03"
          "103\x00\x04link\x04</a>"),
    BLOCK("\x89"),
    BLOCK("\x8b"),
    BLOCK("\x08\x03"
          "101"),
    BLOCK("\x8e\x00\x0c"
          "content-type\x09text/html"),
    BLOCK("\x00\x0b"
          "grpc-status\x01"
          "0"),
    BLOCK("\x88\x00\x0a"
          "connection\x05"
          "close"),
    BLOCK("\x88\x00\x01X\x01"
          "1"),
    BLOCK("\x00\x01t\x01"
          "1"),
    BLOCK("\xbe"),
};

static const char *const h1_requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n"
     "Connection: TE\r\n\r\n5\r\nhello\r\n"),
    "0\r\nX-T: 1\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
};

static const char *const h1_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "0\r\nX-T: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
};

// ---- actors ------------------------------------------------------------------------------------------

struct actor {
    struct sim_end *end; // NULL: none
    bool deaf;           // does not read
    bool h2;
};

struct world {
    struct sim *sim;
    struct edge *edge;
    enum h2_world_side side;
    bool draining;
    struct actor clients[CLIENTS];
    struct actor origins[ORIGINS];
    unsigned origin_count; // accepted so far
};

static void read_all(const struct actor *a)
{
    char buffer[4096];
    while (!a->deaf && sim_recv(a->end, buffer, sizeof(buffer)) > 0) {
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

static void send_bytes(struct actor *a, const void *bytes, size_t n)
{
    if (a->end != NULL && n > 0) {
        (void)sim_send(a->end, slice_of(bytes, n));
    }
}

static void send_frame(struct actor *a, unsigned type, unsigned flags, uint32_t stream,
                       const void *payload, size_t n)
{
    char frame[9 + FRAME_PAYLOAD_MAX] = {(char)(n >> 16),      (char)(n >> 8),      (char)n,
                                         (char)type,           (char)flags,         0,
                                         (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    n = n < FRAME_PAYLOAD_MAX ? n : FRAME_PAYLOAD_MAX;
    memcpy(frame + 9, payload, n);
    send_bytes(a, frame, 9 + n);
}

static void on_accept(struct sim_end *e, void *user)
{
    struct world *w = user;
    struct actor *a = &w->origins[w->origin_count++ % ORIGINS];
    close_actor(a);
    *a = (struct actor){.end = e, .h2 = w->side == H2_WORLD_UP};
    sim_set_actor(e, on_actor, a);
    if (a->h2) {
        // The second connection and every other one allow extended CONNECT.
        send_frame(a, 4, 0, 0, "\x00\x08\x00\x00\x00\x01", w->origin_count % 2 == 0 ? 6 : 0);
    }
}

static void run_for(struct world *w, uint64_t ms)
{
    (void)sim_run(w->sim, edge_loops(w->edge), edge_core_count(w->edge),
                  sim_now_ns(w->sim) + ms * 1000000, NULL, NULL);
}

// ---- acts --------------------------------------------------------------------------------------------

static struct actor *actor_of(struct world *w, uint8_t op)
{
    if ((op & 0x80) == 0) {
        struct actor *a = &w->clients[op >> 6 & 1];
        if (a->end == NULL) {
            *a = (struct actor){.h2 = w->side == H2_WORLD_DOWN};
            a->end = sim_connect(w->sim, &edge_at, on_actor, a);
            run_for(w, 10);
            if (a->h2) {
                send_bytes(a, PREFACE, sizeof(PREFACE) - 1);
                send_frame(a, 4, 0, 0, "", 0);
            }
        }
        return a;
    }
    unsigned back = op >> 6 & 1; // the newest connection or the one before it
    unsigned newest = w->origin_count + ORIGINS - 1;
    return &w->origins[(newest - back) % ORIGINS];
}

static void send_block(struct actor *a, bool origin, struct input *in)
{
    uint8_t which = next_byte(in);
    uint8_t flags = next_byte(in);
    uint8_t stream = next_byte(in);
    const struct block *b =
        origin ? &answers[which % array_len(answers)] : &requests[which % array_len(requests)];
    size_t cut = (flags & 0x40) != 0 && b->len > 1 ? b->len / 2 : b->len;
    send_frame(a, 1, (unsigned)(flags & 0x2d) | (cut == b->len && (flags & 0x80) == 0 ? 4 : 0),
               stream, b->bytes, cut);
    if (cut < b->len) {
        send_frame(a, 9, 4, stream, b->bytes + cut, b->len - cut);
    }
}

static void send_h2(struct actor *a, bool origin, uint8_t kind, struct input *in)
{
    static const char filler[FRAME_PAYLOAD_MAX];
    uint8_t n;
    uint8_t flags;
    uint8_t stream;
    switch (kind) {
    case 0:
    case 1:
        send_block(a, origin, in);
        return;
    case 2:
        flags = next_byte(in);
        stream = next_byte(in);
        n = next_byte(in);
        send_frame(a, 0, flags & 9, stream, filler, n < 100 ? n : (size_t)(n - 99) * 100);
        return;
    default:
        flags = next_byte(in); // type in the low half; repeats in the high one
        stream = next_byte(in);
        n = next_byte(in);
        struct slice payload = next_bytes(in, n & 31);
        for (unsigned i = 0; i <= (unsigned)(flags >> 4) * (flags >> 4) * 4; i++) {
            send_frame(a, flags & 15, n >> 5, stream, payload.ptr, payload.len);
        }
        return;
    }
}

static void send_h1(struct actor *a, bool origin, struct input *in)
{
    uint8_t n = next_byte(in);
    const char *text =
        origin ? h1_answers[n % array_len(h1_answers)] : h1_requests[n % array_len(h1_requests)];
    send_bytes(a, text, strlen(text));
}

static void act(struct world *w, struct input *in)
{
    uint8_t op = next_byte(in);
    struct actor *a = actor_of(w, op);
    bool origin = (op & 0x80) != 0;
    uint8_t n;
    switch (op & 7) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (a->h2) {
            send_h2(a, origin, op & 3, in);
        } else {
            send_h1(a, origin, in);
        }
        break;
    case 4: {
        struct slice raw = next_bytes(in, next_byte(in));
        send_bytes(a, raw.ptr, raw.len);
        break;
    }
    case 5:
        n = next_byte(in);
        if (a->end != NULL && (n & 3) == 0) {
            sim_reset(a->end);
            a->end = NULL;
        } else if (a->end != NULL && (n & 3) == 1) {
            sim_shutdown(a->end);
        } else if ((n & 3) == 2) {
            close_actor(a);
        } else if (n == 0xff && !w->draining) {
            w->draining = true;
            edge_drain(w->edge);
        }
        break;
    case 6:
        n = next_byte(in);
        run_for(w, (uint64_t)n * n);
        break;
    default:
        a->deaf = (next_byte(in) & 1) != 0;
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
        close_actor(&w->clients[i]);
    }
    for (int round = 0; round < 2; round++) { // what is retried meanwhile ends as well
        for (int i = 0; i < ORIGINS; i++) {
            close_actor(&w->origins[i]);
        }
        run_for(w, 300 * 1000);
    }
    run_for(w, 2 * 3600 * 1000);
    ensure(edge_exchanges(w->edge) == 0);
    ensure(edge_connections(w->edge) == 0);
    edge_close(c, w->edge);
    ensure(c->failures == 0);
}

void h2_world_run(enum h2_world_side side, const uint8_t *data, size_t size)
{
    if (size < 4) {
        return;
    }
    struct sim_case c = {.scenario = "fuzz", .seed = data[0]};
    struct sim_faults faults = network_of(data[1]);
    struct world w = {.sim = sim_new(c.seed, &faults), .side = side};
    sim_listen(w.sim, &origin_at, on_accept, &w);
    const char *config = side == H2_WORLD_DOWN ? down_configs[data[2] % array_len(down_configs)]
                                               : up_configs[data[2] % array_len(up_configs)];
    struct edge_limits limits = {.cores = 1, .chunks_max = 4096, .connections_max = 100};
    w.edge = edge_open(&c, w.sim, &edge_at, config, &limits);
    struct input in = {data + 3, size - 3};
    for (unsigned i = 0; i < ACTS_MAX && in.left > 0; i++) {
        act(&w, &in);
    }
    finish(&w, &c);
    sim_free(w.sim);
}
