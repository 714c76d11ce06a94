// SPDX-License-Identifier: Apache-2.0
//
// Transports over streams (http/stream_transport.h): two body pipes and the flags of a transport.
//
// Who holds what: the stream is the session's until on_closed(), the transport the owner's until it
// closes it, and the memory goes when both have let go of it, at the end of that turn. The pipes outlive
// the stream, so that bytes which came before its end are still read.

#include "http/stream_transport.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/num.h"
#include "http/body.h"
#include "http/head.h"

enum {
    CORE_MAGIC = 0x73747263,
    STREAM_MAGIC = 0x73747274,
    LINGER_MS = 30 * 1000, // that nothing passes of what was written before the owner closed
    HEAD_BYTES_MAX = 16 * 1024,
    HEAD_FIELDS_MAX = 100,
    ARENA_FIRST = 768,
    ARENA_MAX = 64 * 1024,
};

enum state {
    ASKED,   // up: the answer has not come
    OFFERED, // down: no answer was sent
    OPEN,
    ORPHAN, // closed by its owner: what was written is still sent
};

struct stream_transport {
    uint32_t magic;
    uint8_t state;      // enum state
    bool busy;          // a call of the owner's is on the stack
    bool capsules;      // down: what follows the answer is capsules (RFC 9297)
    int error;          // the stream has failed
    unsigned events;    // for the owner, at the end of the turn
    uint64_t closed_at; // bytes received when the owner closed it
    uint64_t lingered;  // bytes of `send` that had gone when it was last looked
    struct stream_transports *core;
    struct http_stream *stream; // NULL: over
    struct transport *t;        // NULL: not yet, or closed
    struct http_body receive;
    struct http_body send;
    struct task tell;
    struct wheel_timer linger;
    struct list link; // core->dead
    void (*on_answer)(void *arg, struct transport *t, int error);
    void *arg;
    struct http_head request;  // up, until the answer, as are the next
    struct http_head response; // also that of the down side
    struct arena arena;
    _Alignas(16) char first[ARENA_FIRST];
};

static const struct transport_ops stream_ops;

#define CAPSULE_PROTOCOL SLICE("capsule-protocol") // RFC 9297 3.4

static struct loop *loop_of(const struct stream_transport *st)
{
    return st->core->transports->loop;
}

// ---- life -----------------------------------------------------------------------------------------

static void reap(struct task *task)
{
    struct stream_transports *c = container_of(task, struct stream_transports, reap);
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->dead)) != NULL) {
        struct stream_transport *st = list_entry(node, struct stream_transport, link);
        list_remove(node);
        st->magic = 0;
        slab_give(&c->slab, st);
    }
}

void stream_transports_init(struct stream_transports *c, struct transport_core *transports,
                            uint32_t streams_max)
{
    *c = (struct stream_transports){.magic = CORE_MAGIC, .transports = transports};
    slab_init(&c->slab, "transports over streams", sizeof(struct stream_transport), streams_max);
    list_init(&c->dead);
    task_init(&c->reap, reap);
}

void stream_transports_fini(struct stream_transports *c)
{
    ensure_magic(c, CORE_MAGIC);
    reap(&c->reap);
    loop_cancel(c->transports->loop, &c->reap);
    slab_fini(&c->slab);
    c->magic = 0;
}

/** Gives everything back when neither the session nor an owner has it any more. */
static void let_go(struct stream_transport *st)
{
    bool asked = st->state == ASKED && st->on_answer != NULL;
    if (st->stream != NULL || st->t != NULL || asked || !list_empty(&st->link)) {
        return;
    }
    struct loop *l = loop_of(st);
    loop_cancel(l, &st->tell);
    loop_timer_stop(l, &st->linger);
    http_body_fini(&st->receive, l);
    http_body_fini(&st->send, l);
    arena_fini(&st->arena);
    list_push_back(&st->core->dead, &st->link);
    loop_defer(l, &st->core->reap);
}

/** Nothing is in them. */
static void begin_heads(struct stream_transport *st)
{
    arena_init(&st->arena, st->first, sizeof(st->first), &loop_of(st)->chunks, ARENA_MAX);
    http_head_init(&st->request, &st->arena, HEAD_BYTES_MAX, HEAD_FIELDS_MAX);
    http_head_init(&st->response, &st->arena, HEAD_BYTES_MAX, HEAD_FIELDS_MAX);
}

static void tell(struct task *task);
static void on_linger(struct wheel_timer *timer);

static struct stream_transport *new_one(struct stream_transports *c, struct http_stream *s,
                                        enum state state)
{
    ensure_magic(c, CORE_MAGIC);
    struct stream_transport *st = slab_take(&c->slab);
    if (st == NULL) {
        return NULL;
    }
    st->magic = STREAM_MAGIC;
    st->state = (uint8_t)state;
    st->busy = false;
    st->capsules = false;
    st->error = 0;
    st->events = 0;
    st->closed_at = 0;
    st->lingered = 0;
    st->core = c;
    st->stream = s;
    st->t = NULL;
    st->on_answer = NULL;
    st->arg = NULL;
    http_body_init(&st->receive, HTTP_BODY_LIMIT);
    http_body_init(&st->send, HTTP_BODY_LIMIT);
    task_init(&st->tell, tell);
    wheel_timer_init(&st->linger, on_linger);
    list_init(&st->link);
    begin_heads(st);
    return st;
}

// ---- events ---------------------------------------------------------------------------------------

static void tell(struct task *task)
{
    struct stream_transport *st = container_of(task, struct stream_transport, tell);
    ensure_magic(st, STREAM_MAGIC);
    unsigned events = st->events;
    st->events = 0;
    if (st->state == ASKED) { // the answer
        void (*on_answer)(void *, struct transport *, int) = st->on_answer;
        int error = st->error != 0 ? st->error : E_RESET;
        st->on_answer = NULL;
        let_go(st);
        on_answer(st->arg, NULL, error);
        return;
    }
    if (st->on_answer != NULL) {
        void (*on_answer)(void *, struct transport *, int) = st->on_answer;
        st->on_answer = NULL;
        on_answer(st->arg, st->t, 0); // it looks at the flags by itself
        return;
    }
    if (st->t != NULL && st->t->on_ready != NULL) {
        st->t->on_ready(st->t, events);
    }
}

/** The flags at once, the owner later. */
static void raise(struct stream_transport *st, unsigned events)
{
    struct transport *t = st->t;
    if (t == NULL) {
        return;
    }
    if ((events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0) {
        t->readable = true;
    }
    t->hung_up = t->hung_up || (events & SYS_HANGUP) != 0;
    t->writable = t->writable || (events & SYS_WRITE) != 0;
    if (st->busy && (events & SYS_ERROR) == 0) {
        return; // who is calling sees it in the flags
    }
    st->events |= events;
    loop_defer(loop_of(st), &st->tell);
}

static void on_data(struct http_body *b, void *consumer)
{
    struct stream_transport *st = consumer;
    ensure_magic(st, STREAM_MAGIC);
    if (st->state != ORPHAN) {
        raise(st, b->ended ? SYS_READ | SYS_HANGUP : SYS_READ);
    } else if (st->stream != NULL && b->put_total > st->closed_at) {
        st->stream->ops->reset(st->stream, E_RESET); // nobody will ever read this
    }
}

static void on_room(struct http_body *b, void *producer)
{
    struct stream_transport *st = producer;
    ensure_magic(st, STREAM_MAGIC);
    (void)b;
    if (st->state == OPEN) {
        raise(st, SYS_WRITE);
    }
}

/** Both directions of a stream that has been agreed on. */
static void open_pipes(struct stream_transport *st)
{
    struct http_stream *s = st->stream;
    http_body_set_consumer(&st->receive, st, on_data);
    http_body_set_producer(&st->send, st, on_room);
    st->state = OPEN;
    st->t->writable = true;
    arena_fini(&st->arena); // the heads have been read
    begin_heads(st);
    s->receive_head = &st->response;
    s->ops->tunnel(s, &st->receive, &st->send);
}

// ---- what the stream says -------------------------------------------------------------------------

static struct stream_transport *of_stream(struct http_stream *s)
{
    struct stream_transport *st = s->user;
    ensure_magic(st, STREAM_MAGIC);
    ensure(st->stream == s);
    return st;
}

/** Why a request without a 2xx failed, in the words of who wanted a connection. */
static int error_of(unsigned status)
{
    switch (status) {
    case 403:
        return E_ADDRESS_REFUSED;
    case 405:
    case 501:
        return E_WRONG_PROTOCOL;
    case 503:
        return E_OVERLOADED;
    case 504:
        return E_CONNECT_TIMEOUT;
    default:
        return E_REFUSED;
    }
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct stream_transport *st = of_stream(s);
    ensure(st->state == ASKED);
    if (http_status_is_interim(head->status)) {
        return;
    }
    if (head->status != 101) {
        st->error = error_of(head->status);
        s->ops->reset(s, E_STREAM_RESET);
        return;
    }
    st->t = transport_over(st->core->transports, &stream_ops, st);
    if (st->t == NULL) {
        st->error = E_NO_MEMORY;
        s->ops->reset(s, E_NO_MEMORY);
        return;
    }
    loop_defer(loop_of(st), &st->tell);
    open_pipes(st);
}

/** However the peer or the way to it ended: a reset, for who works with connections. */
static int plain(int error)
{
    return error == E_EOF || error == E_STREAM_RESET || error == E_CLIENT_GONE ||
                   error == E_EARLY_CLOSE
               ? E_RESET
               : error;
}

static void on_bad_message(struct http_stream *s, int error)
{
    of_stream(s)->error = plain(error);
    s->ops->reset(s, error);
}

static void on_error(struct http_stream *s, int error)
{
    struct stream_transport *st = of_stream(s);
    if (st->error == 0) {
        st->error = st->state == ASKED ? error : plain(error);
    }
}

static void on_sent(struct http_stream *s)
{
    (void)of_stream(s);
}

static void on_closed(struct http_stream *s)
{
    struct stream_transport *st = of_stream(s);
    st->stream = NULL;
    if (st->state == ASKED && st->on_answer != NULL) {
        loop_defer(loop_of(st), &st->tell);
        return;
    }
    bool whole = st->receive.ended && st->send.ended && st->error == 0;
    if (!whole && st->error == 0) {
        st->error = E_RESET;
    }
    raise(st, whole ? SYS_READ | SYS_HANGUP : SYS_READ | SYS_WRITE | SYS_HANGUP | SYS_ERROR);
    let_go(st);
}

static const struct http_stream_events events = {
    .on_head = on_head,
    .on_bad_message = on_bad_message,
    .on_error = on_error,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

/** For a stream that there was no memory for. */
static void nobody_hears(struct http_stream *s)
{
    (void)s;
}

static const struct http_stream_events nobody = {.on_closed = nobody_hears};

// ---- what the owner does --------------------------------------------------------------------------

static struct stream_transport *of(struct transport *t)
{
    struct stream_transport *st = t->layer;
    ensure_magic(st, STREAM_MAGIC);
    ensure(st->t == t);
    return st;
}

static struct io_result failed(int error)
{
    return (struct io_result){.status = IO_ERROR, .error = (int16_t)error};
}

/** Copies out of the pipe; how much. */
static size_t take(struct http_body *b, const struct iovec *iov, int n)
{
    size_t got = 0;
    for (int i = 0; i < n; i++) {
        char *to = iov[i].iov_base;
        size_t room = iov[i].iov_len;
        while (room > 0 && b->q.bytes > 0) {
            struct slice front = bufq_front(&b->q);
            size_t part = num_min_size(room, front.len);
            memcpy(to, front.ptr, part);
            http_body_take(b, part);
            to += part;
            room -= part;
            got += part;
        }
    }
    return got;
}

static struct io_result st_read(struct transport *t, const struct iovec *iov, int n)
{
    struct stream_transport *st = of(t);
    struct http_body *b = &st->receive;
    size_t got = take(b, iov, n);
    if (got > 0) {
        st->busy = true;
        http_body_pull(b); // what the session held comes in
        st->busy = false;
        t->readable = b->q.bytes > 0 || b->ended || st->error != 0;
        return (struct io_result){.n = got, .status = IO_OK};
    }
    t->readable = false;
    if (b->ended) {
        return (struct io_result){.status = IO_EOF};
    }
    return st->error != 0 ? failed(st->error) : (struct io_result){.status = IO_AGAIN};
}

/** Copies into the pipe, a chunk's worth at a time: so much fits a free span. */
static int put(struct stream_transport *st, const struct iovec *iov, int n, size_t *done)
{
    struct http_body *b = &st->send;
    for (int i = 0; i < n; i++) {
        const char *from = iov[i].iov_base;
        size_t left = iov[i].iov_len;
        while (left > 0) {
            size_t part = num_min_size(num_min_size(left, http_body_room(b)), CHUNK_BYTES);
            int e = part == 0 ? E_AGAIN : http_body_write(b, &loop_of(st)->chunks, from, part);
            if (e < 0) {
                b->wants_room = true;
                return e;
            }
            from += part;
            left -= part;
            *done += part;
        }
    }
    return 0;
}

static struct io_result st_write(struct transport *t, const struct iovec *iov, int n, bool more)
{
    struct stream_transport *st = of(t);
    (void)more;
    if (st->error != 0 || st->send.ended || st->stream == NULL) {
        t->writable = false;
        return failed(st->error != 0 ? st->error : E_RESET);
    }
    if (st->state != OPEN) {
        t->writable = false;
        return (struct io_result){.status = IO_AGAIN};
    }
    size_t done = 0;
    int e = put(st, iov, n, &done);
    if (e < 0) {
        t->writable = false;
    }
    if (done > 0) {
        st->busy = true;
        http_body_notify(&st->send);
        st->busy = false;
        return (struct io_result){.n = done, .status = IO_OK};
    }
    return e == E_AGAIN ? (struct io_result){.status = IO_AGAIN} : failed(e);
}

static int st_shutdown_write(struct transport *t)
{
    struct stream_transport *st = of(t);
    if (st->error != 0) {
        return st->error;
    }
    if (st->state == OPEN && !st->send.ended) {
        http_body_end(&st->send, NULL);
        http_body_notify(&st->send);
    }
    return 0;
}

/** No 2xx was sent and none will be. */
static void refuse(struct stream_transport *st)
{
    struct http_stream *s = st->stream;
    st->response.status = 502;
    st->response.body = HTTP_BODY_NONE;
    st->response.has_length = true;
    s->ops->send_head(s, &st->response, NULL);
}

static void on_linger(struct wheel_timer *timer)
{
    struct stream_transport *st = container_of(timer, struct stream_transport, linger);
    ensure_magic(st, STREAM_MAGIC);
    if (st->stream == NULL) {
        return;
    }
    if (st->send.taken_total != st->lingered) { // a peer that is slow gets all of it
        st->lingered = st->send.taken_total;
        loop_timer_set(loop_of(st), &st->linger, LINGER_MS);
        return;
    }
    st->stream->ops->reset(st->stream, E_RESET);
}

static void st_close(struct transport *t, bool reset)
{
    struct stream_transport *st = of(t);
    struct http_stream *s = st->stream;
    enum state was = (enum state)st->state;
    st->t = NULL;
    st->state = ORPHAN;
    if (s == NULL) {
        let_go(st);
        return;
    }
    if (was == OFFERED) {
        refuse(st);
    } else if (reset) {
        s->ops->reset(s, E_RESET);
        return;
    } else {
        http_body_discard(&st->receive);
        if (st->stream == NULL) {
            return; // both ends had said all, and this was the last of it: it has been let go
        }
        st->closed_at = st->receive.put_total;
        http_body_set_consumer(&st->receive, st, on_data);
        if (!st->send.ended) {
            http_body_end(&st->send, NULL);
            http_body_notify(&st->send);
        }
    }
    if (st->stream != NULL) {
        st->lingered = st->send.taken_total;
        loop_timer_set(loop_of(st), &st->linger, LINGER_MS);
    }
}

static const struct transport_ops stream_ops = {
    .name = "stream",
    .read = st_read,
    .write = st_write,
    .shutdown_write = st_shutdown_write,
    .close = st_close,
};

// ---- the up side ----------------------------------------------------------------------------------

/** False: no room for it. */
static bool write_request(struct stream_transport *st, const struct stream_order *o)
{
    struct http_head *h = &st->request;
    h->method = HTTP_METHOD_CONNECT;
    h->method_text = http_method_text(HTTP_METHOD_CONNECT);
    h->authority = arena_dup(&st->arena, o->authority);
    h->host = h->authority;
    h->target = o->protocol.len > 0 ? arena_dup(&st->arena, o->path) : h->authority;
    h->upgrade = arena_dup(&st->arena, o->protocol);
    h->body = HTTP_BODY_NONE;
    if (h->target.ptr == NULL || h->upgrade.ptr == NULL) {
        return false;
    }
    int e = o->forwarded.len > 0 ? fields_add_id(&h->fields, HTTP_FORWARDED, o->forwarded) : 0;
    if (e == 0 && o->protocol.len > 0) {
        e = fields_add(&h->fields, CAPSULE_PROTOCOL, SLICE("?1"));
    }
    return e == 0;
}

struct stream_transport *stream_transport_ask(struct stream_transports *c, struct http_stream *s,
                                              const struct stream_order *o, int *error)
{
    struct stream_transport *st = new_one(c, s, ASKED);
    if (st == NULL) {
        s->events = &nobody;
        s->ops->reset(s, E_NO_MEMORY);
        *error = E_NO_MEMORY;
        return NULL;
    }
    s->events = &events;
    s->user = st;
    s->receive_head = &st->response;
    if (!write_request(st, o)) {
        s->ops->reset(s, E_NO_MEMORY);
        *error = E_NO_MEMORY;
        return NULL;
    }
    st->on_answer = o->on_answer;
    st->arg = o->arg;
    const struct http_timeouts times = {.head_ms = o->limit_ms};
    s->ops->set_timeouts(s, &times);
    s->ops->send_head(s, &st->request, NULL);
    return st;
}

void stream_transport_cancel(struct stream_transport *st)
{
    ensure_magic(st, STREAM_MAGIC);
    ensure(st->on_answer != NULL);
    st->on_answer = NULL;
    if (st->t != NULL) {
        transport_close(st->t, true);
    } else if (st->stream != NULL) {
        st->stream->ops->reset(st->stream, E_STREAM_RESET);
    } else {
        let_go(st); // its answer was to be told at the end of this turn
    }
}

// ---- the down side --------------------------------------------------------------------------------

struct transport *stream_transport_take(struct stream_transports *c, struct http_stream *s,
                                        bool capsules)
{
    struct stream_transport *st = new_one(c, s, OFFERED);
    if (st == NULL) {
        return NULL;
    }
    st->capsules = capsules;
    struct transport *t = transport_over(c->transports, &stream_ops, st);
    if (t == NULL) {
        st->stream = NULL;
        let_go(st);
        return NULL;
    }
    st->t = t;
    s->events = &events;
    s->user = st;
    s->receive_head = &st->response;
    const struct http_timeouts times = {.head_ms = 0}; // the owner has its own
    s->ops->set_timeouts(s, &times);
    return t;
}

void stream_transport_agree(struct transport *t)
{
    if (t->ops != &stream_ops) {
        return;
    }
    struct stream_transport *st = of(t);
    if (st->state != OFFERED || st->stream == NULL) {
        return;
    }
    struct http_stream *s = st->stream;
    st->response.status = 101;
    if (st->capsules && fields_add(&st->response.fields, CAPSULE_PROTOCOL, SLICE("?1")) < 0) {
        s->ops->reset(s, E_NO_MEMORY);
        return;
    }
    s->ops->send_head(s, &st->response, NULL);
    if (st->stream != NULL) {
        open_pipes(st);
    }
}
