// SPDX-License-Identifier: Apache-2.0
//
// Runs the modules of a route over an exchange, and makes answers of our own. Requests pass the
// modules first to last, responses last to first; an answer that a module made passes the response
// hooks of all modules of the route, like one from an origin.

#include "base/error.h"
#include "base/num.h"
#include "obs/trace.h"
#include "proxy/error_page.h"
#include "proxy/exchange_int.h"
#include "proxy/forwarded.h"

enum { ANSWER_FIELDS_BYTES = 16 * 1024, ANSWER_FIELDS_MAX = 128 };

void stages_request(struct exchange *x)
{
    ensure(!x->answering);
    while (x->route->stages >> x->stage != 0) {
        unsigned i = x->stage++;
        if ((x->route->stages >> i & 1) == 0 || modules[i]->on_request == NULL) {
            continue;
        }
        switch (modules[i]->on_request(x, x->route->conf[i])) {
        case STAGE_CONTINUE:
            break;
        case STAGE_WAIT:
            x->waiting = true;
            return;
        case STAGE_ANSWER:
            return;
        }
    }
    forward_request(x);
}

static enum counter counter_of_status(unsigned status)
{
    static const enum counter by_class[] = {COUNTER_responses_1xx, COUNTER_responses_2xx,
                                            COUNTER_responses_3xx, COUNTER_responses_4xx,
                                            COUNTER_responses_5xx};
    ensure(status >= 100 && status < 600);
    return by_class[status / 100 - 1];
}

static void send_response(struct exchange *x)
{
    x->answered = true;
    counter_add(x->core->counters, counter_of_status(x->response.status), 1);
    if (x->down == NULL) {
        return;
    }
    bool has_body = x->response.body != HTTP_BODY_NONE;
    x->down->ops->send_head(x->down, &x->response, has_body ? x->response_out : NULL);
}

void stages_response(struct exchange *x)
{
    if (!x->answering) {
        x->answering = true;
        x->stage = MODULES_MAX;
        x->response_out = &x->response_body;
    }
    uint16_t with_hooks = x->route->stages;
    while (with_hooks != 0 && x->stage > 0) {
        unsigned i = --x->stage;
        if ((with_hooks >> i & 1) == 0 || modules[i]->on_response == NULL) {
            continue;
        }
        switch (modules[i]->on_response(x, x->route->conf[i])) {
        case STAGE_CONTINUE:
            break;
        case STAGE_WAIT:
            x->waiting = true;
            return;
        case STAGE_ANSWER: // it began another answer, which has been sent
            return;
        }
    }
    send_response(x);
}

void stages_interim(struct exchange *x, struct http_head *head)
{
    for (unsigned i = MODULES_MAX; i > 0; i--) {
        if ((x->route->stages >> (i - 1) & 1) != 0 && modules[i - 1]->on_interim != NULL) {
            modules[i - 1]->on_interim(x, head, x->route->conf[i - 1]);
        }
    }
}

void exchange_resume(struct exchange *x)
{
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(x->waiting);
    x->waiting = false;
    x->give_up = NULL;
    if (x->state == EXCHANGE_DONE || x->down == NULL) {
        exchange_check_done(x);
        return;
    }
    if (x->answering) {
        stages_response(x);
    } else if (x->reserved != NULL) {
        reserved_resume(x);
    } else {
        stages_request(x);
    }
}

void exchange_ask_again(struct exchange *x)
{
    ensure(x->waiting && !x->answering);
    ensure(x->stage > 0);
    x->stage--;
    exchange_resume(x);
}

void exchange_begin_answer(struct exchange *x, unsigned status)
{
    forward_abandon(x);
    if (x->response_body.put_total > 0 || x->answering) { // it takes the place of another answer
        http_body_fini(&x->response_body, x->loop);
        http_body_init(&x->response_body, EXCHANGE_BODY_LIMIT);
        x->answering = false;
    }
    http_head_init(&x->response, &x->arena, ANSWER_FIELDS_BYTES, ANSWER_FIELDS_MAX);
    x->response.status = (uint16_t)status;
    x->response.version_minor = 1;
}

static void give_rest(struct http_body *b, void *producer)
{
    struct exchange *x = producer;
    ensure_magic(x, EXCHANGE_MAGIC);
    // Until there is no room: only then does the pipe call again.
    while (x->answer_rest.len > 0 && http_body_room(b) > 0) {
        size_t n = num_min_size(http_body_room(b), x->answer_rest.len);
        int e = http_body_write(b, &x->loop->chunks, x->answer_rest.ptr, n);
        if (e < 0) {
            http_body_fail(b, e);
            http_body_notify(b);
            return;
        }
        x->answer_rest = slice_from(x->answer_rest, n);
    }
    if (x->answer_rest.len == 0 && !b->ended) {
        http_body_end(b, NULL);
    }
    http_body_notify(b);
}

static void produce_answer(struct exchange *x, struct slice body)
{
    struct http_head *r = &x->response;
    r->has_length = r->status != 204 && r->status != 304;
    r->content_length = (int64_t)body.len;
    r->body = body.len > 0 && r->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    if (r->body == HTTP_BODY_NONE) {
        return;
    }
    x->answer_rest = body;
    http_body_set_producer(&x->response_body, x, give_rest);
    give_rest(&x->response_body, x);
}

void exchange_answer(struct exchange *x, struct slice content_type, struct slice body)
{
    struct slice copy = arena_dup(&x->arena, body);
    if (copy.ptr == NULL && body.len > 0) {
        if (x->down != NULL) {
            x->down->ops->reset(x->down, E_NO_MEMORY);
        }
        return;
    }
    exchange_answer_kept(x, content_type, copy);
}

/** What comes before the body of an answer of ours. False: it is not wanted any more. */
static bool begin_sending(struct exchange *x, struct slice content_type)
{
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(!x->answered && x->response.status >= 200);
    x->state = EXCHANGE_ANSWERING;
    if (x->down == NULL) {
        return false;
    }
    if (x->request.body != HTTP_BODY_NONE && !x->request_body.ended) {
        http_body_discard(&x->request_body);
        // What comes in now may break a rule and have been answered, or have ended the exchange.
        if (x->down == NULL || x->answered || x->answering) {
            return false;
        }
    }
    if (content_type.len > 0 &&
        fields_set_id(&x->response.fields, HTTP_CONTENT_TYPE, content_type) < 0) {
        x->down->ops->reset(x->down, E_NO_MEMORY);
        return false;
    }
    return true;
}

void exchange_answer_kept(struct exchange *x, struct slice content_type, struct slice body)
{
    if (begin_sending(x, content_type)) {
        produce_answer(x, body);
        stages_response(x);
    }
}

void exchange_answer_stream(struct exchange *x, struct slice content_type, uint64_t length,
                            void *producer, void (*on_room)(struct http_body *b, void *producer))
{
    if (!begin_sending(x, content_type)) {
        return;
    }
    struct http_head *r = &x->response;
    bool empty = length == 0 || x->request.method == HTTP_METHOD_HEAD;
    ensure(length <= INT64_MAX);
    r->has_length = r->status != 204 && r->status != 304;
    r->content_length = (int64_t)length;
    r->body = !empty && r->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    if (r->body != HTTP_BODY_NONE) {
        http_body_set_producer(&x->response_body, producer, on_room);
        on_room(&x->response_body, producer);
    }
    stages_response(x);
}

int exchange_hand_over(struct exchange *x, struct http_heir *heir)
{
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(!x->answered && x->down != NULL && x->response.status == 101);
    ensure(x->response.upgrade.len > 0);
    ensure(x->request.body == HTTP_BODY_NONE || x->request_body.ended);
    if (x->down->ops->hand_over == NULL) {
        return E_UNSUPPORTED;
    }
    x->state = EXCHANGE_ANSWERING;
    x->answered = true;
    x->upgraded = true;
    trace(TRACE_upgrade, (uintptr_t)x, x->down->peer->connection_id);
    counter_add(x->core->counters, COUNTER_upgrades, 1);
    counter_add(x->core->counters, COUNTER_responses_1xx, 1);
    x->down->ops->hand_over(x->down, &x->response, heir);
    return 0;
}

void exchange_fail_status(struct exchange *x, unsigned status)
{
    error_page_answer(x, status);
}

void exchange_fail(struct exchange *x, int error, enum http_side side)
{
    ensure_magic(x, EXCHANGE_MAGIC);
    ensure(error < 0 && !x->answered);
    if (x->error == 0) {
        x->error = error;
        x->error_side = (uint8_t)side;
    }
    forward_abandon(x);
    error_page_answer(x, error_page_status(error, side));
}

struct http_body *exchange_filter_response(struct exchange *x, struct http_body **in)
{
    ensure(x->answering && !x->answered);
    if (x->filter_count == EXCHANGE_FILTERS_MAX) {
        return NULL;
    }
    struct http_body *out = arena_alloc(&x->arena, sizeof(*out));
    if (out == NULL) {
        return NULL;
    }
    http_body_init(out, EXCHANGE_FILTER_LIMIT);
    x->response_body.limit = EXCHANGE_FILTER_LIMIT;
    x->filters[x->filter_count++] = out;
    *in = x->response_out;
    x->response_out = out;
    return out;
}
