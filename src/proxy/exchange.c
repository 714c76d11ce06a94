// SPDX-License-Identifier: Apache-2.0
//
// The life of an exchange and its client's side. stages.c runs the stages and makes answers,
// forward.c speaks to the origin.
//
// Two streams hang on an exchange, and each is forgotten when its session calls on_closed. The
// exchange is over when both are; until then either side may fail at any time, also from inside a
// call that we make, so every function that calls a stream returns at once or looks again.

#include "base/error.h"
#include "obs/trace.h"
#include "proxy/access_log.h"
#include "proxy/canonical.h"
#include "proxy/exchange_int.h"
#include "proxy/forwarded.h"
#include "proxy/match.h"

static_assert(EXCHANGE_ID_BYTES == 2 * sizeof(uint64_t), "two words of eight digits each");

/** Eight hexadecimal digits, a byte each, of 32 bits. */
static uint64_t hex_digits(uint32_t bits)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t v = bits;
    v = (v << 16 | v) & 0x0000ffff0000ffffu;
    v = (v << 8 | v) & 0x00ff00ff00ff00ffu;
    v = (v << 4 | v) & 0x0f0f0f0f0f0f0f0fu;
    uint64_t letters = (v + 6 * each) >> 4 & each;
    return v + '0' * each + letters * ('a' - '0' - 10);
}

static void make_id(struct exchange *x)
{
    uint64_t v = rng_u64(&x->loop->rng);
    const uint64_t digits[] = {hex_digits((uint32_t)v), hex_digits((uint32_t)(v >> 32))};
    memcpy(x->id, digits, sizeof(digits));
}

/** Sets every member but the big ones that need no value: the arena's first bytes, the queues'
 * spans. */
static void init(struct exchange *x, struct core *c, struct http_stream *s)
{
    memset(x, 0, offsetof(struct exchange, arena));
    x->magic = EXCHANGE_MAGIC;
    x->core = c;
    x->loop = c->loop;
    x->snapshot = c->snapshot;
    x->route = &c->snapshot->fallback_route;
    x->down = s;
    x->protocol = s->ops->protocol;
    x->times.start = c->loop->now_ns;
    list_init(&x->link);
    forward_init(x);
    arena_init(&x->arena, x->memory, sizeof(x->memory), &c->loop->chunks, EXCHANGE_ARENA_MAX);
    http_head_init(&x->request, &x->arena, c->snapshot->head_bytes * 2,
                   (uint16_t)(c->snapshot->head_fields + 16));
    x->response.status = 0;
    http_body_init(&x->request_body, EXCHANGE_BODY_LIMIT);
    http_body_init(&x->response_body, EXCHANGE_BODY_LIMIT);
    bufq_init(&x->kept);
    make_id(x);
}

static void finish(struct exchange *x)
{
    x->state = EXCHANGE_DONE;
    ensure(x->first.ticket.place == NULL);
    trace(TRACE_done, (uintptr_t)x, (uint64_t)-x->error);
    if (!x->given_away) {
        access_log_write(x, x->times.sent != 0 ? x->times.sent : loop_clock_ns(x->loop));
    }
    if (x->core->watcher != NULL) {
        x->core->watcher->on_done(x->core->watcher, x);
    }
    for (unsigned left = x->route->stages; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        if (modules[i]->on_done != NULL) {
            modules[i]->on_done(x, x->route->conf[i]);
        }
    }
    struct counters *n = x->core->counters;
    counter_add(n, COUNTER_bytes_in, x->request_body.put_total);
    http_body_fini(&x->request_body, x->loop);
    http_body_fini(&x->response_body, x->loop);
    for (unsigned i = 0; i < x->filter_count; i++) {
        counter_add(n, COUNTER_bytes_out,
                    i + 1 == x->filter_count ? x->filters[i]->taken_total : 0);
        http_body_fini(x->filters[i], x->loop);
    }
    if (x->filter_count == 0) {
        counter_add(n, COUNTER_bytes_out, x->response_body.taken_total);
    }
    bufq_clear(&x->kept);
    if (x->hedge != NULL) {
        forward_fini(x);
    }
    core_finish(x->core, x);
}

/** True when the up side has said its last word and will close by itself, cleanly. */
static bool up_is_ending(const struct exchange *x)
{
    if (x->state != EXCHANGE_ANSWERING) {
        return false;
    }
    if (x->upgraded) { // the client closed after its last byte, which may still be on its way
        return x->request_body.ended && x->response_body.ended;
    }
    return x->response.body == HTTP_BODY_NONE || x->response_body.ended;
}

void exchange_check_done(struct exchange *x)
{
    if (x->down != NULL || x->state == EXCHANGE_DONE) {
        return;
    }
    if (x->answers != NULL && attempt_is_open(x->answers) && up_is_ending(x)) {
        return;
    }
    forward_abandon(x);
    if (x->waiting && x->give_up != NULL) {
        x->give_up(x);
        x->give_up = NULL;
        x->waiting = false;
    }
    if (!x->waiting) { // else the module's exchange_resume() comes here again
        finish(x);
    }
}

/** Keeps what the log says of TLS. Without memory it says nothing. */
static void note_security(struct exchange *x)
{
    const struct http_security *s = x->down->peer->security;
    if (s == NULL) {
        return;
    }
    x->tls.version = s->version;
    x->tls.cipher = s->cipher;
    if (s->client_verified) {
        x->tls.client = arena_dup(&x->arena, s->client_name);
    }
}

bool exchange_host_is_covered(const struct exchange *x)
{
    const struct http_security *s = x->down->peer->security;
    return s == NULL || s->covers == NULL || s->covers(s, x->request.host);
}

/** The site and its route; 0 or why there is none. */
static int find_route(struct exchange *x)
{
    struct http_head *r = &x->request;
    if (r->method == HTTP_METHOD_CONNECT || r->method == HTTP_METHOD_TRACE) {
        return E_METHOD_REFUSED;
    }
    if (!exchange_host_is_covered(x)) {
        return E_MISDIRECTED;
    }
    struct slice bound = x->down->peer->site;
    x->site = snapshot_site(x->snapshot, bound.len > 0 ? bound : r->host);
    if (x->site == NULL) {
        return E_NO_SITE;
    }
    char *room = arena_bytes(&x->arena, r->path.len);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    int e = http_path_normalise(r->path, room, &x->normal_path);
    if (e < 0) {
        return e;
    }
    const struct route *route = match_route(x->site, x);
    if (route == NULL) {
        return E_NO_ROUTE;
    }
    x->route = route;
    return 0;
}

/** Gives the request's body a place. 0 or E_BODY_TOO_LARGE. */
static int open_request_body(struct exchange *x)
{
    struct http_head *r = &x->request;
    if (r->body == HTTP_BODY_NONE) {
        return 0;
    }
    x->down->ops->receive_body(x->down, &x->request_body);
    r->upgrade = (struct slice){NULL, 0}; // no switch of protocols in the middle of a body
    uint64_t limit = x->route->limits.body_bytes;
    x->request_body.total_max = limit;
    if (r->has_length && r->content_length >= 0 && (uint64_t)r->content_length > limit) {
        return E_BODY_TOO_LARGE;
    }
    return 0;
}

/** The stream goes on without the exchange, whose line in the log it does not become. */
static void give_stream_away(struct exchange *x)
{
    struct core_switches *w = x->core->switches;
    const struct os_addr client = x->client;
    int e = w->take(w, x->down, &x->request, &client);
    if (e < 0) {
        struct exchange_watcher *watcher = x->core->watcher;
        if (watcher != NULL && watcher->on_not_taken != NULL) {
            watcher->on_not_taken(watcher, x, e);
        }
        exchange_fail(x, e, HTTP_DOWN);
        return;
    }
    x->down = NULL;
    x->given_away = true;
    finish(x);
}

static void down_on_head(struct http_stream *s, struct http_head *head)
{
    struct exchange *x = exchange_of(s);
    ensure(head == &x->request && x->state == EXCHANGE_RECEIVING);
    x->state = EXCHANGE_ROUTING;
    x->original_target = head->target;
    forwarded_client(x);
    if (head->method == HTTP_METHOD_CONNECT && s->peer->stream != 0 && x->core->switches != NULL) {
        give_stream_away(x);
        return;
    }
    note_security(x);
    x->reserved = reserved_of(x);
    int e = x->reserved != NULL ? 0 : find_route(x);
    if (e == 0) {
        s->ops->set_timeouts(s, &x->route->down_timeouts);
    }
    trace(TRACE_route, (uintptr_t)x, x->route->index);
    int body_error = open_request_body(x);
    if (e == 0) {
        e = body_error;
    }
    if (e < 0) {
        exchange_fail(x, e, HTTP_DOWN);
        return;
    }
    if (x->reserved != NULL) {
        reserved_answer(x);
        return;
    }
    if (canonical_redirect(x)) {
        return;
    }
    stages_request(x);
}

static void note_error(struct exchange *x, int error, enum http_side side)
{
    if (x->error == 0) {
        x->error = error;
        x->error_side = (uint8_t)side;
    }
}

static void down_on_bad_message(struct http_stream *s, int error)
{
    struct exchange *x = exchange_of(s);
    if (x->answered) {
        note_error(x, error, HTTP_DOWN);
        s->ops->reset(s, error);
        return;
    }
    if (x->state == EXCHANGE_RECEIVING) {
        x->original_target = x->request.target;
        x->client = os_peer_addr(&s->peer->addr);
        x->client_secure = http_peer_secure(s->peer);
    }
    exchange_fail(x, error, HTTP_DOWN);
}

static void down_on_error(struct http_stream *s, int error)
{
    struct exchange *x = exchange_of(s);
    note_error(x,
               error == E_EOF || error == E_RESET || error == E_EARLY_CLOSE ? E_CLIENT_GONE : error,
               HTTP_DOWN);
}

static void down_on_sent(struct http_stream *s)
{
    struct exchange *x = exchange_of(s);
    bool logged = x->core->log != NULL && x->route->access_log;
    x->times.sent = logged ? loop_clock_ns(x->loop) : x->loop->now_ns;
}

static void down_on_closed(struct http_stream *s)
{
    struct exchange *x = exchange_of(s);
    x->down = NULL;
    exchange_check_done(x);
}

static void down_describe(const struct http_stream *s, struct text *out)
{
    exchange_describe(s->user, out);
}

static const struct http_stream_events down_events = {
    .on_head = down_on_head,
    .on_bad_message = down_on_bad_message,
    .on_error = down_on_error,
    .on_sent = down_on_sent,
    .on_closed = down_on_closed,
    .describe = down_describe,
};

int exchange_begin(struct http_handler *h, struct http_stream *s)
{
    struct core *c = container_of(h, struct core, handler);
    ensure(c->snapshot != NULL);
    struct exchange *x = slab_take(&c->exchanges);
    if (x == NULL) {
        return E_OVERLOADED;
    }
    init(x, c, s);
    snapshot_ref(x->snapshot, c->index);
    list_push_back(&c->live, &x->link);
    c->live_count++;
    counter_add(c->counters, COUNTER_requests, 1);
    counter_add(c->counters, COUNTER_requests_active, 1);
    s->events = &down_events;
    s->user = x;
    s->receive_head = &x->request;
    trace(TRACE_request, (uintptr_t)x, s->peer->connection_id);
    return 0;
}
