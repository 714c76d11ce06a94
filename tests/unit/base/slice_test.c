// SPDX-License-Identifier: Apache-2.0
//
// slice: comparing, searching, trimming and the list syntax of HTTP.

#include "base/slice.h"

#include "base/rng.h"
#include "tap.h"

static void compares(void)
{
    CHECK(slice_eq(SLICE("abc"), slice_str("abc")));
    CHECK(!slice_eq(SLICE("abc"), SLICE("abd")));
    CHECK(slice_eq(SLICE(""), slice_of(NULL, 0)));
    CHECK(slice_starts(SLICE("abc"), SLICE("ab")) && !slice_starts(SLICE("a"), SLICE("ab")));
    CHECK(slice_ends(SLICE("abc"), SLICE("bc")) && !slice_ends(SLICE("c"), SLICE("bc")));
    CHECK(slice_ends_nocase(SLICE("x.Example"), SLICE(".eXAMPLE")));
    CHECK(!slice_ends_nocase(SLICE("xExample"), SLICE(".example")));
}

static char fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void compares_without_case_like_the_naive_way(void)
{
    struct rng r;
    rng_seed(&r, 1);
    for (int round = 0; round < 200000; round++) {
        char a[24];
        char b[24];
        size_t len = rng_below(&r, sizeof(a) + 1);
        bool same = true;
        for (size_t i = 0; i < len; i++) {
            // Bytes around the borders of the letters, with and without the high bit.
            a[i] = (char)rng_u64(&r);
            uint64_t how = rng_below(&r, 8);
            b[i] = how == 0 ? (char)(a[i] ^ 0x20) : how == 1 && len < 4 ? (char)rng_u64(&r) : a[i];
            same = same && fold(a[i]) == fold(b[i]);
        }
        if (slice_eq_nocase(slice_of(a, len), slice_of(b, len)) != same) {
            CHECK_BYTES(a, len, b, len);
        }
    }
    for (int c = 0; c < 256; c++) {
        for (int d = 0; d < 256; d++) {
            char a[8] = {'x', 'x', 'x', (char)c, 'x', 'x', 'x', 'x'};
            char b[8] = {'x', 'x', 'x', (char)d, 'X', 'x', 'x', 'x'};
            if (slice_eq_nocase(slice_of(a, 8), slice_of(b, 8)) !=
                (fold((char)c) == fold((char)d))) {
                CHECK_EQ_INT(c, d);
            }
        }
    }
    CHECK(!slice_eq_nocase(SLICE("a"), SLICE("ab")));
}

static void finds(void)
{
    CHECK_EQ_INT(slice_find_char(SLICE("a:b:c"), ':'), 1);
    CHECK_EQ_INT(slice_find_char(SLICE("abc"), ':'), -1);
    CHECK_EQ_INT(slice_find_char(slice_of(NULL, 0), ':'), -1);
    CHECK_EQ_INT(slice_find(SLICE("hello"), SLICE("lo")), 3);
    CHECK_EQ_INT(slice_find(SLICE("hello"), SLICE("lox")), -1);
    CHECK_EQ_INT(slice_find(SLICE("hello"), SLICE("")), 0);
    CHECK_EQ_INT(slice_find(slice_of(NULL, 0), SLICE("a")), -1);
}

static void cuts(void)
{
    struct slice s = SLICE("abcdef");
    CHECK(slice_eq(slice_sub(s, 1, 2), SLICE("bc")));
    CHECK(slice_eq(slice_sub(s, 4, 99), SLICE("ef")));
    CHECK(slice_eq(slice_sub(s, 9, 1), SLICE("")));
    CHECK(slice_eq(slice_from(s, 6), SLICE("")));
    CHECK(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    CHECK(slice_eq(slice_trim(SLICE(" \t ")), SLICE("")));
    CHECK(slice_eq(slice_trim(SLICE("\ra\n")), SLICE("\ra\n")));
}

static void walks_lists(void)
{
    struct slice rest = SLICE(" , a ,,\"b,\\\",\" x ,c;q=\"1,2\",");
    struct slice e;
    CHECK(slice_next_element(&rest, &e) && slice_eq(e, SLICE("a")));
    CHECK(slice_next_element(&rest, &e) && slice_eq(e, SLICE("\"b,\\\",\" x")));
    CHECK(slice_next_element(&rest, &e) && slice_eq(e, SLICE("c;q=\"1,2\"")));
    CHECK(!slice_next_element(&rest, &e));
    rest = SLICE("\"never closed, a\\");
    CHECK(slice_next_element(&rest, &e) && e.len == 17);
    CHECK(!slice_next_element(&rest, &e));
}

TAP_MAIN(compares, compares_without_case_like_the_naive_way, finds, cuts, walks_lists)
