// SPDX-License-Identifier: Apache-2.0
//
// One flow of datagrams between a stream of a tunnel and a socket (l4/flow.h). The stream is agreed to
// when the socket is there. What cannot go on at once, in either direction, is dropped and counted.
//
// A flow ends when its stream does, when the server's host says that nobody listens, and by `idle` and
// `total` of its stream of the configuration. A client that goes on has another one begun by its edge.

#include "l4/flow.h"

#include "base/arena.h"
#include "base/error.h"
#include "http/stream_transport.h"
#include "l4/capsule_pipe.h"

enum {
    FLOWS_MAGIC = 0x6c34666c,
    FLOW_MAGIC = 0x6c34666f,
    DATAGRAM_BYTES = 65536,
    BATCH = 16,
    TURN_MAX = 256, // datagrams of one direction in one turn
    ARENA_FIRST = 128,
    ARENA_MAX = 20 * 1024,
};

struct flow {
    uint32_t magic;
    bool waiting;
    bool dead;
    struct l4_flows *flows;
    struct down_session session;
    struct list link; // flows.dead
    struct transport *down;
    struct capsule_pipe pipe;
    struct io up;
    struct wheel_timer more;
    struct wheel_timer timer;
    struct snapshot *snapshot;
    const struct l4_stream *stream;
    uint64_t started_ms;
    uint64_t active_ms;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t datagrams_in;
    uint64_t datagrams_out;
    struct upstream_request rq;
    struct upstream_subject subject;
    struct os_addr client;
    struct http_peer peer;
    struct arena arena;
    _Alignas(16) char first[ARENA_FIRST];
};

struct l4_flows {
    uint32_t magic;
    struct l4_core *core;
    struct loop *loop;
    struct slab slab;
    struct list dead;
    struct task reap;
    char *bytes; // BATCH times DATAGRAM_BYTES; NULL: no flow yet
};

static void count(struct flow *f, enum counter id, uint64_t n)
{
    counter_add(f->flows->core->with.counters, id, n);
}

// ---- the end --------------------------------------------------------------------------------------

static void reap(struct task *task)
{
    struct l4_flows *all = container_of(task, struct l4_flows, reap);
    ensure_magic(all, FLOWS_MAGIC);
    struct list *node;
    while ((node = list_first(&all->dead)) != NULL) {
        struct flow *f = list_entry(node, struct flow, link);
        list_remove(node);
        arena_fini(&f->arena);
        snapshot_unref(f->snapshot, all->loop->core);
        f->magic = 0;
        slab_give(&all->slab, f);
    }
}

static void write_line(struct flow *f, int error, const char *side)
{
    const struct l4_line line = {
        .stream = f->stream,
        .format = f->snapshot->access_format,
        .protocol = "udp",
        .id = f->peer.connection_id,
        .client = f->client,
        .server = f->rq.server_text,
        .bytes_in = f->bytes_in,
        .bytes_out = f->bytes_out,
        .datagrams_in = f->datagrams_in,
        .datagrams_out = f->datagrams_out,
        .total_ms = f->flows->loop->now_ms - f->started_ms,
        .error = error,
        .side = side,
    };
    l4_log(f->flows->core, &line);
}

static void finish(struct flow *f, int error, const char *side)
{
    struct l4_flows *all = f->flows;
    ensure(!f->dead);
    f->dead = true;
    write_line(f, error, side);
    if (f->waiting) {
        f->rq.upstream->ops->cancel(f->rq.upstream, &f->rq);
        f->waiting = false;
    } else {
        const struct upstream_outcome o = {.error = side[0] == 'o' ? error : 0,
                                           .bytes_in = f->bytes_in,
                                           .bytes_out = f->bytes_out,
                                           .abandoned = error == 0 && f->datagrams_out == 0};
        upstream_release(&f->rq, &o);
    }
    loop_close(all->loop, &f->up, false);
    capsule_pipe_fini(&f->pipe);
    transport_close(f->down, error != 0);
    loop_timer_stop(all->loop, &f->timer);
    loop_timer_stop(all->loop, &f->more);
    down_session_close(&f->session);
    counter_sub(all->core->with.counters, COUNTER_udp_sessions_open, 1);
    list_push_back(&all->dead, &f->link);
    loop_defer(all->loop, &all->reap);
}

static uint64_t deadline(const struct flow *f)
{
    const struct l4_stream *s = f->stream;
    uint64_t end = s->idle_ms != 0 ? f->active_ms + s->idle_ms : UINT64_MAX;
    uint64_t total = s->total_ms != 0 ? f->started_ms + s->total_ms : UINT64_MAX;
    return end < total ? end : total;
}

static void set_timer(struct flow *f)
{
    struct loop *l = f->flows->loop;
    uint64_t end = deadline(f);
    if (end != UINT64_MAX) {
        loop_timer_set(l, &f->timer, end > l->now_ms ? end - l->now_ms : 0);
    }
}

static void on_timer(struct wheel_timer *timer)
{
    struct flow *f = container_of(timer, struct flow, timer);
    ensure_magic(f, FLOW_MAGIC);
    if (deadline(f) > f->flows->loop->now_ms) {
        set_timer(f);
    } else {
        finish(f, 0, "edge"); // silence is how a flow ends
    }
}

// ---- datagrams ------------------------------------------------------------------------------------

/** A datagram of the visitor's to the server; false: the flow has ended. */
static bool send_up(struct flow *f, struct slice bytes)
{
    struct sys *sys = f->flows->loop->sys;
    struct sys_datagram d = {.len = bytes.len};
    memcpy(&d.bytes, &bytes.ptr, sizeof(bytes.ptr)); // it is only read
    int n = sys->ops->send(sys, f->up.fd, &d, 1);
    if (n == E_REFUSED) { // an earlier datagram met nobody
        count(f, COUNTER_udp_unreachable, 1);
        finish(f, E_REFUSED, "origin");
        return false;
    }
    if (n < 0) {
        count(f, COUNTER_udp_dropped, 1);
        return true;
    }
    f->bytes_in += bytes.len;
    f->datagrams_in++;
    f->active_ms = f->flows->loop->now_ms;
    count(f, COUNTER_udp_datagrams_in, 1);
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
    loop_timer_set(f->flows->loop, &f->more, 0);
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
    f->bytes_out += len;
    f->datagrams_out++;
    f->active_ms = f->flows->loop->now_ms;
    count(f, COUNTER_udp_datagrams_out, 1);
    return true;
}

/** A batch; false: there is no more now, or the flow has ended. */
static bool receive_up(struct flow *f)
{
    struct sys *sys = f->flows->loop->sys;
    struct sys_datagram d[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        d[i] = (struct sys_datagram){.bytes = f->flows->bytes + (size_t)i * DATAGRAM_BYTES,
                                     .room = DATAGRAM_BYTES};
    }
    int n = sys->ops->receive(sys, f->up.fd, d, BATCH);
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
    return n == BATCH;
}

static void drain_up(struct flow *f)
{
    for (unsigned i = 0; i < TURN_MAX / BATCH; i++) {
        if (!receive_up(f)) {
            return;
        }
    }
    loop_timer_set(f->flows->loop, &f->more, 0);
}

/** There may be more of either. */
static void on_more(struct wheel_timer *timer)
{
    struct flow *f = container_of(timer, struct flow, more);
    ensure_magic(f, FLOW_MAGIC);
    drain_down(f);
    if (!f->dead) {
        drain_up(f);
    }
}

static void on_up(struct io *io, unsigned events)
{
    struct flow *f = container_of(io, struct flow, up);
    ensure_magic(f, FLOW_MAGIC);
    if ((events & (SYS_READ | SYS_ERROR)) != 0) {
        drain_up(f);
    }
}

static void on_down(struct transport *t, unsigned events)
{
    struct flow *f = t->owner;
    ensure_magic(f, FLOW_MAGIC);
    if (f->waiting) {
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

static int connect_up(struct flow *f)
{
    struct loop *l = f->flows->loop;
    int fd = l->sys->ops->connect_datagrams(l->sys, f->rq.server_addr);
    if (fd < 0) {
        return fd;
    }
    io_init(&f->up, fd, on_up);
    int e = loop_watch(l, &f->up, false);
    if (e < 0) {
        l->sys->ops->close(l->sys, fd, false);
        f->up.fd = -1;
    }
    return e;
}

static void on_transport(struct upstream_request *rq, struct transport *t)
{
    struct flow *f = container_of(rq, struct flow, rq);
    ensure_magic(f, FLOW_MAGIC);
    ensure(t == NULL); // an agent's servers are its own
    f->waiting = false;
    int e = connect_up(f);
    if (e < 0) {
        finish(f, e, e == E_NO_DESCRIPTORS ? "edge" : "origin");
        return;
    }
    stream_transport_agree(f->down);
    drain_down(f);
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct flow *f = container_of(rq, struct flow, rq);
    ensure_magic(f, FLOW_MAGIC);
    f->waiting = false;
    finish(f, error, "origin");
}

static void shed(struct down_session *d)
{
    struct flow *f = container_of(d, struct flow, session);
    ensure_magic(f, FLOW_MAGIC);
    finish(f, E_OVERLOADED, "edge");
}

/** The agent is about to end: datagrams have no last one that could be waited for. */
static void drain(struct down_session *d)
{
    struct flow *f = container_of(d, struct flow, session);
    ensure_magic(f, FLOW_MAGIC);
    finish(f, 0, "edge");
}

static const struct down_session_ops session_ops = {.shed = shed, .drain = drain, .abort = shed};

static void ask(struct flow *f)
{
    struct upstream *u = f->stream->routes[0].upstream;
    f->subject = (struct upstream_subject){
        .client = &f->client, .peer = &f->peer, .path = SLICE(""), .arena = &f->arena};
    f->rq = (struct upstream_request){
        .loop = f->flows->loop,
        .upstream = u,
        .subject = &f->subject,
        .connect_ms = f->stream->connect_ms,
        .raw = true,
        .datagram = true,
        .on_transport = on_transport,
        .on_failed = on_failed,
    };
    list_init(&f->rq.link);
    if (u->ops->choose != NULL) {
        struct upstream *chosen = u->ops->choose(u, &f->rq);
        f->rq.upstream = chosen != NULL ? chosen : u;
    }
    f->waiting = true;
    f->rq.upstream->ops->acquire(f->rq.upstream, &f->rq);
}

int l4_flow_open(struct l4_flows *all, struct transport *t, const struct http_peer *peer,
                 const struct l4_stream *stream)
{
    ensure_magic(all, FLOWS_MAGIC);
    struct l4_core *c = all->core;
    if (all->bytes == NULL) {
        all->bytes = mem_alloc((size_t)BATCH * DATAGRAM_BYTES);
    }
    struct flow *f = all->bytes != NULL ? slab_take(&all->slab) : NULL;
    if (f == NULL) {
        transport_close(t, true);
        return E_NO_MEMORY;
    }
    *f = (struct flow){
        .magic = FLOW_MAGIC,
        .flows = all,
        .down = t,
        .up = {.fd = -1},
        .snapshot = c->snapshot,
        .stream = stream,
        .started_ms = all->loop->now_ms,
        .active_ms = all->loop->now_ms,
        .client = os_peer_addr(&peer->addr),
        .peer = *peer,
    };
    list_init(&f->link);
    list_init(&f->rq.link);
    wheel_timer_init(&f->more, on_more);
    wheel_timer_init(&f->timer, on_timer);
    capsule_pipe_init(&f->pipe, t);
    arena_init(&f->arena, f->first, sizeof(f->first), &all->loop->chunks, ARENA_MAX);
    snapshot_ref(f->snapshot, all->loop->core);
    transport_set_owner(t, f, on_down);
    down_session_open(c->with.down, &f->session, &session_ops);
    down_session_set_idle(&f->session, false);
    count(f, COUNTER_udp_sessions, 1);
    count(f, COUNTER_udp_sessions_open, 1);
    set_timer(f);
    ask(f);
    return 0;
}

struct l4_flows *l4_flows_new(struct l4_core *c)
{
    struct l4_flows *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->magic = FLOWS_MAGIC;
    f->core = c;
    f->loop = c->with.loop;
    slab_init(&f->slab, "UDP flows", sizeof(struct flow), c->with.sessions_max);
    list_init(&f->dead);
    task_init(&f->reap, reap);
    return f;
}

void l4_flows_free(struct l4_flows *f)
{
    ensure_magic(f, FLOWS_MAGIC);
    reap(&f->reap);
    loop_cancel(f->loop, &f->reap);
    slab_fini(&f->slab);
    mem_free(f->bytes);
    f->magic = 0;
    mem_free(f);
}
