// SPDX-License-Identifier: Apache-2.0
//
// The module `compress`: what it takes, what it does to the head, and the filter between two pipes.

#include <zlib.h>

#include "base/rng.h"
#include "compress/compress.h"
#include "compress/deflate.h"
#include "headers/stage.h"

enum { BODY_BYTES = 300 * 1000 };

static char body[BODY_BYTES];
static char received[BODY_BYTES * 2];
static char plain[BODY_BYTES + 1];

// What stands at the two ends of the filter.
struct ends {
    struct stage s;
    struct http_body *in;
    struct http_body *out;
    size_t given;
    size_t total;
    size_t got;
    unsigned rooms;
    bool pulled; // the consumer takes at once
};

static void take(struct ends *e, size_t n)
{
    while (n > 0 && e->out->q.bytes > 0) {
        struct slice front = bufq_front(&e->out->q);
        size_t part = front.len < n ? front.len : n;
        REQUIRE(e->got + part <= sizeof(received));
        memcpy(received + e->got, front.ptr, part);
        e->got += part;
        http_body_take(e->out, part);
        n -= part;
    }
    http_body_pull(e->out);
}

static void down_on_data(struct http_body *b, void *consumer)
{
    struct ends *e = consumer;
    if (e->pulled) {
        take(e, b->q.bytes);
    }
}

static void up_on_room(struct http_body *b, void *producer)
{
    struct ends *e = producer;
    (void)b;
    e->rooms++;
}

static size_t unpack(const struct ends *e, bool whole)
{
    z_stream z;
    memset(&z, 0, sizeof(z));
    REQUIRE(inflateInit2(&z, 15 + 16) == Z_OK);
    z.next_in = (unsigned char *)received;
    z.avail_in = (uInt)e->got;
    z.next_out = (unsigned char *)plain;
    z.avail_out = sizeof(plain);
    int rc = inflate(&z, Z_SYNC_FLUSH);
    CHECK(whole ? rc == Z_STREAM_END : rc == Z_OK || rc == Z_BUF_ERROR);
    size_t n = sizeof(plain) - z.avail_out;
    (void)inflateEnd(&z);
    return n;
}

static void begin(struct ends *e, const char *compress)
{
    char directives[256];
    memset(e, 0, sizeof(*e));
    (void)snprintf(directives, sizeof(directives), "compress: %s, respond: x", compress);
    stage_begin(&e->s, &compress_module, directives);
    struct exchange *x = &e->s.f->x;
    chunk_pool_init(&e->s.f->loop.chunks, 4096, 16);
    http_body_init(&x->response_body, EXCHANGE_BODY_LIMIT);
    http_body_set_producer(&x->response_body, e, up_on_room);
    x->state = EXCHANGE_ANSWERING;
    x->response.status = 200;
    x->response.body = HTTP_BODY_STREAM;
    fake_field(e->s.f, "Accept-Encoding", "gzip, br");
    REQUIRE(fields_add_id(&x->response.fields, HTTP_CONTENT_TYPE, SLICE("text/html")) == 0);
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = "the quick brown fox "[i * i % 20];
    }
    filter_out = NULL;
    e->in = &x->response_body;
}

// Runs both hooks; true when a filter was put in.
static bool decide(struct ends *e)
{
    CHECK_EQ_INT(stage_request(&e->s), STAGE_CONTINUE);
    CHECK_EQ_INT(stage_response(&e->s), STAGE_CONTINUE);
    e->out = filter_out;
    if (e->out != NULL) {
        http_body_set_consumer(e->out, e, down_on_data);
    }
    return e->out != NULL;
}

static void end(struct ends *e)
{
    struct loop *loop = &e->s.f->loop;
    http_body_fini(e->in, loop);
    if (e->out != NULL) {
        http_body_fini(e->out, loop);
    }
    struct chunk_pool pool = loop->chunks;
    stage_end(&e->s); // also gives back the deflate state
    chunk_pool_fini(&pool);
    CHECK_EQ_INT(deflate_live(), 0);
}

static void give(struct ends *e, size_t n)
{
    struct chunk_pool *pool = &e->s.f->loop.chunks;
    size_t room = http_body_room(e->in);
    n = n < room ? n : room;
    REQUIRE(http_body_write(e->in, pool, body + e->given, n) == 0);
    e->given += n;
    http_body_notify(e->in);
}

// ---- decisions ------------------------------------------------------------------------------------

struct head_row {
    const char *accept; // Accept-Encoding; NULL: none
    const char *name;   // of one more field of the response
    const char *value;
    unsigned status;
    bool filtered;
    bool vary;
};

static const struct head_row head_rows[] = {
    {"gzip", NULL, NULL, 200, true, true},
    {"x-gzip", NULL, NULL, 200, true, true},
    {"*", NULL, NULL, 200, true, true},
    {"gzip;q=0", NULL, NULL, 200, false, true},
    {"identity", NULL, NULL, 200, false, true},
    {NULL, NULL, NULL, 200, false, true},
    {"gzip", NULL, NULL, 404, true, true},
    {"gzip", NULL, NULL, 206, false, false},
    {"gzip", "Content-Encoding", "br", 200, false, false},
    {"gzip", "Content-Encoding", "identity", 200, true, true},
    {"gzip", "Content-Range", "bytes 0-1/2", 200, false, false},
    {"gzip", "Cache-Control", "public, no-transform", 200, false, false},
    {"gzip", "Content-Type", "image/png", 200, true, true}, // the first one counts
    {"gzip", "Vary", "Cookie, accept-encoding", 200, true, true},
    {"gzip", "Vary", "*", 200, true, true},
};

static void decides_by_the_head(void)
{
    for (size_t i = 0; i < array_len(head_rows); i++) {
        const struct head_row *r = &head_rows[i];
        struct ends e;
        begin(&e, "on");
        struct exchange *x = &e.s.f->x;
        struct fields *f = &x->response.fields;
        (void)fields_remove_id(&x->request.fields, HTTP_ACCEPT_ENCODING);
        if (r->accept != NULL) {
            fake_field(e.s.f, "Accept-Encoding", r->accept);
        }
        if (r->name != NULL) {
            REQUIRE(fields_add(f, slice_str(r->name), slice_str(r->value)) == 0);
        }
        x->response.status = (uint16_t)r->status;
        if (!CHECK(decide(&e) == r->filtered)) {
            printf("#   row %zu\n", i);
        }
        CHECK(slice_eq(fields_get_id(f, HTTP_CONTENT_ENCODING), SLICE("gzip")) == r->filtered);
        CHECK(fields_has(f, HTTP_VARY) == r->vary);
        end(&e);
    }
}

struct type_row {
    const char *type;
    bool listed;
};

static const struct type_row type_rows[] = {
    {"text/html", true},
    {"text/html; charset=utf-8", true},
    {"TEXT/Event-Stream", true},
    {"application/problem+json", true},
    {"image/svg+xml", true},
    {"application/json ;x", true},
    {"image/png", false},
    {"text", false},
    {"text/", false},
    {"", false},
    {"application/octet-stream", false},
};

static void decides_by_the_type(void)
{
    for (size_t i = 0; i < array_len(type_rows); i++) {
        struct ends e;
        begin(&e, "on");
        REQUIRE(fields_set_id(&e.s.f->x.response.fields, HTTP_CONTENT_TYPE,
                              slice_str(type_rows[i].type)) == 0);
        if (!CHECK(decide(&e) == type_rows[i].listed)) {
            printf("#   %s\n", type_rows[i].type);
        }
        end(&e);
    }
    struct ends e;
    begin(&e, "{types: [image/x-mine]}");
    CHECK(!decide(&e));
    end(&e);
}

static void leaves_small_bodies(void)
{
    for (int64_t length = 0; length < 3000; length += 1023) {
        struct ends e;
        begin(&e, length == 2046 ? "{min: 4KiB}" : "on");
        e.s.f->x.response.body = HTTP_BODY_LENGTH;
        e.s.f->x.response.has_length = true;
        e.s.f->x.response.content_length = length;
        CHECK(!decide(&e));
        end(&e);
    }
}

static void mends_the_head(void)
{
    static const struct {
        const char *before;
        const char *after;
    } tags[] = {{"\"a\"", "W/\"a\""}, {"W/\"a\"", "W/\"a\""}, {"broken", ""}};
    for (size_t i = 0; i < array_len(tags); i++) {
        struct ends e;
        begin(&e, "on");
        struct http_head *r = &e.s.f->x.response;
        r->body = HTTP_BODY_LENGTH;
        r->has_length = true;
        r->content_length = 5000;
        REQUIRE(fields_add(&r->fields, SLICE("ETag"), slice_str(tags[i].before)) == 0);
        REQUIRE(fields_add(&r->fields, SLICE("Accept-Ranges"), SLICE("bytes")) == 0);
        REQUIRE(fields_add(&r->fields, SLICE("Content-Digest"), SLICE("sha-256=::")) == 0);
        CHECK(decide(&e));
        struct slice tag = fields_get_id(&r->fields, HTTP_ETAG);
        CHECK_TEXT(tag.ptr, tag.len, tags[i].after);
        CHECK(!fields_has(&r->fields, HTTP_ACCEPT_RANGES));
        CHECK(fields_get(&r->fields, SLICE("content-digest")).ptr == NULL);
        CHECK(!r->has_length);
        CHECK_EQ_INT(r->body, HTTP_BODY_STREAM);
        end(&e);
    }
}

static void answers_head_like_get(void)
{
    struct ends e;
    begin(&e, "on");
    struct http_head *r = &e.s.f->x.response;
    e.s.f->x.request.method = HTTP_METHOD_HEAD;
    r->body = HTTP_BODY_NONE;
    r->has_length = true;
    r->content_length = 5000;
    CHECK(!decide(&e));
    CHECK(slice_eq(fields_get_id(&r->fields, HTTP_CONTENT_ENCODING), SLICE("gzip")));
    CHECK(fields_has(&r->fields, HTTP_VARY));
    CHECK(!r->has_length);
    end(&e);
}

static void obeys_no_transform_of_the_request(void)
{
    struct ends e;
    begin(&e, "on");
    fake_field(e.s.f, "Cache-Control", "no-transform");
    CHECK(!decide(&e));
    end(&e);
}

// ---- the filter -----------------------------------------------------------------------------------

static void flushes_what_has_come(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    e.pulled = true;
    for (int i = 0; i < 20; i++) {
        give(&e, 37);
        CHECK_EQ_INT(unpack(&e, false), e.given);
        CHECK(memcmp(plain, body, e.given) == 0);
    }
    size_t before = e.got;
    http_body_notify(e.in); // nothing new: nothing is sent
    CHECK_EQ_INT(e.got, before);
    http_body_end(e.in, NULL);
    http_body_notify(e.in);
    CHECK(e.out->ended);
    CHECK_EQ_INT(unpack(&e, true), e.given);
    end(&e);
}

static void waits_for_a_slow_client(void)
{
    struct ends e;
    struct rng r;
    begin(&e, "{level: 1}");
    REQUIRE(decide(&e));
    rng_seed(&r, 7);
    for (size_t i = 0; i < sizeof(body); i++) { // does not compress: the pipes fill
        body[i] = (char)rng_u64(&r);
    }
    while (http_body_room(e.in) > 0 && e.given < sizeof(body)) {
        give(&e, 16000);
    }
    CHECK(e.out->q.bytes <= EXCHANGE_FILTER_LIMIT);
    CHECK(e.given < sizeof(body)); // bounded: neither pipe took it all
    CHECK(e.given <= EXCHANGE_BODY_LIMIT + 2 * EXCHANGE_FILTER_LIMIT);
    unsigned rooms = e.rooms;
    while (e.given < sizeof(body)) {
        take(&e, 5000);
        give(&e, sizeof(body) - e.given);
    }
    http_body_end(e.in, NULL);
    http_body_notify(e.in);
    while (!http_body_done(e.out)) {
        take(&e, 5000);
    }
    CHECK(e.rooms > rooms);
    CHECK_EQ_INT(unpack(&e, true), sizeof(body));
    CHECK(memcmp(plain, body, sizeof(body)) == 0);
    end(&e);
}

static void knows_the_length_of_what_was_there(void)
{
    struct ends e;
    begin(&e, "on");
    struct http_head *r = &e.s.f->x.response;
    r->body = HTTP_BODY_LENGTH;
    r->has_length = true;
    r->content_length = 5000;
    give(&e, 5000);
    http_body_end(e.in, NULL);
    REQUIRE(decide(&e));
    CHECK_EQ_INT(r->body, HTTP_BODY_LENGTH);
    CHECK(r->has_length);
    CHECK_EQ_INT(r->content_length, e.out->q.bytes);
    take(&e, SIZE_MAX);
    CHECK_EQ_INT(unpack(&e, true), 5000);
    end(&e);
}

static void cuts_what_was_cut(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    e.pulled = true;
    give(&e, 1000);
    http_body_fail(e.in, E_EARLY_CLOSE);
    http_body_notify(e.in);
    CHECK(!e.out->ended);
    CHECK_EQ_INT(e.out->error, E_EARLY_CLOSE);
    CHECK_EQ_INT(unpack(&e, false), 1000);
    end(&e);
}

static void passes_trailers_on(void)
{
    struct ends e;
    struct fields trailers;
    begin(&e, "on");
    fields_init(&trailers, &e.s.f->x.arena, 1024, 10);
    REQUIRE(decide(&e));
    http_body_end(e.in, &trailers);
    http_body_notify(e.in);
    CHECK(e.out->trailers == &trailers);
    end(&e);
}

static void lets_go_when_the_client_has_gone(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    give(&e, 1000);
    http_body_discard(e.out);
    give(&e, 1000);
    CHECK(e.in->discarding);
    CHECK_EQ_INT(deflate_live(), 0);
    end(&e);
}

static void goes_without_when_states_are_used_up(void)
{
    struct deflate *all[DEFLATE_LIVE_MAX];
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        all[i] = deflate_new(1);
        REQUIRE(all[i] != NULL);
    }
    struct ends e;
    begin(&e, "on");
    CHECK(!decide(&e));
    CHECK(!fields_has(&e.s.f->x.response.fields, HTTP_CONTENT_ENCODING));
    CHECK(fields_has(&e.s.f->x.response.fields, HTTP_VARY));
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        deflate_free(all[i]);
    }
    end(&e);
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("compress: {level: 10}, respond: x", "level"));
    CHECK(stage_refuses("compress: {types: html}, respond: x", "media type"));
    CHECK(stage_refuses("compress: {min: lots}, respond: x", "min"));
}

TAP_MAIN(decides_by_the_head, decides_by_the_type, leaves_small_bodies, mends_the_head,
         answers_head_like_get, obeys_no_transform_of_the_request, flushes_what_has_come,
         waits_for_a_slow_client, knows_the_length_of_what_was_there, cuts_what_was_cut,
         passes_trailers_on, lets_go_when_the_client_has_gone, goes_without_when_states_are_used_up,
         says_what_is_wrong)
