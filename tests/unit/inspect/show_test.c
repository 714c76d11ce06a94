// SPDX-License-Identifier: Apache-2.0
//
// What is said of a request: JSON that parses whatever visitors wrote, and a command that a shell takes
// apart as it was meant.

#include "inspect/show.h"

#include <jansson.h>

#include "base/base64.h"
#include "base/error.h"
#include "tap.h"

static struct ring r;

static struct ring_entry *add(const char *method, const char *target, const char *const *fields)
{
    struct ring_entry *e = ring_add(&r);
    REQUIRE(e != NULL);
    const char *const head[] = {method, "https", "a.example", target, "2"};
    for (size_t i = 0; i < array_len(head); i++) {
        REQUIRE(show_put(&r, e->id, RING_REQUEST_HEAD, slice_str(head[i])));
    }
    for (; fields != NULL && *fields != NULL; fields++) {
        REQUIRE(show_put(&r, e->id, RING_REQUEST_HEAD, slice_str(*fields)));
    }
    e->reached = true;
    e->request = (struct ring_body){.ended = true, .whole = true};
    return e;
}

static json_t *parse(struct slice text)
{
    json_error_t error;
    json_t *all = json_loadb(text.ptr, text.len, 0, &error);
    if (!CHECK(all != NULL)) {
        printf("# %s: %.*s\n", error.text, (int)text.len, text.ptr);
    }
    mem_free((void *)(uintptr_t)text.ptr);
    return all;
}

static json_t *entry(const struct ring_entry *e)
{
    struct slice text;
    int error = show_entry(e, &text);
    REQUIRE(error == 0);
    return parse(text);
}

static const char *member(json_t *of, const char *name)
{
    const char *s = json_string_value(json_object_get(of, name));
    return s != NULL ? s : "(none)";
}

static void shows_one(void)
{
    static const char *const fields[] = {"X-Event", "\"<b>\"\x01\xff", "Authorization", "Basic abc",
                                         NULL};
    ring_init(&r);
    struct ring_entry *e = add("POST", "/a?token=abc&b=c", fields);
    e->status = 201;
    REQUIRE(show_put(&r, 1, RING_ANSWER_HEAD, SLICE("Made")));
    REQUIRE(show_put(&r, 1, RING_ANSWER_HEAD, SLICE("X")));
    REQUIRE(show_put(&r, 1, RING_ANSWER_HEAD, SLICE("Y")));
    ring_write_body(&r, 1, RING_REQUEST_BODY, SLICE("{}\n"));
    json_t *all = entry(e);
    CHECK_STR(member(all, "target"), "/a?token=[redacted]&b=c");
    CHECK_STR(member(all, "method"), "POST");
    json_t *request = json_object_get(all, "request");
    json_t *first = json_array_get(json_object_get(request, "fields"), 0);
    CHECK_STR(json_string_value(json_array_get(first, 1)), "\"<b>\"\x01\xef\xbf\xbd");
    json_t *second = json_array_get(json_object_get(request, "fields"), 1);
    CHECK_STR(json_string_value(json_array_get(second, 1)), "Basic [redacted]");
    CHECK_STR(member(json_object_get(request, "body"), "base64"), "e30K");
    CHECK_STR(member(json_object_get(all, "answer"), "reason"), "Made");
    CHECK(json_is_true(json_object_get(all, "replayable")));
    json_decref(all);
    ring_fini(&r);
}

/** Blocks are no multiple of three bytes. */
static void a_body_of_many_blocks_is_one_text(void)
{
    static char body[RING_BODY_MAX];
    static char back[RING_BODY_MAX];
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (char)(i * 7 ^ i >> 8);
    }
    ring_init(&r);
    for (size_t len = sizeof(body) - 5; len <= sizeof(body); len++) {
        struct ring_entry *e = add("POST", "/", NULL);
        ring_write_body(&r, e->id, RING_REQUEST_BODY, slice_of(body, len));
        json_t *all = entry(e);
        const char *text =
            member(json_object_get(json_object_get(all, "request"), "body"), "base64");
        size_t n = 0;
        CHECK_EQ_INT(base64_read(slice_str(text), BASE64_PADDED, back, sizeof(back), &n), 0);
        CHECK_EQ_INT(n, len);
        CHECK(memcmp(back, body, len) == 0);
        json_decref(all);
    }
    ring_fini(&r);
}

static void the_worst_fits(void)
{
    static char control[60000];
    static char query[60000];
    memset(control, 1, sizeof(control));
    for (size_t i = 0; i < sizeof(query); i++) {
        query[i] = "&key=\x01"[i % 6];
    }
    query[0] = '?';
    ring_init(&r);
    struct ring_entry *e = ring_add(&r);
    REQUIRE(e != NULL);
    const struct slice head[] = {
        slice_of(control, sizeof(control)), SLICE("http"), SLICE("a"),
        slice_of(query, sizeof(query)),     SLICE("2"),    slice_of(control, 1000),
        slice_of(control, sizeof(control))};
    for (size_t i = 0; i < array_len(head); i++) {
        REQUIRE(show_put(&r, 1, RING_REQUEST_HEAD, head[i]));
    }
    json_decref(entry(e));
    struct slice text;
    int error = show_curl(e, &text);
    REQUIRE(error == 0);
    mem_free((void *)(uintptr_t)text.ptr);
    for (unsigned i = 0; i < 40; i++) {
        struct ring_entry *one = ring_add(&r);
        REQUIRE(one != NULL);
        for (size_t k = 0; k < 4; k++) {
            REQUIRE(show_put(&r, one->id, RING_REQUEST_HEAD, head[k == 0 ? 1 : k]));
        }
    }
    REQUIRE(show_list(&r, 0, &text) == 0);
    json_t *all = parse(text);
    CHECK(json_array_size(json_object_get(all, "requests")) == 41);
    json_decref(all);
    ring_fini(&r);
}

static void lists_what_has_changed(void)
{
    struct slice text;
    ring_init(&r);
    for (unsigned i = 0; i < 3; i++) {
        (void)add("GET", i == 1 ? "/?sig=abc" : "/x", NULL);
    }
    uint64_t before = r.changes;
    ring_touch(&r, ring_find(&r, 2));
    REQUIRE(show_list(&r, 0, &text) == 0);
    json_t *all = parse(text);
    json_t *rows = json_object_get(all, "requests");
    CHECK_EQ_INT(json_array_size(rows), 3);
    CHECK_EQ_INT(json_integer_value(json_object_get(json_array_get(rows, 0), "id")), 3);
    CHECK_STR(member(json_array_get(rows, 1), "target"), "/?sig=[redacted]");
    json_decref(all);
    REQUIRE(show_list(&r, before, &text) == 0);
    all = parse(text);
    CHECK_EQ_INT(json_array_size(json_object_get(all, "requests")), 1);
    CHECK_EQ_INT(json_integer_value(json_object_get(all, "last")), r.changes);
    json_decref(all);
    ring_fini(&r);
}

static void says_why_not(void)
{
    ring_init(&r);
    struct ring_entry *e = add("GET", "/", NULL);
    CHECK(show_why_not(e) == NULL);
    e->upgrade = true;
    CHECK(show_why_not(e) != NULL);
    e->upgrade = false;
    e->request.whole = false;
    CHECK(show_why_not(e) != NULL);
    e->request = (struct ring_body){0};
    CHECK(show_why_not(e) != NULL);
    e->reached = false;
    CHECK(show_why_not(e) != NULL);
    ring_fini(&r);
}

static const struct {
    const char *method, *target, *fields[5], *body, *command;
} commands[] = {
    {"GET", "/", {0}, "", "curl -X 'GET' 'https://a.example/'\n"},
    {"HEAD", "/", {0}, "", "curl --head 'https://a.example/'\n"},
    {"POST",
     "/it's",
     {"Content-Type", "a/b", "X-A", "'; rm -rf ~; '"},
     "it's",
     "curl -X 'POST' 'https://a.example/it'\\''s' \\\n  -H 'Content-Type: a/b' \\\n"
     "  -H 'X-A: '\\''; rm -rf ~; '\\''' \\\n  --data-raw 'it'\\''s'\n"},
    {"POST",
     "/?key=abc",
     {"Cookie", "a=b", "X-Forwarded-For", "::1"},
     "@/etc/passwd",
     "curl -X 'POST' 'https://a.example/?key=[redacted]' \\\n  -H 'Cookie: [redacted]' \\\n"
     "  -H 'Content-Type:' \\\n  --data-raw '@/etc/passwd'\n"},
    {"PUT",
     "/",
     {"Content-Type", "a/b"},
     "a\x1b[201~b",
     "curl -X 'PUT' 'https://a.example/' \\\n  -H 'Content-Type: a/b' \\\n  --data-binary @body\n"},
};

static void writes_commands(void)
{
    ring_init(&r);
    for (size_t i = 0; i < array_len(commands); i++) {
        struct ring_entry *e = add(commands[i].method, commands[i].target, commands[i].fields);
        struct slice text;
        ring_write_body(&r, e->id, RING_REQUEST_BODY, slice_str(commands[i].body));
        REQUIRE(show_curl(e, &text) == 0);
        CHECK_TEXT(text.ptr, text.len, commands[i].command);
        mem_free((void *)(uintptr_t)text.ptr);
    }
    ring_fini(&r);
}

TAP_MAIN(shows_one, a_body_of_many_blocks_is_one_text, the_worst_fits, lists_what_has_changed,
         says_why_not, writes_commands)
