// SPDX-License-Identifier: Apache-2.0
//
// A TCP session of a stream. It looks at the client's first message, where a route wants that, asks the
// route's upstream for a connection, and then relays. The first message stays in the socket while it is
// looked at, so whoever gets the connection, a server or the sites, reads it from its first byte.
//
// States: PEEK -> ASK -> RELAY. In ASK the ticket waits at the upstream, or for another attempt. One
// timer serves all of them. While bytes pass nothing is done about it but noting the time: when it
// fires, it looks how long nothing has passed, and is set anew.
//
// finish() is the one way out: it closes what is open, gives the ticket back with what the server is
// to learn of it, and writes the line. The memory goes at the end of the turn.

#include "base/arena.h"
#include "base/error.h"
#include "http/stream_transport.h"
#include "proxy/access_log.h"

#include "l4/core_int.h"
#include "l4/flow.h"
#include "l4/udp.h"

enum {
    CORE_MAGIC = 0x6c34636f,
    SESSION_MAGIC = 0x6c347365,
    BACKOFF_MAX_MS = 2000,
    ARENA_FIRST = 192, // the server's address, a method's notes; a long name takes a chunk
    ARENA_MAX = 20 * 1024,
};

enum state { PEEK, ASK, RELAY };

struct l4_session {
    uint32_t magic;
    uint8_t state; // enum state
    bool dead;
    bool waiting; // the ticket is at the upstream
    struct l4_core *core;
    struct down_session session;
    struct list link; // core.live or core.dead
    struct list more; // core.more
    struct snapshot *snapshot;
    const struct l4_stream *stream;
    struct transport *down; // NULL: given away
    struct transport *up;
    struct relay relay;
    struct wheel_timer timer;
    uint64_t started_ms;
    uint64_t active_ms;
    uint64_t leave_ms; // its stream is gone: it ends then; 0: it is not
    uint32_t attempts; // that are left
    uint32_t backoff_ms;
    struct upstream_request rq;
    struct upstream_subject subject;
    struct os_addr client;
    struct http_peer peer;
    struct slice name; // SNI, on the arena
    struct arena arena;
    _Alignas(16) char first[ARENA_FIRST];
};

static const struct down_session_ops session_ops;
static void ask(struct l4_session *s);
static void set_timer(struct l4_session *s);

// ---- the end --------------------------------------------------------------------------------------

/** Which counter says why a session ended. */
static void count_end(struct l4_session *s, int error)
{
    struct counters *c = s->core->with.counters;
    if (error == E_RESET) {
        counter_add(c, COUNTER_tcp_resets, 1);
    } else if (error == E_NO_ROUTE) {
        counter_add(c, COUNTER_tcp_refused_route, 1);
    } else if (error == E_ADDRESS_REFUSED) {
        counter_add(c, COUNTER_tcp_refused_address, 1);
    } else if (error == E_TLS_HANDSHAKE || error == E_TOO_LARGE) {
        counter_add(c, COUNTER_tcp_refused_hello, 1);
    } else if (error == E_NO_MEMORY) {
        counter_add(c, COUNTER_tcp_refused_room, 1);
    } else if (error == E_IDLE_TIMEOUT) {
        counter_add(c, s->state == PEEK ? COUNTER_tcp_refused_silent : COUNTER_tcp_idle, 1);
    } else if (error == E_TOTAL_TIMEOUT) {
        counter_add(c, COUNTER_tcp_total, 1);
    } else if (s->state == ASK && error != 0) {
        counter_add(c, COUNTER_tcp_refused_server, 1);
    }
}

/** What the upstream learns: a server that broke off before its first byte has failed. */
static void release(struct l4_session *s, int error, const char *side)
{
    if (s->waiting) {
        s->rq.upstream->ops->cancel(s->rq.upstream, &s->rq);
        s->waiting = false;
        return;
    }
    bool answered = s->relay.flow[1].bytes > 0;
    bool its_doing = side[0] == 'o';
    const struct upstream_outcome o = {
        .error = !answered && its_doing ? error : 0,
        .latency_ns = s->rq.connect_ns,
        .bytes_in = s->relay.flow[0].bytes,
        .bytes_out = s->relay.flow[1].bytes,
        .abandoned = !answered && !its_doing && error != 0,
    };
    upstream_release(&s->rq, &o);
}

static void write_line(struct l4_session *s, int error, const char *side)
{
    const struct l4_line line = {
        .stream = s->stream,
        .format = s->snapshot->access_format,
        .protocol = "tcp",
        .id = s->peer.connection_id,
        .client = s->client,
        .name = s->name,
        .server = s->rq.server_text,
        .bytes_in = s->relay.flow[0].bytes,
        .bytes_out = s->relay.flow[1].bytes,
        .connect_ns = s->rq.connect_ns,
        .total_ms = s->core->with.loop->now_ms - s->started_ms,
        .error = error,
        .side = side,
    };
    l4_log(s->core, &line);
}

/** Leaves every list; the transports have been seen to. */
static void bury(struct l4_session *s)
{
    struct l4_core *c = s->core;
    s->dead = true;
    loop_timer_stop(c->with.loop, &s->timer);
    counter_sub(c->with.counters, COUNTER_tcp_sessions_open, 1);
    down_session_close(&s->session);
    list_remove(&s->more);
    list_remove(&s->link);
    list_push_back(&c->dead, &s->link);
    loop_defer(c->with.loop, &c->reap);
}

/** Resets go on as resets, and what could not be served ends with one; limits and ends are closes. */
static void finish(struct l4_session *s, int error, const char *side)
{
    ensure(!s->dead);
    bool reset = error != 0 && error != E_IDLE_TIMEOUT && error != E_TOTAL_TIMEOUT;
    count_end(s, error);
    relay_fini(&s->relay);
    write_line(s, error, side); // the server's name is the ticket's
    if (s->up != NULL) {
        transport_close(s->up, reset);
        s->up = NULL;
    }
    release(s, error, side);
    if (s->down != NULL) {
        transport_close(s->down, reset);
        s->down = NULL;
    }
    bury(s);
}

static void reap(struct task *task)
{
    struct l4_core *c = container_of(task, struct l4_core, reap);
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->dead)) != NULL) {
        struct l4_session *s = list_entry(node, struct l4_session, link);
        list_remove(node);
        arena_fini(&s->arena);
        snapshot_unref(s->snapshot, c->with.loop->core);
        s->magic = 0;
        slab_give(&c->slab, s);
    }
}

// ---- relaying -------------------------------------------------------------------------------------

static void pump(struct l4_session *s)
{
    struct l4_core *c = s->core;
    uint64_t in = s->relay.flow[0].bytes;
    uint64_t out = s->relay.flow[1].bytes;
    bool moved = false;
    enum relay_state state = relay_pump(&s->relay, &moved);
    if (moved) {
        s->active_ms = c->with.loop->now_ms;
        counter_add(c->with.counters, COUNTER_tcp_bytes_in, s->relay.flow[0].bytes - in);
        counter_add(c->with.counters, COUNTER_tcp_bytes_out, s->relay.flow[1].bytes - out);
    }
    switch (state) {
    case RELAY_WAITS:
        break;
    case RELAY_MORE:
        if (list_empty(&s->more)) {
            list_push_back(&c->more, &s->more);
            loop_timer_set(c->with.loop, &c->go_on, 0);
        }
        break;
    case RELAY_ENDED:
        finish(s, 0, "");
        break;
    case RELAY_FAILED: {
        bool ours = s->relay.error == E_NO_MEMORY;
        finish(s, s->relay.error, ours ? "edge" : s->relay.where == 0 ? "client" : "origin");
        break;
    }
    }
}

/** The next turn: those that had not finished theirs. */
static void on_go_on(struct wheel_timer *timer)
{
    struct l4_core *c = container_of(timer, struct l4_core, go_on);
    ensure_magic(c, CORE_MAGIC);
    struct list now;
    list_init(&now);
    list_splice(&now, &c->more);
    struct list *node;
    while ((node = list_first(&now)) != NULL) {
        struct l4_session *s = list_entry(node, struct l4_session, more);
        list_remove(node);
        pump(s);
    }
}

static void on_relay_event(struct transport *t, unsigned events)
{
    struct l4_session *s = t->owner;
    ensure_magic(s, SESSION_MAGIC);
    (void)events;
    pump(s);
}

static void on_transport(struct upstream_request *rq, struct transport *t)
{
    struct l4_session *s = container_of(rq, struct l4_session, rq);
    ensure_magic(s, SESSION_MAGIC);
    struct loop *l = s->core->with.loop;
    s->waiting = false;
    s->up = t;
    s->state = RELAY;
    s->active_ms = l->now_ms;
    relay_init(&s->relay, l, s->down, s->up);
    transport_set_owner(s->down, s, on_relay_event);
    transport_set_owner(s->up, s, on_relay_event);
    stream_transport_agree(s->down);
    set_timer(s);
    pump(s);
}

// ---- asking for a server --------------------------------------------------------------------------

static bool may_repeat(struct l4_session *s, int error)
{
    struct upstream *u = s->rq.upstream;
    if (s->attempts == 0 || error == E_NO_MEMORY || error == E_UPSTREAM_FULL ||
        error == E_QUEUE_TIMEOUT || error == E_ADDRESS_REFUSED) {
        return false;
    }
    s->attempts--;
    return u->ops->may_repeat == NULL || u->ops->may_repeat(u, s->core->with.loop, false);
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct l4_session *s = container_of(rq, struct l4_session, rq);
    ensure_magic(s, SESSION_MAGIC);
    s->waiting = false;
    if (!may_repeat(s, error)) {
        finish(s, error, "origin");
        return;
    }
    counter_add(s->core->with.counters, COUNTER_upstream_retries, 1);
    if (!s->rq.exhausted) {
        ask(s);
        return;
    }
    loop_timer_set(s->core->with.loop, &s->timer, s->backoff_ms);
    s->backoff_ms = s->backoff_ms * 3 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 3;
}

static void ask(struct l4_session *s)
{
    s->waiting = true;
    s->rq.upstream->ops->acquire(s->rq.upstream, &s->rq);
}

/** The client may have gone while a server is looked for; that it only has nothing more to say shows
 * in the flags and is passed on later. */
static void on_asking_event(struct transport *t, unsigned events)
{
    struct l4_session *s = t->owner;
    ensure_magic(s, SESSION_MAGIC);
    if ((events & SYS_ERROR) != 0) {
        finish(s, E_CLIENT_GONE, "client");
    }
}

static void begin_asking(struct l4_session *s, struct upstream *u)
{
    s->state = ASK;
    s->attempts = u->attempts;
    s->backoff_ms = u->backoff_ms;
    s->subject = (struct upstream_subject){
        .client = &s->client,
        .peer = &s->peer,
        .path = SLICE(""),
        .asked_at = l4_asked_at(s->stream, s->peer.port, &s->arena),
        .asked_name = s->name,
        .arena = &s->arena,
    };
    s->rq = (struct upstream_request){
        .loop = s->core->with.loop,
        .upstream = u,
        .subject = &s->subject,
        .connect_ms = s->stream->connect_ms,
        .raw = true,
        .on_transport = on_transport,
        .on_failed = on_failed,
    };
    list_init(&s->rq.link);
    down_session_set_idle(&s->session, false);
    transport_set_owner(s->down, s, on_asking_event);
    if (u->ops->choose != NULL) {
        s->rq.upstream = u->ops->choose(u, &s->rq);
    }
    if (s->rq.upstream == NULL) {
        s->rq.upstream = u;
        finish(s, E_NO_SERVER, "origin");
        return;
    }
    ask(s);
}

// ---- the first message ----------------------------------------------------------------------------

static void give_to_sites(struct l4_session *s, bool secure)
{
    struct l4_sites *sites = s->core->with.sites;
    struct transport *t = s->down;
    const struct http_peer peer = s->peer;
    s->down = NULL;
    bury(s);
    sites->open(sites, t, &peer, secure);
}

static void take_route(struct l4_session *s, const struct client_hello *hello)
{
    const struct l4_route *r = l4_stream_route(s->stream, hello);
    if (hello != NULL) {
        s->name = arena_dup(&s->arena, client_hello_name(hello));
    }
    if (r == NULL) {
        finish(s, E_NO_ROUTE, "client");
    } else if (r->upstream == NULL) {
        give_to_sites(s, hello != NULL);
    } else {
        loop_timer_stop(s->core->with.loop, &s->timer);
        begin_asking(s, r->upstream);
    }
}

static void peek(struct l4_session *s)
{
    char bytes[CLIENT_HELLO_BYTES_MAX];
    struct client_hello hello;
    struct sys *sys = s->core->with.loop->sys;
    struct io_result r = sys->ops->peek(sys, s->down->io.fd, bytes, sizeof(bytes));
    if (r.status == IO_AGAIN) {
        return;
    }
    if (r.status != IO_OK) {
        finish(s, r.status == IO_EOF ? E_EARLY_CLOSE : r.error, "client");
        return;
    }
    int e = client_hello_parse(slice_of(bytes, r.n), &hello);
    if (e == 0 || e == E_TLS_NOT_TLS) {
        take_route(s, e == 0 ? &hello : NULL);
    } else if (e != E_AGAIN) {
        finish(s, e, "client");
    } else if (s->down->hung_up) {
        finish(s, E_EARLY_CLOSE, "client");
    }
}

static void on_peek_event(struct transport *t, unsigned events)
{
    struct l4_session *s = t->owner;
    ensure_magic(s, SESSION_MAGIC);
    if ((events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0) {
        peek(s);
    }
}

// ---- limits ---------------------------------------------------------------------------------------

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/** When the earliest of its limits is over; UINT64_MAX: it has none. */
static uint64_t deadline(const struct l4_session *s)
{
    const struct l4_stream *stream = s->stream;
    uint64_t end = UINT64_MAX;
    if (s->state == PEEK) {
        end = s->started_ms + stream->hello_ms;
    } else if (stream->idle_ms != 0) {
        end = s->active_ms + stream->idle_ms;
    }
    if (stream->total_ms != 0) {
        end = sooner(end, s->started_ms + stream->total_ms);
    }
    return s->leave_ms != 0 ? sooner(end, s->leave_ms) : end;
}

static void set_timer(struct l4_session *s)
{
    struct loop *l = s->core->with.loop;
    uint64_t end = deadline(s);
    if (end != UINT64_MAX) {
        loop_timer_set(l, &s->timer, end > l->now_ms ? end - l->now_ms : 0);
    }
}

static void on_timer(struct wheel_timer *timer)
{
    struct l4_session *s = container_of(timer, struct l4_session, timer);
    ensure_magic(s, SESSION_MAGIC);
    uint64_t now = s->core->with.loop->now_ms;
    if (s->state == ASK) {
        ask(s);
    } else if (deadline(s) > now) {
        set_timer(s);
    } else if (s->leave_ms != 0 && s->leave_ms <= now) {
        finish(s, E_DRAINING, "edge");
    } else if (s->stream->total_ms != 0 && s->started_ms + s->stream->total_ms <= now) {
        finish(s, E_TOTAL_TIMEOUT, "edge");
    } else {
        finish(s, E_IDLE_TIMEOUT, s->state == PEEK ? "client" : "edge");
    }
}

// ---- the worker's calls ---------------------------------------------------------------------------

static struct l4_session *of_session(struct down_session *d)
{
    struct l4_session *s = container_of(d, struct l4_session, session);
    ensure_magic(s, SESSION_MAGIC);
    return s;
}

static void shed(struct down_session *d)
{
    finish(of_session(d), E_OVERLOADED, "edge");
}

/** Sessions live on: nobody knows where one of theirs would end. */
static void drain(struct down_session *d)
{
    (void)of_session(d);
}

static void end_now(struct down_session *d)
{
    finish(of_session(d), E_DRAINING, "edge");
}

static const struct down_session_ops session_ops = {.shed = shed, .drain = drain, .abort = end_now};

static int refuse(struct l4_core *c, struct transport *t, int error)
{
    counter_add(c->with.counters, COUNTER_tcp_refused_room, 1);
    transport_close(t, true);
    return error;
}

/** A client that its stream does not admit. It gets a line as a session would have. */
static int turn_away(struct l4_core *c, const struct l4_stream *stream, struct transport *t,
                     const struct http_peer *peer)
{
    const struct l4_line line = {
        .stream = stream,
        .format = c->snapshot->access_format,
        .protocol = "tcp",
        .id = peer->connection_id,
        .client = os_peer_addr(&peer->addr),
        .error = E_ADDRESS_REFUSED,
        .side = "client",
    };
    counter_add(c->with.counters, COUNTER_tcp_refused_address, 1);
    l4_log(c, &line);
    transport_close(t, true);
    return E_ADDRESS_REFUSED;
}

static struct l4_session *new_session(struct l4_core *c, struct transport *t,
                                      const struct http_peer *peer)
{
    struct l4_session *s = slab_take(&c->slab);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct l4_session){
        .magic = SESSION_MAGIC,
        .core = c,
        .down = t,
        .snapshot = c->snapshot,
        .started_ms = c->with.loop->now_ms,
        .active_ms = c->with.loop->now_ms,
        .client = os_peer_addr(&peer->addr),
        .peer = *peer,
    };
    list_init(&s->link);
    list_init(&s->more);
    list_init(&s->rq.link);
    wheel_timer_init(&s->timer, on_timer);
    arena_init(&s->arena, s->first, sizeof(s->first), &c->with.loop->chunks, ARENA_MAX);
    snapshot_ref(s->snapshot, c->with.loop->core);
    return s;
}

int l4_open(struct l4_core *c, struct transport *t, const struct http_peer *peer, uint64_t key)
{
    ensure_magic(c, CORE_MAGIC);
    const struct l4_stream *stream = l4_streams_find(c->snapshot, key);
    if (stream == NULL) { // accepted while its stream was being taken away
        return refuse(c, t, E_NO_ROUTE);
    }
    const struct os_addr client = os_peer_addr(&peer->addr);
    if (!l4_stream_admits(stream, &client)) {
        return turn_away(c, stream, t, peer);
    }
    struct l4_session *s = new_session(c, t, peer);
    if (s == NULL) {
        return refuse(c, t, E_NO_MEMORY);
    }
    s->stream = stream;
    list_push_back(&c->live, &s->link);
    down_session_open(c->with.down, &s->session, &peer->addr, &session_ops);
    counter_add(c->with.counters, COUNTER_tcp_sessions, 1);
    counter_add(c->with.counters, COUNTER_tcp_sessions_open, 1);
    if (stream->peeks && t->io.fd >= 0) {
        transport_set_owner(t, s, on_peek_event);
        set_timer(s);
        if (t->readable) { // what came before it did with something else, a PROXY header
            peek(s);
        }
        return 0;
    }
    take_route(s, NULL);
    return 0;
}

bool l4_is_datagram(const struct l4_core *c, uint64_t key)
{
    const struct l4_stream *s = l4_streams_find(c->snapshot, key);
    return s != NULL && s->datagram;
}

bool l4_admits(const struct l4_core *c, uint64_t key, const struct os_addr *client)
{
    const struct l4_stream *s = l4_streams_find(c->snapshot, key);
    return s == NULL || l4_stream_admits(s, client);
}

int l4_open_datagrams(struct l4_core *c, struct transport *t, const struct http_peer *peer,
                      uint64_t key)
{
    ensure_magic(c, CORE_MAGIC);
    const struct l4_stream *stream = l4_streams_find(c->snapshot, key);
    return stream == NULL ? refuse(c, t, E_NO_ROUTE) : l4_flow_open(c->flows, t, peer, stream);
}

void l4_core_swap(struct l4_core *c, struct snapshot *s)
{
    ensure_magic(c, CORE_MAGIC);
    c->snapshot = s;
    uint64_t now = c->with.loop->now_ms;
    list_each(node, &c->live)
    {
        struct l4_session *at = list_entry(node, struct l4_session, link);
        bool gone = l4_streams_find(s, at->stream->key) == NULL;
        at->leave_ms = !gone               ? 0
                       : at->leave_ms != 0 ? at->leave_ms
                                           : now + at->snapshot->streams->drain_ms + 1;
        if (gone && at->state != ASK) {
            set_timer(at);
        }
    }
}

struct l4_core *l4_core_new(const struct l4_surroundings *what)
{
    struct l4_core *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->magic = CORE_MAGIC;
    c->with = *what;
    slab_init(&c->slab, "l4 sessions", sizeof(struct l4_session), what->sessions_max);
    list_init(&c->live);
    list_init(&c->dead);
    list_init(&c->more);
    task_init(&c->reap, reap);
    wheel_timer_init(&c->go_on, on_go_on);
    c->udp = l4_udp_new(c);
    c->flows = c->udp != NULL ? l4_flows_new(c) : NULL;
    if (c->flows == NULL) {
        if (c->udp != NULL) {
            l4_udp_free(c->udp);
        }
        slab_fini(&c->slab);
        mem_free(c);
        return NULL;
    }
    return c;
}

void l4_core_abort(struct l4_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    l4_udp_abort(c->udp);
}

int l4_listen(struct l4_core *c, const struct l4_listener *l)
{
    ensure_magic(c, CORE_MAGIC);
    const struct l4_stream *s = l4_streams_find(c->snapshot, l->key);
    uint64_t by = (l->key >> 1) + (s != NULL && s->host.len > 0 ? l->port : 0U);
    return by % c->with.cores == c->with.loop->core ? l4_udp_listen(c->udp, l) : 0;
}

void l4_unlisten(struct l4_core *c, uint32_t index)
{
    ensure_magic(c, CORE_MAGIC);
    l4_udp_unlisten(c->udp, index);
}

void l4_core_drain(struct l4_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    l4_udp_drain(c->udp);
}

bool l4_core_idle(const struct l4_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    return l4_udp_count(c->udp) == 0;
}

void l4_core_free(struct l4_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    ensure(list_empty(&c->live));
    l4_udp_free(c->udp);
    l4_flows_free(c->flows);
    reap(&c->reap);
    loop_cancel(c->with.loop, &c->reap);
    loop_timer_stop(c->with.loop, &c->go_on);
    slab_fini(&c->slab);
    c->magic = 0;
    mem_free(c);
}
