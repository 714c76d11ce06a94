// SPDX-License-Identifier: Apache-2.0
//
// balance: what holds for every method (only who may be asked is, shares are by weight), and weights of
// servers that start slowly. What is particular to one: balance_turns_test.c and its neighbours.

#include "upstream/balance.h"

#include "upstream/balance_help.h"

static void knows_its_names(void)
{
    static const char *const names[] = {"two-choices", "round-robin", "least-conn",
                                        "ewma",        "ip-hash",     "hash"};
    for (size_t i = 0; i < array_len(names); i++) {
        const struct balance_method *m = balance_find(slice_str(names[i]));
        REQUIRE(m != NULL);
        CHECK_EQ_INT(m->by_key, i >= 4);
        CHECK(m->state_bytes(BALANCE_SERVERS_MAX) > 0);
        CHECK(balance_at(i) == m);
    }
    CHECK(balance_at(array_len(names)) == NULL);
    CHECK(balance_find(SLICE("round_robin")) == NULL);
    CHECK(balance_find(SLICE("")) == NULL);
}

// Three servers of 1,000 by weights 1, 2, 5: any method, without load, gives each its share.
static void shares_are_by_weight(void)
{
    enum { PICKS = 80000 };
    for (size_t m = 0; balance_at(m) != NULL; m++) {
        struct group *g = group_new(3);
        uint32_t turns[3] = {0};
        g->servers[1].weight = 2;
        g->servers[2].weight = 5;
        group_use(g, balance_at(m)->name);
        for (uint32_t i = 0; i < PICKS; i++) {
            int chosen = group_pick(g);
            REQUIRE(chosen >= 0 && chosen < 3);
            turns[chosen]++;
        }
        // A ring's shares are as even as its points: 4 % of a server with 512 of them.
        int off = balance_at(m)->by_key ? PICKS * 15 / 1000 : PICKS / 100;
        printf("# %s: %u %u %u\n", balance_at(m)->name, turns[0], turns[1], turns[2]);
        CHECK(abs((int)turns[0] - PICKS / 8) < off);
        CHECK(abs((int)turns[1] - PICKS / 4) < off);
        CHECK(abs((int)turns[2] - PICKS * 5 / 8) < off);
        group_free(g);
    }
}

static bool every_third(uint32_t i)
{
    return i % 3 == 0;
}

static bool one_of_all(uint32_t i)
{
    return i == 77;
}

static void only_those_of_the_list_are_chosen(void)
{
    static bool (*const lists[])(uint32_t) = {every_third, one_of_all};
    for (size_t m = 0; balance_at(m) != NULL; m++) {
        struct group *g = group_new(100);
        group_use(g, balance_at(m)->name);
        for (size_t l = 0; l < array_len(lists); l++) {
            group_list(g, lists[l]);
            for (int i = 0; i < 3000; i++) {
                int chosen = group_pick(g);
                REQUIRE(chosen >= 0);
                CHECK(lists[l]((uint32_t)chosen));
            }
        }
        g->choice.list_count = 0;
        CHECK_EQ_INT(group_pick(g), -1);
        group_free(g);
    }
}

static void barred_ones_and_those_of_weight_0_are_not_chosen(void)
{
    for (size_t m = 0; balance_at(m) != NULL; m++) {
        struct group *g = group_new(20);
        for (uint32_t i = 0; i < 20; i++) {
            g->barred[i] = i % 2 == 0;
            g->servers[i].weight = i < 10;
        }
        group_use(g, balance_at(m)->name);
        for (int i = 0; i < 3000; i++) {
            int chosen = group_pick(g);
            REQUIRE(chosen >= 0);
            CHECK(chosen % 2 == 1 && chosen < 10);
        }
        for (uint32_t i = 0; i < 10; i++) {
            g->barred[i] = true;
        }
        CHECK_EQ_INT(group_pick(g), -1);
        for (uint32_t i = 0; i < 20; i++) {
            g->barred[i] = false;
            g->servers[i].weight = 0;
        }
        group_use(g, balance_at(m)->name);
        CHECK_EQ_INT(group_pick(g), -1);
        group_free(g);
    }
}

// A table that there was no memory for costs time, not service.
static void a_method_does_without_its_table(void)
{
    for (size_t m = 0; balance_at(m) != NULL; m++) {
        struct group *g = group_new(40);
        uint32_t turns[40] = {0};
        group_use(g, balance_at(m)->name);
        g->choice.table = NULL;
        for (int i = 0; i < 4000; i++) {
            int chosen = group_pick(g);
            REQUIRE(chosen >= 0);
            turns[chosen]++;
        }
        for (int i = 0; i < 40; i++) {
            CHECK(turns[i] > 50 && turns[i] < 150);
        }
        group_free(g);
    }
}

static void a_slow_start_grows_from_a_tenth(void)
{
    struct group *g = group_new(1);
    const struct balance_server *s = &g->servers[0];
    g->settings.slow_start_ms = 10000;
    g->servers[0].weight = 3;
    const uint64_t ms = 1000000;
    CHECK_EQ_INT(balance_weight(&g->settings, s, 5 * ms), 3000); // ready since ever
    atomic_store(&g->vitals[0].ready_since_ms, 100000);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 99999 * ms), 300);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 100000 * ms), 300);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 101000 * ms), 300);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 105000 * ms), 1500);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 109999 * ms), 2997);
    CHECK_EQ_INT(balance_weight(&g->settings, s, 110000 * ms), 3000);
    g->servers[0].weight = 0;
    CHECK_EQ_INT(balance_weight(&g->settings, s, 101000 * ms), 0);
    g->settings.slow_start_ms = 0;
    g->servers[0].weight = 3;
    CHECK_EQ_INT(balance_weight(&g->settings, s, 100000 * ms), 3000);
    group_free(g);
}

// Half way through a slow start a server has a third of what two share: half a weight of one and a half.
static void a_server_that_starts_slowly_has_less(void)
{
    enum { PICKS = 60000 };
    for (size_t m = 0; balance_at(m) != NULL; m++) {
        struct group *g = group_new(2);
        uint32_t turns[2] = {0};
        group_use(g, balance_at(m)->name);
        g->settings.slow_start_ms = 10000;
        atomic_store(&g->vitals[1].ready_since_ms, 995000);
        for (uint32_t i = 0; i < PICKS; i++) {
            turns[group_pick(g)]++;
        }
        // By key it gives up half of its own half.
        int want = balance_at(m)->by_key ? PICKS / 4 : PICKS / 3;
        CHECK(abs((int)turns[1] - want) < PICKS / 40);
        group_free(g);
    }
}

TAP_MAIN(knows_its_names, shares_are_by_weight, only_those_of_the_list_are_chosen,
         barred_ones_and_those_of_weight_0_are_not_chosen, a_method_does_without_its_table,
         a_slow_start_grows_from_a_tenth, a_server_that_starts_slowly_has_less)
