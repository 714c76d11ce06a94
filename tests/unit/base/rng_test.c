// SPDX-License-Identifier: Apache-2.0
//
// rng: reproducible by seed, even, and within its bounds.

#include "base/rng.h"

#include "tap.h"

static void repeats_by_seed(void)
{
    struct rng a;
    struct rng b;
    rng_seed(&a, 5);
    rng_seed(&b, 5);
    for (int i = 0; i < 100; i++) {
        CHECK(rng_u64(&a) == rng_u64(&b));
    }
    rng_seed(&b, 6);
    CHECK(rng_u64(&a) != rng_u64(&b));
}

// The first output for the state {1, 2, 3, 4} is 11520: rotl(2 * 5, 7) * 9.
static void follows_the_published_sequence(void)
{
    struct rng r = {{1, 2, 3, 4}};
    CHECK(rng_u64(&r) == 11520);
    CHECK(rng_u64(&r) == 0);
    CHECK(rng_u64(&r) == 1509978240);
    CHECK(rng_u64(&r) == 1215971899390074240u);
}

static void is_even(void)
{
    struct rng r;
    rng_seed(&r, 1);
    int count[7] = {0};
    int heads = 0;
    for (int i = 0; i < 70000; i++) {
        uint64_t x = rng_below(&r, 7);
        REQUIRE(x < 7);
        count[x]++;
        heads += rng_chance(&r, 0.25);
    }
    for (int i = 0; i < 7; i++) {
        CHECK(count[i] > 9500 && count[i] < 10500);
    }
    CHECK(heads > 17000 && heads < 18000);
    CHECK(rng_below(&r, 1) == 0);
    CHECK(!rng_chance(&r, 0) && rng_chance(&r, 1));
    CHECK_ABORTS(rng_below(&r, 0));
}

TAP_MAIN(repeats_by_seed, follows_the_published_sequence, is_even)
