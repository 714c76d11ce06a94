// SPDX-License-Identifier: Apache-2.0
//
// Fixed answers.

#include "headers/headers.h"
#include "stage.h"

struct row {
    const char *respond;
    unsigned status;
    const char *type;
    const char *body;
    bool page; // an error page was asked for
};

static const struct row rows[] = {
    {"ok", 200, "text/plain; charset=utf-8", "ok", false},
    {"204", 204, "", "", false},
    {"404", 404, "", "", true},
    {"'404 is not here'", 200, "text/plain; charset=utf-8", "404 is not here", false},
    {"{status: 503}", 503, "", "", true},
    {"{status: 503, body: later}", 503, "text/plain; charset=utf-8", "later", false},
    {"{body: 'hi $host', headers: {x-a: $id}}", 200, "text/plain; charset=utf-8", "hi example.com",
     false},
    {"{body: '{}', headers: {content-type: application/json}}", 200, "", "{}", false},
    {"{status: 401, headers: {www-authenticate: Basic}}", 401, "", "", false},
    {"{body: '<b>$header(x-a)', headers: {content-type: text/html}}", 200, "", "<b>&lt;i&gt;",
     false},
};

static void answers(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        char directives[256];
        struct stage s;
        (void)snprintf(directives, sizeof(directives), "respond: %s", rows[i].respond);
        stage_begin(&s, &respond_module, directives);
        fake_field(s.f, "X-A", "<i>");
        CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
        CHECK_EQ_INT(answered.status, rows[i].status);
        CHECK_TEXT(answered.type.ptr, answered.type.len, rows[i].type);
        CHECK_TEXT(answered.body.ptr, answered.body.len, rows[i].body);
        CHECK(answered.error == (rows[i].page ? 1 : 0));
        stage_end(&s);
    }
}

static void sets_fields(void)
{
    struct stage s;
    stage_begin(&s, &respond_module,
                "respond: {body: x, headers: {x-a: $host, x-b: '$header(x-evil)'}}");
    fake_field(s.f, "X-Evil", "a\r\nb");
    CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
    const struct fields *f = &s.f->x.response.fields;
    CHECK(slice_eq(fields_get(f, SLICE("x-a")), SLICE("example.com")));
    CHECK(fields_get(f, SLICE("x-b")).ptr == NULL);
    stage_end(&s);
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("respond: {status: 204, body: x}", "has no body"));
    CHECK(stage_refuses("respond: {}", "`status` or a `body`"));
    CHECK(stage_refuses("respond: 100", "100 is no final status"));
    CHECK(stage_refuses("respond: 999", "999 is no final status"));
    CHECK(stage_refuses("respond: 12345678", "no final status"));
    CHECK(stage_refuses("respond: {body: x, headers: {a: \"b\\r\\nc\"}}", "one line"));
    CHECK(stage_refuses("respond: {body: x, headers: {connection: close}}", "connection"));
}

TAP_MAIN(answers, sets_fields, says_what_is_wrong)
