// SPDX-License-Identifier: Apache-2.0
//
// Following one exchange (inspect/capture.h).

#include "inspect/capture.h"

#include "base/error.h"
#include "proxy/exchange.h"

#include "inspect/show.h"

enum { CAPTURE_MAGIC = 0x63617074, TEE_LIMIT = 2 * EXCHANGE_BODY_LIMIT };

// ---- bodies ----------------------------------------------------------------------------------------

static void take(struct capture *c, struct http_body *tee, enum ring_piece piece)
{
    while (tee->q.bytes > 0) {
        struct slice part = bufq_front(&tee->q);
        ring_write_body(c->ring, c->id, piece, part);
        http_body_take(tee, part.len);
    }
    struct ring_entry *e = ring_find(c->ring, c->id);
    if (e == NULL) {
        http_body_discard(tee);
        return;
    }
    struct ring_body *body = piece == RING_REQUEST_BODY ? &e->request : &e->answer;
    body->ended = tee->ended;
    body->whole = tee->ended && body->bytes == e->text[piece].len;
}

static void on_request_data(struct http_body *tee, void *consumer)
{
    struct capture *c = consumer;
    ensure_magic(c, CAPTURE_MAGIC);
    take(c, tee, RING_REQUEST_BODY);
}

static void on_answer_data(struct http_body *tee, void *consumer)
{
    struct capture *c = consumer;
    ensure_magic(c, CAPTURE_MAGIC);
    take(c, tee, RING_ANSWER_BODY);
}

/** What came before the cut counts. */
static void on_request_cut(struct http_body *tee)
{
    struct capture *c = container_of(tee, struct capture, request);
    ensure_magic(c, CAPTURE_MAGIC);
    take(c, tee, RING_REQUEST_BODY);
}

static void on_answer_cut(struct http_body *tee)
{
    struct capture *c = container_of(tee, struct capture, answer);
    ensure_magic(c, CAPTURE_MAGIC);
    take(c, tee, RING_ANSWER_BODY);
}

static void release(void *arg)
{
    struct capture *c = arg;
    ensure_magic(c, CAPTURE_MAGIC);
    http_body_fini(&c->request, NULL);
    http_body_fini(&c->answer, NULL);
    c->magic = 0;
}

// ---- heads -----------------------------------------------------------------------------------------

static void put_request(struct ring *r, uint64_t id, const struct exchange *x)
{
    const struct http_head *h = &x->request;
    const struct slice pieces[] = {h->method_text, h->scheme, h->authority, h->target,
                                   slice_str(x->protocol)};
    bool ok = true;
    for (size_t i = 0; ok && i < array_len(pieces); i++) {
        ok = show_put(r, id, RING_REQUEST_HEAD, pieces[i]);
    }
    (void)(ok && show_put_fields(r, id, RING_REQUEST_HEAD, &h->fields));
}

struct capture *capture_begin(struct ring *r, struct exchange *x, uint64_t repeats)
{
    struct capture *c = arena_alloc(&x->arena, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->magic = CAPTURE_MAGIC;
    c->ring = r;
    c->repeats = repeats != 0;
    c->has_answer = false;
    http_body_init(&c->request, TEE_LIMIT);
    http_body_init(&c->answer, TEE_LIMIT);
    struct ring_entry *e = arena_on_fini(&x->arena, release, c) == 0 ? ring_add(r) : NULL;
    if (e == NULL) {
        return NULL; // there is nothing in its bodies
    }
    c->id = e->id;
    e->repeats = repeats;
    e->wall_ms = x->loop->wall_ms;
    e->client = x->client;
    e->upgrade = x->request.upgrade.len > 0;
    e->secure = x->client_secure;
    struct slice site = x->site != NULL ? x->site->name : slice_of("", 0);
    e->site_len = (uint32_t)slice_sub(site, 0, RING_SITE_MAX).len;
    memcpy(e->site, site.ptr, e->site_len);
    bool none = x->request.body == HTTP_BODY_NONE;
    e->request.ended = none;
    e->request.whole = none;
    put_request(r, c->id, x);
    return c;
}

void capture_request(struct capture *c, struct exchange *x)
{
    struct ring_entry *e = ring_find(c->ring, c->id);
    if (e == NULL) {
        return;
    }
    e->reached = true;
    if (x->request.body == HTTP_BODY_NONE) {
        return;
    }
    http_body_set_consumer(&c->request, c, on_request_data);
    if (http_body_tee(&x->request_body, &c->request, on_request_cut) == 0) {
        take(c, &c->request, RING_REQUEST_BODY);
    }
}

void capture_answer(struct capture *c, struct exchange *x, const struct http_head *head)
{
    struct ring_entry *e = ring_find(c->ring, c->id);
    if (e == NULL) {
        return;
    }
    if (c->has_answer) { // this one takes the place of another
        http_body_fini(&c->answer, NULL);
        http_body_init(&c->answer, TEE_LIMIT);
        ring_clear(c->ring, e, RING_ANSWER_HEAD);
        ring_clear(c->ring, e, RING_ANSWER_BODY);
        e->answer = (struct ring_body){0};
    }
    c->has_answer = true;
    e->status = head->status;
    ring_touch(c->ring, e);
    bool none = head->body == HTTP_BODY_NONE;
    e->answer.ended = none;
    e->answer.whole = none;
    if (!show_put(c->ring, c->id, RING_ANSWER_HEAD, head->reason) ||
        !show_put_fields(c->ring, c->id, RING_ANSWER_HEAD, &head->fields) || none ||
        head->status == 101) {
        return;
    }
    http_body_set_consumer(&c->answer, c, on_answer_data);
    if (http_body_tee(&x->response_body, &c->answer, on_answer_cut) == 0) {
        take(c, &c->answer, RING_ANSWER_BODY);
    }
}

void capture_end(struct capture *c, const struct exchange *x)
{
    struct ring_entry *e = ring_find(c->ring, c->id);
    if (e == NULL) {
        return;
    }
    uint64_t end = x->times.sent != 0 ? x->times.sent : x->loop->now_ns;
    e->took_us = end > x->times.start ? (end - x->times.start) / 1000 : 0;
    e->error = x->error;
    e->over = true;
    ring_touch(c->ring, e);
}
