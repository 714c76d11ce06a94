// SPDX-License-Identifier: Apache-2.0
//
// Rewritten targets.

#include "headers/headers.h"
#include "stage.h"

struct row {
    const char *rewrite;
    const char *target;
    const char *result; // NULL: refused
};

static const struct row rows[] = {
    {"/v2$path", "/x", "/v2/x"},
    {"/v2$path", "/x?a=b", "/v2/x?a=b"},
    {"/v2$path$query", "/x?a=b", "/v2/x?a=b"},
    {"/fixed?q=1", "/x?a=b", "/fixed?q=1"},
    {"{strip: /app}", "/app/x?y", "/x?y"},
    {"{strip: /app}", "/app", "/"},
    {"{strip: /app}", "/app?x", "/?x"},
    {"{strip: /app}", "/apple", "/apple"},
    {"{strip: /app/}", "/app/x", "/x"},
    {"{strip: /}", "/x", "/x"},
    {"{strip: /app}", "/app//x", "//x"},
    {"{regex: '^/a/(.*)', to: '/b/$match(1)'}", "/a/x?q", "/b/x?q"},
    {"{regex: '^/a/(.*)', to: '/b/$match(1)'}", "/c", "/c"},
    {"/$header(x-to)", "/x", "/a%20b%22%5C%23"},
    {"$header(x-none)", "/x", NULL},
    {"$header(x-to)", "/x", NULL},
    {"/$header(x-evil)", "/x", NULL},
};

static void rewrites(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        char directives[256];
        struct stage s;
        bool object = rows[i].rewrite[0] == '{';
        (void)snprintf(directives, sizeof(directives), "rewrite: %s%s%s, respond: x",
                       object ? "" : "'", rows[i].rewrite, object ? "" : "'");
        stage_begin(&s, &rewrite_module, directives);
        fake_target(s.f, rows[i].target);
        fake_field(s.f, "X-To", "a b\"\\#");
        fake_field(s.f, "X-Evil", "a\nb");
        enum stage_result result = stage_request(&s);
        const struct http_head *r = &s.f->x.request;
        if (rows[i].result == NULL) {
            CHECK_EQ_INT(result, STAGE_ANSWER);
            CHECK_EQ_INT(answered.error, E_BAD_TARGET);
        } else {
            CHECK_EQ_INT(result, STAGE_CONTINUE);
            CHECK_TEXT(r->target.ptr, r->target.len, rows[i].result);
            CHECK_EQ_INT(r->path.len + (r->query.ptr != NULL ? r->query.len + 1 : 0),
                         r->target.len);
        }
        stage_end(&s);
    }
}

static void leaves_the_asterisk_alone(void)
{
    struct stage s;
    stage_begin(&s, &rewrite_module, "rewrite: /x, respond: x");
    s.f->x.request.target = SLICE("*");
    s.f->x.request.path = SLICE("*");
    CHECK_EQ_INT(stage_request(&s), STAGE_CONTINUE);
    CHECK(slice_eq(s.f->x.request.target, SLICE("*")));
    stage_end(&s);
}

static void keeps_targets_within_their_limit(void)
{
    static char target[9000];
    struct stage s;
    stage_begin(&s, &rewrite_module, "rewrite: /longer$path, respond: x");
    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    s.f->x.request.target = slice_str(target);
    s.f->x.request.path = slice_str(target);
    CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
    CHECK_EQ_INT(answered.error, E_TARGET_TOO_LONG);
    stage_end(&s);
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("rewrite: {strip: /a, to: /b}, respond: x", "stands alone"));
    CHECK(stage_refuses("rewrite: {regex: a}, respond: x", "needs `to`"));
    CHECK(stage_refuses("rewrite: {strip: a}, respond: x", "begins with /"));
    CHECK(stage_refuses("rewrite: {}, respond: x", "`to` or `strip`"));
    CHECK(stage_refuses("rewrite: {regex: '(', to: /x}, respond: x", "regular expression"));
}

TAP_MAIN(rewrites, leaves_the_asterisk_alone, keeps_targets_within_their_limit, says_what_is_wrong)
