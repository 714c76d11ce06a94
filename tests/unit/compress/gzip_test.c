// SPDX-License-Identifier: Apache-2.0
//
// The module `compress`: which responses it takes, and what it does to their heads.

#include "compress/compress.h"
#include "pipes.h"

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

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("compress: {level: 10}, respond: x", "level"));
    CHECK(stage_refuses("compress: {types: html}, respond: x", "media type"));
    CHECK(stage_refuses("compress: {min: lots}, respond: x", "min"));
}

TAP_MAIN(decides_by_the_head, decides_by_the_type, leaves_small_bodies, mends_the_head,
         answers_head_like_get, obeys_no_transform_of_the_request, says_what_is_wrong)
