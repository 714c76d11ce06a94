// SPDX-License-Identifier: Apache-2.0
//
// Connecting to origins (upstream/dial.h). The steps follow each other on one transport, as it becomes
// ready: connected, led on by a proxy, prologue sent, secured. Whatever ends a dial goes through
// finish(), which takes the timer and the list place away before anybody is told.

#include "upstream/dial.h"

#include "base/error.h"
#include "http/session.h"
#include "net/outbound_step.h"
#include "tls/tls.h"

enum { DIALER_MAGIC = 0x6469616c, DIAL_MAGIC = 0x64696131, REASON_MAX = 80 };

enum dial_step {
    DIAL_CONNECT,
    DIAL_WAY,      // the proxy is asked
    DIAL_PROLOGUE, // is being sent
    DIAL_TLS,      // the handshake has begun
};

struct dial {
    uint32_t magic;
    uint8_t step; // enum dial_step: what is being done
    bool over;
    bool prologue_waits;
    struct dialer *dialer;
    struct transport *t;
    struct tls_origin *tls;
    struct list link; // the caller's, then dialer.dead
    struct wheel_timer timer;
    struct os_addr to;
    uint64_t started_ns;
    uint64_t client;
    struct outbound_step *way; // NULL: no proxy
    struct chunk *prologue;    // NULL: none, or it is sent
    uint32_t prologue_sent;    // bytes of it
    void (*done)(struct dial *dial, const struct dial_result *r, void *arg);
    void *arg;
};

static void reap(struct task *task)
{
    struct dialer *d = container_of(task, struct dialer, reap);
    ensure_magic(d, DIALER_MAGIC);
    struct list *node;
    while ((node = list_first(&d->dead)) != NULL) {
        struct dial *dial = list_entry(node, struct dial, link);
        list_remove(node);
        dial->magic = 0;
        slab_give(&d->slab, dial);
    }
}

void dialer_init(struct dialer *d, uint32_t dials_max)
{
    d->magic = DIALER_MAGIC;
    slab_init(&d->slab, "dials", sizeof(struct dial), dials_max);
    list_init(&d->dead);
    task_init(&d->reap, reap);
}

void dialer_fini(struct dialer *d)
{
    ensure_magic(d, DIALER_MAGIC);
    reap(&d->reap);
    loop_cancel(d->loop, &d->reap);
    slab_fini(&d->slab);
    d->magic = 0;
}

static void end(struct dial *dial)
{
    struct dialer *d = dial->dialer;
    ensure(!dial->over);
    dial->over = true;
    loop_timer_stop(d->loop, &dial->timer);
    list_remove(&dial->link);
    list_push_back(&d->dead, &dial->link);
    loop_defer(d->loop, &d->reap);
}

static void drop_prologue(struct dial *dial)
{
    if (dial->prologue != NULL) {
        chunk_unref(dial->prologue);
        dial->prologue = NULL;
    }
}

static void release(struct dial *dial)
{
    drop_prologue(dial);
    if (dial->way != NULL) {
        outbound_step_stop(dial->way);
        mem_free(dial->way);
        dial->way = NULL;
    }
    if (dial->tls != NULL) {
        tls_origin_unref(dial->tls);
        dial->tls = NULL;
    }
}

static void finish(struct dial *dial, int error, struct slice alpn)
{
    struct dialer *d = dial->dialer;
    struct transport *t = dial->t;
    struct dial_result r = {
        .error = error, .alpn = alpn, .t = error == 0 ? t : NULL, .client = dial->client};
    char bytes[REASON_MAX];
    struct text reason = text_on(bytes, sizeof(bytes));
    end(dial);
    r.took_ns = loop_clock_ns(d->loop) - dial->started_ns;
    if (error == 0) {
        r.peer.addr = os_peer_of(&dial->to);
        r.peer.connection_id = http_connection_id(d->loop, d->next_id);
        r.peer.secure = dial->tls != NULL;
        r.peer.security = dial->tls != NULL ? tls_security(t) : NULL;
    } else if (dial->step == DIAL_TLS) {
        r.reason = tls_verify_reason(t);
    } else if (dial->step == DIAL_WAY) {
        outbound_talk_reason(&dial->way->talk, &reason);
        r.reason = text_slice(&reason);
    }
    dial->done(dial, &r, dial->arg);
    if (error != 0) {
        transport_close(t, false);
    }
    release(dial);
}

static void on_secured(struct transport *t, const struct tls_done *done, void *arg)
{
    struct dial *dial = arg;
    ensure_magic(dial, DIAL_MAGIC);
    ensure(dial->t == t);
    finish(dial, done->error, done->alpn);
}

/** E_AGAIN: the rest waits for room. */
static int send_prologue(struct dial *dial)
{
    while (dial->prologue != NULL) {
        struct chunk *c = dial->prologue;
        struct iovec iov = {c->data + dial->prologue_sent, c->used - dial->prologue_sent};
        struct io_result r = transport_write(dial->t, &iov, 1, dial->prologue_waits);
        if (r.status != IO_OK) {
            return r.status == IO_AGAIN ? E_AGAIN : r.status == IO_EOF ? E_RESET : r.error;
        }
        dial->prologue_sent += (uint32_t)r.n;
        if (dial->prologue_sent == c->used) {
            drop_prologue(dial);
        }
    }
    return 0;
}

static void on_way(struct outbound_step *way, int error);

/** Goes on with the step that is to be done. */
static void go_on(struct dial *dial)
{
    struct transport *t = dial->t;
    int e = 0;
    if (dial->step == DIAL_CONNECT) {
        e = transport_connected(t);
        dial->step = e == 0 ? DIAL_WAY : DIAL_CONNECT;
    }
    if (e == 0 && dial->step == DIAL_WAY) {
        if (dial->way != NULL) {
            outbound_step_begin(dial->way, t, on_way);
            return;
        }
        dial->step = DIAL_PROLOGUE;
    }
    if (e == 0) {
        e = send_prologue(dial);
    }
    if (e == E_AGAIN) {
        return;
    }
    if (e == 0 && dial->tls != NULL) {
        e = tls_connect(dial->dialer->tls, t, dial->tls, on_secured, dial);
        if (e == 0) {
            dial->step = DIAL_TLS;
            return;
        }
    }
    finish(dial, e, SLICE(""));
}

static void on_ready(struct transport *t, unsigned events)
{
    struct dial *dial = t->owner;
    ensure_magic(dial, DIAL_MAGIC);
    if ((events & (SYS_WRITE | SYS_ERROR | SYS_HANGUP)) != 0) {
        go_on(dial);
    }
}

static void on_way(struct outbound_step *way, int error)
{
    struct dial *dial = way->owner;
    ensure_magic(dial, DIAL_MAGIC);
    transport_set_owner(dial->t, dial, on_ready);
    if (error != 0) {
        finish(dial, error, SLICE(""));
        return;
    }
    dial->step = DIAL_PROLOGUE;
    go_on(dial);
}

static void on_timeout(struct wheel_timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, timer);
    ensure_magic(dial, DIAL_MAGIC);
    counter_add(dial->dialer->counters, COUNTER_timeouts, 1);
    finish(dial, dial->step == DIAL_TLS ? E_TLS_TIMEOUT : E_CONNECT_TIMEOUT, SLICE(""));
}

/** From the first source that has a port left. */
static struct transport *connect_from(struct dialer *d, const struct dial_order *o, int *error)
{
    bool tried = false;
    for (uint32_t i = 0; i < o->source_count; i++) {
        uint32_t which = (o->source_first + i) % o->source_count;
        const struct os_addr from = os_peer_addr(&o->sources[which]);
        const struct sys_connect to = {.to = o->to, .from = &from};
        if (from.kind != o->to.kind) {
            continue;
        }
        tried = true;
        struct transport *t = transport_connect(d->transports, &to, error);
        if (t != NULL ||
            (*error != E_NO_PORTS && *error != E_IN_USE && *error != E_SOURCE_UNKNOWN)) {
            return t;
        }
    }
    const struct sys_connect to = {.to = o->to};
    return tried ? NULL : transport_connect(d->transports, &to, error);
}

/** NULL: out of memory. */
static struct chunk *copy_prologue(struct dialer *d, struct slice prologue)
{
    struct chunk *c = chunk_new(&d->loop->chunks);
    if (c != NULL) {
        ensure(prologue.len <= chunk_room(c));
        memcpy(c->data, prologue.ptr, prologue.len);
        c->used = (uint32_t)prologue.len;
    }
    return c;
}

/** What has to be kept of an order until it is needed. */
struct prepared {
    struct chunk *prologue;
    struct outbound_step *way;
};

static void unprepare(struct prepared *p)
{
    if (p->prologue != NULL) {
        chunk_unref(p->prologue);
    }
    mem_free(p->way);
}

static int prepare(struct dialer *d, const struct dial_order *o, struct prepared *p)
{
    *p = (struct prepared){NULL, NULL};
    if (o->prologue.len > 0) {
        p->prologue = copy_prologue(d, o->prologue);
        if (p->prologue == NULL) {
            return E_NO_MEMORY;
        }
    }
    if (o->proxy == NULL || o->proxy->kind == OUTBOUND_DIRECT) {
        return 0;
    }
    p->way = mem_alloc(sizeof(*p->way));
    int e = p->way == NULL
                ? E_NO_MEMORY
                : outbound_talk_begin(&p->way->talk, o->proxy, o->target, o->target_port);
    if (e != 0) {
        unprepare(p);
        return e;
    }
    p->way->t = NULL;
    return 0;
}

struct dial *dial_begin(struct dialer *d, const struct dial_order *order,
                        void (*done)(struct dial *dial, const struct dial_result *r, void *arg),
                        void *arg, int *error)
{
    ensure_magic(d, DIALER_MAGIC);
    ensure(order->tls == NULL || d->tls != NULL);
    struct prepared kept;
    *error = prepare(d, order, &kept);
    if (*error != 0) {
        return NULL;
    }
    struct dial *dial = slab_take(&d->slab);
    *error = E_NO_MEMORY;
    struct transport *t = dial != NULL ? connect_from(d, order, error) : NULL;
    if (t == NULL) {
        if (dial != NULL) {
            slab_give(&d->slab, dial);
        }
        unprepare(&kept);
        return NULL;
    }
    *dial = (struct dial){
        .magic = DIAL_MAGIC,
        .dialer = d,
        .t = t,
        .tls = order->tls == NULL ? NULL : tls_origin_ref(order->tls),
        .to = order->to,
        .client = order->client,
        .way = kept.way,
        .prologue = kept.prologue,
        .prologue_waits = order->prologue_waits || order->tls != NULL,
        .started_ns = loop_clock_ns(d->loop),
        .done = done,
        .arg = arg,
    };
    if (dial->way != NULL) {
        dial->way->owner = dial;
    }
    list_init(&dial->link);
    wheel_timer_init(&dial->timer, on_timeout);
    transport_set_owner(t, dial, on_ready);
    if (order->limit_ms != 0) {
        loop_timer_set(d->loop, &dial->timer, order->limit_ms);
    }
    counter_add(d->counters, COUNTER_upstream_connects, 1);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    ensure_magic(dial, DIAL_MAGIC);
    end(dial);
    if (dial->way != NULL) {
        outbound_step_stop(dial->way);
    }
    transport_close(dial->t, false);
    release(dial);
}

struct list *dial_link(struct dial *dial)
{
    return &dial->link;
}

struct dial *dial_of_link(struct list *link)
{
    struct dial *dial = list_entry(link, struct dial, link);
    ensure_magic(dial, DIAL_MAGIC);
    return dial;
}
