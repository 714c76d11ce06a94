// SPDX-License-Identifier: Apache-2.0
//
// The life of an attempt: idle, asking, sent, headed, idle. The stream's events and the upstream's
// answers come in here, and the owner hears of them in a form that is the same for every kind of end.
//
// What the upstream learns must be the server's doing. A request body that broke off, our own want of
// memory, a deadline that the client chose: none of that. A pooled connection that proved stale
// and a request that the server has declared not taken say nothing either.

#include "proxy/attempt.h"

#include "base/error.h"

enum { ATTEMPT_MAGIC = 0x61747074 };

static struct attempt *attempt_of(const struct http_stream *s)
{
    struct attempt *a = s->user;
    ensure_magic(a, ATTEMPT_MAGIC);
    return a;
}

// An idle time-out is that of a pipe, which both ends have left alone.
static bool says_nothing(const struct attempt *a, int error)
{
    if (a->sending != NULL && a->sending->error != 0) {
        return true;
    }
    return (a->hurried && error == E_RESPONSE_TIMEOUT) || error == E_STALE ||
           error == E_NOT_PROCESSED || error == E_HTTP_1_1_REQUIRED || error == E_IDLE_TIMEOUT ||
           error == E_NO_MEMORY || error == E_INTERNAL;
}

static void release(struct attempt *a, int error, bool abandoned)
{
    const struct upstream_outcome o = {
        .error = error,
        .status = a->status,
        .latency_ns = a->latency_ns,
        .abandoned = abandoned || (error != 0 && says_nothing(a, error)),
    };
    upstream_release(&a->ticket, &o);
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct attempt *a = attempt_of(s);
    ensure(a->state == ATTEMPT_SENT && head == a->head);
    if (!http_status_is_interim(head->status)) {
        a->state = ATTEMPT_HEADED;
        a->status = head->status;
        a->latency_ns = a->ticket.loop->now_ns - a->sent_ns;
    }
    a->events->on_head(a);
}

static void on_error(struct http_stream *s, int error)
{
    struct attempt *a = attempt_of(s);
    ensure(error < 0);
    a->error = error;
}

static void on_sent(struct http_stream *s)
{
    (void)s;
}

static void on_closed(struct http_stream *s)
{
    struct attempt *a = attempt_of(s);
    int error = a->error;
    ensure(a->up == s);
    a->up = NULL;
    a->state = ATTEMPT_IDLE;
    release(a, error, false);
    a->events->on_over(a, error, true);
}

static void describe(const struct http_stream *s, struct text *out)
{
    const struct attempt *a = s->user;
    if (a->magic == ATTEMPT_MAGIC) {
        a->events->describe(a, out);
    }
}

static const struct http_stream_events up_events = {
    .on_head = on_head,
    .on_error = on_error,
    .on_sent = on_sent,
    .on_closed = on_closed,
    .describe = describe,
};

static void left_on_closed(struct http_stream *s)
{
    (void)s;
}

/** Of a stream that was turned away from. */
static const struct http_stream_events left_events = {.on_closed = left_on_closed};

static void on_ready(struct upstream_request *rq, struct http_stream *s)
{
    struct attempt *a = container_of(rq, struct attempt, ticket);
    ensure_magic(a, ATTEMPT_MAGIC);
    ensure(a->state == ATTEMPT_ASKING && a->up == NULL);
    a->state = ATTEMPT_SENT;
    a->up = s;
    s->events = &up_events;
    s->user = a;
    a->events->on_ready(a);
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct attempt *a = container_of(rq, struct attempt, ticket);
    ensure_magic(a, ATTEMPT_MAGIC);
    ensure(a->state == ATTEMPT_ASKING);
    a->state = ATTEMPT_IDLE;
    a->events->on_over(a, error, false);
}

void attempt_init(struct attempt *a, const struct attempt_events *events, void *owner)
{
    // Of the list of those tried the count says how much there is.
    struct upstream_request *rq = &a->ticket;
    memset(a, 0, offsetof(struct attempt, ticket.tried));
    memset(&rq->exhausted, 0, sizeof(*rq) - offsetof(struct upstream_request, exhausted));
    a->magic = ATTEMPT_MAGIC;
    a->events = events;
    a->owner = owner;
    list_init(&rq->link);
    rq->on_ready = on_ready;
    rq->on_failed = on_failed;
}

void attempt_ask(struct attempt *a)
{
    ensure_magic(a, ATTEMPT_MAGIC);
    ensure(a->state == ATTEMPT_IDLE);
    ensure(a->ticket.place == NULL); // the one before was given back
    struct upstream *u = a->ticket.upstream;
    a->state = ATTEMPT_ASKING;
    a->hurried = false;
    a->status = 0;
    a->error = 0;
    a->sending = NULL;
    a->latency_ns = 0;
    a->ticket.retry_ms = 0;
    u->ops->acquire(u, &a->ticket);
}

void attempt_abandon(struct attempt *a, int why)
{
    ensure_magic(a, ATTEMPT_MAGIC);
    ensure(attempt_is_alive(a));
    if (a->state == ATTEMPT_ASKING) {
        a->state = ATTEMPT_IDLE;
        a->ticket.upstream->ops->cancel(a->ticket.upstream, &a->ticket);
        return;
    }
    struct http_stream *up = a->up;
    bool headed = a->state == ATTEMPT_HEADED;
    a->state = ATTEMPT_IDLE;
    a->up = NULL;
    up->events = &left_events;
    up->ops->reset(up, why);
    release(a, 0, !headed);
}
