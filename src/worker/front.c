// SPDX-License-Identifier: Apache-2.0
//
// Handshakes of clients (worker/front.h). What fails is counted by reason where it fails, in src/tls;
// here a connection only begins and ends.

#include "worker/front.h"

#include "base/error.h"
#include "tls/tls.h"

enum { FRONT_MAGIC = 0x66726e74, HANDSHAKE_MAGIC = 0x68616e64 };

struct handshake {
    uint32_t magic;
    struct front *front;
    struct transport *t;
    struct down_session session;
    struct wheel_timer timer;
    struct http_peer peer;
    struct list link; // front.dead
};

static void reap(struct task *task)
{
    struct front *f = container_of(task, struct front, reap);
    ensure_magic(f, FRONT_MAGIC);
    struct list *node;
    while ((node = list_first(&f->dead)) != NULL) {
        struct handshake *h = list_entry(node, struct handshake, link);
        list_remove(node);
        h->magic = 0;
        slab_give(&f->slab, h);
    }
}

/** Leaves the lists; the transport is somebody else's from here on. */
static struct transport *end(struct handshake *h)
{
    struct front *f = h->front;
    struct transport *t = h->t;
    ensure(t != NULL);
    h->t = NULL;
    loop_timer_stop(f->down->loop, &h->timer);
    down_session_close(&h->session);
    list_push_back(&f->dead, &h->link);
    loop_defer(f->down->loop, &f->reap);
    return t;
}

static struct handshake *of_session(struct down_session *s)
{
    struct handshake *h = container_of(s, struct handshake, session);
    ensure_magic(h, HANDSHAKE_MAGIC);
    return h;
}

static void close_now(struct down_session *s)
{
    transport_close(end(of_session(s)), true);
}

/** It has asked for nothing yet; the session that follows sees that the edge is ending. */
static void drain(struct down_session *s)
{
    (void)of_session(s);
}

static const struct down_session_ops session_ops = {
    .shed = close_now, .drain = drain, .abort = close_now};

static void on_timeout(struct wheel_timer *timer)
{
    struct handshake *h = container_of(timer, struct handshake, timer);
    ensure_magic(h, HANDSHAKE_MAGIC);
    counter_add(h->front->down->counters, COUNTER_timeouts, 1);
    transport_close(end(h), true);
}

static void on_done(struct transport *t, const struct tls_done *done, void *arg)
{
    struct handshake *h = arg;
    ensure_magic(h, HANDSHAKE_MAGIC);
    ensure(h->t == t);
    struct front *f = h->front;
    end(h);
    if (done->error != 0) {
        transport_close(t, false);
        return;
    }
    h->peer.secure = true;
    h->peer.security = tls_security(t);
    f->session->open(f->session, t, &h->peer, done->alpn);
}

void front_init(struct front *f, struct tls_core *tls, struct down_core *down,
                struct front_session *session, uint32_t handshakes_max)
{
    *f = (struct front){.magic = FRONT_MAGIC, .tls = tls, .down = down, .session = session};
    slab_init(&f->slab, "handshakes", sizeof(struct handshake), handshakes_max);
    list_init(&f->dead);
    task_init(&f->reap, reap);
}

void front_fini(struct front *f)
{
    ensure_magic(f, FRONT_MAGIC);
    reap(&f->reap);
    loop_cancel(f->down->loop, &f->reap);
    slab_fini(&f->slab);
    f->magic = 0;
}

int front_open(struct front *f, struct transport *t, const struct http_peer *peer)
{
    ensure_magic(f, FRONT_MAGIC);
    struct handshake *h = slab_take(&f->slab);
    if (h == NULL) {
        transport_close(t, true);
        return E_NO_MEMORY;
    }
    *h = (struct handshake){.magic = HANDSHAKE_MAGIC, .front = f, .t = t, .peer = *peer};
    list_init(&h->link);
    wheel_timer_init(&h->timer, on_timeout);
    int e = tls_accept(f->tls, t, on_done, h);
    if (e < 0) {
        transport_close(t, true);
        slab_give(&f->slab, h);
        return e;
    }
    down_session_open(f->down, &h->session, &session_ops);
    uint32_t limit_ms = f->down->settings.handshake_ms;
    if (limit_ms != 0) {
        loop_timer_set(f->down->loop, &h->timer, limit_ms);
    }
    return 0;
}
