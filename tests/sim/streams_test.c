// SPDX-License-Identifier: Apache-2.0
//
// Transports over streams (http/stream_transport.h) on a cable that delays, tears bytes into pieces,
// stops for a while, or is cut at any byte. Several flows share one session of HTTP/2, real on both
// sides; each sends known bytes both ways, pauses, ends each direction by itself, or is reset. What
// arrives is what was sent, from its first byte on; without a cut or a reset all of it does, with its
// end; and whatever happens, both ends hear of it and nothing is left.

#include <stdlib.h>

#include "base/error.h"
#include "driver.h"
#include "h2/session.h"
#include "http/stream_transport.h"
#include "kernel.h"

enum { FLOWS_MAX = 6, PIECE = 6000, WIRE = 16384, BYTES_MAX = 400 * 1024, LIMIT_S = 3600 };

static const struct os_addr near_at = {.kind = OS_ADDR_V4, .port = 1, .u.ip = {10, 0, 0, 1}};
static const struct os_addr far_at = {.kind = OS_ADDR_V4, .port = 2, .u.ip = {10, 0, 0, 2}};

struct flow;

struct side {
    struct flow *flow;
    struct transport *t;
    struct wheel_timer pause;
    bool far;
    bool paused;
    bool eof;
    bool shut;
    bool failed;
    bool over;
    uint64_t sent;
    uint64_t got;
    uint64_t total;    // to send
    uint64_t reset_at; // bytes received; UINT64_MAX: never
};

struct flow {
    uint32_t id;
    struct side side[2]; // near, far
};

/** One direction of the cable. */
struct wire {
    char bytes[WIRE];
    size_t len;
    bool ended;
};

static struct world {
    struct sim_case *c;
    struct sim *sim;
    struct loop loop;
    struct loop *loops[1];
    struct counters counters;
    struct http_handler handler;
    struct down_core down;
    struct transport_core transports;
    struct stream_transports streams;
    struct h2_windows windows;
    struct h2_core *h2;
    struct up_session *session; // NULL: it is gone
    struct transport *raw[2];
    unsigned connected;
    struct sim_end *end[2]; // of the cable
    struct wire wire[2];
    uint64_t carried;
    uint64_t cut_at; // bytes, both directions; UINT64_MAX: never
    bool cut;
    bool rough; // resets, or a cut
    struct arena arena;
    struct http_head heads[FLOWS_MAX];
    uint32_t count;
    uint32_t begun;
    struct flow flows[FLOWS_MAX];
} w;

// ---- the cable --------------------------------------------------------------------------------------

static void cut_cable(void)
{
    w.cut = true;
    for (unsigned i = 0; i < 2; i++) {
        if (w.end[i] != NULL) {
            sim_reset(w.end[i]);
            w.end[i] = NULL;
        }
    }
}

static void carry(unsigned from)
{
    struct wire *x = &w.wire[from];
    struct sim_end *in = w.end[from];
    struct sim_end *out = w.end[1 - from];
    for (bool moved = true; moved && !w.cut;) {
        moved = false;
        size_t n = sim_recv(in, x->bytes + x->len, WIRE - x->len);
        x->len += n;
        size_t sent = sim_send(out, slice_of(x->bytes, x->len));
        memmove(x->bytes, x->bytes + sent, x->len - sent);
        x->len -= sent;
        moved = n > 0 || sent > 0;
        w.carried += sent;
        if (w.carried >= w.cut_at) {
            cut_cable();
        }
    }
    if (!w.cut && sim_is_reset(in)) {
        cut_cable();
    } else if (!w.cut && sim_at_eof(in) && x->len == 0 && !x->ended) {
        x->ended = true;
        sim_shutdown(out);
    }
}

static void on_cable(struct sim_end *e, unsigned events, void *user)
{
    (void)e;
    (void)events;
    (void)user;
    for (unsigned i = 0; i < 2 && !w.cut; i++) {
        if (w.end[0] != NULL && w.end[1] != NULL) {
            carry(i);
        }
    }
}

static void on_plug(struct sim_end *e, void *user)
{
    w.end[user == &w.end[1]] = e;
    sim_set_actor(e, on_cable, NULL);
}

// ---- the sides --------------------------------------------------------------------------------------

static char byte_at(const struct flow *f, bool far, uint64_t pos)
{
    return (char)((pos * 31 + f->id * 131 + (far ? 17U : 0U)) >> 3);
}

static void end_side(struct side *s, bool reset)
{
    s->over = true;
    loop_timer_stop(&w.loop, &s->pause);
    if (s->t != NULL) {
        transport_close(s->t, reset);
        s->t = NULL;
    }
}

static void check(struct side *s, const char *bytes, size_t n)
{
    const struct side *other = &s->flow->side[s->far ? 0 : 1];
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != byte_at(s->flow, other->far, s->got + i)) {
            sim_fail(w.c, "flow %u: a wrong byte at %llu", s->flow->id,
                     (unsigned long long)(s->got + i));
            return;
        }
    }
    s->got += n;
}

/** False: the side is over, or waits. */
static bool read_some(struct side *s)
{
    char bytes[PIECE];
    struct iovec iov = {bytes, 1 + rng_below(&w.loop.rng, PIECE - 1)};
    struct io_result r = transport_read(s->t, &iov, 1);
    if (r.status == IO_OK) {
        check(s, bytes, r.n);
    } else if (r.status == IO_ERROR) {
        s->failed = true;
        end_side(s, true);
    }
    s->eof = s->eof || r.status == IO_EOF;
    if (!s->over && s->got >= s->reset_at) {
        end_side(s, true);
    }
    return !s->over && r.status == IO_OK;
}

static bool write_some(struct side *s)
{
    char bytes[PIECE];
    uint64_t left = s->total - s->sent;
    size_t n = 1 + rng_below(&w.loop.rng, PIECE - 1);
    n = n < left ? n : (size_t)left;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = byte_at(s->flow, s->far, s->sent + i);
    }
    struct iovec iov = {bytes, n};
    struct io_result r = transport_write(s->t, &iov, 1, false);
    if (r.status == IO_ERROR) {
        s->failed = true;
        end_side(s, true);
    }
    s->sent += r.status == IO_OK ? r.n : 0;
    return r.status == IO_OK;
}

static void drive(struct side *s)
{
    if (s->over || s->paused || s->t == NULL) {
        return;
    }
    if (rng_below(&w.loop.rng, 50) == 0) {
        s->paused = true;
        loop_timer_set(&w.loop, &s->pause, 1 + rng_below(&w.loop.rng, 3000));
        return;
    }
    while (!s->eof && s->t->readable && read_some(s)) {
    }
    while (!s->over && s->sent < s->total && s->t->writable && write_some(s)) {
    }
    if (!s->over && s->sent == s->total && !s->shut) {
        s->shut = true;
        (void)transport_shutdown_write(s->t);
    }
    if (!s->over && s->shut && s->eof) {
        end_side(s, false);
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    (void)events;
    drive(t->owner);
}

static void on_pause_over(struct wheel_timer *timer)
{
    struct side *s = container_of(timer, struct side, pause);
    s->paused = false;
    drive(s);
}

// ---- sessions ---------------------------------------------------------------------------------------

static void far_on_head(struct http_stream *s, struct http_head *h)
{
    uint64_t id = (unsigned char)h->authority.ptr[0] - (unsigned)'a';
    struct side *x = &w.flows[id].side[1];
    x->t = stream_transport_take(&w.streams, s, false);
    ensure(x->t != NULL);
    transport_set_owner(x->t, x, on_ready);
    stream_transport_agree(x->t);
    drive(x);
}

static void far_on_error(struct http_stream *s, int error)
{
    s->ops->reset(s, error);
}

static void ignore_error(struct http_stream *s, int error)
{
    (void)s;
    (void)error;
}

static void ignore(struct http_stream *s)
{
    (void)s;
}

static const struct http_stream_events far_events = {.on_head = far_on_head,
                                                     .on_bad_message = far_on_error,
                                                     .on_error = ignore_error,
                                                     .on_sent = ignore,
                                                     .on_closed = ignore};

static int begin(struct http_handler *h, struct http_stream *s)
{
    (void)h;
    s->events = &far_events;
    s->receive_head = &w.heads[w.begun++];
    return 0;
}

static void on_answer(void *arg, struct transport *t, int error)
{
    struct side *s = arg;
    s->t = t;
    if (t == NULL) {
        s->failed = true;
        s->over = true;
        if (!w.rough) {
            sim_fail(w.c, "flow %u: %s", s->flow->id, error_name(error));
        }
        return;
    }
    transport_set_owner(t, s, on_ready);
    drive(s);
}

static void on_room(struct up_session *s, void *owner)
{
    (void)s;
    (void)owner;
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    (void)s;
    (void)owner;
    (void)error;
    w.session = NULL;
}

static const struct up_session_owner owner_ops = {.on_room = on_room, .on_gone = on_gone};

static void ask(uint32_t id)
{
    struct side *s = &w.flows[id].side[0];
    char authority[] = "a:1";
    authority[0] = (char)('a' + id);
    const struct stream_order order = {
        .authority = slice_str(authority), .on_answer = on_answer, .arg = s};
    int error = 0;
    struct http_stream *stream = w.session != NULL && up_session_has_room(w.session)
                                     ? w.session->ops->take(w.session)
                                     : NULL;
    if (stream == NULL) {
        s->over = s->failed = true;
        return;
    }
    struct stream_transport *st = stream_transport_ask(&w.streams, stream, &order, &error);
    ensure(st != NULL);
}

static void open_sessions(void)
{
    static const struct http_peer peer = {.stream = 1};
    int error = 0;
    int e = h2_down_open(w.h2, w.raw[1], &peer, NULL, 0);
    ensure(e == 0);
    const struct up_session_terms terms = {.peer = &peer, .owner = &owner_ops};
    w.session = h2_up_open(w.h2, w.raw[0], &terms, &error);
    ensure(w.session != NULL);
    for (uint32_t i = 0; i < w.count; i++) {
        ask(i);
    }
}

static void on_connecting(struct transport *t, unsigned events)
{
    (void)events;
    if (transport_connected(t) == 0 && ++w.connected == 2) {
        open_sessions();
    }
}

// ---- a case -----------------------------------------------------------------------------------------

static void plan_flow(struct flow *f, uint32_t id, bool resets)
{
    struct rng *r = sim_rng(w.sim);
    f->id = id;
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &f->side[i];
        *s = (struct side){.flow = f, .far = i == 1, .reset_at = UINT64_MAX};
        s->total = rng_below(r, 4) == 0 ? rng_below(r, 100) : rng_below(r, BYTES_MAX);
        if (resets && rng_below(r, 2) == 0) {
            s->reset_at = rng_below(r, BYTES_MAX / 2);
        }
        wheel_timer_init(&s->pause, on_pause_over);
    }
}

static void open_world(struct sim_case *c, const struct sim_faults *faults)
{
    static const struct loop_limits limits = {4000, 8};
    memset(&w, 0, sizeof(w));
    w.c = c;
    w.sim = sim_new(c->seed, faults);
    w.loops[0] = &w.loop;
    w.cut_at = UINT64_MAX;
    int e = loop_init(&w.loop, sim_sys(w.sim), 0, &limits);
    ensure(e == 0);
    w.handler.begin = begin;
    down_core_init(&w.down, &w.loop, &w.counters, &w.handler);
    w.down.settings = (struct http_settings){.header_ms = 600000,
                                             .head_bytes = 16384,
                                             .target_bytes = 1024,
                                             .fields = 50,
                                             .connection_bytes = 8 * 1024 * 1024,
                                             .streams_max = 100};
    transport_core_init(&w.transports, &w.loop, 64);
    stream_transports_init(&w.streams, &w.transports, 2 * FLOWS_MAX);
    h2_windows_init(&w.windows, 64 * 1024 * 1024);
    e = h2_core_new(&w.loop, &w.counters, &w.down, &w.windows, 4, &w.h2);
    ensure(e == 0);
    arena_init(&w.arena, NULL, 0, &w.loop.chunks, 1024 * 1024);
    for (unsigned i = 0; i < FLOWS_MAX; i++) {
        http_head_init(&w.heads[i], &w.arena, 16384, 50);
    }
    sim_listen(w.sim, &near_at, on_plug, &w.end[0]);
    sim_listen(w.sim, &far_at, on_plug, &w.end[1]);
    for (unsigned i = 0; i < 2; i++) {
        const struct sys_connect to = {.to = i == 0 ? near_at : far_at};
        w.raw[i] = transport_connect(&w.transports, &to, &e);
        ensure(w.raw[i] != NULL);
        transport_set_owner(w.raw[i], NULL, on_connecting);
    }
}

static bool all_over(void *user)
{
    (void)user;
    for (uint32_t i = 0; i < w.count; i++) {
        const struct flow *f = &w.flows[i];
        bool far_over = f->side[1].over || (f->side[0].failed && f->side[1].t == NULL);
        if (!f->side[0].over || !far_over) {
            return false;
        }
    }
    return true;
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static void judge(void)
{
    for (uint32_t i = 0; i < w.count; i++) {
        for (unsigned k = 0; k < 2; k++) {
            const struct side *s = &w.flows[i].side[k];
            const struct side *other = &w.flows[i].side[1 - k];
            if (s->got > other->sent) {
                sim_fail(w.c, "flow %u got more than was sent", i);
            }
            if (!w.rough && (s->failed || !s->eof || s->got != other->total)) {
                sim_fail(w.c, "flow %u: %llu of %llu bytes, %s", i, (unsigned long long)s->got,
                         (unsigned long long)other->total, s->eof ? "ended" : "no end");
            }
        }
    }
}

static void close_world(void)
{
    cut_cable();
    down_core_abort(&w.down);
    (void)sim_run(w.sim, w.loops, 1, sim_now_ns(w.sim) + UINT64_C(60000000000), never, NULL);
    if (w.session != NULL || w.streams.slab.in_use != 0) {
        sim_fail(w.c, "something is left of the session or its streams");
    }
    arena_fini(&w.arena);
    h2_core_free(w.h2);
    stream_transports_fini(&w.streams);
    transport_core_fini(&w.transports);
    if (w.loop.chunks.in_use != 0) {
        sim_fail(w.c, "%u chunks are left", w.loop.chunks.in_use);
    }
    loop_fini(&w.loop);
    sim_free(w.sim);
}

static void run(struct sim_case *c, const struct sim_faults *faults, bool resets, bool cuts)
{
    open_world(c, faults);
    struct rng *r = sim_rng(w.sim);
    w.rough = resets || cuts;
    w.cut_at =
        cuts ? rng_below(r, 4) == 0 ? rng_below(r, 200) : rng_below(r, BYTES_MAX) : UINT64_MAX;
    w.count = 1 + (uint32_t)rng_below(r, FLOWS_MAX);
    for (uint32_t i = 0; i < w.count; i++) {
        plan_flow(&w.flows[i], i, resets);
    }
    enum sim_outcome o = sim_run(w.sim, w.loops, 1, LIMIT_S * UINT64_C(1000000000), all_over, NULL);
    if (o != SIM_DONE && (w.connected == 2 || !w.rough)) {
        sim_fail(c, "a flow did not end: %s", o == SIM_QUIET ? "quiet" : "time over");
    }
    judge();
    for (uint32_t i = 0; i < w.count; i++) {
        end_side(&w.flows[i].side[0], true);
        end_side(&w.flows[i].side[1], true);
    }
    close_world();
}

static const struct sim_faults calm = {.latency_max_ns = 2000000};
static const struct sim_faults hostile = {.latency_max_ns = 30000000,
                                          .short_read = 0.3,
                                          .short_write = 0.3,
                                          .write_again = 0.2,
                                          .spurious_event = 0.05,
                                          .late_event = 0.1,
                                          .buffer_min = 1000,
                                          .buffer_max = 60000};

static void calm_cable(struct sim_case *c)
{
    run(c, &calm, false, false);
}

static void hostile_cable(struct sim_case *c)
{
    run(c, &hostile, false, false);
}

static void resets_by_the_ends(struct sim_case *c)
{
    run(c, &hostile, true, false);
}

static void cut_anywhere(struct sim_case *c)
{
    run(c, &hostile, true, true);
}

static const struct sim_scenario scenarios[] = {
    {"calm_cable", calm_cable, 100},
    {"hostile_cable", hostile_cable, 200},
    {"resets_by_the_ends", resets_by_the_ends, 200},
    {"cut_anywhere", cut_anywhere, 400},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
