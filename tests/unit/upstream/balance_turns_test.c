// SPDX-License-Identifier: Apache-2.0
//
// balance_turns: turns are exactly by weight, spread out, different on each core, and nobody makes up
// for an absence.

#include "upstream/balance_help.h"

// 5, 1 and 1: the heavy one's turns stand apart, at most two in a row, and each seven have five of them.
static void spreads_the_turns_of_a_heavy_server(void)
{
    struct group *g = group_new(3);
    g->servers[0].weight = 5;
    group_use(g, "round-robin");
    uint32_t turns[3] = {0};
    unsigned row = 0;
    for (int i = 0; i < 7000; i++) {
        int chosen = group_pick(g);
        turns[chosen]++;
        row = chosen == 0 ? row + 1 : 0;
        CHECK(row <= 5);
    }
    CHECK(abs((int)turns[0] - 5000) <= 2);
    CHECK(abs((int)turns[1] - 1000) <= 1);
    CHECK(abs((int)turns[2] - 1000) <= 1);
    group_free(g);
}

// Few servers go by the list, many by the heap.
static void gives_each_its_share_whatever_the_weights(void)
{
    struct rng rng;
    rng_seed(&rng, 42);
    for (int trial = 0; trial < 100; trial++) {
        uint32_t n = 1 + (uint32_t)rng_below(&rng, trial < 50 ? 8 : 80);
        struct group *g = group_new(n);
        uint32_t turns[80] = {0};
        uint32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            g->servers[i].weight = 1 + (uint32_t)rng_below(&rng, 20);
            sum += g->servers[i].weight;
        }
        group_use(g, "round-robin");
        for (uint32_t i = 0; i < 7 * sum; i++) {
            int chosen = group_pick(g);
            REQUIRE(chosen >= 0 && chosen < (int)n);
            turns[chosen]++;
        }
        for (uint32_t i = 0; i < n; i++) {
            CHECK(abs((int)turns[i] - (int)(7 * g->servers[i].weight)) <= 2);
        }
        group_free(g);
    }
}

// Between two turns of one server everybody else of its weight has one.
static void goes_round(void)
{
    struct group *g = group_new(50);
    group_use(g, "round-robin");
    uint32_t last[50] = {0};
    for (uint32_t i = 1; i <= 5000; i++) {
        int chosen = group_pick(g);
        CHECK(last[chosen] == 0 || i - last[chosen] == 50);
        last[chosen] = i;
    }
    group_free(g);
}

static bool all_but_7(uint32_t i)
{
    return i != 7;
}

static bool few(uint32_t i)
{
    return i < 3 || i == 7;
}

// One that comes back gets its share, not all the turns that it missed.
static void does_not_make_up_for_an_absence(void)
{
    static const uint32_t sizes[] = {10, 60};
    for (size_t s = 0; s < array_len(sizes); s++) {
        uint32_t n = sizes[s];
        struct group *g = group_new(n);
        group_use(g, "round-robin");
        group_list(g, all_but_7);
        uint32_t turns[60] = {0};
        for (uint32_t i = 0; i < 100 * n; i++) {
            turns[group_pick(g)]++;
        }
        CHECK_EQ_INT(turns[7], 0);
        group_list(g, NULL);
        memset(turns, 0, sizeof turns);
        for (uint32_t i = 0; i < 10 * n; i++) {
            turns[group_pick(g)]++;
        }
        for (uint32_t i = 0; i < n; i++) {
            CHECK(turns[i] >= 9 && turns[i] <= 11);
        }
        group_free(g);
    }
}

// The list grows and shrinks all the time: between the heap and the list nobody gains or loses.
static void lists_that_change_do_no_harm(void)
{
    struct group *g = group_new(60);
    group_use(g, "round-robin");
    uint32_t turns[60] = {0};
    for (uint32_t round = 0; round < 400; round++) {
        group_list(g, round % 2 == 0 ? NULL : few);
        for (uint32_t i = 0; i < (round % 2 == 0 ? 60 : 4); i++) {
            turns[group_pick(g)]++;
        }
    }
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t want = few(i) ? 400 : 200;
        CHECK(turns[i] > want * 8 / 10 && turns[i] < want * 12 / 10);
    }
    group_free(g);
}

static void cores_are_not_in_step(void)
{
    struct group *g = group_new(10);
    uint32_t first[10] = {0};
    for (int core = 0; core < 1000; core++) {
        group_use(g, "round-robin");
        first[group_pick(g)]++;
    }
    for (int i = 0; i < 10; i++) {
        CHECK(first[i] > 60 && first[i] < 140);
    }
    group_free(g);
}

// Virtual time wraps around in years; here it begins shortly before.
static void goes_on_when_virtual_time_wraps(void)
{
    struct group *g = group_new(4);
    group_use(g, "round-robin");
    (void)group_pick(g);
    uint64_t *state = g->choice.state;
    uint64_t shift = UINT64_MAX - state[0] - 100;
    state[0] += shift; // struct turns: now, flags, next[]
    for (int i = 0; i < 4; i++) {
        state[2 + i] += shift;
    }
    uint32_t turns[4] = {0};
    for (int i = 0; i < 400; i++) {
        turns[group_pick(g)]++;
    }
    for (int i = 0; i < 4; i++) {
        CHECK(turns[i] >= 99 && turns[i] <= 101);
    }
    group_free(g);
}

TAP_MAIN(spreads_the_turns_of_a_heavy_server, gives_each_its_share_whatever_the_weights, goes_round,
         does_not_make_up_for_an_absence, lists_that_change_do_no_harm, cores_are_not_in_step,
         goes_on_when_virtual_time_wraps)
