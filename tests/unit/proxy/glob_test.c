// SPDX-License-Identifier: Apache-2.0
//
// Wildcards in paths: what they take, what they catch, what they cost.

#include "proxy/glob.h"

#include "base/error.h"
#include "tap.h"

struct row {
    const char *pattern;
    const char *text;
    const char *captures; // joined by '|', NULL: no match
};

static const struct row rows[] = {
    {"/a", "/a", ""},
    {"/a", "/ab", NULL},
    {"/*", "/x", "x"},
    {"/*", "/x/y", NULL},
    {"/*", "/", ""},
    {"/*.php", "/index.php", "index"},
    {"/*.php", "/index.php.php", "index.php"},
    {"/*.php", "/a/index.php", NULL},
    {"/*.php", "/index.phpx", NULL},
    {"/**.php", "/a/b/index.php", "a/b/index"},
    {"/**/x", "/a/b/x", "a/b"},
    {"/**/x", "/x", NULL},
    {"/a/*/b", "/a/q/b", "q"},
    {"/a/*/b", "/a/q/r/b", NULL},
    {"/a/**/b", "/a/q/r/b", "q/r"},
    {"/a/*/c/**", "/a/b/c/d/e", "b|d/e"},
    {"/**/a*c", "/x/a/abc", "x/a|b"},
    {"/**/a*c", "/x/aby/abc", "x/aby|b"},
    {"**", "", ""},
    {"**", "/anything/at/all", "/anything/at/all"},
    {"/*-*", "/a-b-c", "a|b-c"},
    {"/*/*", "/a/b", "a|b"},
    {"/**b*d**f", "/xbyd/zf", "x|y|/z"},
    {"/**b/*d", "/ab/cb/xd", "ab/c|x"},
    {"/***x", "/a/x", "a/"},
};

static void matches_and_captures(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        struct arena a;
        arena_init(&a, NULL, 0, NULL, 1 << 16);
        const struct glob *g = NULL;
        REQUIRE(glob_compile(slice_str(r->pattern), &a, &g) == 0);
        struct slice captures[10] = {{NULL, 0}};
        bool got = glob_match(g, slice_str(r->text), captures, 10);
        if (!CHECK(got == (r->captures != NULL))) {
            printf("#   %s on %s\n", r->pattern, r->text);
        }
        char joined[256] = "";
        for (unsigned n = 1; got && n < 10 && captures[n].ptr != NULL; n++) {
            size_t len = strlen(joined);
            (void)snprintf(joined + len, sizeof(joined) - len, "%s%.*s", n > 1 ? "|" : "",
                           SLICE_ARG(captures[n]));
        }
        if (got && r->captures != NULL) {
            CHECK_STR(joined, r->captures);
            CHECK_TEXT(captures[0].ptr, captures[0].len, r->text);
        }
        arena_fini(&a);
    }
}

static void bounds_its_pieces(void)
{
    char pattern[GLOB_TOKENS_MAX * 2 + 4];
    struct arena a;
    const struct glob *g = NULL;
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = i % 2 == 0 ? '/' : '*';
    }
    CHECK_EQ_INT(glob_compile(slice_of(pattern, GLOB_TOKENS_MAX), &a, &g), 0);
    CHECK_EQ_INT(glob_compile(slice_of(pattern, GLOB_TOKENS_MAX + 1), &a, &g), E_TOO_LARGE);
    arena_fini(&a);
}

// Patterns that make naive matchers explode have to be answered within the step limit, and rightly.
static void is_linear_enough(void)
{
    static char text[8192];
    static const char *const patterns[] = {"/**a*c", "/*a*a*a*a*a*a*b", "/**a**a**a**a**b",
                                           "/**/a*/b*/c*d"};
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 16);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const struct glob *g = NULL;
        REQUIRE(glob_compile(slice_str(patterns[i]), &a, &g) == 0);
        memset(text, 'a', sizeof(text));
        text[0] = '/';
        CHECK(!glob_match(g, slice_of(text, sizeof(text)), NULL, 0));
        for (size_t j = 0; j < sizeof(text); j += 50) {
            text[j] = '/';
        }
        CHECK(!glob_match(g, slice_of(text, sizeof(text)), NULL, 0));
        text[sizeof(text) - 1] = i == 0 ? 'c' : i == 3 ? 'd' : 'b';
        CHECK(glob_match(g, slice_of(text, sizeof(text)), NULL, 0) == (i == 0 || i == 2));
    }
    arena_fini(&a);
}

TAP_MAIN(matches_and_captures, bounds_its_pieces, is_linear_enough)
