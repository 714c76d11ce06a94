// SPDX-License-Identifier: Apache-2.0
//
// The origin's side of an exchange: sends the request to an upstream, takes the response, repeats
// what may be repeated, and asks a second server when the first is slow.
//
// What may be repeated (RFC 9110 9.2.2): an attempt that never reached an origin, always; one that
// may have, only when the method is idempotent and the body can be given again. A response that has
// begun is never replaced: it is cut, visibly.
//
// Up to two attempts live at once, `first` and a hedge. The first final head wins and the other is
// reset; one that fails while the other lives is forgotten. docs/design/exchange.md says it all.

#include "base/error.h"
#include "base/hash.h"
#include "obs/trace.h"
#include "proxy/exchange_int.h"
#include "proxy/forwarded.h"
#include "proxy/grpc.h"

enum {
    BACKOFF_FACTOR_MAX = 27,
    // Of a response that is not wanted, so much is read away for the sake of its connection.
    THROWN_BYTES_MAX = 64 * 1024,
    THROWN_READ_MS = 1000,
};

/** The second attempt, with what it cannot share; on the exchange's arena. */
struct hedge {
    struct attempt attempt;
    struct http_head request; // the same fields, but an authority of its own
    struct http_head response;
    struct http_body body;
};

static void ask(struct exchange *x);

static struct exchange *exchange_of_attempt(const struct attempt *a)
{
    struct exchange *x = a->owner;
    ensure_magic(x, EXCHANGE_MAGIC);
    return x;
}

/** The other one of two that live at once, or NULL. */
static struct attempt *other_of(struct exchange *x, const struct attempt *a)
{
    struct attempt *other = a == &x->first ? NULL : &x->first;
    if (other == NULL && x->hedge != NULL) {
        other = &x->hedge->attempt;
    }
    return other != NULL && attempt_is_alive(other) ? other : NULL;
}

// ---- repeats ---------------------------------------------------------------------------------------

/** The client can still be answered by another attempt, and the body be given to it. */
static bool can_repeat(const struct exchange *x)
{
    return x->down != NULL && !x->answered &&
           (x->request.body == HTTP_BODY_NONE || http_body_can_rewind(&x->request_body));
}

static bool is_idempotent(const struct exchange *x)
{
    return http_method_is_idempotent((enum http_method)x->request.method);
}

/** The upstream's leave to load its servers with one more. */
static bool has_budget(const struct exchange *x, bool hedge)
{
    struct upstream *u = x->upstream;
    return u->ops->may_repeat == NULL || u->ops->may_repeat(u, x->loop, hedge);
}

static void repeat(struct exchange *x)
{
    counter_add(x->core->counters, COUNTER_upstream_retries, 1);
    if (x->request.body != HTTP_BODY_NONE) {
        http_body_rewind(&x->request_body);
    }
    ask(x);
}

/** Another server is asked at once; when every one has failed, one that restarts gets a moment, not the
 * same one for everybody. */
static void pause_and_repeat(struct exchange *x)
{
    uint32_t backoff_ms = x->upstream->backoff_ms;
    uint32_t factor = 1;
    for (unsigned i = 0; i < x->attempts && factor < BACKOFF_FACTOR_MAX; i++) {
        factor *= 3;
    }
    x->attempts++;
    if (!x->first.ticket.exhausted || backoff_ms == 0) {
        repeat(x);
        return;
    }
    uint64_t ms = (uint64_t)backoff_ms * factor;
    x->state = EXCHANGE_CONNECTING;
    loop_timer_set(x->loop, &x->timer, ms + rng_below(&x->loop->rng, ms / 2 + 1));
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

/** The server has not taken the request: that costs no attempt. */
static bool was_not_taken(int error)
{
    return error == E_STALE || error == E_NOT_PROCESSED || error == E_HTTP_1_1_REQUIRED;
}

/** Another attempt may end otherwise, and is wanted then. */
static bool is_worth_repeating(const struct exchange *x, int error, bool reached)
{
    const struct upstream *u = x->upstream;
    switch (error) {
    case E_STALE:
    case E_NOT_PROCESSED:
    case E_HTTP_1_1_REQUIRED:
        return true;
    case E_STREAM_RESET:
    case E_RESET:
    case E_PEER_SILENT:
    case E_EARLY_CLOSE:
        return (u->retry_on & (reached ? UPSTREAM_RETRY_RESET : UPSTREAM_RETRY_CONNECT)) != 0;
    case E_RESPONSE_TIMEOUT: // of one try; when the time for all is over, it is over
        return u->try_ms > 0 && (u->retry_on & UPSTREAM_RETRY_TIMEOUT) != 0;
    case E_REFUSED:
    case E_UNREACHABLE:
    case E_CONNECT_TIMEOUT:
    case E_TLS_TIMEOUT:
    case E_TLS_HANDSHAKE:
        return (u->retry_on & UPSTREAM_RETRY_CONNECT) != 0;
    default:
        return is_of_one_server(error) && !x->first.ticket.exhausted &&
               (u->retry_on & UPSTREAM_RETRY_CONNECT) != 0;
    }
}

/** The attempt failed before a response, and no other lives: again, or an error page. */
static void all_failed(struct exchange *x, int error, bool reached)
{
    bool not_taken = was_not_taken(error);
    bool safe =
        !reached || error == E_NOT_PROCESSED || error == E_HTTP_1_1_REQUIRED || is_idempotent(x);
    if (safe && is_worth_repeating(x, error, reached) && can_repeat(x)) {
        if (not_taken && !x->first.ticket.fresh) {
            x->first.ticket.fresh = true;
            repeat(x);
            return;
        }
        // A server that was not reached has no more load from the next attempt than from this one.
        if (x->attempts < x->upstream->attempts && (!reached || has_budget(x, false))) {
            pause_and_repeat(x);
            return;
        }
    }
    counter_add(x->core->counters, COUNTER_upstream_errors, 1);
    exchange_fail(x, error, HTTP_UP);
}

static void attempt_failed(struct exchange *x, struct attempt *a, int error, bool reached)
{
    loop_timer_stop(x->loop, &x->timer);
    if (other_of(x, a) == NULL) {
        all_failed(x, error, reached);
    }
}

/** A final response whose status asks for another attempt, when one may be made. */
static bool is_unwanted(struct exchange *x, const struct attempt *a)
{
    const struct upstream *u = x->upstream;
    if (u->retry_statuses == NULL || a->status >= UPSTREAM_STATUSES_END ||
        (u->retry_statuses[a->status / 64] >> a->status % 64 & 1) == 0) {
        return false;
    }
    if (other_of(x, a) != NULL) {
        return true; // it may have a better one
    }
    return is_idempotent(x) && can_repeat(x) && x->attempts < u->attempts && has_budget(x, false);
}

/** What it said is read away when that is little, so that its connection can be used again. The
 * attempt that takes its place begins when it is over. */
static void throw_away(struct exchange *x, struct attempt *a)
{
    struct http_head *head = a->head;
    loop_timer_stop(x->loop, &x->timer);
    if (other_of(x, a) != NULL) {
        attempt_abandon(a, E_CLIENT_GONE);
        return;
    }
    bool large =
        head->body != HTTP_BODY_NONE && head->has_length && head->content_length > THROWN_BYTES_MAX;
    bool sending = x->request.body != HTTP_BODY_NONE && !http_body_done(&x->request_body);
    if (large || sending) {
        attempt_abandon(a, E_CLIENT_GONE);
        pause_and_repeat(x);
        return;
    }
    x->throwing_away = true;
    if (head->body != HTTP_BODY_NONE) {
        const struct http_timeouts times = {.head_ms = THROWN_READ_MS, .read_ms = THROWN_READ_MS};
        a->up->ops->set_timeouts(a->up, &times);
        x->response_body.total_max = THROWN_BYTES_MAX;
        a->up->ops->receive_body(a->up, &x->response_body);
        http_body_discard(&x->response_body);
    }
}

/** What was thrown away is out of the way. */
static void clear_thrown(struct exchange *x)
{
    x->throwing_away = false;
    http_body_fini(&x->response_body, x->loop);
    http_body_init(&x->response_body, EXCHANGE_BODY_LIMIT);
}

// ---- the response ----------------------------------------------------------------------------------

/** This attempt's response is the exchange's. */
static void win(struct exchange *x, struct attempt *a)
{
    x->answers = a;
    x->times.response = x->loop->now_ns;
    if (a != &x->first) {
        counter_add(x->core->counters, COUNTER_upstream_hedges_won, 1);
        x->response = *a->head;
    }
    if (x->upstream->hedge_ms > 0) {
        loop_timer_stop(x->loop, &x->timer);
        struct attempt *other = other_of(x, a);
        if (other != NULL) {
            attempt_abandon(other, E_CLIENT_GONE);
        }
    }
}

/** The upstream's own cookie, by which it knows the client again. */
static int add_cookie(struct exchange *x, const struct attempt *a)
{
    if (a->ticket.set_cookie.len == 0) {
        return 0;
    }
    return fields_add_id(&x->response.fields, HTTP_SET_COOKIE, a->ticket.set_cookie);
}

/** The response of the origin is complete in its head and goes on to the client. */
static void take_response(struct exchange *x, struct attempt *a)
{
    x->state = EXCHANGE_ANSWERING;
    if (x->response.body != HTTP_BODY_NONE) {
        a->up->ops->receive_body(a->up, &x->response_body);
    }
    if (add_cookie(x, a) < 0 || forwarded_response(x, a->up->ops->protocol) < 0) {
        exchange_fail(x, E_HEAD_TOO_LARGE, HTTP_UP);
        return;
    }
    stages_response(x);
}

/** 101: from here on bytes flow both ways, and the exchange only waits for the end. */
static void become_pipe(struct exchange *x, struct attempt *a)
{
    x->state = EXCHANGE_ANSWERING;
    if (add_cookie(x, a) < 0) {
        exchange_fail(x, E_HEAD_TOO_LARGE, HTTP_UP);
        return;
    }
    stages_interim(x, &x->response);
    x->upgraded = true;
    x->answered = true;
    trace(TRACE_upgrade, (uintptr_t)x, a->up->peer->connection_id);
    counter_add(x->core->counters, COUNTER_upgrades, 1);
    counter_add(x->core->counters, COUNTER_responses_1xx, 1);
    a->sending = &x->request_body;
    a->up->ops->tunnel(a->up, &x->response_body, &x->request_body);
    x->down->ops->send_head(x->down, &x->response, NULL);
    if (x->down != NULL) {
        x->down->ops->tunnel(x->down, &x->request_body, &x->response_body);
    }
}

static void init_response(struct exchange *x, struct http_head *head)
{
    http_head_init(head, &x->arena, x->snapshot->head_bytes * 2,
                   (uint16_t)(x->snapshot->head_fields + 16));
}

static void pass_interim(struct exchange *x, struct attempt *a)
{
    if (a == &x->first) { // of two attempts one tells them
        counter_add(x->core->counters, COUNTER_responses_1xx, 1);
        stages_interim(x, a->head);
        x->down->ops->send_head(x->down, a->head, NULL);
    }
    init_response(x, a->head);
}

static void on_head(struct attempt *a)
{
    struct exchange *x = exchange_of_attempt(a);
    unsigned status = a->head->status;
    ensure(x->state == EXCHANGE_WAITING && x->answers == NULL);
    trace(TRACE_head, (uintptr_t)x, status);
    if (http_status_is_interim(status)) {
        pass_interim(x, a);
    } else if (is_unwanted(x, a)) {
        throw_away(x, a);
    } else {
        win(x, a);
        if (status == 101) {
            become_pipe(x, a);
        } else {
            take_response(x, a);
        }
    }
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

static void on_over(struct attempt *a, int error, bool reached)
{
    struct exchange *x = exchange_of_attempt(a);
    if (x->down == NULL) {
        exchange_check_done(x);
        return;
    }
    if (x->throwing_away) {
        clear_thrown(x);
        pause_and_repeat(x);
        return;
    }
    if (x->answers == NULL) {
        attempt_failed(x, a, error, reached);
        return;
    }
    ensure(x->answers == a);
    if (error == 0) {
        if (x->request.body != HTTP_BODY_NONE && !x->request_body.ended) {
            http_body_discard(&x->request_body); // answered before all of it was sent
        }
    } else if (x->upgraded) {
        break_pipe(x, error);
    } else if (x->state == EXCHANGE_ANSWERING && !x->waiting) {
        cut_response(x, error);
    } else {
        http_body_fail(&x->response_body, error); // seen when the stages go on
    }
}

// ---- the request -----------------------------------------------------------------------------------

static void set_host(const struct exchange *x, const struct attempt *a, struct http_head *request)
{
    const struct upstream *u = x->upstream;
    if (u->host_mode == UPSTREAM_HOST_TEXT) {
        request->authority = u->host_text;
    } else if (u->host_mode == UPSTREAM_HOST_SERVER || request->authority.len == 0) {
        // HTTP/1.0 without Host has none to pass, and an empty one is what many origins refuse.
        const struct upstream_request *rq = &a->ticket;
        struct slice host = rq->server_host.len > 0 ? rq->server_host : rq->server_text;
        bool is_socket = slice_starts(host, SLICE("unix:"));
        request->authority = is_socket ? SLICE("localhost") : host;
    }
}

static uint32_t least_ms(uint32_t a, uint32_t b)
{
    return b == 0 || (a != 0 && a < b) ? a : b;
}

/** A time-out, or what is left of the client's own time. */
static uint32_t within_deadline(const struct exchange *x, uint32_t ms)
{
    if (!fields_has(&x->request.fields, HTTP_CONTENT_TYPE)) {
        return ms; // gRPC always has one
    }
    uint32_t left = grpc_time_left_ms(x);
    // One more, for what the timers' whole milliseconds leave out: when it is over it must be over.
    return left != UINT32_MAX && (ms == 0 || left < ms) ? left + 1 : ms;
}

static void on_ready(struct attempt *a)
{
    struct exchange *x = exchange_of_attempt(a);
    struct http_head *request = &x->request;
    struct http_body *body = x->request.body == HTTP_BODY_NONE ? NULL : &x->request_body;
    if (a == &x->first) {
        x->times.acquired = x->loop->now_ns;
        x->times.connect = a->ticket.connect_ns;
    } else {
        request = &x->hedge->request;
        body = body == NULL ? NULL : &x->hedge->body;
    }
    if (a->ticket.reused) {
        counter_add(x->core->counters, COUNTER_upstream_reused, 1);
    }
    x->state = EXCHANGE_WAITING;
    trace(TRACE_connected, (uintptr_t)x, a->ticket.reused);
    init_response(x, a->head);
    set_host(x, a, request);
    struct http_timeouts times = x->route->up_timeouts;
    times.head_ms = least_ms(times.head_ms, x->upstream->try_ms);
    uint32_t head_ms = within_deadline(x, times.head_ms);
    a->hurried = head_ms != times.head_ms;
    times.head_ms = head_ms;
    attempt_send(a, &times, request, body);
}

static void describe(const struct attempt *a, struct text *out)
{
    exchange_describe(a->owner, out);
}

static const struct attempt_events events = {
    .on_ready = on_ready,
    .on_head = on_head,
    .on_over = on_over,
    .describe = describe,
};

/** A second server may be asked, once, when the first is slow. */
static bool may_hedge(const struct exchange *x)
{
    return x->upstream->hedge_ms > 0 && x->hedge == NULL && x->request.upgrade.len == 0 &&
           is_idempotent(x) && !grpc_is_request(x);
}

static void ask(struct exchange *x)
{
    x->state = EXCHANGE_CONNECTING;
    if (x->upstream->hedge_ms > 0 && may_hedge(x)) {
        loop_timer_set(x->loop, &x->timer, x->upstream->hedge_ms);
    }
    attempt_ask(&x->first);
}

// ---- the second attempt ----------------------------------------------------------------------------

static void note_tried(struct upstream_request *rq, const void *server)
{
    for (unsigned i = 0; i < rq->tried_count; i++) {
        if (rq->tried[i] == server) {
            return;
        }
    }
    if (server != NULL && rq->tried_count < UPSTREAM_TRIED_MAX) {
        rq->tried[rq->tried_count++] = server;
    }
}

static bool has_whole_body(const struct exchange *x)
{
    return x->request.body == HTTP_BODY_NONE || x->request_body.ended;
}

static void begin_hedge(struct exchange *x)
{
    bool queued = x->first.ticket.place == NULL; // the second would only wait behind it
    if (queued || x->first.ticket.exhausted || !can_repeat(x) || !has_whole_body(x) ||
        !has_budget(x, true)) {
        return;
    }
    struct hedge *h = arena_alloc(&x->arena, sizeof(*h));
    if (h == NULL) {
        return;
    }
    attempt_init(&h->attempt, &events, x);
    if (x->request.body != HTTP_BODY_NONE && http_body_copy(&h->body, &x->request_body) < 0) {
        return;
    }
    struct upstream_request *rq = &h->attempt.ticket;
    const struct upstream_request *first = &x->first.ticket;
    memcpy(rq->tried, first->tried, sizeof(rq->tried));
    rq->tried_count = first->tried_count;
    note_tried(rq, first->server);
    rq->loop = x->loop;
    rq->upstream = x->upstream;
    rq->subject = &x->subject;
    rq->connect_ms = first->connect_ms;
    h->request = x->request;
    h->attempt.head = &h->response;
    x->hedge = h;
    counter_add(x->core->counters, COUNTER_upstream_hedges, 1);
    attempt_ask(&h->attempt);
}

void forward_fini(struct exchange *x)
{
    ensure(x->hedge != NULL);
    ensure(x->hedge->attempt.ticket.place == NULL);
    if (x->request.body != HTTP_BODY_NONE) {
        http_body_fini(&x->hedge->body, x->loop);
    }
}

// ---- begin and end ---------------------------------------------------------------------------------

/** The pause before an attempt is over, or the first one is slow. */
static void on_timer(struct wheel_timer *t)
{
    struct exchange *x = container_of(t, struct exchange, timer);
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(x->down != NULL && x->answers == NULL);
    if (attempt_is_alive(&x->first)) {
        begin_hedge(x);
    } else {
        ensure(x->state == EXCHANGE_CONNECTING);
        repeat(x);
    }
}

void forward_init(struct exchange *x)
{
    wheel_timer_init(&x->timer, on_timer);
    attempt_init(&x->first, &events, x);
    x->first.head = &x->response;
}

/** For whom an origin's connection is, where that is told. At the end of a tunnel that carries many clients
 * it is the one of this request, known by its address alone. */
static const struct http_peer *peer_of(struct exchange *x)
{
    const struct http_peer *peer = x->down->peer;
    struct http_peer *own = peer->many ? arena_zalloc(&x->arena, sizeof(*own)) : NULL;
    if (own == NULL) {
        return peer; // without a place for it the origin is told nothing
    }
    http_peer_set(own, &x->client);
    const struct hash_key key = {{peer->connection_id, 0}};
    own->connection_id = hash_bytes(&key, http_peer_ip(own)) | 1;
    return own;
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
    struct upstream_request *rq = &x->first.ticket;
    x->subject = (struct upstream_subject){
        .request = &x->request,
        .client = &x->client,
        .peer = peer_of(x),
        .path = x->normal_path,
        .arena = &x->arena,
    };
    rq->loop = x->loop;
    rq->subject = &x->subject;
    int none_error = u->none_error;
    u = u->ops->choose == NULL ? u : u->ops->choose(u, rq);
    if (u == NULL) { // a name that nobody has is the client's mistake
        exchange_fail(x, none_error != 0 ? none_error : E_NO_SERVER,
                      none_error != 0 ? HTTP_DOWN : HTTP_UP);
        return;
    }
    x->upstream = u;
    if (x->request.body != HTTP_BODY_NONE && u->replay_bytes > 0) {
        http_body_keep(&x->request_body, &x->kept, u->replay_bytes);
    }
    if (x->route->mirror != NULL) {
        mirror_request(x);
    }
    rq->upstream = u;
    rq->connect_ms = within_deadline(x, least_ms(x->route->connect_ms, u->try_ms));
    rq->upgrade = x->request.upgrade.len > 0;
    ask(x);
}

void forward_abandon(struct exchange *x)
{
    loop_timer_stop(x->loop, &x->timer);
    if (attempt_is_alive(&x->first)) {
        attempt_abandon(&x->first, E_CLIENT_GONE);
    }
    if (x->hedge != NULL && attempt_is_alive(&x->hedge->attempt)) {
        attempt_abandon(&x->hedge->attempt, E_CLIENT_GONE);
    }
    if (x->throwing_away) {
        clear_thrown(x); // an answer of ours may need its place
    }
}
