// SPDX-License-Identifier: Apache-2.0
//
// UDP sessions (l4/udp.h). A listener's sessions are in a table by the client's address and in a list by
// the time of their last datagram, so that the one to evict and those whose time is over are at its
// front: a datagram moves its session to the back and touches no timer.
//
// A datagram is passed on with the call that finds it, in batches towards the client and one by one
// towards the servers. One that must wait for its server (a name that is being resolved) is kept if it
// is the first and fits a chunk.
//
// A listener that is left keeps a descriptor of its own until its last session has ended, since answers
// go through it.

#include "l4/udp.h"

#include "base/chunk.h"
#include "base/error.h"
#include "base/hash.h"
#include "os/listen.h"

#include "l4/capsule_pipe.h"
#include "l4/talk.h"

enum {
    UDP_MAGIC = 0x6c347564,
    SESSION_MAGIC = 0x6c347573,
    BATCHES_PER_EVENT = 16,
    BUCKETS = 16384,      // of sessions; a power of two
    LEFT_IDLE_MS = 5000,  // of sessions whose listener was left
    FLIGHT_MAX = 1 << 20, // answers that are counted as outstanding
};

struct udp_listener {
    struct io io;     // fd is ours
    struct list link; // of the udp: listeners, or those that can be used again
    struct l4_udp *udp;
    uint32_t index;
    uint16_t port;
    uint64_t key;
    bool left;
    uint64_t leave_ms; // sessions of one that was left end then
    uint32_t count;
    struct list idlest; // sessions, by last datagram
    struct wheel_timer timer;
};

struct udp_session {
    struct l4_talk talk;
    bool ready;   // the socket is connected, or there is the stream
    bool refused; // by the agent, for its address: what it sends is dropped until its time is over
    struct udp_listener *listener;
    struct list bucket; // of the table
    struct list idle;   // of the listener
    struct list more;   // of the udp: more to read from the server
    struct transport
        *tunnel; // to a server that called in, in place of a socket; NULL: there is none
    struct capsule_pipe pipe; // on it
    struct sys_way way;       // to the client
    uint64_t hash;
    struct chunk *held;   // the first datagram, while there is no server
    uint64_t outstanding; // answers that are still expected
};

struct l4_udp {
    uint32_t magic;
    struct l4_core *core;
    struct loop *loop;
    struct l4_talks talks;
    uint32_t count;
    struct list more;
    struct wheel_timer go_on;
    struct hash_key key;
    struct list *buckets; // NULL: no listener yet
    struct list listeners;
    struct list spare; // listeners: who looks at one that was closed must not find it gone
};

static void count(struct l4_udp *u, enum counter id)
{
    l4_talks_count(&u->talks, id, 1);
}

// ---- the end of a session -------------------------------------------------------------------------

static void close_listener(struct udp_listener *l)
{
    struct loop *loop = l->udp->loop;
    loop_timer_stop(loop, &l->timer);
    loop_close(loop, &l->io, false);
    list_remove(&l->link);
    list_push_back(&l->udp->spare, &l->link);
}

static void drop_held(struct udp_session *s)
{
    if (s->held != NULL) {
        chunk_unref(s->held);
        s->held = NULL;
    }
}

static void finish(struct udp_session *s, int error, const char *side)
{
    struct udp_listener *l = s->listener;
    struct l4_udp *u = l->udp;
    bool told = error == 0 && s->refused;
    l4_talk_end(&s->talk, told ? E_ADDRESS_REFUSED : error, told ? "origin" : side);
    drop_held(s);
    if (s->tunnel != NULL) {
        capsule_pipe_fini(&s->pipe);
        transport_close(s->tunnel, error != 0);
        s->tunnel = NULL;
    }
    list_remove(&s->idle);
    list_remove(&s->more);
    list_remove(&s->bucket);
    u->count--;
    l->count--;
    if (l->left && l->count == 0) {
        close_listener(l);
    }
}

// ---- time -----------------------------------------------------------------------------------------

static uint64_t idle_ms(const struct udp_session *s)
{
    uint64_t ms = s->talk.stream->idle_ms;
    return s->listener->left && (ms == 0 || ms > LEFT_IDLE_MS) ? LEFT_IDLE_MS : ms;
}

/** Sessions of one listener may have begun under different limits; that of the first is used, and who
 * is behind it has been idle for a shorter time. */
static void on_idle_timer(struct wheel_timer *timer)
{
    struct udp_listener *l = container_of(timer, struct udp_listener, timer);
    uint64_t now = l->udp->loop->now_ms;
    struct list *node;
    while ((node = list_first(&l->idlest)) != NULL) {
        struct udp_session *s = list_entry(node, struct udp_session, idle);
        uint64_t limit = idle_ms(s);
        bool over = l->left && l->leave_ms <= now;
        if (!over && limit != 0 && s->talk.active_ms + limit > now) {
            loop_timer_set(l->udp->loop, &l->timer, s->talk.active_ms + limit - now);
            return;
        }
        if (!over && limit == 0) {
            return;
        }
        bool last = l->left && l->count == 1;
        // Silence is how a UDP session ends: that is no error.
        finish(s, over ? E_DRAINING : 0, "edge");
        if (last) {
            return; // the listener went with it
        }
    }
}

static void touch(struct udp_session *s)
{
    struct udp_listener *l = s->listener;
    s->talk.active_ms = s->talk.all->loop->now_ms;
    list_remove(&s->idle);
    list_push_back(&l->idlest, &s->idle);
    uint64_t limit = idle_ms(s);
    if (limit != 0 && !wheel_timer_is_set(&l->timer)) {
        loop_timer_set(s->talk.all->loop, &l->timer, limit);
    }
}

// ---- towards the server ---------------------------------------------------------------------------

/** 0, E_REFUSED (an earlier datagram met nobody), E_RESET (the stream is gone), or why it was lost. */
static int pass_up(struct udp_session *s, const void *bytes, size_t len)
{
    if (s->tunnel != NULL) {
        int e = len > CAPSULE_PAYLOAD_MAX ? E_AGAIN : capsule_pipe_send(&s->pipe, bytes, len);
        return e == 0 || e == E_AGAIN ? e : E_RESET;
    }
    return l4_talk_send(&s->talk, bytes, len);
}

static void send_up(struct udp_session *s, const void *bytes, size_t len)
{
    struct l4_udp *u = s->listener->udp;
    int n = pass_up(s, bytes, len);
    if (n == E_REFUSED || n == E_RESET) {
        count(u, COUNTER_udp_unreachable);
        finish(s, n, "origin");
        return;
    }
    if (n < 0) {
        count(u, COUNTER_udp_dropped);
        return;
    }
    l4_talk_sent(&s->talk, len);
    if (s->talk.stream->responses != 0 && s->outstanding < FLIGHT_MAX) {
        s->outstanding += s->talk.stream->responses;
    }
}

static void hold(struct udp_session *s, const void *bytes, size_t len)
{
    if (s->held == NULL && len <= CHUNK_BYTES) {
        s->held = chunk_new(&s->talk.all->loop->chunks);
        if (s->held != NULL) {
            memcpy(s->held->data, bytes, len);
            s->held->used = (uint32_t)len;
            return;
        }
    }
    count(s->listener->udp, COUNTER_udp_dropped);
}

// ---- towards the client ---------------------------------------------------------------------------

static void send_down(struct udp_session *s, struct sys_datagram *d, unsigned n)
{
    struct l4_udp *u = s->listener->udp;
    struct sys *sys = u->loop->sys;
    unsigned at = 0;
    for (unsigned i = 0; i < n; i++) {
        d[i].way = s->way;
    }
    while (at < n) {
        int sent = sys->ops->send(sys, s->listener->io.fd, d + at, n - at);
        if (sent <= 0) {
            l4_talks_count(&u->talks, COUNTER_udp_dropped, n - at);
            return;
        }
        for (int i = 0; i < sent; i++) {
            s->talk.bytes_out += d[at + (unsigned)i].len;
        }
        at += (unsigned)sent;
        s->talk.datagrams_out += (unsigned)sent;
        l4_talks_count(&u->talks, COUNTER_udp_datagrams_out, (unsigned)sent);
    }
}

/** Answers that were expected have come; false: these were the last, the session has ended. */
static bool note_answers(struct udp_session *s, unsigned n)
{
    touch(s);
    if (s->talk.stream->responses == 0) {
        return true;
    }
    s->outstanding -= s->outstanding < n ? s->outstanding : n;
    if (s->outstanding == 0) {
        finish(s, 0, "");
        return false;
    }
    return true;
}

/** The same from a stream. */
static bool receive_stream(struct udp_session *s)
{
    struct slice bytes;
    int e = capsule_pipe_receive(&s->pipe, &bytes);
    if (e == 0) {
        struct sys_datagram d = {.len = bytes.len};
        memcpy(&d.bytes, &bytes.ptr, sizeof(bytes.ptr)); // it is only read
        send_down(s, &d, 1);
        return note_answers(s, 1);
    }
    if (e != E_AGAIN) {
        finish(s, e == E_EOF ? 0 : e, e == E_NO_MEMORY ? "edge" : "origin");
    }
    return false;
}

/** A batch; false: there is no more now, or the session has ended. */
static bool receive_up(struct udp_session *s)
{
    struct l4_udp *u = s->listener->udp;
    struct sys_datagram d[TALK_BATCH];
    int n = l4_talks_receive(&u->talks, s->talk.up.fd, d);
    if (n == E_REFUSED) {
        count(u, COUNTER_udp_unreachable);
        finish(s, E_REFUSED, "origin");
        return false;
    }
    if (n <= 0) {
        return false;
    }
    send_down(s, d, (unsigned)n);
    return note_answers(s, (unsigned)n) && n == TALK_BATCH;
}

static void drain_up(struct udp_session *s)
{
    int most = s->tunnel != NULL ? BATCHES_PER_EVENT * TALK_BATCH : BATCHES_PER_EVENT;
    for (int i = 0; i < most; i++) {
        if (!(s->tunnel != NULL ? receive_stream(s) : receive_up(s))) {
            return;
        }
    }
    struct l4_udp *u = s->listener->udp;
    if (list_empty(&s->more)) {
        list_push_back(&u->more, &s->more);
        loop_timer_set(u->loop, &u->go_on, 0);
    }
}

static void on_up(struct io *io, unsigned events)
{
    struct udp_session *s = container_of(io, struct udp_session, talk.up);
    ensure_magic(&s->talk, SESSION_MAGIC);
    if ((events & (SYS_READ | SYS_ERROR)) != 0) {
        drain_up(s);
    }
}

static void on_stream(struct transport *t, unsigned events)
{
    struct udp_session *s = t->owner;
    ensure_magic(&s->talk, SESSION_MAGIC);
    int e = (events & SYS_WRITE) != 0 ? capsule_pipe_flush(&s->pipe) : 0;
    if (e < 0 && e != E_AGAIN) {
        finish(s, e, "origin");
        return;
    }
    drain_up(s);
}

static void on_go_on(struct wheel_timer *timer)
{
    struct l4_udp *u = container_of(timer, struct l4_udp, go_on);
    ensure_magic(u, UDP_MAGIC);
    struct list now;
    list_init(&now);
    list_splice(&now, &u->more);
    struct list *node;
    while ((node = list_first(&now)) != NULL) {
        struct udp_session *s = list_entry(node, struct udp_session, more);
        list_remove(node);
        drain_up(s);
    }
}

// ---- the beginning of a session -------------------------------------------------------------------

static void on_transport(struct upstream_request *rq, struct transport *t)
{
    struct udp_session *s = container_of(rq, struct udp_session, talk.rq);
    ensure_magic(&s->talk, SESSION_MAGIC);
    s->talk.waiting = false;
    int e = t == NULL ? l4_talk_connect(&s->talk, on_up) : 0;
    if (t != NULL) {
        s->tunnel = t;
        capsule_pipe_init(&s->pipe, t);
        transport_set_owner(t, s, on_stream);
    }
    if (e < 0) {
        count(s->listener->udp, COUNTER_udp_dropped);
        finish(s, e, e == E_NO_DESCRIPTORS ? "edge" : "origin");
        return;
    }
    s->ready = true;
    struct chunk *held = s->held;
    if (held != NULL) {
        s->held = NULL;
        send_up(s, held->data, held->used);
        chunk_unref(held);
    }
    if (t != NULL && !s->talk.dead) {
        drain_up(s); // what has come with the answer
    }
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct udp_session *s = container_of(rq, struct udp_session, talk.rq);
    ensure_magic(&s->talk, SESSION_MAGIC);
    s->talk.waiting = false;
    if (error == E_ADDRESS_REFUSED) { // which nobody is asked about for each datagram
        s->refused = true;
        count(s->listener->udp, COUNTER_udp_refused_address);
        drop_held(s);
        return;
    }
    count(s->listener->udp, COUNTER_udp_dropped);
    finish(s, error, "origin");
}

static void evict_idlest(struct udp_listener *l)
{
    struct list *node = list_first(&l->idlest);
    if (node != NULL) {
        count(l->udp, COUNTER_udp_evicted);
        finish(list_entry(node, struct udp_session, idle), E_OVERLOADED, "edge");
    }
}

static struct udp_session *new_session(struct udp_listener *l, const struct l4_stream *stream,
                                       const struct sys_way *way, uint64_t hash)
{
    struct l4_udp *u = l->udp;
    struct udp_session *s = slab_take(&u->talks.slab);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct udp_session){.listener = l, .way = *way, .hash = hash};
    struct l4_talk *k = &s->talk;
    k->magic = SESSION_MAGIC;
    os_way_peer(way, &k->client);
    http_peer_set(&k->peer, &k->client);
    k->peer.connection_id = http_connection_id(u->loop, &u->core->with.down->next_id);
    k->peer.port = l->port;
    l4_talk_begin(k, &u->talks, stream);
    list_init(&s->bucket);
    list_init(&s->idle);
    list_init(&s->more);
    list_push_back(&u->buckets[hash % BUCKETS], &s->bucket);
    u->count++;
    l->count++;
    touch(s);
    return s;
}

static uint64_t hash_of(const struct l4_udp *u, const struct udp_listener *l,
                        const struct sys_way *way)
{
    struct slice peer = slice_of((const char *)way->peer, way->peer_len);
    return hash_bytes(&u->key, peer) + l->index * UINT64_C(0x9e3779b97f4a7c15);
}

static struct udp_session *find(struct l4_udp *u, const struct udp_listener *l,
                                const struct sys_way *way, uint64_t hash)
{
    list_each(node, &u->buckets[hash % BUCKETS])
    {
        struct udp_session *s = list_entry(node, struct udp_session, bucket);
        if (s->hash == hash && s->listener == l && s->way.peer_len == way->peer_len &&
            memcmp(s->way.peer, way->peer, way->peer_len) == 0) {
            return s;
        }
    }
    return NULL;
}

static bool is_over(const struct udp_session *s)
{
    uint64_t total = s->talk.stream->total_ms;
    return total != 0 && s->talk.started_ms + total <= s->talk.all->loop->now_ms;
}

static struct udp_session *begin(struct udp_listener *l, const struct sys_way *way, uint64_t hash)
{
    struct l4_udp *u = l->udp;
    const struct l4_stream *stream = l4_streams_find(u->core->snapshot, l->key);
    const struct l4_route *route = stream == NULL ? NULL : l4_stream_route(stream, NULL);
    struct os_addr client;
    os_way_peer(way, &client);
    if (route == NULL || route->upstream == NULL) {
        count(u, COUNTER_udp_dropped);
        return NULL;
    }
    if (!l4_stream_admits(stream, &client)) {
        count(u, COUNTER_udp_refused_address);
        return NULL;
    }
    if (l->count >= stream->sessions_max) {
        evict_idlest(l);
    }
    struct udp_session *s = new_session(l, stream, way, hash);
    if (s != NULL) {
        struct l4_talk *k = &s->talk;
        k->subject.asked_at = l4_asked_at(stream, l->port, &k->arena);
        l4_talk_ask(k, route->upstream, on_transport, on_failed); // the session may end meanwhile
    }
    bool there = s != NULL && !s->talk.dead;
    if (!there) {
        count(u, COUNTER_udp_dropped);
    }
    return there ? s : NULL;
}

static void take(struct udp_listener *l, const struct sys_datagram *d)
{
    struct l4_udp *u = l->udp;
    uint64_t hash = hash_of(u, l, &d->way);
    struct udp_session *s = d->way.peer_len > 0 ? find(u, l, &d->way, hash) : NULL;
    if (s != NULL && is_over(s)) {
        finish(s, E_TOTAL_TIMEOUT, "edge");
        s = NULL;
    }
    if (s != NULL && s->refused) {
        count(u, COUNTER_udp_refused_address);
        return;
    }
    if (s != NULL) {
        touch(s);
        s->way = d->way; // it may ask another of our addresses now
    } else if (d->way.peer_len > 0) {
        s = begin(l, &d->way, hash);
        if (s == NULL || s->refused) {
            return; // which was counted
        }
    }
    if (s == NULL || d->cut) {
        count(u, COUNTER_udp_dropped);
    } else if (s->ready) {
        send_up(s, d->bytes, d->len);
    } else {
        hold(s, d->bytes, d->len);
    }
}

// ---- listeners ------------------------------------------------------------------------------------

static void on_datagrams(struct io *io, unsigned events)
{
    struct udp_listener *l = container_of(io, struct udp_listener, io);
    struct l4_udp *u = l->udp;
    ensure_magic(u, UDP_MAGIC);
    (void)events;
    struct sys_datagram d[TALK_BATCH];
    for (int round = 0; round < BATCHES_PER_EVENT;
         round++) { // level-triggered: the rest comes again
        int n = l4_talks_receive(&u->talks, l->io.fd, d);
        for (int i = 0; i < n; i++) {
            take(l, &d[i]);
        }
        if (n < TALK_BATCH) {
            return;
        }
    }
}

static int make_room(struct l4_udp *u)
{
    if (u->buckets != NULL) {
        return 0;
    }
    u->buckets = mem_alloc(BUCKETS * sizeof(*u->buckets));
    if (u->buckets == NULL || l4_talks_make_room(&u->talks) < 0) {
        mem_free(u->buckets);
        u->buckets = NULL;
        return E_NO_MEMORY;
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&u->buckets[i]);
    }
    return 0;
}

/** One that is in no list. */
static struct udp_listener *new_listener(struct l4_udp *u)
{
    struct list *node = list_first(&u->spare);
    if (node == NULL) {
        return mem_alloc(sizeof(struct udp_listener));
    }
    list_remove(node);
    return list_entry(node, struct udp_listener, link);
}

int l4_udp_listen(struct l4_udp *u, const struct l4_listener *what)
{
    ensure_magic(u, UDP_MAGIC);
    int e = make_room(u);
    if (e < 0) {
        return e;
    }
    struct udp_listener *l = new_listener(u);
    if (l == NULL) {
        return E_NO_MEMORY;
    }
    *l =
        (struct udp_listener){.udp = u, .index = what->index, .port = what->port, .key = what->key};
    list_init(&l->link);
    list_init(&l->idlest);
    wheel_timer_init(&l->timer, on_idle_timer);
    int own = os_listen_dup(what->fd);
    if (own < 0) {
        list_push_back(&u->spare, &l->link);
        return own;
    }
    io_init(&l->io, own, on_datagrams);
    list_push_back(&u->listeners, &l->link);
    e = loop_watch(u->loop, &l->io, true);
    if (e < 0) {
        close_listener(l);
    }
    return e;
}

static void leave(struct udp_listener *l)
{
    struct l4_udp *u = l->udp;
    struct list *first = list_first(&l->idlest);
    if (first == NULL) {
        close_listener(l);
        return;
    }
    loop_unwatch(u->loop, &l->io);
    l->left = true;
    const struct udp_session *s = list_entry(first, struct udp_session, idle);
    l->leave_ms = u->loop->now_ms + s->talk.snapshot->streams->drain_ms;
    loop_timer_stop(u->loop, &l->timer);
    loop_timer_set(u->loop, &l->timer, 0); // the limits are others now
}

void l4_udp_unlisten(struct l4_udp *u, uint32_t index)
{
    ensure_magic(u, UDP_MAGIC);
    list_each_safe(node, next, &u->listeners)
    {
        struct udp_listener *l = list_entry(node, struct udp_listener, link);
        if (!l->left && l->index == index) {
            leave(l);
        }
    }
}

void l4_udp_drain(struct l4_udp *u)
{
    ensure_magic(u, UDP_MAGIC);
    list_each_safe(node, next, &u->listeners)
    {
        struct udp_listener *l = list_entry(node, struct udp_listener, link);
        if (!l->left) {
            leave(l);
        }
    }
}

uint32_t l4_udp_count(const struct l4_udp *u)
{
    return u->count;
}

// ---- life -----------------------------------------------------------------------------------------

struct l4_udp *l4_udp_new(struct l4_core *c)
{
    struct l4_udp *u = mem_zalloc(sizeof(*u));
    if (u == NULL) {
        return NULL;
    }
    u->magic = UDP_MAGIC;
    u->core = c;
    u->loop = c->with.loop;
    l4_talks_init(&u->talks, c, "UDP sessions", sizeof(struct udp_session),
                  c->with.datagram_sessions_max);
    list_init(&u->more);
    wheel_timer_init(&u->go_on, on_go_on);
    struct sys *sys = u->loop->sys;
    sys->ops->random(sys, &u->key, sizeof(u->key));
    list_init(&u->listeners);
    list_init(&u->spare);
    return u;
}

void l4_udp_abort(struct l4_udp *u)
{
    ensure_magic(u, UDP_MAGIC);
    list_each_safe(link, next, &u->listeners)
    {
        struct udp_listener *l = list_entry(link, struct udp_listener, link);
        l->left = false; // closed below
        struct list *node;
        while ((node = list_first(&l->idlest)) != NULL) {
            finish(list_entry(node, struct udp_session, idle), E_DRAINING, "edge");
        }
        close_listener(l);
    }
    loop_timer_stop(u->loop, &u->go_on);
}

void l4_udp_free(struct l4_udp *u)
{
    ensure_magic(u, UDP_MAGIC);
    ensure(u->count == 0);
    ensure(list_empty(&u->listeners));
    struct list *node;
    while ((node = list_first(&u->spare)) != NULL) {
        list_remove(node);
        mem_free(list_entry(node, struct udp_listener, link));
    }
    l4_talks_fini(&u->talks);
    mem_free(u->buckets);
    u->magic = 0;
    mem_free(u);
}
