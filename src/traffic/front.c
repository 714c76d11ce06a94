// SPDX-License-Identifier: Apache-2.0
//
// Newcomers (traffic/front.h). What fails is counted by reason where it fails, in src/net and src/tls;
// here a connection only goes from step to step and ends. A step reports with the transport in its
// hands, so the order is one function, next(), and no step knows of another.

#include "traffic/front.h"

#include "base/error.h"
#include "base/text.h"
#include "net/proxy_reader.h"
#include "tls/tls.h"

enum { FRONT_MAGIC = 0x66726e74, NEWCOMER_MAGIC = 0x6e657763, SAID_TEXT_MAX = 400 };

struct newcomer {
    uint32_t magic;
    struct front_steps steps; // that are still to come
    struct front *front;
    struct transport *t;
    struct proxy_reader header;
    struct down_session session;
    struct wheel_timer timer;
    struct http_peer peer;
    struct list link; // front.dead
};

/** What a header said, kept as long as the transport, which may end on another core: so it is of no
 * slab. */
struct said {
    struct transport_note note;
    struct http_proxied proxied;
    struct text text; // on the room below
    char room[SAID_TEXT_MAX];
};

static void reap(struct task *task)
{
    struct front *f = container_of(task, struct front, reap);
    ensure_magic(f, FRONT_MAGIC);
    struct list *node;
    while ((node = list_first(&f->dead)) != NULL) {
        struct newcomer *n = list_entry(node, struct newcomer, link);
        list_remove(node);
        n->magic = 0;
        slab_give(&f->slab, n);
    }
}

/** Leaves the lists; the transport is somebody else's from here on. */
static struct transport *end(struct newcomer *n)
{
    struct front *f = n->front;
    struct transport *t = n->t;
    ensure(t != NULL);
    n->t = NULL;
    proxy_reader_stop(&n->header);
    loop_timer_stop(f->down->loop, &n->timer);
    down_session_close(&n->session);
    list_push_back(&f->dead, &n->link);
    loop_defer(f->down->loop, &f->reap);
    return t;
}

static struct newcomer *of_session(struct down_session *s)
{
    struct newcomer *n = container_of(s, struct newcomer, session);
    ensure_magic(n, NEWCOMER_MAGIC);
    return n;
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
    struct newcomer *n = container_of(timer, struct newcomer, timer);
    ensure_magic(n, NEWCOMER_MAGIC);
    counter_add(n->front->down->counters, COUNTER_timeouts, 1);
    transport_close(end(n), true);
}

static int next(struct newcomer *n);

/** A step is done: the next one, or the session. */
static void go_on(struct newcomer *n)
{
    if (next(n) < 0) {
        counter_add(n->front->down->counters, COUNTER_connections_shed, 1);
        transport_close(end(n), true);
    }
}

// ---- the PROXY header -------------------------------------------------------------------------------

static void drop_said(struct transport_note *note)
{
    struct said *s = container_of(note, struct said, note);
    mem_free(s);
}

static struct slice keep(struct said *s, struct slice text)
{
    if (text.len > s->text.capacity - s->text.len) {
        return SLICE("");
    }
    const char *at = s->text.ptr + s->text.len;
    text_put(&s->text, text);
    return slice_of(at, text.len);
}

/** False: out of memory. */
static bool take_header(struct newcomer *n, const struct proxy_header *h)
{
    struct said *s = mem_alloc(sizeof(*s));
    if (s == NULL) {
        return false;
    }
    s->note.drop = drop_said;
    s->text = text_on(s->room, sizeof(s->room));
    s->proxied = (struct http_proxied){
        .to = os_peer_of(&h->to), .secure = h->secure, .client_verified = h->client_verified};
    s->proxied.unique_id = keep(s, h->unique_id);
    s->proxied.authority = keep(s, h->authority);
    s->proxied.alpn = keep(s, h->alpn);
    s->proxied.version = keep(s, h->version_tls);
    s->proxied.cipher = keep(s, h->cipher);
    s->proxied.client_name = keep(s, h->client_name);
    n->t->note = &s->note;
    n->peer.proxied = &s->proxied;
    http_peer_set(&n->peer, &h->from);
    return true;
}

static void on_header(struct proxy_reader *r, int error, const struct proxy_header *h)
{
    struct newcomer *n = container_of(r, struct newcomer, header);
    ensure_magic(n, NEWCOMER_MAGIC);
    if (error == 0 && !h->local && !take_header(n, h)) {
        counter_add(n->front->down->counters, COUNTER_connections_shed, 1);
        error = E_NO_MEMORY;
    }
    if (error < 0) {
        transport_close(end(n), true);
        return;
    }
    go_on(n);
}

// ---- the handshake ----------------------------------------------------------------------------------

static void on_secured(struct transport *t, const struct tls_done *done, void *arg)
{
    struct newcomer *n = arg;
    ensure_magic(n, NEWCOMER_MAGIC);
    ensure(n->t == t);
    struct front *f = n->front;
    end(n);
    if (done->error != 0) {
        transport_close(t, false);
        return;
    }
    n->peer.secure = true;
    n->peer.security = tls_security(t);
    f->session->open(f->session, t, &n->peer, done->alpn);
}

// ---- the order --------------------------------------------------------------------------------------

static int next(struct newcomer *n)
{
    struct front *f = n->front;
    if (n->steps.header) {
        n->steps.header = false;
        proxy_reader_begin(&n->header, n->t, f->down->counters, on_header);
        return 0;
    }
    if (n->steps.secure) {
        n->steps.secure = false;
        return tls_accept(f->tls, n->t, on_secured, n);
    }
    if (n->steps.stream != 0) {
        f->session->open_stream(f->session, end(n), &n->peer, n->steps.stream);
    } else {
        f->session->open(f->session, end(n), &n->peer, SLICE(""));
    }
    return 0;
}

void front_init(struct front *f, struct tls_core *tls, struct down_core *down,
                struct front_session *session, uint32_t connections_max)
{
    *f = (struct front){.magic = FRONT_MAGIC, .tls = tls, .down = down, .session = session};
    slab_init(&f->slab, "newcomers", sizeof(struct newcomer), connections_max);
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

int front_open(struct front *f, struct transport *t, const struct http_peer *peer,
               struct front_steps steps)
{
    ensure_magic(f, FRONT_MAGIC);
    ensure(steps.header || steps.secure);
    struct newcomer *n = slab_take(&f->slab);
    if (n == NULL) {
        transport_close(t, true);
        return E_NO_MEMORY;
    }
    *n = (struct newcomer){
        .magic = NEWCOMER_MAGIC, .front = f, .t = t, .peer = *peer, .steps = steps};
    list_init(&n->link);
    wheel_timer_init(&n->timer, on_timeout);
    int e = next(n);
    if (e < 0) {
        transport_close(t, true);
        slab_give(&f->slab, n);
        return e;
    }
    down_session_open(f->down, &n->session, &peer->addr, &session_ops);
    uint32_t limit_ms = f->down->settings.handshake_ms;
    if (limit_ms != 0) {
        loop_timer_set(f->down->loop, &n->timer, limit_ms);
    }
    return 0;
}
