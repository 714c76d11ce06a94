// SPDX-License-Identifier: Apache-2.0
//
// Redirects, and that they stay where the configuration sends them.

#include "headers/headers.h"
#include "stage.h"

struct row {
    const char *redirect;
    const char *target;
    unsigned status;
    const char *location;
};

static const struct row rows[] = {
    {"/new", "/x?q", 302, "/new"},
    {"/new$path$query", "/x?q", 302, "/new/x?q"},
    {"{to: 'https://$host$path', status: 301}", "/x", 301, "https://example.com/x"},
    {"$path", "//evil.example/x", 302, "/evil.example/x"},
    {"$path", "///evil.example", 302, "/evil.example"},
    {"/$match(1)", "/x", 302, "/evil.example"},
    {"/$header(x-to)", "/x", 302, "/%5Cevil.example%5C"},
    {"//cdn.example$path", "/x", 302, "//cdn.example/x"},
    {"'/a#$match(1)'", "/x", 302, "/a#/evil.example"},
};

static void sends_clients_elsewhere(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        char directives[256];
        struct stage s;
        (void)snprintf(directives, sizeof(directives), "redirect: %s", rows[i].redirect);
        stage_begin(&s, &redirect_module, directives);
        s.f->x.request.target = slice_str(rows[i].target);
        ptrdiff_t mark = slice_find_char(s.f->x.request.target, '?');
        s.f->x.request.path =
            mark < 0 ? s.f->x.request.target : slice_sub(s.f->x.request.target, 0, (size_t)mark);
        s.f->x.captures[1] = SLICE("/evil.example");
        fake_field(s.f, "X-To", "\\evil.example\\");
        CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
        CHECK_EQ_INT(answered.status, rows[i].status);
        struct slice got = fields_get_id(&s.f->x.response.fields, HTTP_LOCATION);
        CHECK_TEXT(got.ptr, got.len, rows[i].location);
        stage_end(&s);
    }
}

static void refuses_split_lines(void)
{
    struct stage s;
    stage_begin(&s, &redirect_module, "redirect: /$header(x-evil)");
    fake_field(s.f, "X-Evil", "a\r\nSet-Cookie: b");
    CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
    CHECK_EQ_INT(answered.error, E_BAD_TARGET);
    stage_end(&s);
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("redirect: {to: /x, status: 304}", "304"));
    CHECK(stage_refuses("redirect: {status: 301}", "to"));
    CHECK(stage_refuses("redirect: \"/a\\nb\"", "one line"));
}

TAP_MAIN(sends_clients_elsewhere, refuses_split_lines, says_what_is_wrong)
