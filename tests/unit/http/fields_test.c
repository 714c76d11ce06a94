// SPDX-License-Identifier: Apache-2.0
//
// The header block: adding, finding, replacing, removing, and its bounds.

#include "http/fields.h"

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "tap.h"

static struct arena arena;
static struct fields fields;

static void begin(uint32_t bytes_max, uint16_t count_max)
{
    arena_init(&arena, NULL, 0, NULL, 1 << 20);
    fields_init(&fields, &arena, bytes_max, count_max);
}

static const char *shown(const struct fields *f)
{
    static char buffer[4096];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    for (uint16_t i = 0; i < f->count; i++) {
        text_put(&t, field_name(f, &f->entries[i]));
        text_char(&t, '=');
        text_put(&t, field_value(f, &f->entries[i]));
        text_char(&t, ';');
    }
    buffer[t.len] = '\0';
    return buffer;
}

static void add(const char *name, const char *value)
{
    CHECK_EQ_INT(fields_add(&fields, slice_str(name), slice_str(value)), 0);
}

static void keeps_order_and_duplicates(void)
{
    begin(4096, 100);
    add("X-A", "1");
    add("cookie", "a");
    add("x-a", "2");
    add("Cookie", "b");
    CHECK_EQ_INT(fields_add_id(&fields, HTTP_VIA, SLICE("1.1 adit")), 0);
    CHECK_STR(shown(&fields), "X-A=1;cookie=a;x-a=2;Cookie=b;Via=1.1 adit;");
    CHECK(fields_has(&fields, HTTP_COOKIE));
    CHECK(!fields_has(&fields, HTTP_HOST));
    CHECK(slice_eq(fields_get_id(&fields, HTTP_COOKIE), SLICE("a")));
    CHECK(slice_eq(fields_get(&fields, SLICE("X-a")), SLICE("1")));
    CHECK(slice_eq(fields_get(&fields, SLICE("VIA")), SLICE("1.1 adit")));
    CHECK(fields_get(&fields, SLICE("X-B")).ptr == NULL);
    CHECK(fields_get_id(&fields, HTTP_HOST).ptr == NULL);
    arena_fini(&arena);
}

static void removes_and_replaces(void)
{
    begin(4096, 100);
    add("X-A", "1");
    add("Cookie", "a");
    add("X-B", "2");
    add("x-A", "3");
    add("Cookie", "b");
    CHECK_EQ_INT(fields_set(&fields, SLICE("x-a"), SLICE("new")), 0);
    CHECK_STR(shown(&fields), "X-A=new;Cookie=a;X-B=2;Cookie=b;");
    CHECK_EQ_INT(fields_set_id(&fields, HTTP_COOKIE, SLICE("")), 0);
    CHECK_STR(shown(&fields), "X-A=new;Cookie=;X-B=2;");
    CHECK_EQ_INT(fields_set_id(&fields, HTTP_VIA, SLICE("v")), 0);
    CHECK_EQ_INT(fields_remove(&fields, SLICE("x-b")), 1);
    CHECK_EQ_INT(fields_remove(&fields, SLICE("x-c")), 0);
    CHECK_EQ_INT(fields_remove_id(&fields, HTTP_COOKIE), 1);
    CHECK(!fields_has(&fields, HTTP_COOKIE));
    CHECK_STR(shown(&fields), "X-A=new;Via=v;");
    fields_remove_at(&fields, 0);
    CHECK_STR(shown(&fields), "Via=v;");
    CHECK(!fields_has(&fields, HTTP_OTHER));
    fields_remove_at(&fields, 0);
    CHECK_EQ_INT(fields.count, 0);
    CHECK_ABORTS(fields_remove_at(&fields, 0));
    arena_fini(&arena);
}

static void stays_within_its_bounds(void)
{
    begin(100, 3);
    add("A", "1");
    add("B", "2");
    add("C", "3");
    CHECK_EQ_INT(fields_add(&fields, SLICE("D"), SLICE("4")), E_TOO_MANY_FIELDS);
    arena_fini(&arena);

    begin(100, 1000);
    int rc = 0;
    unsigned n = 0;
    while (rc == 0) {
        rc = fields_add(&fields, SLICE("name"), SLICE("value"));
        n += rc == 0;
    }
    CHECK_EQ_INT(rc, E_HEAD_TOO_LARGE);
    CHECK_EQ_INT(n, 7); // with ": " and CRLF
    CHECK(fields_reserve(&fields, 10) == NULL);
    CHECK(fields_reserve(&fields, UINT32_MAX) == NULL);
    CHECK(fields_reserve(&fields, 1) != NULL);
    arena_fini(&arena);
}

static void survives_growth(void)
{
    begin(1 << 18, 5000);
    add("first", "value");
    struct slice early = fields_get(&fields, SLICE("first"));
    char name[16];
    for (int i = 0; i < 4000; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        // A value that points into the store that is about to move.
        CHECK_EQ_INT(fields_add(&fields, slice_str(name), fields_get(&fields, SLICE("first"))), 0);
    }
    CHECK(slice_eq(early, SLICE("value")));
    CHECK(slice_eq(fields_get(&fields, SLICE("n3999")), SLICE("value")));
    struct arena other;
    struct fields copy;
    arena_init(&other, NULL, 0, NULL, 1 << 20);
    fields_init(&copy, &other, 1 << 18, 5000);
    CHECK_EQ_INT(fields_copy(&copy, &fields), 0);
    CHECK_EQ_INT(copy.count, fields.count);
    CHECK(slice_eq(fields_get(&copy, SLICE("N42")), SLICE("value")));
    arena_fini(&other);
    arena_fini(&arena);
}

static void fails_gently_without_memory(void)
{
    for (uint64_t nth = 1; nth < 6; nth++) {
        begin(1 << 16, 1000);
        alloc_fail_nth(nth);
        int rc = 0;
        for (int i = 0; i < 200 && rc == 0; i++) {
            rc = fields_add(&fields, SLICE("a-name"), SLICE("and a value"));
        }
        alloc_fail_nth(0);
        CHECK(rc == 0 || rc == E_NO_MEMORY);
        CHECK(rc == 0 || fields.count < 200);
        arena_fini(&arena);
    }
}

static void searches_lists(void)
{
    begin(4096, 100);
    add("Cache-Control", "no-cache, Max-Age=5");
    add("Cache-Control", " no-transform ");
    CHECK(fields_list_has(&fields, HTTP_CACHE_CONTROL, SLICE("NO-CACHE")));
    CHECK(fields_list_has(&fields, HTTP_CACHE_CONTROL, SLICE("no-transform")));
    CHECK(!fields_list_has(&fields, HTTP_CACHE_CONTROL, SLICE("no")));
    CHECK(!fields_list_has(&fields, HTTP_VARY, SLICE("no-cache")));
    arena_fini(&arena);
}

static void classes_bytes(void)
{
    const char *tokens =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool token = c != 0 && strchr(tokens, c) != NULL;
        CHECK(http_is_token(slice_of(&byte, 1)) == token);
        bool value = c > 0x20 && c != 0x7f;
        CHECK(http_value_ok(slice_of(&byte, 1)) == value);
        char inner[3] = {'a', byte, 'b'};
        CHECK(http_value_ok(slice_of(inner, 3)) == (value || c == ' ' || c == '\t'));
    }
    CHECK(!http_is_token(SLICE("")));
    CHECK(!http_is_token(SLICE("a b")));
    CHECK(http_value_ok(SLICE("")));
    CHECK(!http_value_ok(SLICE(" a")));
    CHECK(!http_value_ok(SLICE("a\t")));
}

TAP_MAIN(keeps_order_and_duplicates, removes_and_replaces, stays_within_its_bounds, survives_growth,
         fails_gently_without_memory, searches_lists, classes_bytes)
