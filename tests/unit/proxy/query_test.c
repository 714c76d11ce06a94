// SPDX-License-Identifier: Apache-2.0
//
// Parameters of query strings.

#include "proxy/query.h"

#include "tap.h"

struct row {
    const char *query;
    const char *name;
    const char *values; // as sent, each ended by ';'
};

static const struct row rows[] = {
    {"", "a", ""},
    {"a", "a", ";"},
    {"a=1", "a", "1;"},
    {"a=1&a=2", "a", "1;2;"},
    {"aa=1&a=2", "a", "2;"},
    {"%61=1", "a", "1;"},
    {"x+y=1&x%20y=2", "x y", "1;2;"},
    {"&&a=&&", "a", ";"},
    {"a=b=c", "a", "b=c;"},
    {"=1", "", "1;"},
    {"%=1", "%", "1;"},
    {"%4=1", "%4", "1;"},
};

static void finds_parameters(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char joined[128] = "";
        struct slice rest = slice_str(rows[i].query);
        struct slice value;
        while (query_next(&rest, slice_str(rows[i].name), &value)) {
            size_t len = strlen(joined);
            (void)snprintf(joined + len, sizeof(joined) - len, "%.*s;", SLICE_ARG(value));
        }
        CHECK_STR(joined, rows[i].values);
    }
}

static void compares_decoded(void)
{
    CHECK(query_eq(SLICE("a%2Fb"), SLICE("a/b")));
    CHECK(query_eq(SLICE("a+b"), SLICE("a b")));
    CHECK(query_eq(SLICE("%zz"), SLICE("%zz")));
    CHECK(query_eq(SLICE("%"), SLICE("%")));
    CHECK(!query_eq(SLICE("ab"), SLICE("a")));
    CHECK(!query_eq(SLICE("a"), SLICE("ab")));
    CHECK(query_eq(SLICE(""), SLICE("")));
}

static void decodes_only_what_needs_it(void)
{
    struct arena a;
    struct slice plain;
    arena_init(&a, NULL, 0, NULL, 4096);
    struct slice sent = SLICE("plain");
    CHECK(query_decode(sent, &a, &plain) == 0);
    CHECK(plain.ptr == sent.ptr);
    CHECK(query_decode(SLICE("%41+b%"), &a, &plain) == 0);
    CHECK_TEXT(plain.ptr, plain.len, "A b%");
    arena_fini(&a);
}

TAP_MAIN(finds_parameters, compares_decoded, decodes_only_what_needs_it)
