// SPDX-License-Identifier: Apache-2.0
//
// One flow of datagrams between a stream of a tunnel and a socket (l4/flow.h). The stream is agreed to
// when the socket is there. What cannot go on at once, in either direction, is dropped and counted.
//
// A flow ends when its stream does, when the server's host says that nobody listens, and by `idle` and
// `total` of its stream of the configuration. A client that goes on has another one begun by its edge.

#include "l4/flow.h"

#include "base/error.h"
#include "http/stream_transport.h"
#include "l4/capsule_pipe.h"
#include "l4/talk.h"

enum {
    FLOWS_MAGIC = 0x6c34666c,
    FLOW_MAGIC = 0x6c34666f,
    TURN_MAX = 256, // datagrams of one direction in one turn
};

struct flow {
    struct l4_talk talk;
    struct down_session session;
    struct transport *down;
    struct capsule_pipe pipe;
    struct wheel_timer more;
    struct wheel_timer timer;
};

struct l4_flows {
    uint32_t magic;
    struct l4_talks talks;
};

static void count(struct flow *f, enum counter id, uint64_t n)
{
    l4_talks_count(f->talk.all, id, n);
}

// ---- the end --------------------------------------------------------------------------------------

static void finish(struct flow *f, int error, const char *side)
{
    struct loop *l = f->talk.all->loop;
    l4_talk_end(&f->talk, error, side);
    capsule_pipe_fini(&f->pipe);
    transport_close(f->down, error != 0);
    loop_timer_stop(l, &f->timer);
    loop_timer_stop(l, &f->more);
    down_session_close(&f->session);
}

static uint64_t deadline(const struct flow *f)
{
    const struct l4_stream *s = f->talk.stream;
    uint64_t end = s->idle_ms != 0 ? f->talk.active_ms + s->idle_ms : UINT64_MAX;
    uint64_t total = s->total_ms != 0 ? f->talk.started_ms + s->total_ms : UINT64_MAX;
    return end < total ? end : total;
}

static void set_timer(struct flow *f)
{
    struct loop *l = f->talk.all->loop;
    uint64_t end = deadline(f);
    if (end != UINT64_MAX) {
        loop_timer_set(l, &f->timer, end > l->now_ms ? end - l->now_ms : 0);
    }
}

static void on_timer(struct wheel_timer *timer)
{
    struct flow *f = container_of(timer, struct flow, timer);
    ensure_magic(&f->talk, FLOW_MAGIC);
    if (deadline(f) > f->talk.all->loop->now_ms) {
        set_timer(f);
    } else {
        finish(f, 0, "edge"); // silence is how a flow ends
    }
}

// ---- datagrams ------------------------------------------------------------------------------------

/** A datagram of the visitor's to the server; false: the flow has ended. */
static bool send_up(struct flow *f, struct slice bytes)
{
    int e = l4_talk_send(&f->talk, bytes.ptr, bytes.len);
    if (e == E_REFUSED) { // an earlier datagram met nobody
        count(f, COUNTER_udp_unreachable, 1);
        finish(f, E_REFUSED, "origin");
        return false;
    }
    if (e < 0) {
        count(f, COUNTER_udp_dropped, 1);
        return true;
    }
    l4_talk_sent(&f->talk, bytes.len);
    f->talk.active_ms = f->talk.all->loop->now_ms;
    return true;
}

/** What the stream has brought. */
static void drain_down(struct flow *f)
{
    for (unsigned i = 0; i < TURN_MAX; i++) {
        struct slice bytes;
        int e = capsule_pipe_receive(&f->pipe, &bytes);
        if (e == E_AGAIN) {
            return;
        }
        if (e < 0) {
            finish(f, e == E_EOF ? 0 : e, e == E_NO_MEMORY ? "edge" : "client");
            return;
        }
        if (!send_up(f, bytes)) {
            return;
        }
    }
    loop_timer_set(f->talk.all->loop, &f->more, 0);
}

/** A datagram of the server's to the visitor; false: the flow has ended. */
static bool send_down(struct flow *f, const void *bytes, size_t len)
{
    int e = len > CAPSULE_PAYLOAD_MAX ? E_AGAIN : capsule_pipe_send(&f->pipe, bytes, len);
    if (e == E_AGAIN) {
        count(f, COUNTER_udp_dropped, 1);
        return true;
    }
    if (e < 0) {
        finish(f, e, e == E_NO_MEMORY ? "edge" : "client");
        return false;
    }
    f->talk.bytes_out += len;
    f->talk.datagrams_out++;
    f->talk.active_ms = f->talk.all->loop->now_ms;
    count(f, COUNTER_udp_datagrams_out, 1);
    return true;
}

/** A batch; false: there is no more now, or the flow has ended. */
static bool receive_up(struct flow *f)
{
    struct sys_datagram d[TALK_BATCH];
    int n = l4_talks_receive(f->talk.all, f->talk.up.fd, d);
    if (n == E_REFUSED) {
        count(f, COUNTER_udp_unreachable, 1);
        finish(f, E_REFUSED, "origin");
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (!send_down(f, d[i].bytes, d[i].len)) {
            return false;
        }
    }
    return n == TALK_BATCH;
}

static void drain_up(struct flow *f)
{
    for (unsigned i = 0; i < TURN_MAX / TALK_BATCH; i++) {
        if (!receive_up(f)) {
            return;
        }
    }
    loop_timer_set(f->talk.all->loop, &f->more, 0);
}

/** There may be more of either. */
static void on_more(struct wheel_timer *timer)
{
    struct flow *f = container_of(timer, struct flow, more);
    ensure_magic(&f->talk, FLOW_MAGIC);
    drain_down(f);
    if (!f->talk.dead) {
        drain_up(f);
    }
}

static void on_up(struct io *io, unsigned events)
{
    struct flow *f = container_of(io, struct flow, talk.up);
    ensure_magic(&f->talk, FLOW_MAGIC);
    if ((events & (SYS_READ | SYS_ERROR)) != 0) {
        drain_up(f);
    }
}

static void on_down(struct transport *t, unsigned events)
{
    struct flow *f = t->owner;
    ensure_magic(&f->talk, FLOW_MAGIC);
    if (f->talk.waiting) {
        if ((events & SYS_ERROR) != 0) {
            finish(f, E_CLIENT_GONE, "client");
        }
        return;
    }
    int e = (events & SYS_WRITE) != 0 ? capsule_pipe_flush(&f->pipe) : 0;
    if (e < 0 && e != E_AGAIN) {
        finish(f, e, "client");
        return;
    }
    drain_down(f);
}

// ---- the beginning --------------------------------------------------------------------------------

static void on_transport(struct upstream_request *rq, struct transport *t)
{
    struct flow *f = container_of(rq, struct flow, talk.rq);
    ensure_magic(&f->talk, FLOW_MAGIC);
    ensure(t == NULL); // an agent's servers are its own
    f->talk.waiting = false;
    int e = l4_talk_connect(&f->talk, on_up);
    if (e < 0) {
        finish(f, e, e == E_NO_DESCRIPTORS ? "edge" : "origin");
        return;
    }
    stream_transport_agree(f->down);
    drain_down(f);
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct flow *f = container_of(rq, struct flow, talk.rq);
    ensure_magic(&f->talk, FLOW_MAGIC);
    f->talk.waiting = false;
    finish(f, error, "origin");
}

static void shed(struct down_session *d)
{
    struct flow *f = container_of(d, struct flow, session);
    ensure_magic(&f->talk, FLOW_MAGIC);
    finish(f, E_OVERLOADED, "edge");
}

/** The agent is about to end: datagrams have no last one that could be waited for. */
static void drain(struct down_session *d)
{
    struct flow *f = container_of(d, struct flow, session);
    ensure_magic(&f->talk, FLOW_MAGIC);
    finish(f, 0, "edge");
}

static const struct down_session_ops session_ops = {.shed = shed, .drain = drain, .abort = shed};

int l4_flow_open(struct l4_flows *all, struct transport *t, const struct http_peer *peer,
                 const struct l4_stream *stream)
{
    ensure_magic(all, FLOWS_MAGIC);
    bool room = l4_talks_make_room(&all->talks) == 0;
    struct flow *f = room ? slab_take(&all->talks.slab) : NULL;
    if (f == NULL) {
        transport_close(t, true);
        return E_NO_MEMORY;
    }
    *f = (struct flow){.down = t};
    f->talk.magic = FLOW_MAGIC;
    f->talk.client = os_peer_addr(&peer->addr);
    f->talk.peer = *peer;
    l4_talk_begin(&f->talk, &all->talks, stream);
    wheel_timer_init(&f->more, on_more);
    wheel_timer_init(&f->timer, on_timer);
    capsule_pipe_init(&f->pipe, t);
    transport_set_owner(t, f, on_down);
    down_session_open(all->talks.core->with.down, &f->session, &peer->addr, &session_ops);
    down_session_set_idle(&f->session, false);
    set_timer(f);
    l4_talk_ask(&f->talk, stream->routes[0].upstream, on_transport, on_failed);
    return 0;
}

struct l4_flows *l4_flows_new(struct l4_core *c)
{
    struct l4_flows *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->magic = FLOWS_MAGIC;
    l4_talks_init(&f->talks, c, "UDP flows", sizeof(struct flow), c->with.sessions_max);
    return f;
}

void l4_flows_free(struct l4_flows *f)
{
    ensure_magic(f, FLOWS_MAGIC);
    l4_talks_fini(&f->talks);
    f->magic = 0;
    mem_free(f);
}
