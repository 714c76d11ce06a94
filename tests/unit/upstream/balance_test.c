// SPDX-License-Identifier: Apache-2.0
//
// balance: turns are exactly by weight, spread out, and skip servers that may not be asked.

#include "upstream/balance.h"

#include "base/rng.h"
#include "tap.h"

enum { SERVERS_MAX = 8 };

struct member {
    uint32_t weight;
    bool usable;
};

static bool nobody_is_barred(const void *arg, uint32_t index)
{
    (void)arg;
    (void)index;
    return false;
}

static int pick(const struct balance_method *m, void *state, const struct member *members,
                uint32_t n)
{
    static const struct balance_settings settings;
    struct balance_server servers[SERVERS_MAX] = {0};
    uint16_t list[SERVERS_MAX];
    struct balance_choice c = {.settings = &settings,
                               .servers = servers,
                               .count = n,
                               .list = list,
                               .state = state,
                               .barred = nobody_is_barred};
    for (uint32_t i = 0; i < n; i++) {
        servers[i].weight = members[i].weight;
        if (members[i].usable) {
            list[c.list_count++] = (uint16_t)i;
        }
    }
    return m->pick(&c);
}

static const struct balance_method *round_robin(void)
{
    const struct balance_method *m = balance_find(SLICE("round-robin"));
    REQUIRE(m != NULL);
    REQUIRE(m->state_bytes(SERVERS_MAX) <= SERVERS_MAX * sizeof(uint64_t));
    return m;
}

static void knows_its_names(void)
{
    CHECK(balance_find(SLICE("round-robin")) != NULL);
    CHECK(balance_find(SLICE("round_robin")) == NULL);
    CHECK(balance_find(SLICE("")) == NULL);
}

// 5, 1 and 1: the heavy one's turns stand apart, a a b a c a a.
static void spreads_the_turns_of_a_heavy_server(void)
{
    const struct balance_method *m = round_robin();
    const struct member servers[] = {{5, true}, {1, true}, {1, true}};
    uint64_t state[SERVERS_MAX] = {0};
    const char want[] = "aabacaa";
    for (int round = 0; round < 3; round++) {
        char got[sizeof(want)] = "";
        for (size_t i = 0; i < sizeof(want) - 1; i++) {
            got[i] = (char)('a' + pick(m, state, servers, 3));
        }
        CHECK_STR(got, want);
    }
}

static void gives_each_its_share_whatever_the_weights(void)
{
    const struct balance_method *m = round_robin();
    struct rng rng;
    rng_seed(&rng, 42);
    for (int trial = 0; trial < 200; trial++) {
        struct member servers[SERVERS_MAX];
        uint32_t n = 1 + (uint32_t)rng_below(&rng, SERVERS_MAX);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            servers[i] = (struct member){1 + (uint32_t)rng_below(&rng, 20), true};
            sum += servers[i].weight;
        }
        uint64_t state[SERVERS_MAX] = {0};
        uint32_t turns[SERVERS_MAX] = {0};
        for (uint32_t i = 0; i < 7 * sum; i++) {
            int chosen = pick(m, state, servers, n);
            REQUIRE(chosen >= 0 && chosen < (int)n);
            turns[chosen]++;
        }
        for (uint32_t i = 0; i < n; i++) {
            CHECK_EQ_INT(turns[i], 7 * servers[i].weight);
        }
    }
}

static void passes_over_servers_that_may_not_be_asked(void)
{
    const struct balance_method *m = round_robin();
    struct member servers[] = {{1, true}, {1, false}, {1, true}};
    uint64_t state[SERVERS_MAX] = {0};
    uint32_t turns[3] = {0};
    for (int i = 0; i < 100; i++) {
        turns[pick(m, state, servers, 3)]++;
    }
    CHECK_EQ_INT(turns[0], 50);
    CHECK_EQ_INT(turns[1], 0);
    CHECK_EQ_INT(turns[2], 50);
    servers[0].usable = false;
    servers[2].usable = false;
    CHECK_EQ_INT(pick(m, state, servers, 3), -1);
    CHECK_EQ_INT(pick(m, state, servers, 0), -1);
}

// One that comes back gets its share, not all the turns that it missed.
static void does_not_make_up_for_an_absence(void)
{
    const struct balance_method *m = round_robin();
    struct member servers[] = {{1, true}, {1, true}};
    uint64_t state[SERVERS_MAX] = {0};
    servers[1].usable = false;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ_INT(pick(m, state, servers, 2), 0);
    }
    servers[1].usable = true;
    uint32_t turns[2] = {0};
    for (int i = 0; i < 10; i++) {
        turns[pick(m, state, servers, 2)]++;
    }
    CHECK_EQ_INT(turns[0], 5);
    CHECK_EQ_INT(turns[1], 5);
}

TAP_MAIN(knows_its_names, spreads_the_turns_of_a_heavy_server,
         gives_each_its_share_whatever_the_weights, passes_over_servers_that_may_not_be_asked,
         does_not_make_up_for_an_absence)
