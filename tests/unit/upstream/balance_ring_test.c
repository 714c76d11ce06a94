// SPDX-License-Identifier: Apache-2.0
//
// balance_ring: keys stay where they are unless their own server goes, shares are even and by weight,
// and no server carries more than its bound.

#include "upstream/balance_help.h"

enum { KEYS = 100000 };

static int16_t *owners_of(struct group *g)
{
    int16_t *owner = mem_alloc(KEYS * sizeof(*owner));
    REQUIRE(owner != NULL);
    for (uint64_t k = 0; k < KEYS; k++) {
        owner[k] = (int16_t)group_pick_key(g, k);
    }
    return owner;
}

static bool all_but_5(uint32_t i)
{
    return i != 5;
}

// Passed over or gone from the list: the same keys go to the same places.
static void only_the_keys_of_one_that_leaves_move(void)
{
    struct group *g = group_new(20);
    group_use(g, "hash");
    int16_t *before = owners_of(g);
    group_list(g, all_but_5);
    int16_t *without = owners_of(g);
    memmove(&g->servers[5], &g->servers[6], 14 * sizeof(g->servers[0]));
    g->choice.count = 19;
    group_list(g, NULL);
    group_use(g, "hash");
    int16_t *gone = owners_of(g);
    uint32_t moved = 0;
    uint32_t receivers[20] = {0};
    for (uint32_t k = 0; k < KEYS; k++) {
        REQUIRE(before[k] >= 0 && without[k] >= 0 && gone[k] >= 0);
        CHECK((before[k] != without[k]) == (before[k] == 5));
        CHECK_EQ_INT(gone[k] < 5 ? gone[k] : gone[k] + 1, without[k]);
        if (before[k] == 5) {
            moved++;
            receivers[without[k]]++;
        }
    }
    CHECK(moved * 20 < KEYS * 6 / 5); // 1.2 / n
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(i == 5 || receivers[i] > 0); // spread, not given to a neighbour
    }
    mem_free(before);
    mem_free(without);
    mem_free(gone);
    group_free(g);
}

// The order in which servers are listed says nothing, so several edges agree.
static void order_does_not_matter(void)
{
    struct group *g = group_new(10);
    group_use(g, "hash");
    int16_t *before = owners_of(g);
    for (uint32_t i = 0; i < 10; i++) {
        g->servers[i].id = 1009 - i;
    }
    group_use(g, "hash");
    int16_t *after = owners_of(g);
    for (uint32_t k = 0; k < KEYS; k++) {
        CHECK_EQ_INT(after[k], 9 - before[k]);
    }
    mem_free(before);
    mem_free(after);
    group_free(g);
}

static void weights_make_shares(void)
{
    static const uint32_t weights[] = {1, 3, 100, 300, 1000};
    struct group *g = group_new(40);
    for (uint32_t i = 0; i < 40; i++) {
        g->servers[i].weight = weights[i % 5];
    }
    group_use(g, "hash");
    int16_t *owner = owners_of(g);
    double share[5] = {0};
    for (uint32_t k = 0; k < KEYS; k++) {
        share[owner[k] % 5] += 1;
    }
    for (int w = 0; w < 5; w++) {
        double want = (double)KEYS * weights[w] / 1404;
        printf("# weight %u: %.0f keys, %.0f by weight\n", weights[w], share[w], want);
        CHECK(share[w] > want * (w < 2 ? 0.3 : 0.9) && share[w] < want * (w < 2 ? 2 : 1.1));
    }
    mem_free(owner);
    group_free(g);
}

// With most of them down the rest is chosen by rendezvous: as stable, by weight.
static bool two_of_them(uint32_t i)
{
    return i == 40 || i == 41;
}

static bool only_41(uint32_t i)
{
    return i == 41;
}

static void few_of_many_share_by_weight(void)
{
    struct group *g = group_new(64);
    g->servers[40].weight = 3;
    group_use(g, "hash");
    group_list(g, two_of_them);
    int16_t *owner = owners_of(g);
    uint32_t first = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        first += owner[k] == 40;
        CHECK(owner[k] == 40 || owner[k] == 41);
    }
    CHECK(abs((int)first - KEYS * 3 / 4) < KEYS / 100);
    group_list(g, only_41);
    CHECK_EQ_INT(group_pick_key(g, 1), 41);
    mem_free(owner);
    group_free(g);
}

// All requests have one key: no server takes more than 125 % of the average, rounded up.
static void bounded_load_is_never_exceeded(void)
{
    struct group *g = group_new(10);
    atomic_uint active = 0;
    g->servers[3].weight = 2;
    g->settings.bound_percent = 125;
    group_use(g, "hash");
    for (uint32_t total = 0; total < 1000; total++) {
        g->choice.active = total % 2 == 0 ? &active : NULL; // given, or added up
        atomic_store(&active, total);
        int i = group_pick_key(g, 99);
        REQUIRE(i >= 0);
        uint32_t now = atomic_fetch_add(&g->vitals[i].active, 1) + 1;
        uint32_t bound = (125 * (total + 1) * g->servers[i].weight + 1099) / 1100;
        CHECK(now <= bound);
    }
    // Nobody with room but one who may not: the bound gives way, not the request.
    for (uint32_t i = 0; i < 10; i++) {
        atomic_store(&g->vitals[i].active, i == 0 ? 0 : 100);
    }
    atomic_store(&active, 0);
    g->choice.active = &active;
    CHECK_EQ_INT(group_pick_key(g, 99), 0);
    g->barred[0] = true;
    CHECK(group_pick_key(g, 99) > 0);
    group_free(g);
}

// A server that starts slowly gets keys one by one, and those that it has stay.
static void slow_start_takes_keys_little_by_little(void)
{
    struct group *g = group_new(4);
    group_use(g, "hash");
    int16_t *full = owners_of(g);
    g->settings.slow_start_ms = 10000;
    atomic_store(&g->vitals[2].ready_since_ms, g->choice.now_ns / 1000000);
    int16_t *last = NULL;
    for (int tenth = 1; tenth <= 10; tenth++) {
        int16_t *now = owners_of(g);
        uint32_t held = 0;
        uint32_t all = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            CHECK(now[k] == full[k] || full[k] == 2);
            CHECK(last == NULL || last[k] != 2 || now[k] == 2);
            held += now[k] == 2;
            all += full[k] == 2;
        }
        int want = (int)all * (tenth == 1 ? 1 : tenth - 1) / 10;
        CHECK(abs((int)held - want) < KEYS / 200);
        mem_free(last);
        last = now;
        g->choice.now_ns += (uint64_t)1000000000;
    }
    mem_free(last);
    mem_free(full);
    group_free(g);
}

// Two machines, two years: these are fixed for good.
static void places_do_not_change_between_versions(void)
{
    static const int want[] = {57, 8, 36, 95, 73, 66, 3, 10};
    struct group *g = group_new(100);
    group_use(g, "hash");
    for (uint64_t k = 0; k < array_len(want); k++) {
        CHECK_EQ_INT(group_pick_key(g, k), want[k]);
    }
    group_free(g);
}

TAP_MAIN(only_the_keys_of_one_that_leaves_move, order_does_not_matter, weights_make_shares,
         few_of_many_share_by_weight, bounded_load_is_never_exceeded,
         slow_start_takes_keys_little_by_little, places_do_not_change_between_versions)
