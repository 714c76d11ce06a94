// SPDX-License-Identifier: Apache-2.0
//
// slab: limits, reuse order, blocks that come and go, and the fault injection.

#include "base/slab.h"

#include "base/rng.h"
#include "tap.h"

enum { MANY = 20000 };

static void *objects[MANY];

static void stops_at_its_limit(void)
{
    struct slab s;
    slab_init(&s, "test", 40, 3);
    CHECK_EQ_INT(s.object_size, 48);
    for (int i = 0; i < 3; i++) {
        objects[i] = slab_take(&s);
        REQUIRE(objects[i] != NULL);
        CHECK_EQ_INT((uintptr_t)objects[i] % 16, 0);
    }
    CHECK(slab_take(&s) == NULL);
    CHECK_ABORTS(slab_fini(&s));
    slab_give(&s, objects[1]);
    objects[1] = slab_take(&s);
    CHECK(objects[1] != NULL);
    for (int i = 0; i < 3; i++) {
        slab_give(&s, objects[i]);
    }
    CHECK_EQ_INT(s.in_use, 0);
    slab_fini(&s);
}

static void gives_the_last_one_first(void)
{
#ifndef ADIT_SANITIZED
    struct slab s;
    slab_init(&s, "test", 64, 10);
    void *a = slab_take(&s);
    void *b = slab_take(&s);
    slab_give(&s, a);
    slab_give(&s, b);
    CHECK(slab_take(&s) == b);
    CHECK(slab_take(&s) == a);
    slab_give(&s, a);
    slab_give(&s, b);
    slab_fini(&s);
#endif
}

// Objects never overlap, whatever the order of takes and gives: each carries its own number.
static void keeps_objects_apart(void)
{
    struct rng r;
    rng_seed(&r, 3);
    static const size_t sizes[] = {1, 16, 100, 5000, 40000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct slab s;
        slab_init(&s, "test", sizes[k], MANY);
        uint32_t held = 0;
        uint32_t high = sizes[k] > 1000 ? 300 : 3000;
        for (int step = 0; step < 30000; step++) {
            // Rises and falls over a few waves, so that blocks fill up and drain.
            bool up = rng_chance(&r, (step / 5000) % 2 == 0 ? 0.8 : 0.2);
            if (up && held < high) {
                uint8_t *o = slab_take(&s);
                REQUIRE(o != NULL);
                memset(o, (int)(held & 0xff), s.object_size);
                objects[held++] = o;
            } else if (held > 0) {
                uint32_t at = (uint32_t)rng_below(&r, held);
                uint8_t *o = objects[at];
                uint8_t mark = o[0];
                CHECK(o[s.object_size - 1] == mark && o[s.object_size / 2] == mark);
                slab_give(&s, o);
                held--;
                objects[at] = objects[held];
            }
        }
        CHECK_EQ_INT(s.in_use, held);
        while (held > 0) {
            slab_give(&s, objects[--held]);
        }
        slab_fini(&s);
    }
}

static void gives_memory_back(void)
{
#ifndef ADIT_SANITIZED
    struct slab s;
    slab_init(&s, "test", 8192, MANY);
    for (int i = 0; i < MANY; i++) {
        objects[i] = slab_take(&s);
        REQUIRE(objects[i] != NULL);
    }
    for (int i = 0; i < MANY; i++) {
        slab_give(&s, objects[i]);
    }
    CHECK((size_t)s.free_count * s.object_size <= 4 * 1024 * 1024); // SLAB_WARM_BYTES
    slab_fini(&s);
#endif
}

static void refuses_what_is_not_its_own(void)
{
#ifndef ADIT_SANITIZED
    struct slab s;
    struct slab other;
    slab_init(&s, "test", 64, 10);
    slab_init(&other, "other", 64, 10);
    void *o = slab_take(&s);
    void *p = slab_take(&other);
    CHECK_ABORTS(slab_give(&other, o));
    CHECK_ABORTS(slab_give(&s, NULL));
    slab_give(&s, o);
    slab_give(&other, p);
    CHECK_ABORTS(slab_give(&s, o));
    slab_fini(&s);
    slab_fini(&other);
#endif
}

static void fails_on_demand(void)
{
    struct slab s;
    slab_init(&s, "test", 64, 10);
    alloc_fail_nth(2);
    void *a = slab_take(&s);
    CHECK(a != NULL);
    CHECK(slab_take(&s) == NULL);
    void *b = slab_take(&s);
    CHECK(b != NULL);
    alloc_fail_nth(1);
    CHECK(mem_alloc(8) == NULL);
    alloc_fail_nth(1);
    CHECK(mem_zalloc(8) == NULL);
    alloc_fail_nth(1);
    CHECK(mem_realloc(NULL, 8) == NULL);
    alloc_fail_rate(0.5, 1);
    int failed = 0;
    for (int i = 0; i < 1000; i++) {
        failed += alloc_must_fail();
    }
    CHECK(failed > 400 && failed < 600);
    alloc_fail_rate(0, 0);
    CHECK(!alloc_must_fail());
    slab_give(&s, a);
    slab_give(&s, b);
    slab_fini(&s);
}

static void system_memory_works(void)
{
    char *p = mem_zalloc(100);
    REQUIRE(p != NULL);
    CHECK(p[0] == 0 && p[99] == 0);
    p = mem_realloc(p, 1000);
    REQUIRE(p != NULL);
    CHECK(p[99] == 0);
    mem_free(p);
    p = mem_alloc(0);
    CHECK(p != NULL);
    mem_free(p);
    mem_free(NULL);
}

TAP_MAIN(stops_at_its_limit, gives_the_last_one_first, keeps_objects_apart, gives_memory_back,
         refuses_what_is_not_its_own, fails_on_demand, system_memory_works)
