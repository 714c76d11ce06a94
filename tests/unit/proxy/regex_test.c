// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions and their limits.

#include "proxy/regex.h"

#include "base/error.h"
#include "tap.h"

static void captures_groups(void)
{
    struct arena a;
    struct regex_error error;
    const struct regex *r = NULL;
    struct slice captures[REGEX_CAPTURES_MAX];
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    CHECK(regex_thread_init() == 0);
    REQUIRE(regex_compile(SLICE("^/(a|b)/(x)?([0-9]+)"), &a, &r, &error) == 0);
    CHECK(regex_match(r, SLICE("/b/42/rest"), captures, 4));
    CHECK_TEXT(captures[0].ptr, captures[0].len, "/b/42");
    CHECK_TEXT(captures[1].ptr, captures[1].len, "b");
    CHECK_EQ_INT(captures[2].len, 0);
    CHECK_TEXT(captures[3].ptr, captures[3].len, "42");
    CHECK(!regex_match(r, SLICE("/c/42"), captures, 4));
    CHECK(!regex_match(r, slice_of(NULL, 0), NULL, 0));
    arena_fini(&a);
    regex_thread_fini();
}

static void keeps_ten_captures_of_many(void)
{
    struct arena a;
    struct regex_error error;
    const struct regex *r = NULL;
    struct slice captures[REGEX_CAPTURES_MAX];
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    REQUIRE(regex_compile(SLICE("(1)(2)(3)(4)(5)(6)(7)(8)(9)(a)(b)(c)"), &a, &r, &error) == 0);
    CHECK(regex_match(r, SLICE("x123456789abc"), captures, REGEX_CAPTURES_MAX));
    CHECK_TEXT(captures[9].ptr, captures[9].len, "9");
    arena_fini(&a);
    regex_thread_fini();
}

static void says_where_a_pattern_is_broken(void)
{
    struct arena a;
    struct regex_error error;
    const struct regex *r = NULL;
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    CHECK_EQ_INT(regex_compile(SLICE("/a(b"), &a, &r, &error), E_INVALID);
    CHECK_EQ_INT(error.offset, 4);
    CHECK(strlen(error.message) > 0);
    static char longest[REGEX_PATTERN_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    CHECK_EQ_INT(regex_compile(slice_of(longest, sizeof(longest)), &a, &r, &error), E_INVALID);
    arena_fini(&a);
}

static void gives_up_in_time(void)
{
    static char subject[4096];
    struct arena a;
    struct regex_error error;
    const struct regex *r = NULL;
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    memset(subject, 'a', sizeof(subject));
    REQUIRE(regex_compile(SLICE("^(a+)+$"), &a, &r, &error) == 0);
    subject[sizeof(subject) - 1] = '!';
    CHECK(!regex_match(r, slice_of(subject, sizeof(subject)), NULL, 0));
    arena_fini(&a);
    regex_thread_fini();
}

TAP_MAIN(captures_groups, keeps_ten_captures_of_many, says_where_a_pattern_is_broken,
         gives_up_in_time)
