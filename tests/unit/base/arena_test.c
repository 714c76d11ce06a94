// SPDX-License-Identifier: Apache-2.0
//
// arena: limits are exact, pieces never overlap, hooks run backwards, nothing stays behind.

#include "base/arena.h"

#include "base/chunk.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/slab.h"
#include "tap.h"

static char order[8];
static size_t order_len;

static void note(void *arg)
{
    order[order_len++] = *(const char *)arg;
}

static void runs_hooks_backwards(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4, 4);
    struct arena a;
    char first[64];
    arena_init(&a, first, sizeof(first), &pool, 4096);
    char names[] = "abc";
    order_len = 0;
    for (int i = 0; i < 3; i++) {
        REQUIRE(arena_on_fini(&a, note, &names[i]) == 0);
    }
    arena_fini(&a);
    CHECK_TEXT(order, order_len, "cba");
    CHECK_EQ_INT(pool.in_use, 0);
    chunk_pool_fini(&pool);
}

static void copies_text(void)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 4096);
    struct slice s = arena_dup(&a, SLICE("hello"));
    CHECK_TEXT(s.ptr, s.len, "hello");
    CHECK_STR(arena_strdup(&a, SLICE("world")), "world");
    CHECK_STR(arena_strdup(&a, slice_of(NULL, 0)), "");
    unsigned char *z = arena_zalloc(&a, 100);
    REQUIRE(z != NULL);
    CHECK(z[0] == 0 && z[99] == 0);
    alloc_fail_nth(1);
    CHECK(arena_dup(&a, SLICE("x")).ptr == NULL);
    alloc_fail_nth(1);
    CHECK(arena_strdup(&a, SLICE("x")) == NULL);
    alloc_fail_nth(1);
    CHECK(arena_zalloc(&a, 1) == NULL);
    alloc_fail_nth(1);
    CHECK_EQ_INT(arena_on_fini(&a, note, NULL), E_NO_MEMORY);
    arena_fini(&a);
    CHECK_ABORTS(arena_alloc(&a, 1) != NULL);
}

// Random pieces, each filled with its own mark, until the arena says no: the sum never exceeds the
// maximum and no mark is overwritten.
static void holds_what_it_promises(void)
{
    enum { PIECES = 4000 };
    static struct {
        unsigned char *at;
        size_t size;
    } piece[PIECES];
    struct rng r;
    rng_seed(&r, 5);
    for (int round = 0; round < 60; round++) {
        struct chunk_pool pool;
        chunk_pool_init(&pool, (uint32_t)rng_below(&r, 8) + 1, 2);
        size_t max = rng_below(&r, 200000) + 600;
        _Alignas(16) char first[512];
        struct arena a;
        bool with_first = rng_chance(&r, 0.5);
        arena_init(&a, with_first ? first : NULL, with_first ? sizeof(first) : 0,
                   rng_chance(&r, 0.7) ? &pool : NULL, max);
        size_t total = 0;
        int n = 0;
        int refused = 0;
        while (n < PIECES && refused < 20) {
            size_t size = rng_chance(&r, 0.05) ? rng_below(&r, 40000) : rng_below(&r, 300);
            bool aligned = rng_chance(&r, 0.5);
            void *p = aligned ? arena_alloc(&a, size) : arena_bytes(&a, size);
            if (p == NULL) {
                refused++;
                continue;
            }
            CHECK(!aligned || (uintptr_t)p % 16 == 0);
            memset(p, n & 0xff, size);
            piece[n].at = p;
            piece[n++].size = size;
            total += size;
            CHECK(total <= max && a.used <= max);
        }
        for (int i = 0; i < n; i++) {
            for (size_t k = 0; k < piece[i].size; k++) {
                if (piece[i].at[k] != (i & 0xff)) {
                    CHECK_EQ_INT(piece[i].at[k], i & 0xff);
                    break;
                }
            }
        }
        arena_fini(&a);
        CHECK_EQ_INT(pool.in_use, 0);
        chunk_pool_fini(&pool);
    }
}

static void refuses_beyond_its_maximum(void)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1000);
    CHECK(arena_alloc(&a, 1001) == NULL);
    CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
    CHECK(arena_bytes(&a, SIZE_MAX) == NULL);
    CHECK(arena_bytes(&a, 1000) != NULL);
    CHECK(arena_bytes(&a, 1) == NULL);
    arena_fini(&a);
}

static void fails_with_its_pool(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 1, 0);
    struct chunk *all = chunk_new(&pool);
    REQUIRE(all != NULL);
    struct arena a;
    arena_init(&a, NULL, 0, &pool, 100000);
#ifndef ADIT_SANITIZED
    CHECK(arena_alloc(&a, 100) == NULL);
#endif
    chunk_unref(all);
    CHECK(arena_alloc(&a, 100) != NULL);
    arena_fini(&a);
    chunk_pool_fini(&pool);
}

TAP_MAIN(runs_hooks_backwards, copies_text, holds_what_it_promises, refuses_beyond_its_maximum,
         fails_with_its_pool)
