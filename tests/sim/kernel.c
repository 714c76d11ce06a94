// SPDX-License-Identifier: Apache-2.0
//
// The simulated kernel. Two kinds of objects stand behind descriptors: ends of connections (also the
// actors', without a descriptor), listeners and pipes. One heap of timed events moves everything.
//
// An end keeps the bytes that come to it in one ring: first those that have arrived, then those in
// flight. What is in flight is a queue of segments (data, FIN, RST); each scheduled arrival takes the
// first segment, so that the order within a connection holds whatever the order of the events.

#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

enum {
    SIM_SYS_MAGIC = 0x51350001,
    SIM_FD_BASE = 1000, // so that a real descriptor is noticed at once
    SIM_BACKLOG = 128,
    SIM_TURN_NS_MAX = 20000, // a turn takes some time
    SIM_PIPE_SLOTS = 16,
    SIM_SEGMENT_BYTES = 1448, // what fills one slot of a pipe
    SIM_BUFFER_DEFAULT = 65536,
    SIM_DATAGRAMS_MAX = 64, // of a socket, on their way back
};

// ---- objects -------------------------------------------------------------------------------------------

enum segment_kind { SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RST };

struct segment {
    enum segment_kind kind;
    size_t len;
};

struct datagram {
    struct datagram *next;
    size_t len;
    char bytes[];
};

struct sim_end {
    struct sim *sim;
    struct sim_end *peer;
    struct sim_end *next_of_all;
    int fd; // -1: an actor's, or closed
    struct os_addr remote;
    uint64_t latency_ns;
    // What comes to this end.
    char *ring;
    size_t cap, head, arrived, used;
    struct segment *segments;
    size_t segment_first, segment_count, segment_cap; // in flight: [first, count)
    uint64_t last_sent_ns;
    uint64_t last_arrival_ns;
    bool echoes;                     // a socket for datagrams; `arrived` counts those
    bool refused;                    // one met nobody
    struct datagram *first, **after; // those that come back, in flight ones last
    uint32_t datagram_count;
    bool fin_seen;
    int error; // negative code: reset, refused
    bool error_told;
    // What its owner did.
    bool connecting;
    bool closed;
    bool write_shut;
    bool lost;   // nothing that is sent comes to the other end
    bool doomed; // it is cut once `budget` more bytes have come
    size_t budget;
    bool blocked; // a write found no room: an edge is owed
    // Who hears of it: a core, or an actor.
    struct sim_sys *watcher;
    void *data;
    unsigned pending;
    sim_actor_fn *actor;
    void *user;
    bool actor_due;
};

struct listener {
    struct listener *next;
    struct os_addr at;
    int fd; // -1: an actor's
    bool gone;
    sim_accept_fn *on_accept;
    void *user;
    struct sim_end *queue[SIM_BACKLOG];
    uint32_t queued;
    struct sim_sys *watchers[8];
    void *data[8];
    uint32_t watcher_count;
};

struct pipe {
    char *bytes;
    size_t cap, len;
    uint32_t slots;
    bool read_open, write_open;
};

enum fd_kind { FD_FREE, FD_END, FD_LISTENER, FD_PIPE_READ, FD_PIPE_WRITE };

struct fd_entry {
    enum fd_kind kind;
    union {
        struct sim_end *end;
        struct listener *listener;
        struct pipe *pipe;
    } u;
};

struct sim_sys {
    struct sys sys;
    uint32_t magic;
    struct sim *sim;
    struct sim_sys *next;
    struct sim_end **ready;
    size_t ready_count, ready_cap;
    bool doom; // the next connection it makes is
    size_t doom_bytes;
};

struct event {
    uint64_t at_ns;
    uint64_t tie;
    void (*fn)(void *a);
    void *arg;
};

struct sim {
    struct rng rng;
    struct sim_faults faults;
    uint64_t now_ns;
    uint64_t trace;
    struct event *heap;
    size_t heap_count, heap_cap;
    struct sim_end *ends;
    struct listener *listeners;
    struct sim_sys *cores;
    struct fd_entry *fds;
    size_t fd_cap;
    uint32_t fds_open, fds_max;
    bool splice;
    uint32_t next_client;
};

static void *must(void *p)
{
    if (p == NULL) {
        (void)fprintf(stderr, "simulation: out of memory\n");
        abort();
    }
    return p;
}

static void *grow(void *array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) {
        return array;
    }
    *cap = *cap == 0 ? 16 : *cap * 2;
    return must(realloc(array, *cap * size));
}

static bool chance(struct sim *s, double p)
{
    return p > 0 && rng_chance(&s->rng, p);
}

static void trace(struct sim *s, uint64_t what, uint64_t a, uint64_t b)
{
    uint64_t x = s->trace ^ what ^ a << 8 ^ b << 24 ^ s->now_ns << 40;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    s->trace = x ^ (x >> 27);
}

// ---- time ----------------------------------------------------------------------------------------------

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->tie < b->tie;
}

static void swap_events(struct event *a, struct event *b)
{
    struct event t = *a;
    *a = *b;
    *b = t;
}

static void schedule(struct sim *s, uint64_t at_ns, void (*fn)(void *a), void *arg)
{
    s->heap = grow(s->heap, &s->heap_cap, s->heap_count, sizeof(*s->heap));
    size_t i = s->heap_count++;
    s->heap[i] = (struct event){at_ns, rng_u64(&s->rng), fn, arg};
    for (; i > 0 && sooner(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap_events(&s->heap[i], &s->heap[(i - 1) / 2]);
    }
}

static struct event take_event(struct sim *s)
{
    struct event first = s->heap[0];
    s->heap[0] = s->heap[--s->heap_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap_count; child++) {
            least = sooner(&s->heap[child], &s->heap[least]) ? child : least;
        }
        if (least == i) {
            return first;
        }
        swap_events(&s->heap[i], &s->heap[least]);
        i = least;
    }
}

// Runs what is due by now.
static void run_due(struct sim *s)
{
    while (s->heap_count > 0 && s->heap[0].at_ns <= s->now_ns) {
        struct event e = take_event(s);
        e.fn(e.arg);
    }
}

static uint64_t some_latency(struct sim *s)
{
    uint64_t max = s->faults.latency_max_ns;
    return 1 + (max > 0 ? rng_below(&s->rng, max) : 0);
}

void sim_after(struct sim *s, uint64_t delay_ns, sim_timer_fn *fn, void *user)
{
    schedule(s, s->now_ns + delay_ns, fn, user);
}

// ---- who hears of it -----------------------------------------------------------------------------------

static unsigned level(const struct sim_end *e)
{
    unsigned events = 0;
    if (e->echoes) {
        return SYS_WRITE | (e->arrived > 0 || e->refused ? SYS_READ : 0U);
    }
    bool broken = e->error != 0;
    if (e->arrived > 0 || e->fin_seen || broken) {
        events |= SYS_READ;
    }
    bool room = e->peer != NULL && e->peer->used < e->peer->cap;
    if (!e->connecting && (room || broken || e->write_shut)) {
        events |= SYS_WRITE;
    }
    if (e->fin_seen || broken) {
        events |= SYS_HANGUP;
    }
    if (broken && !e->error_told) {
        events |= SYS_ERROR;
    }
    return events;
}

static void call_actor(void *arg)
{
    struct sim_end *e = arg;
    e->actor_due = false;
    if (!e->closed && e->actor != NULL) {
        e->actor(e, level(e), e->user);
    }
}

// Something has changed on e.
static void raise_edge(struct sim_end *e, unsigned events)
{
    struct sim *s = e->sim;
    if (e->closed) {
        return;
    }
    if (e->actor != NULL && !e->actor_due) {
        e->actor_due = true;
        schedule(s, s->now_ns + rng_below(&s->rng, 2000), call_actor, e);
    }
    struct sim_sys *w = e->watcher;
    if (w != NULL) {
        if (e->pending == 0) {
            w->ready = grow(w->ready, &w->ready_cap, w->ready_count, sizeof(*w->ready));
            w->ready[w->ready_count++] = e;
        }
        e->pending |= events;
    }
}

static void forget_ready(struct sim_end *e)
{
    struct sim_sys *w = e->watcher;
    for (size_t i = 0; w != NULL && i < w->ready_count; i++) {
        if (w->ready[i] == e) {
            w->ready[i] = w->ready[--w->ready_count];
            break;
        }
    }
    e->pending = 0;
    e->watcher = NULL;
}

static void edge_write(void *arg)
{
    raise_edge(arg, SYS_WRITE);
}

static void edge_read(void *arg)
{
    raise_edge(arg, SYS_READ);
}

// ---- connections ---------------------------------------------------------------------------------------

static struct sim_end *new_end(struct sim *s)
{
    struct sim_end *e = must(calloc(1, sizeof(*e)));
    uint32_t low = s->faults.buffer_min > 0 ? s->faults.buffer_min : SIM_BUFFER_DEFAULT;
    uint32_t high = s->faults.buffer_max > low ? s->faults.buffer_max : low;
    e->sim = s;
    e->fd = -1;
    e->cap = low + (size_t)rng_below(&s->rng, high - low + 1);
    e->ring = must(malloc(e->cap));
    e->next_of_all = s->ends;
    s->ends = e;
    return e;
}

static void break_end(struct sim_end *e, int error)
{
    if (e->error != 0 || e->closed) {
        return;
    }
    e->error = error;
    e->connecting = false;
    e->segment_count = 0;
    e->segment_first = 0;
    // Some systems drop what was not read when an RST comes, others do not.
    if (error == E_RESET && chance(e->sim, 0.5)) {
        e->arrived = 0;
    }
    e->used = e->arrived;
    raise_edge(e, SYS_READ | SYS_WRITE | SYS_HANGUP | SYS_ERROR);
}

static void send_segment(struct sim_end *from, enum segment_kind kind, size_t len);
static void cut(struct sim_end *e, enum sim_cut how, uint64_t ns);

static void arrive(void *arg)
{
    struct sim_end *e = arg;
    if (e->segment_first == e->segment_count || (e->peer != NULL && e->peer->lost)) {
        return; // an RST came first, or it is lost on the way
    }
    struct segment g = e->segments[e->segment_first++];
    if (e->segment_first == e->segment_count) {
        e->segment_first = 0;
        e->segment_count = 0;
    }
    if (g.kind == SEGMENT_RST) {
        break_end(e, E_RESET);
    } else if (e->closed) {
        // Data for a socket that nobody holds: the kernel answers with RST. A FIN is just taken.
        e->used -= g.len;
        if (g.kind == SEGMENT_DATA) {
            send_segment(e, SEGMENT_RST, 0);
        }
    } else if (g.kind == SEGMENT_FIN) {
        e->fin_seen = true;
        raise_edge(e, SYS_READ | SYS_HANGUP);
    } else if (e->doomed && g.len >= e->budget) {
        e->arrived += e->budget;
        raise_edge(e, SYS_READ);
        cut(e, SIM_CUT_NEAR, 0);
    } else {
        e->budget -= e->doomed ? g.len : 0;
        e->arrived += g.len;
        raise_edge(e, SYS_READ);
    }
}

static void send_segment(struct sim_end *from, enum segment_kind kind, size_t len)
{
    struct sim_end *to = from->peer;
    struct sim *s = from->sim;
    if (to == NULL || to->error != 0 || from->lost) {
        return;
    }
    struct segment *last = to->segment_count > 0 ? &to->segments[to->segment_count - 1] : NULL;
    if (last != NULL && last->kind == SEGMENT_DATA && kind == SEGMENT_DATA &&
        to->last_sent_ns == s->now_ns && !chance(s, 0.1)) {
        last->len += len; // as the kernel gathers small writes
        return;
    }
    to->last_sent_ns = s->now_ns;
    to->segments = grow(to->segments, &to->segment_cap, to->segment_count, sizeof(*to->segments));
    to->segments[to->segment_count++] = (struct segment){kind, len};
    uint64_t jitter = rng_below(&s->rng, from->latency_ns / 4 + 1);
    uint64_t at = s->now_ns + from->latency_ns + jitter;
    to->last_arrival_ns = at > to->last_arrival_ns ? at : to->last_arrival_ns;
    schedule(s, to->last_arrival_ns, arrive, to);
}

static size_t ring_put(struct sim_end *to, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t at = (to->head + to->used) % to->cap;
        size_t run = to->cap - at < n - done ? to->cap - at : n - done;
        memcpy(to->ring + at, bytes + done, run);
        to->used += run;
        done += run;
    }
    return n;
}

static void ring_look(const struct sim_end *e, char *out, size_t n)
{
    size_t head = e->head;
    for (size_t done = 0; done < n;) {
        size_t run = e->cap - head < n - done ? e->cap - head : n - done;
        memcpy(out + done, e->ring + head, run);
        head = (head + run) % e->cap;
        done += run;
    }
}

static size_t ring_take(struct sim_end *e, char *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t run = e->cap - e->head < n - done ? e->cap - e->head : n - done;
        memcpy(out + done, e->ring + e->head, run);
        e->head = (e->head + run) % e->cap;
        done += run;
    }
    e->arrived -= n;
    e->used -= n;
    return n;
}

// The reader of e took bytes: its writer may go on.
static void window_opened(struct sim_end *e)
{
    struct sim_end *writer = e->peer;
    if (writer != NULL && writer->blocked) {
        writer->blocked = false;
        schedule(e->sim, e->sim->now_ns + e->latency_ns, edge_write, writer);
    }
}

static void close_end(struct sim_end *e, bool reset)
{
    if (e->closed) {
        return;
    }
    forget_ready(e);
    bool unread = e->arrived > 0;
    e->closed = true;
    e->actor = NULL;
    if (e->error == 0 && !e->connecting) {
        if (reset || unread) {
            send_segment(e, SEGMENT_RST, 0);
        } else if (!e->write_shut) {
            send_segment(e, SEGMENT_FIN, 0);
        }
    }
    e->used -= e->arrived;
    e->head = (e->head + e->arrived) % e->cap;
    e->arrived = 0;
    e->write_shut = true;
    window_opened(e);
}

static void reset_by_fault(void *arg)
{
    struct sim_end *e = arg;
    // Both sides see it: something in between has lost its mind.
    break_end(e, E_RESET);
    if (e->peer != NULL) {
        break_end(e->peer, E_RESET);
    }
}

static void lose(struct sim_end *e)
{
    e->lost = true;
    e->peer->lost = true;
}

static void hang_up(struct sim_end *e)
{
    e->fin_seen = true;
    raise_edge(e, SYS_READ | SYS_HANGUP);
}

static void stall(struct sim_end *e, uint64_t ns)
{
    uint64_t at = e->sim->now_ns + ns;
    e->last_arrival_ns = at > e->last_arrival_ns ? at : e->last_arrival_ns;
}

static void cut(struct sim_end *e, enum sim_cut how, uint64_t ns)
{
    struct sim_end *peer = e->peer;
    if (how == SIM_CUT_STALL) {
        stall(e, ns);
        stall(peer, ns);
        return;
    }
    lose(e);
    if (how == SIM_CUT_FIN) {
        hang_up(e);
        hang_up(peer);
    }
    if (how == SIM_CUT_RESET || how == SIM_CUT_NEAR) {
        break_end(e, E_RESET);
    }
    if (how == SIM_CUT_RESET || how == SIM_CUT_FAR) {
        break_end(peer, E_RESET);
    }
}

// ---- meeting -------------------------------------------------------------------------------------------

static struct listener *find_listener(struct sim *s, const struct os_addr *to)
{
    for (struct listener *l = s->listeners; l != NULL; l = l->next) {
        if (!l->gone && (os_addr_eq(&l->at, to) || (l->at.dual && l->at.port == to->port))) {
            return l;
        }
    }
    return NULL;
}

static void meet(void *arg)
{
    struct sim_end *from = arg;
    struct sim *s = from->sim;
    if (from->closed) {
        return;
    }
    struct listener *l = find_listener(s, &from->remote);
    bool to_proxy = l != NULL && l->fd >= 0;
    if (l == NULL || (to_proxy && l->queued == SIM_BACKLOG) ||
        (!to_proxy && chance(s, s->faults.connect_refused))) {
        break_end(from, E_REFUSED);
        return;
    }
    struct sim_end *e = new_end(s);
    e->peer = from;
    from->peer = e;
    e->latency_ns = from->latency_ns;
    e->remote =
        (struct os_addr){.kind = OS_ADDR_V4, .port = (uint16_t)(1024 + s->next_client % 60000)};
    uint32_t host = 0x0a000000u + s->next_client++;
    for (int i = 0; i < 4; i++) {
        e->remote.u.ip[i] = (uint8_t)(host >> (24 - 8 * i));
    }
    from->connecting = false;
    raise_edge(from, SYS_WRITE);
    if (chance(s, s->faults.reset)) {
        // Moments are spread over the scales on which things happen.
        uint64_t scale = UINT64_C(1000) << rng_below(&s->rng, 22);
        schedule(s, s->now_ns + rng_below(&s->rng, scale), reset_by_fault, from);
    }
    if (to_proxy) {
        l->queue[l->queued++] = e;
    } else {
        l->on_accept(e, l->user);
    }
}

static struct sim_end *begin_connect(struct sim *s, const struct os_addr *to)
{
    struct sim_end *e = new_end(s);
    e->remote = *to;
    e->connecting = true;
    e->latency_ns = some_latency(s);
    return e;
}

struct sim_end *sim_connect(struct sim *s, const struct os_addr *to, sim_actor_fn *fn, void *user)
{
    struct sim_end *e = begin_connect(s, to);
    sim_set_actor(e, fn, user);
    schedule(s, s->now_ns + e->latency_ns, meet, e);
    return e;
}

void sim_set_actor(struct sim_end *e, sim_actor_fn *fn, void *user)
{
    e->actor = fn;
    e->user = user;
    if (level(e) != 0) {
        raise_edge(e, 0);
    }
}

static struct listener *new_listener(struct sim *s, const struct os_addr *at)
{
    struct listener *l = must(calloc(1, sizeof(*l)));
    l->at = *at;
    l->fd = -1;
    l->next = s->listeners;
    s->listeners = l;
    return l;
}

void sim_listen(struct sim *s, const struct os_addr *at, sim_accept_fn *on_accept, void *user)
{
    struct listener *l = new_listener(s, at);
    l->on_accept = on_accept;
    l->user = user;
}

void sim_unlisten(struct sim *s, const struct os_addr *at)
{
    for (struct listener *l = s->listeners; l != NULL; l = l->next) {
        l->gone = l->gone || (l->fd < 0 && os_addr_eq(&l->at, at));
    }
}

// ---- the actors' calls -----------------------------------------------------------------------------------

size_t sim_send(struct sim_end *e, struct slice bytes)
{
    if (e->connecting || e->closed || e->error != 0 || e->write_shut || bytes.len == 0) {
        return 0;
    }
    size_t room = e->peer->cap - e->peer->used;
    size_t n = bytes.len < room ? bytes.len : room;
    e->blocked = n < bytes.len;
    if (n > 0) {
        (void)ring_put(e->peer, bytes.ptr, n);
        send_segment(e, SEGMENT_DATA, n);
    }
    return n;
}

size_t sim_room(const struct sim_end *e)
{
    bool open = !e->connecting && !e->closed && e->error == 0 && !e->write_shut;
    return open ? e->peer->cap - e->peer->used : 0;
}

size_t sim_recv(struct sim_end *e, void *buffer, size_t size)
{
    size_t n = e->arrived < size ? e->arrived : size;
    if (e->closed || n == 0) {
        return 0;
    }
    (void)ring_take(e, buffer, n);
    window_opened(e);
    return n;
}

bool sim_at_eof(const struct sim_end *e)
{
    return e->fin_seen && e->arrived == 0;
}

bool sim_is_reset(const struct sim_end *e)
{
    return e->error != 0;
}

size_t sim_readable(const struct sim_end *e)
{
    return e->arrived;
}

void sim_shutdown(struct sim_end *e)
{
    if (!e->write_shut && !e->closed && !e->connecting && e->error == 0) {
        e->write_shut = true;
        send_segment(e, SEGMENT_FIN, 0);
    }
}

void sim_close(struct sim_end *e)
{
    close_end(e, false);
}

void sim_reset(struct sim_end *e)
{
    close_end(e, true);
}

// ---- descriptors -----------------------------------------------------------------------------------------

static struct sim_sys *self(struct sys *s)
{
    struct sim_sys *c = container_of(s, struct sim_sys, sys);
    ensure_magic(c, SIM_SYS_MAGIC);
    return c;
}

static int new_fd(struct sim *s, enum fd_kind kind)
{
    if (s->fds_open >= s->fds_max) {
        return E_NO_DESCRIPTORS;
    }
    size_t i = 0;
    while (i < s->fd_cap && s->fds[i].kind != FD_FREE) {
        i++;
    }
    if (i == s->fd_cap) {
        size_t old = s->fd_cap;
        s->fds = grow(s->fds, &s->fd_cap, i, sizeof(*s->fds));
        memset(s->fds + old, 0, (s->fd_cap - old) * sizeof(*s->fds));
    }
    s->fds[i].kind = kind;
    s->fds_open++;
    return SIM_FD_BASE + (int)i;
}

static struct fd_entry *entry_of(struct sim *s, int fd)
{
    ensure(fd >= SIM_FD_BASE);
    ensure((size_t)(fd - SIM_FD_BASE) < s->fd_cap);
    struct fd_entry *e = &s->fds[fd - SIM_FD_BASE];
    ensure(e->kind != FD_FREE); // used after close
    return e;
}

static struct sim_end *end_of(struct sim *s, int fd)
{
    struct fd_entry *e = entry_of(s, fd);
    ensure(e->kind == FD_END);
    return e->u.end;
}

int sim_listen_fd(struct sim *s, const struct os_addr *at)
{
    struct listener *l = new_listener(s, at);
    l->fd = new_fd(s, FD_LISTENER);
    ensure(l->fd >= 0);
    entry_of(s, l->fd)->u.listener = l;
    return l->fd;
}

uint32_t sim_fds_open(const struct sim *s)
{
    return s->fds_open;
}

void sim_fds_max(struct sim *s, uint32_t max)
{
    s->fds_max = max;
}

// ---- sys: time and readiness -------------------------------------------------------------------------------

static uint64_t op_now_ns(struct sys *s)
{
    return self(s)->sim->now_ns;
}

static uint64_t op_wall_ms(struct sys *s)
{
    return UINT64_C(1700000000000) + self(s)->sim->now_ns / 1000000u;
}

static int add_listeners(struct sim_sys *c, struct sys_event *events, int max)
{
    int n = 0;
    for (struct listener *l = c->sim->listeners; l != NULL && n < max; l = l->next) {
        for (uint32_t i = 0; i < l->watcher_count && l->queued > 0 && !l->gone; i++) {
            if (l->watchers[i] == c) {
                events[n++] = (struct sys_event){l->data[i], SYS_READ};
            }
        }
    }
    return n;
}

static int add_spurious(struct sim_sys *c, struct sys_event *events)
{
    uint64_t skip = rng_below(&c->sim->rng, 8);
    for (struct sim_end *e = c->sim->ends; e != NULL; e = e->next_of_all) {
        if (e->watcher == c && e->pending == 0 && level(e) != 0 && skip-- == 0) {
            events[0] = (struct sys_event){e->data, level(e)};
            return 1;
        }
    }
    return 0;
}

static int op_wait(struct sys *sys, struct sys_event *events, int max, int timeout_ms)
{
    struct sim_sys *c = self(sys);
    struct sim *s = c->sim;
    ensure(timeout_ms == 0); // time passes in sim_run()
    s->now_ns += 1 + rng_below(&s->rng, SIM_TURN_NS_MAX);
    run_due(s);
    int n = add_listeners(c, events, max - 1);
    size_t kept = 0;
    for (size_t left = c->ready_count; left > 0; left--) {
        // Any of the rest may be next.
        size_t pick = kept + (size_t)rng_below(&s->rng, left);
        struct sim_end *e = c->ready[pick];
        c->ready[pick] = c->ready[kept];
        c->ready[kept] = e;
        if (n >= max - 1 || chance(s, s->faults.late_event)) {
            kept++;
            continue;
        }
        // Some pollers report what has changed, others all that is so.
        unsigned mask = chance(s, 0.3) ? e->pending & level(e) : level(e);
        e->pending = 0;
        c->ready[kept] = c->ready[kept + left - 1];
        if (mask != 0) {
            events[n++] = (struct sys_event){e->data, mask};
        }
    }
    c->ready_count = kept;
    if (chance(s, s->faults.spurious_event)) {
        n += add_spurious(c, events + n);
    }
    trace(s, 1, (uint64_t)n, s->heap_count);
    return n;
}

static void op_wake(struct sys *s)
{
    (void)self(s); // a loop with mail has work, and sim_run() looks at that
}

static int op_watch(struct sys *sys, int fd, void *data, bool is_listener)
{
    struct sim_sys *c = self(sys);
    struct fd_entry *entry = entry_of(c->sim, fd);
    ensure(data != NULL);
    if (is_listener) {
        ensure(entry->kind == FD_LISTENER);
        struct listener *l = entry->u.listener;
        ensure(l->watcher_count < array_len(l->watchers));
        l->watchers[l->watcher_count] = c;
        l->data[l->watcher_count++] = data;
        return 0;
    }
    struct sim_end *e = end_of(c->sim, fd);
    ensure(e->watcher == NULL);
    e->watcher = c;
    e->data = data;
    if (level(e) != 0) {
        raise_edge(e, level(e));
    }
    return 0;
}

static int op_unwatch(struct sys *sys, int fd)
{
    struct sim_sys *c = self(sys);
    struct fd_entry *entry = entry_of(c->sim, fd);
    if (entry->kind == FD_LISTENER) {
        struct listener *l = entry->u.listener;
        for (uint32_t i = 0; i < l->watcher_count; i++) {
            if (l->watchers[i] == c) {
                l->watchers[i] = l->watchers[--l->watcher_count];
                l->data[i] = l->data[l->watcher_count];
                return 0;
            }
        }
        return E_NOT_FOUND;
    }
    struct sim_end *e = end_of(c->sim, fd);
    if (e->watcher != c) {
        return E_NOT_FOUND;
    }
    forget_ready(e);
    return 0;
}

// ---- sys: connections ------------------------------------------------------------------------------------------

static int op_accept(struct sys *sys, int fd, struct os_addr *peer)
{
    struct sim *s = self(sys)->sim;
    struct listener *l = entry_of(s, fd)->u.listener;
    while (l->queued > 0) {
        if (chance(s, s->faults.accept_fails)) {
            return E_NO_DESCRIPTORS;
        }
        struct sim_end *e = l->queue[0];
        int conn = new_fd(s, FD_END);
        if (conn < 0) {
            return conn;
        }
        memmove(l->queue, l->queue + 1, --l->queued * sizeof(l->queue[0]));
        entry_of(s, conn)->u.end = e;
        e->fd = conn;
        *peer = e->remote;
        trace(s, 2, (uint64_t)conn, 0);
        return conn;
    }
    return E_AGAIN;
}

static int op_connect(struct sys *sys, const struct sys_connect *to)
{
    struct sim *s = self(sys)->sim;
    if (chance(s, s->faults.connect_fails)) {
        return chance(s, 0.5) ? E_NO_DESCRIPTORS : E_NO_PORTS;
    }
    int fd = new_fd(s, FD_END);
    if (fd < 0) {
        return fd;
    }
    struct sim_end *e = begin_connect(s, &to->to);
    e->fd = fd;
    e->doomed = self(sys)->doom;
    e->budget = self(sys)->doom_bytes;
    self(sys)->doom = false;
    entry_of(s, fd)->u.end = e;
    if (!chance(s, s->faults.connect_silent)) {
        schedule(s, s->now_ns + e->latency_ns, meet, e);
    }
    return fd;
}

static int op_connect_result(struct sys *sys, int fd)
{
    struct sim_end *e = end_of(self(sys)->sim, fd);
    e->error_told = e->error != 0;
    return e->error;
}

/** Nobody gave our ends addresses. */
static int op_local_addr(struct sys *sys, int fd, struct os_addr *out)
{
    (void)end_of(self(sys)->sim, fd);
    (void)out;
    return E_UNSUPPORTED;
}

static int op_shutdown_write(struct sys *sys, int fd)
{
    struct sim_end *e = end_of(self(sys)->sim, fd);
    if (e->error != 0 || e->connecting) {
        return E_INVALID; // ENOTCONN
    }
    sim_shutdown(e);
    return 0;
}

static void close_listener(struct sim *s, struct listener *l)
{
    l->gone = true;
    for (uint32_t i = 0; i < l->queued; i++) {
        close_end(l->queue[i], true);
    }
    l->queued = 0;
    (void)s;
}

static void close_pipe(struct pipe *p, bool read_end)
{
    p->read_open = p->read_open && !read_end;
    p->write_open = p->write_open && read_end;
    if (!p->read_open && !p->write_open) {
        free(p->bytes);
        free(p);
    }
}

static void op_close(struct sys *sys, int fd, bool reset)
{
    struct sim *s = self(sys)->sim;
    struct fd_entry *entry = entry_of(s, fd);
    trace(s, 3, (uint64_t)fd, reset);
    switch (entry->kind) {
    case FD_END:
        entry->u.end->fd = -1;
        if (entry->u.end->echoes) {
            forget_ready(entry->u.end);
            entry->u.end->closed = true;
            break;
        }
        close_end(entry->u.end, reset);
        break;
    case FD_LISTENER:
        ensure(entry->u.listener->watcher_count == 0);
        close_listener(s, entry->u.listener);
        break;
    case FD_PIPE_READ:
    case FD_PIPE_WRITE:
        close_pipe(entry->u.pipe, entry->kind == FD_PIPE_READ);
        break;
    case FD_FREE:
        break;
    }
    *entry = (struct fd_entry){.kind = FD_FREE};
    s->fds_open--;
}

// ---- sys: bytes --------------------------------------------------------------------------------------------------

static struct io_result result(enum io_status status, size_t n, int error)
{
    return (struct io_result){.n = n, .status = (int16_t)status, .error = (int16_t)error};
}

// How many of `want` bytes may be read now, or why none.
static struct io_result may_read(struct sim_end *e, size_t want)
{
    struct sim *s = e->sim;
    if (e->arrived == 0) {
        if (e->error != 0) {
            e->error_told = true;
            return result(IO_ERROR, 0, e->error);
        }
        return e->fin_seen ? result(IO_EOF, 0, 0) : result(IO_AGAIN, 0, 0);
    }
    size_t n = e->arrived < want ? e->arrived : want;
    if (n > 1 && chance(s, s->faults.short_read)) {
        // As if the rest came a moment later: a short read tells a reader that there is no more
        // (epoll(7)), so an edge must follow.
        n = 1 + (size_t)rng_below(&s->rng, n - 1);
        schedule(s, s->now_ns + some_latency(s), edge_read, e);
    }
    return result(IO_OK, n, 0);
}

static struct io_result may_write(struct sim_end *e, size_t want)
{
    struct sim *s = e->sim;
    if (e->error != 0) {
        e->error_told = true;
        return result(IO_ERROR, 0, e->error);
    }
    if (e->write_shut) {
        return result(IO_ERROR, 0, E_RESET);
    }
    if (e->connecting) {
        e->blocked = true;
        return result(IO_AGAIN, 0, 0);
    }
    size_t room = e->peer->cap - e->peer->used;
    size_t n = room < want ? room : want;
    if (n > 1 && chance(s, s->faults.short_write)) {
        n = 1 + (size_t)rng_below(&s->rng, n - 1);
    }
    bool again = n > 0 && chance(s, s->faults.write_again);
    if (again || (n < want && n < room)) {
        // Room is left, so no reader will say so: the edge comes by itself.
        schedule(s, s->now_ns + some_latency(s), edge_write, e);
    } else if (n < want) {
        e->blocked = true;
    }
    return n == 0 || again ? result(IO_AGAIN, 0, 0) : result(IO_OK, n, 0);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    return total;
}

static struct io_result op_read(struct sys *sys, int fd, const struct iovec *iov, int n)
{
    struct sim_end *e = end_of(self(sys)->sim, fd);
    size_t want = iov_bytes(iov, n);
    ensure(want > 0); // recv of nothing gives 0, which would be taken for the end
    struct io_result r = may_read(e, want);
    for (size_t i = 0, left = r.n; left > 0; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
        (void)ring_take(e, iov[i].iov_base, part);
        left -= part;
    }
    if (r.n > 0) {
        window_opened(e);
    }
    trace(e->sim, 4, (uint64_t)fd, r.n);
    return r;
}

static struct io_result op_write(struct sys *sys, int fd, const struct iovec *iov, int n, bool more)
{
    (void)more;
    struct sim_end *e = end_of(self(sys)->sim, fd);
    size_t want = iov_bytes(iov, n);
    ensure(want > 0);
    struct io_result r = may_write(e, want);
    for (size_t i = 0, left = r.n; left > 0; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
        (void)ring_put(e->peer, iov[i].iov_base, part);
        left -= part;
    }
    if (r.n > 0) {
        send_segment(e, SEGMENT_DATA, r.n);
    }
    trace(e->sim, 5, (uint64_t)fd, r.n);
    return r;
}

static int op_pipe_open(struct sys *sys, int fds[2], size_t *capacity)
{
    struct sim *s = self(sys)->sim;
    if (!s->splice) {
        return E_UNSUPPORTED;
    }
    int in = new_fd(s, FD_PIPE_READ);
    if (in < 0) {
        return in;
    }
    struct pipe *p = must(calloc(1, sizeof(*p)));
    p->cap = 4096u << rng_below(&s->rng, 5);
    p->bytes = must(malloc(p->cap));
    p->read_open = true;
    entry_of(s, in)->u.pipe = p;
    int out = new_fd(s, FD_PIPE_WRITE);
    if (out < 0) {
        op_close(sys, in, false);
        return out;
    }
    p->write_open = true;
    entry_of(s, out)->u.pipe = p;
    fds[0] = in;
    fds[1] = out;
    *capacity = p->cap;
    return 0;
}

static struct io_result splice_in(struct sim_end *e, struct pipe *p, size_t n)
{
    size_t room = p->cap - p->len;
    struct io_result r = may_read(e, n < room ? n : room);
    if (r.status != IO_OK) {
        return r;
    }
    if (r.n == 0 || p->slots >= SIM_PIPE_SLOTS) {
        return result(IO_AGAIN, 0, 0);
    }
    size_t slots_left = SIM_PIPE_SLOTS - p->slots;
    size_t fits = slots_left * SIM_SEGMENT_BYTES;
    r.n = r.n < fits ? r.n : fits;
    p->slots += (uint32_t)((r.n + SIM_SEGMENT_BYTES - 1) / SIM_SEGMENT_BYTES);
    (void)ring_take(e, p->bytes + p->len, r.n);
    p->len += r.n;
    window_opened(e);
    return r;
}

static struct io_result splice_out(struct pipe *p, struct sim_end *e, size_t n)
{
    if (p->len == 0) {
        return p->write_open ? result(IO_AGAIN, 0, 0) : result(IO_EOF, 0, 0);
    }
    struct io_result r = may_write(e, n < p->len ? n : p->len);
    if (r.status != IO_OK) {
        return r;
    }
    (void)ring_put(e->peer, p->bytes, r.n);
    send_segment(e, SEGMENT_DATA, r.n);
    p->len -= r.n;
    memmove(p->bytes, p->bytes + r.n, p->len);
    // A slot is free when its last byte is gone.
    uint32_t least = (uint32_t)((p->len + SIM_SEGMENT_BYTES - 1) / SIM_SEGMENT_BYTES);
    p->slots = p->len == 0 ? 0 : p->slots < least + 2 ? p->slots : least + 2;
    return r;
}

static struct io_result op_peek(struct sys *sys, int fd, void *to, size_t n)
{
    struct sim_end *e = end_of(self(sys)->sim, fd);
    struct io_result r = may_read(e, n);
    ring_look(e, to, r.n);
    trace(e->sim, 7, (uint64_t)fd, r.n);
    return r;
}

static struct io_result op_splice(struct sys *sys, int from, int to, size_t n, bool more)
{
    (void)more;
    struct sim *s = self(sys)->sim;
    struct fd_entry *a = entry_of(s, from);
    struct fd_entry *b = entry_of(s, to);
    ensure(n > 0);
    struct io_result r;
    if (a->kind == FD_END) {
        ensure(b->kind == FD_PIPE_WRITE);
        r = splice_in(a->u.end, b->u.pipe, n);
    } else {
        ensure(a->kind == FD_PIPE_READ && b->kind == FD_END);
        r = splice_out(a->u.pipe, b->u.end, n);
    }
    trace(s, 6, (uint64_t)from, r.n);
    return r;
}

// ---- sys: datagrams ----------------------------------------------------------------------------------------------

static int op_connect_datagrams(struct sys *sys, const struct os_addr *to)
{
    struct sim *s = self(sys)->sim;
    int fd = new_fd(s, FD_END);
    if (fd < 0) {
        return fd;
    }
    struct sim_end *e = new_end(s);
    e->fd = fd;
    e->remote = *to;
    e->latency_ns = some_latency(s);
    e->echoes = true;
    e->after = &e->first;
    entry_of(s, fd)->u.end = e;
    return fd;
}

static void come_back(void *arg)
{
    struct sim_end *e = arg;
    e->arrived++;
    raise_edge(e, SYS_READ);
}

static void meet_nobody(void *arg)
{
    struct sim_end *e = arg;
    e->refused = true;
    raise_edge(e, SYS_READ | SYS_ERROR);
}

static void send_datagram(struct sim_end *e, const struct sys_datagram *d)
{
    static const char to_nobody[] = "refuse";
    struct sim *s = e->sim;
    size_t n = sizeof(to_nobody) - 1;
    if (d->len >= n && memcmp(d->bytes, to_nobody, n) == 0) {
        schedule(s, s->now_ns + e->latency_ns, meet_nobody, e);
        return;
    }
    if (e->datagram_count >= SIM_DATAGRAMS_MAX || chance(s, s->faults.short_write)) {
        return; // lost on the way
    }
    struct datagram *g = must(malloc(sizeof(*g) + d->len));
    *g = (struct datagram){.len = d->len};
    memcpy(g->bytes, d->bytes, d->len);
    *e->after = g;
    e->after = &g->next;
    e->datagram_count++;
    schedule(s, s->now_ns + e->latency_ns, come_back, e);
}

static bool is_refused(struct sim_end *e)
{
    bool refused = e->refused;
    e->refused = false;
    return refused;
}

static int op_send(struct sys *sys, int fd, const struct sys_datagram *d, unsigned n)
{
    struct sim *s = self(sys)->sim;
    struct sim_end *e = end_of(s, fd);
    ensure(e->echoes && n > 0);
    if (is_refused(e)) {
        return E_REFUSED;
    }
    if (chance(s, s->faults.write_again)) {
        return E_AGAIN;
    }
    for (unsigned i = 0; i < n; i++) {
        send_datagram(e, &d[i]);
    }
    return (int)n;
}

static int op_receive(struct sys *sys, int fd, struct sys_datagram *d, unsigned n)
{
    struct sim_end *e = end_of(self(sys)->sim, fd);
    ensure(e->echoes && n > 0);
    if (is_refused(e)) {
        return E_REFUSED;
    }
    unsigned got = 0;
    for (; got < n && e->arrived > 0; got++) {
        struct datagram *g = e->first;
        d[got].len = g->len < d[got].room ? g->len : d[got].room;
        d[got].cut = g->len > d[got].room;
        memcpy(d[got].bytes, g->bytes, d[got].len);
        e->first = g->next;
        e->after = e->first == NULL ? &e->first : e->after;
        e->datagram_count--;
        e->arrived--;
        free(g);
    }
    return got > 0 ? (int)got : E_AGAIN;
}

static void op_random(struct sys *sys, void *buf, size_t len)
{
    struct sim *s = self(sys)->sim;
    unsigned char *p = buf;
    for (size_t i = 0; i < len; i++) {
        p[i] = (unsigned char)rng_u64(&s->rng);
    }
}

static const struct sys_ops sim_ops = {
    .name = "simulation",
    .now_ns = op_now_ns,
    .wall_ms = op_wall_ms,
    .wait = op_wait,
    .wake = op_wake,
    .watch = op_watch,
    .unwatch = op_unwatch,
    .accept = op_accept,
    .connect = op_connect,
    .connect_result = op_connect_result,
    .local_addr = op_local_addr,
    .read = op_read,
    .peek = op_peek,
    .write = op_write,
    .shutdown_write = op_shutdown_write,
    .close = op_close,
    .pipe_open = op_pipe_open,
    .splice = op_splice,
    .connect_datagrams = op_connect_datagrams,
    .receive = op_receive,
    .send = op_send,
    .random = op_random,
};

// ---- the world -----------------------------------------------------------------------------------------------------

const struct sim_faults sim_calm_network = {.latency_max_ns = 2000000};

const struct sim_faults sim_rough_network = {
    .short_read = 0.2,
    .short_write = 0.2,
    .write_again = 0.1,
    .spurious_event = 0.2,
    .late_event = 0.2,
    .latency_max_ns = 5000000,
    .buffer_min = 400,
    .buffer_max = 60000,
};

const struct sim_faults sim_resetting_network = {
    .short_read = 0.2,
    .short_write = 0.2,
    .late_event = 0.2,
    .reset = 0.5,
    .latency_max_ns = 5000000,
};

struct sim *sim_new(uint64_t seed, const struct sim_faults *faults)
{
    struct sim *s = must(calloc(1, sizeof(*s)));
    rng_seed(&s->rng, seed);
    s->faults = *faults;
    s->now_ns = UINT64_C(1000000000) + rng_below(&s->rng, UINT64_C(1) << 40);
    s->fds_max = UINT32_MAX;
    s->splice = !chance(s, faults->no_splice);
    return s;
}

void sim_free(struct sim *s)
{
    while (s->ends != NULL) {
        struct sim_end *e = s->ends;
        s->ends = e->next_of_all;
        while (e->first != NULL) {
            struct datagram *g = e->first;
            e->first = g->next;
            free(g);
        }
        free(e->ring);
        free(e->segments);
        free(e);
    }
    while (s->listeners != NULL) {
        struct listener *l = s->listeners;
        s->listeners = l->next;
        free(l);
    }
    while (s->cores != NULL) {
        struct sim_sys *c = s->cores;
        s->cores = c->next;
        free(c->ready);
        free(c);
    }
    free(s->heap);
    free(s->fds);
    free(s);
}

struct sys *sim_sys(struct sim *s)
{
    struct sim_sys *c = must(calloc(1, sizeof(*c)));
    c->sys.ops = &sim_ops;
    c->magic = SIM_SYS_MAGIC;
    c->sim = s;
    c->next = s->cores;
    s->cores = c;
    return &c->sys;
}

struct rng *sim_rng(struct sim *s)
{
    return &s->rng;
}

uint64_t sim_now_ns(const struct sim *s)
{
    return s->now_ns;
}

struct sim_faults *sim_faults(struct sim *s)
{
    return &s->faults;
}

uint32_t sim_cut(struct sys *of, const struct os_addr *to, enum sim_cut how, double p, uint64_t ns)
{
    struct sim_sys *c = self(of);
    uint32_t count = 0;
    for (struct sim_end *e = c->sim->ends; e != NULL; e = e->next_of_all) {
        bool there = e->watcher == c && e->peer != NULL && e->error == 0;
        if (there && os_addr_eq(&e->remote, to) && chance(c->sim, p)) {
            cut(e, how, ns);
            count++;
        }
    }
    return count;
}

void sim_doom(struct sys *of, size_t bytes)
{
    struct sim_sys *c = self(of);
    c->doom = true;
    c->doom_bytes = bytes;
}

uint64_t sim_trace_hash(const struct sim *s)
{
    return s->trace;
}

static bool core_has_events(const struct sim *s, const struct sim_sys *c)
{
    for (const struct listener *l = s->listeners; l != NULL; l = l->next) {
        for (uint32_t i = 0; i < l->watcher_count; i++) {
            if (l->watchers[i] == c && l->queued > 0 && !l->gone) {
                return true;
            }
        }
    }
    return c->ready_count > 0;
}

// When the loop has something to do: now, at a timer, or never (UINT64_MAX).
static uint64_t loop_due_ns(const struct sim *s, const struct loop *l)
{
    const struct sim_sys *c = container_of(l->sys, struct sim_sys, sys);
    bool now =
        core_has_events(s, c) || !list_empty(&l->tasks) || atomic_load(&l->mail.head) != NULL;
    if (now) {
        return s->now_ns;
    }
    uint64_t none = UINT64_MAX / 4000000u;
    uint64_t ms = wheel_next_ms(&l->wheel, none);
    return ms == none ? UINT64_MAX : (l->wheel.now_ms + ms) * 1000000u;
}

enum sim_outcome sim_run(struct sim *s, struct loop **loops, uint32_t loop_count, uint64_t until_ns,
                         bool (*done)(void *user), void *user)
{
    for (;;) {
        run_due(s);
        if (done != NULL && done(user)) {
            return SIM_DONE;
        }
        uint64_t next = s->heap_count > 0 ? s->heap[0].at_ns : UINT64_MAX;
        uint32_t first = (uint32_t)rng_below(&s->rng, loop_count);
        bool worked = false;
        for (uint32_t i = 0; i < loop_count; i++) {
            struct loop *l = loops[(first + i) % loop_count];
            uint64_t due = loop_due_ns(s, l);
            if (due <= s->now_ns) {
                loop_turn(l, 0);
                worked = true;
            }
            next = due < next ? due : next;
        }
        if (worked) {
            if (s->now_ns > until_ns) {
                return SIM_TIME_OVER;
            }
            continue;
        }
        if (next == UINT64_MAX) {
            return SIM_QUIET;
        }
        if (next > until_ns) {
            s->now_ns = until_ns;
            return SIM_TIME_OVER;
        }
        s->now_ns = next > s->now_ns ? next : s->now_ns;
    }
}
