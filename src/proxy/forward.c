// SPDX-License-Identifier: Apache-2.0
//
// The origin's side of an exchange: asks the upstream for a stream, sends the request, takes the
// response, and repeats what may be repeated.
//
// What may be repeated (RFC 9110 9.2.2): an attempt that never reached an origin, always; one that
// may have, only when the method is idempotent and the body can be given again. A response that has
// begun is never replaced: it is cut, visibly.

#include "base/error.h"
#include "obs/trace.h"
#include "proxy/exchange_int.h"
#include "proxy/forwarded.h"
#include "proxy/grpc.h"

enum { BACKOFF_FACTOR_MAX = 27 };

static void acquire(struct exchange *x);

static bool may_repeat(const struct exchange *x)
{
    return x->down != NULL && !x->answered &&
           (x->request.body == HTTP_BODY_NONE || http_body_can_rewind(&x->request_body));
}

static void repeat(struct exchange *x)
{
    counter_add(x->core->counters, COUNTER_upstream_retries, 1);
    if (x->request.body != HTTP_BODY_NONE) {
        http_body_rewind(&x->request_body);
    }
    acquire(x);
}

void forward_backoff_over(struct wheel_timer *t)
{
    struct exchange *x = container_of(t, struct exchange, backoff);
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(x->state == EXCHANGE_CONNECTING && x->down != NULL);
    repeat(x);
}

/** Another server is asked at once; when every one has failed, one that restarts gets a moment. */
static void pause_and_repeat(struct exchange *x, uint32_t backoff_ms)
{
    uint32_t factor = 1;
    for (unsigned i = 0; i < x->attempts && factor < BACKOFF_FACTOR_MAX; i++) {
        factor *= 3;
    }
    x->attempts++;
    if (!x->acquire.exhausted || backoff_ms == 0) {
        repeat(x);
        return;
    }
    x->state = EXCHANGE_CONNECTING;
    loop_timer_set(x->loop, &x->backoff, (uint64_t)backoff_ms * factor);
}

/** Another attempt may end otherwise. */
static bool is_transient(int error)
{
    switch (error) {
    case E_STALE:
    case E_NOT_PROCESSED:
    case E_HTTP_1_1_REQUIRED:
    case E_STREAM_RESET:
    case E_RESET:
    case E_EARLY_CLOSE:
    case E_REFUSED:
    case E_UNREACHABLE:
    case E_CONNECT_TIMEOUT:
    case E_TLS_TIMEOUT:
    case E_TLS_HANDSHAKE:
        return true;
    default:
        return false;
    }
}

/** What is wrong with one server's TLS stays wrong, but another's may be right. */
static bool is_of_one_server(int error)
{
    switch (error) {
    case E_TLS_VERSION:
    case E_TLS_CIPHER:
    case E_TLS_ALERT:
    case E_TLS_UNTRUSTED:
    case E_TLS_EXPIRED:
    case E_TLS_WRONG_NAME:
    case E_TLS_NOT_TLS:
        return true;
    default:
        return false;
    }
}

static bool is_worth_repeating(const struct exchange *x, int error)
{
    return is_transient(error) || (is_of_one_server(error) && !x->acquire.exhausted);
}

/** The attempt failed before a response: again, or an error page. */
static void attempt_failed(struct exchange *x, int error, bool reached)
{
    const struct upstream *u = x->route->upstream;
    bool safe = !reached || error == E_NOT_PROCESSED || error == E_HTTP_1_1_REQUIRED ||
                http_method_is_idempotent((enum http_method)x->request.method);
    if (safe && is_worth_repeating(x, error) && may_repeat(x)) {
        bool not_taken =
            error == E_STALE || error == E_NOT_PROCESSED || error == E_HTTP_1_1_REQUIRED;
        if (not_taken && !x->acquire.fresh) {
            x->acquire.fresh = true; // no attempt is used up: nobody took the request
            repeat(x);
            return;
        }
        if (x->attempts < u->attempts) {
            pause_and_repeat(x, u->backoff_ms);
            return;
        }
    }
    counter_add(x->core->counters, COUNTER_upstream_errors, 1);
    exchange_fail(x, error, HTTP_UP);
}

/** The response of the origin is complete in its head and goes on to the client. */
static void take_response(struct exchange *x, struct http_head *head)
{
    x->state = EXCHANGE_ANSWERING;
    x->times.response = x->loop->now_ns;
    if (head->body != HTTP_BODY_NONE) {
        x->up->ops->receive_body(x->up, &x->response_body);
    }
    if (forwarded_response(x, x->up->ops->protocol) < 0) {
        exchange_fail(x, E_HEAD_TOO_LARGE, HTTP_UP);
        return;
    }
    stages_response(x);
}

/** 101: from here on bytes flow both ways, and the exchange only waits for the end. */
static void become_pipe(struct exchange *x, struct http_head *head)
{
    x->state = EXCHANGE_ANSWERING;
    x->upgraded = true;
    x->answered = true;
    trace(TRACE_upgrade, (uintptr_t)x, x->up->peer->connection_id);
    x->times.response = x->loop->now_ns;
    counter_add(x->core->counters, COUNTER_upgrades, 1);
    counter_add(x->core->counters, COUNTER_responses_1xx, 1);
    x->up->ops->tunnel(x->up, &x->response_body, &x->request_body);
    x->down->ops->send_head(x->down, head, NULL);
    if (x->down != NULL) {
        x->down->ops->tunnel(x->down, &x->request_body, &x->response_body);
    }
}

static void init_response(struct exchange *x)
{
    http_head_init(&x->response, &x->arena, x->snapshot->head_bytes * 2,
                   (uint16_t)(x->snapshot->head_fields + 16));
}

static void up_on_head(struct http_stream *s, struct http_head *head)
{
    struct exchange *x = exchange_of(s);
    ensure(x->state == EXCHANGE_WAITING && head == &x->response);
    trace(TRACE_head, (uintptr_t)x, head->status);
    if (head->status == 101) {
        become_pipe(x, head);
        return;
    }
    if (head->status >= 200) {
        take_response(x, head);
        return;
    }
    counter_add(x->core->counters, COUNTER_responses_1xx, 1);
    x->down->ops->send_head(x->down, head, NULL);
    init_response(x);
}

static void up_on_error(struct http_stream *s, int error)
{
    struct exchange *x = exchange_of(s);
    ensure(error < 0);
    x->up_error = error;
}

static void up_on_sent(struct http_stream *s)
{
    (void)s;
}

static void cut_response(struct exchange *x, int error)
{
    if (x->error == 0) {
        x->error = error;
        x->error_side = HTTP_UP;
    }
    counter_add(x->core->counters, COUNTER_upstream_errors, 1);
    http_body_fail(&x->response_body, error);
    http_body_notify(&x->response_body);
}

/** The origin of a pipe is gone. When its direction was complete before, only the client's is left, and
 * nobody takes it. */
static void break_pipe(struct exchange *x, int error)
{
    if (!x->response_body.ended) {
        cut_response(x, error);
    } else if (http_body_bytes(&x->response_body) == 0) {
        x->down->ops->reset(x->down, error);
    } else {
        http_body_discard(&x->request_body);
    }
}

static void up_on_closed(struct http_stream *s)
{
    struct exchange *x = exchange_of(s);
    int error = x->up_error;
    x->up = NULL;
    x->up_error = 0;
    upstream_release(&x->acquire,
                     &(struct upstream_outcome){.error = error, .status = x->response.status});
    if (x->down == NULL) {
        exchange_check_done(x);
        return;
    }
    if (error == 0) {
        if (x->request.body != HTTP_BODY_NONE && !x->request_body.ended) {
            http_body_discard(&x->request_body); // answered before all of it was sent
        }
        return;
    }
    if (x->state == EXCHANGE_WAITING) {
        attempt_failed(x, error, true);
    } else if (x->upgraded) {
        break_pipe(x, error);
    } else if (x->state == EXCHANGE_ANSWERING && !x->waiting) {
        cut_response(x, error);
    } else {
        http_body_fail(&x->response_body, error); // seen when the stages go on
    }
}

static const struct http_stream_events up_events = {
    .on_head = up_on_head,
    .on_error = up_on_error,
    .on_sent = up_on_sent,
    .on_closed = up_on_closed,
    .describe = exchange_describe,
};

static void abandoned_on_closed(struct http_stream *s)
{
    (void)s;
}

/** Of a stream that the exchange has turned away from. */
static const struct http_stream_events abandoned_events = {.on_closed = abandoned_on_closed};

static void set_host(struct exchange *x)
{
    const struct upstream *u = x->route->upstream;
    if (u->host_mode == UPSTREAM_HOST_TEXT) {
        x->request.authority = u->host_text;
    } else if (u->host_mode == UPSTREAM_HOST_SERVER || x->request.authority.len == 0) {
        // HTTP/1.0 without Host has none to pass, and an empty one is what many origins refuse.
        bool is_socket = slice_starts(x->acquire.server_host, SLICE("unix:"));
        x->request.authority = is_socket ? SLICE("localhost") : x->acquire.server_host;
    }
}

/** A time-out, or what is left of the client's own time. */
static uint32_t within_deadline(const struct exchange *x, uint32_t ms)
{
    uint32_t left = grpc_time_left_ms(x);
    return left != UINT32_MAX && (ms == 0 || left < ms) ? left : ms;
}

static void on_ready(struct upstream_request *rq, struct http_stream *s)
{
    struct exchange *x = container_of(rq, struct exchange, acquire);
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(x->acquiring && x->up == NULL);
    x->acquiring = false;
    x->state = EXCHANGE_WAITING;
    trace(TRACE_connected, (uintptr_t)x, rq->reused);
    x->times.acquired = x->loop->now_ns;
    x->times.connect = rq->connect_ns;
    if (rq->reused) {
        counter_add(x->core->counters, COUNTER_upstream_reused, 1);
    }
    x->up = s;
    s->events = &up_events;
    s->user = x;
    s->receive_head = &x->response;
    init_response(x);
    set_host(x);
    struct http_timeouts times = x->route->up_timeouts;
    times.head_ms = within_deadline(x, times.head_ms);
    s->ops->set_timeouts(s, &times);
    s->ops->send_head(s, &x->request, x->request.body == HTTP_BODY_NONE ? NULL : &x->request_body);
}

static void on_failed(struct upstream_request *rq, int error)
{
    struct exchange *x = container_of(rq, struct exchange, acquire);
    ensure_magic(x, EXCHANGE_MAGIC);
    x->acquiring = false;
    attempt_failed(x, error, false);
}

static void acquire(struct exchange *x)
{
    struct upstream *u = x->route->upstream;
    x->state = EXCHANGE_CONNECTING;
    x->acquiring = true;
    u->ops->acquire(u, &x->acquire);
}

void forward_request(struct exchange *x)
{
    struct upstream *u = x->route->upstream;
    if (u == NULL) {
        exchange_fail(x, E_NO_ROUTE, HTTP_DOWN);
        return;
    }
    int e = forwarded_request(x);
    if (e < 0) {
        exchange_fail(x, e, HTTP_DOWN);
        return;
    }
    if (x->request.body != HTTP_BODY_NONE && u->replay_bytes > 0) {
        http_body_keep(&x->request_body, &x->kept, u->replay_bytes);
    }
    list_init(&x->acquire.link);
    struct upstream_subject *subject = arena_zalloc(&x->arena, sizeof(*subject));
    if (subject == NULL) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    *subject = (struct upstream_subject){.request = &x->request,
                                         .client = &x->client,
                                         .peer = x->down->peer,
                                         .path = x->normal_path,
                                         .arena = &x->arena};
    x->acquire.subject = subject;
    x->acquire.loop = x->loop;
    x->acquire.upstream = u;
    x->acquire.connect_ms = within_deadline(x, x->route->connect_ms);
    x->acquire.upgrade = x->request.upgrade.len > 0;
    x->acquire.on_ready = on_ready;
    x->acquire.on_failed = on_failed;
    acquire(x);
}

void forward_abandon(struct exchange *x)
{
    if (x->acquiring) {
        x->acquiring = false;
        x->acquire.upstream->ops->cancel(x->acquire.upstream, &x->acquire);
    }
    loop_timer_stop(x->loop, &x->backoff);
    struct http_stream *up = x->up;
    if (up == NULL) {
        return;
    }
    x->up = NULL;
    upstream_release(&x->acquire, &(struct upstream_outcome){.abandoned = true});
    up->events = &abandoned_events;
    up->ops->reset(up, E_CLIENT_GONE);
}
