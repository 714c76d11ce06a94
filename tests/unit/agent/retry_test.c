// SPDX-License-Identifier: Apache-2.0
//
// Pauses between calls: their ranges, and when they begin anew.

#include "tap.h"

#include "agent/retry.h"

static void comes_back_soon_after_a_loss(void)
{
    struct rng rng;
    rng_seed(&rng, 1);
    uint64_t most = 0;
    for (int i = 0; i < 1000; i++) {
        struct agent_retry r = {0};
        uint64_t ms = agent_retry_lost(&r, RETRY_HEALTHY_MS, 0, &rng);
        CHECK(ms <= RETRY_FIRST_MS);
        most = ms > most ? ms : most;
    }
    CHECK(most > RETRY_FIRST_MS * 9 / 10);
}

static void spreads_over_the_window(void)
{
    struct rng rng;
    rng_seed(&rng, 2);
    unsigned quarters[4] = {0};
    for (int i = 0; i < 4000; i++) {
        struct agent_retry r = {0};
        uint64_t ms = agent_retry_lost(&r, 0, 8000, &rng);
        CHECK(ms <= 8000);
        quarters[ms >= 8000 ? 3 : ms / 2000]++;
    }
    for (int i = 0; i < 4; i++) {
        CHECK(quarters[i] > 800 && quarters[i] < 1200);
    }
}

static void pauses_grow_to_a_limit(void)
{
    struct rng rng;
    rng_seed(&rng, 3);
    struct agent_retry r = {0};
    uint64_t range = RETRY_BASE_MS;
    for (int i = 0; i < 100; i++) {
        CHECK(agent_retry_failed(&r, 0, &rng) <= range);
        range = range * 2 < RETRY_MAX_MS ? range * 2 : RETRY_MAX_MS;
    }
    uint64_t most = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t ms = agent_retry_failed(&r, 0, &rng);
        most = ms > most ? ms : most;
    }
    CHECK(most > RETRY_MAX_MS / 2 && most <= RETRY_MAX_MS);
    uint64_t least = agent_retry_failed(&r, 30000, &rng);
    CHECK(least >= 30000 && least <= 30000 + RETRY_MAX_MS);
}

// An edge that lets in and ends at once is not called in a circle.
static void a_short_life_is_no_health(void)
{
    struct rng rng;
    rng_seed(&rng, 4);
    struct agent_retry r = {0};
    uint64_t sum = 0;
    for (int i = 0; i < 100; i++) {
        sum += agent_retry_lost(&r, 10, 0, &rng);
    }
    CHECK(sum > 100 * RETRY_MAX_MS / 4);
    CHECK(agent_retry_lost(&r, RETRY_HEALTHY_MS, 0, &rng) <= RETRY_FIRST_MS);
}

// An edge that restarts every few seconds finds its agents back within its window each time.
static void a_restart_is_no_failure(void)
{
    struct rng rng;
    rng_seed(&rng, 5);
    struct agent_retry r = {0};
    for (int i = 0; i < 100; i++) {
        CHECK(agent_retry_asked(&r, RETRY_HEALTHY_MS, 1000, &rng) <= 1000);
    }
    CHECK(agent_retry_lost(&r, RETRY_HEALTHY_MS, 0, &rng) <= RETRY_FIRST_MS);
    uint64_t sum = 0;
    for (int i = 0; i < 100; i++) {
        sum += agent_retry_asked(&r, 10, 1000, &rng);
    }
    CHECK(sum > 100 * RETRY_MAX_MS / 4);
}

TAP_MAIN(a_restart_is_no_failure, comes_back_soon_after_a_loss, spreads_over_the_window,
         pauses_grow_to_a_limit, a_short_life_is_no_health)
