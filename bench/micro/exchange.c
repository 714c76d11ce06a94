// SPDX-License-Identifier: Apache-2.0
//
// What adit itself costs for one request, without a kernel: the real loop, sessions, exchange and
// pool over a `sys` that only copies canned bytes. Clients ask again as soon as they are answered;
// the origin answers each request at once, head and body in one piece, bodies up to 12 KiB.
//
//     bench-exchange [--requests N] [--connections N] [--body BYTES] [--servers N] [--bridge]
//
// It prints nanoseconds per request. Run under callgrind with two values of --requests, the
// difference of the instruction counts over the difference of the requests is instructions per
// request: a figure that does not depend on what else the machine does. With several servers, one is
// chosen by two-choices. With --bridge each origin's session is reached over a bridge, from the core to
// itself: all of its instructions and none of what two processors cost each other.

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "bridge/bridge.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "loop/loop.h"
#include "obs/counters.h"
#include "traffic/traffic.h"

enum {
    WIRE_MAGIC = 0x77697265,
    CLIENTS_MAX = 256,
    SERVERS_MAX = 16,
    ORIGINS_MAX = SERVERS_MAX * CLIENTS_MAX,
    LISTENER = CLIENTS_MAX + ORIGINS_MAX, // its number; below: clients, then origin connections
    ENDS_MAX = LISTENER + 1,
    ANSWER_BYTES_MAX = 16384,
    BODY_BYTES_MAX = 12288,
    REQUEST_TICK_NS = 700, // by how much each look at the clock moves it on
};

static const char request_text[] = "GET /128 HTTP/1.1\r\n"
                                   "Host: bench.test\r\n"
                                   "User-Agent: load/1\r\n"
                                   "Accept: */*\r\n\r\n";

// Our end of one connection: what it has for adit to read, and what adit has sent.
struct end {
    void *data; // of watch
    unsigned events;
    const char *input;
    size_t input_bytes;
    size_t output_bytes; // of the current answer
    bool open;
};

struct wire {
    struct sys sys;
    uint32_t magic;
    unsigned client_count;
    unsigned accepted;
    unsigned origin_count;
    uint64_t now_ns;
    uint64_t answered;
    uint64_t wanted;
    size_t answer_bytes; // as clients see it; 0: not learnt yet
    struct end ends[ENDS_MAX];
    char origin_answer[ANSWER_BYTES_MAX];
    size_t origin_answer_bytes;
    unsigned queue[ENDS_MAX]; // ends with events
    unsigned queued;
    bool woken;
};

static struct wire *self(struct sys *s)
{
    struct wire *w = container_of(s, struct wire, sys);
    ensure_magic(w, WIRE_MAGIC);
    return w;
}

static struct end *end_of(struct wire *w, int fd)
{
    ensure(fd >= 0 && fd < ENDS_MAX);
    ensure(w->ends[fd].open);
    return &w->ends[fd];
}

static void raise_events(struct wire *w, int fd, unsigned events)
{
    struct end *e = end_of(w, fd);
    if (e->events == 0) {
        ensure(w->queued < ENDS_MAX);
        w->queue[w->queued++] = (unsigned)fd;
    }
    e->events |= events;
}

static void give_input(struct wire *w, int fd, const char *bytes, size_t len)
{
    struct end *e = end_of(w, fd);
    ensure(e->input_bytes == 0);
    e->input = bytes;
    e->input_bytes = len;
    raise_events(w, fd, SYS_READ | SYS_WRITE);
}

static uint64_t wire_now_ns(struct sys *s)
{
    return self(s)->now_ns += REQUEST_TICK_NS;
}

static uint64_t wire_wall_ms(struct sys *s)
{
    return 1700000000000U + self(s)->now_ns / 1000000U;
}

static int wire_wait(struct sys *s, struct sys_event *events, int max, int timeout_ms)
{
    struct wire *w = self(s);
    unsigned count = w->queued < (unsigned)max ? w->queued : (unsigned)max;
    (void)timeout_ms;
    for (unsigned i = 0; i < count; i++) {
        struct end *e = &w->ends[w->queue[i]];
        events[i] = (struct sys_event){e->data, e->events};
        e->events = 0;
    }
    w->queued -= count;
    memmove(w->queue, w->queue + count, w->queued * sizeof w->queue[0]);
    return (int)count;
}

static void wire_wake(struct sys *s)
{
    self(s)->woken = true;
}

static int wire_watch(struct sys *s, int fd, void *data, bool listener)
{
    end_of(self(s), fd)->data = data;
    if (!listener) {
        raise_events(self(s), fd, SYS_WRITE);
    }
    return 0;
}

static int wire_unwatch(struct sys *s, int fd)
{
    end_of(self(s), fd)->data = NULL;
    return 0;
}

static int wire_accept(struct sys *s, int listener, struct os_addr *peer)
{
    struct wire *w = self(s);
    ensure(listener == LISTENER);
    if (w->accepted == w->client_count) {
        return E_AGAIN;
    }
    int fd = (int)w->accepted++;
    raise_events(w, LISTENER, SYS_READ); // level-triggered: there may be more
    w->ends[fd].open = true;
    give_input(w, fd, request_text, sizeof request_text - 1);
    return os_addr_parse(SLICE("127.0.0.1:1234"), peer) == 0 ? fd : E_AGAIN;
}

static int wire_connect(struct sys *s, const struct sys_connect *c)
{
    struct wire *w = self(s);
    (void)c;
    ensure(w->origin_count < ORIGINS_MAX);
    int fd = CLIENTS_MAX + (int)w->origin_count++;
    w->ends[fd].open = true;
    return fd;
}

static int wire_connect_result(struct sys *s, int fd)
{
    (void)end_of(self(s), fd);
    return 0;
}

static struct io_result wire_read(struct sys *s, int fd, const struct iovec *iov, int n)
{
    struct end *e = end_of(self(s), fd);
    ensure(n == 1);
    if (e->input_bytes == 0) {
        return (struct io_result){0, IO_AGAIN, 0};
    }
    size_t bytes = e->input_bytes < iov->iov_len ? e->input_bytes : iov->iov_len;
    memcpy(iov->iov_base, e->input, bytes);
    e->input += bytes;
    e->input_bytes -= bytes;
    return (struct io_result){bytes, IO_OK, 0};
}

// The first answer is learnt from its framing; all others are as long.
static void learn_answer(struct wire *w, const struct iovec *iov, size_t bytes)
{
    size_t body = w->origin_answer_bytes;
    const char *end = memmem(w->origin_answer, body, "\r\n\r\n", 4);
    body -= (size_t)(end - w->origin_answer) + 4;
    const char *head_end = memmem(iov->iov_base, iov->iov_len, "\r\n\r\n", 4);
    if (strncmp(iov->iov_base, "HTTP/1.1 200", 12) != 0 || head_end == NULL) {
        fprintf(stderr, "bench-exchange: the answer is wrong: %.*s\n", (int)iov->iov_len,
                (const char *)iov->iov_base);
        exit(1);
    }
    w->answer_bytes = (size_t)(head_end - (const char *)iov->iov_base) + 4 + body;
    ensure(w->answer_bytes >= bytes);
}

static struct io_result wire_write(struct sys *s, int fd, const struct iovec *iov, int n, bool more)
{
    struct wire *w = self(s);
    struct end *e = end_of(w, fd);
    size_t bytes = 0;
    (void)more;
    for (int i = 0; i < n; i++) {
        bytes += iov[i].iov_len;
    }
    if (fd >= CLIENTS_MAX) {
        give_input(w, fd, w->origin_answer, w->origin_answer_bytes);
        return (struct io_result){bytes, IO_OK, 0};
    }
    if (w->answer_bytes == 0) {
        learn_answer(w, iov, bytes);
    }
    e->output_bytes += bytes;
    ensure(e->output_bytes <= w->answer_bytes);
    if (e->output_bytes == w->answer_bytes) {
        e->output_bytes = 0;
        w->answered++;
        if (w->answered + w->client_count <= w->wanted) {
            give_input(w, fd, request_text, sizeof request_text - 1);
        }
    }
    return (struct io_result){bytes, IO_OK, 0};
}

static int wire_shutdown_write(struct sys *s, int fd)
{
    (void)end_of(self(s), fd);
    return 0;
}

static void wire_close(struct sys *s, int fd, bool reset)
{
    struct wire *w = self(s);
    (void)reset;
    end_of(w, fd)->open = false;
    for (unsigned i = 0; i < w->queued; i++) {
        if (w->queue[i] == (unsigned)fd) {
            w->queue[i] = w->queue[--w->queued];
        }
    }
}

static int wire_pipe_open(struct sys *s, int fds[2], size_t *capacity)
{
    (void)s;
    (void)fds;
    (void)capacity;
    return E_UNSUPPORTED;
}

static struct io_result wire_splice(struct sys *s, int from, int to, size_t n, bool more)
{
    (void)s;
    (void)from;
    (void)to;
    (void)n;
    (void)more;
    return (struct io_result){0, IO_ERROR, E_UNSUPPORTED};
}

static void wire_random(struct sys *s, void *buf, size_t len)
{
    (void)s;
    memset(buf, 7, len);
}

static const struct sys_ops wire_ops = {
    .name = "wire",
    .now_ns = wire_now_ns,
    .wall_ms = wire_wall_ms,
    .wait = wire_wait,
    .wake = wire_wake,
    .watch = wire_watch,
    .unwatch = wire_unwatch,
    .accept = wire_accept,
    .connect = wire_connect,
    .connect_result = wire_connect_result,
    .read = wire_read,
    .write = wire_write,
    .shutdown_write = wire_shutdown_write,
    .close = wire_close,
    .pipe_open = wire_pipe_open,
    .splice = wire_splice,
    .random = wire_random,
};

// ---- adit around the wire --------------------------------------------------------------------------

static const char config_format[] = "listen: 8080\n"
                                    "access_log: off\n"
                                    "upstreams: {origin: {servers: [%s], balance: two-choices, "
                                    "idle_connections: 256}}\n"
                                    "sites: {default: {proxy: origin}}\n";

static struct wire wire;
static struct loop loop;
static struct counters counters;

// ---- a bridge to each session ----------------------------------------------------------------------

struct far {
    struct up_session *session;
    struct bridge_port *port;
};

static struct up_protocol plain; // HTTP/1.1 without a bridge
static struct bridge_core *bridge;

static struct http_stream *far_take(void *arg, int *error)
{
    struct far *f = arg;
    *error = E_AGAIN;
    return up_session_has_room(f->session) ? f->session->ops->take(f->session) : NULL;
}

static void far_on_room(struct up_session *s, void *owner)
{
    struct far *f = owner;
    (void)s;
    bridge_port_room(f->port);
}

static void far_on_gone(struct up_session *s, void *owner, int error)
{
    struct far *f = owner;
    (void)s;
    bridge_port_close(f->port, error);
}

static const struct up_session_owner far_owner = {.on_room = far_on_room, .on_gone = far_on_gone};

static struct up_session *open_bridged(void *core, struct transport *t,
                                       const struct up_session_terms *terms, int *error)
{
    struct far *f = malloc(sizeof *f);
    ensure(f != NULL);
    struct up_session_terms own = *terms;
    own.owner = &far_owner;
    own.owner_arg = f;
    f->session = plain.open(core, t, &own, error);
    if (f->session == NULL) {
        free(f);
        return NULL;
    }
    const struct bridge_port_order order = {.session = f->session, .take = far_take, .arg = f};
    ensure(bridge_port_new(bridge, &order, &f->port) == 0);
    return bridge_open(bridge, f->port, terms, error);
}

static void bridge_sessions(struct traffic_core *core)
{
    bridge = traffic_core_bridge(core);
    plain = traffic_core_protocols(core)[0];
    traffic_core_protocols(core)[0].open = open_bridged;
}

// ---- set-up ----------------------------------------------------------------------------------------

static void forget(void *owner)
{
    (void)owner;
}

static struct snapshot *compile(struct traffic *traffic, unsigned servers)
{
    char list[SERVERS_MAX * 24] = "";
    char config_text[sizeof config_format + sizeof list];
    size_t used = 0;
    for (unsigned i = 0; i < servers; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\"127.0.0.%u:9\"",
                                 i > 0 ? ", " : "", i + 1);
    }
    snprintf(config_text, sizeof config_text, config_format, list);
    struct conf_diags *diags = conf_diags_new();
    struct conf_doc *doc = NULL;
    struct snapshot *snapshot = NULL;
    char why[256];
    struct text text = text_on(why, sizeof why);
    int error = conf_load_text("bench", config_text, conf_tables, diags, &doc);
    struct traffic_document document = {.doc = doc, .generation = 1, .forget = forget};
    if (error != 0 || traffic_compile(traffic, &document, &text, &snapshot) != 0) {
        fprintf(stderr, "bench-exchange: the configuration does not compile\n");
        exit(1);
    }
    return snapshot;
}

static void set_up(unsigned servers, bool bridged)
{
    const struct loop_limits limits = {.chunks_max = 65536, .chunks_free_max = 256};
    const struct traffic_limits all = {
        .cores = 1, .connections_max = 4 * CLIENTS_MAX, .memory_bytes = 1 << 30};
    struct traffic *traffic = NULL;
    struct traffic_core *core = NULL;
    struct os_addr here;
    wire.magic = WIRE_MAGIC;
    wire.sys.ops = &wire_ops;
    wire.ends[LISTENER].open = true;
    if (os_addr_parse(SLICE("127.0.0.1:8080"), &here) != 0 || traffic_new(&all, &traffic) != 0 ||
        loop_init(&loop, &wire.sys, 0, &limits) != 0 ||
        traffic_core_new(traffic, &loop, &counters, NULL, &core) != 0) {
        fprintf(stderr, "bench-exchange: out of memory\n");
        exit(1);
    }
    if (bridged) {
        bridge_sessions(core);
    }
    traffic_core_swap(core, compile(traffic, servers));
    const struct traffic_listener listener = {.addr = here};
    ensure(traffic_core_listen(core, LISTENER, &listener) == 0);
}

static void make_answer(size_t body_bytes)
{
    int head = snprintf(wire.origin_answer, sizeof wire.origin_answer,
                        "HTTP/1.1 200 OK\r\nServer: origin\r\n"
                        "Date: Mon, 05 Jan 2026 10:00:00 GMT\r\n"
                        "Content-Type: application/octet-stream\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        body_bytes);
    ensure(head > 0 && (size_t)head + body_bytes <= sizeof wire.origin_answer);
    memset(wire.origin_answer + head, 'x', body_bytes);
    wire.origin_answer_bytes = (size_t)head + body_bytes;
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"requests", required_argument, NULL, 'r'}, {"connections", required_argument, NULL, 'c'},
        {"body", required_argument, NULL, 'b'},     {"servers", required_argument, NULL, 's'},
        {"bridge", no_argument, NULL, 'B'},         {NULL, 0, NULL, 0},
    };
    unsigned connections = 64;
    unsigned servers = 1;
    size_t body = 128;
    bool bridged = false;
    wire.wanted = 1000000;
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'r') {
            wire.wanted = strtoull(optarg, NULL, 10);
        } else if (c == 'c') {
            connections = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'b') {
            body = strtoul(optarg, NULL, 10);
        } else if (c == 's') {
            servers = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'B') {
            bridged = true;
        } else {
            return 2;
        }
    }
    if (connections == 0 || connections > CLIENTS_MAX || body > BODY_BYTES_MAX || servers == 0 ||
        servers > SERVERS_MAX) {
        fprintf(stderr, "bench-exchange: at most %d connections, %d bytes and %d servers\n",
                CLIENTS_MAX, BODY_BYTES_MAX, SERVERS_MAX);
        return 2;
    }
    set_up(servers, bridged);
    make_answer(body);
    wire.client_count = connections;
    raise_events(&wire, LISTENER, SYS_READ);
    double begun = cpu_ns();
    while (wire.queued > 0 || wire.woken || !list_empty(&loop.tasks)) {
        wire.woken = false;
        loop_turn(&loop, 0);
    }
    printf("{\"requests\": %llu, \"ns_per_request\": %.1f, \"origin_connections\": %u}\n",
           (unsigned long long)wire.answered, (cpu_ns() - begun) / (double)wire.answered,
           wire.origin_count);
    return 0; // what is still open ends with the process
}
