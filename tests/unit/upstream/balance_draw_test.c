// SPDX-License-Identifier: Apache-2.0
//
// balance_draw: odds are exact, the less loaded of two wins, latencies rise at once and fade with time.

#include "upstream/balance_help.h"
#include "upstream/balance_int.h"

enum { MS = 1000000 };

static void set_active(struct group *g, uint32_t i, unsigned n)
{
    atomic_store(&g->vitals[i].active, n);
}

static void set_latency(struct group *g, uint32_t i, uint64_t ns)
{
    atomic_store(&g->vitals[i].latency_ns, ns);
    atomic_store(&g->vitals[i].latency_at_ns, g->choice.now_ns);
}

static bool upper_half(uint32_t i)
{
    return i >= 16;
}

static void check_odds(struct group *g, int except)
{
    enum { DRAWS = 400000 };
    uint32_t drawn[32] = {0};
    uint32_t sum = 0;
    for (uint32_t n = 0; n < g->choice.list_count; n++) {
        sum += (int)g->list[n] == except ? 0 : g->servers[g->list[n]].weight;
    }
    for (int i = 0; i < DRAWS; i++) {
        int one = balance_draw(&g->choice, except);
        REQUIRE(one >= 0 && one < 32);
        drawn[one]++;
    }
    for (uint32_t n = 0; n < g->choice.list_count; n++) {
        uint32_t i = g->list[n];
        double want = (int)i == except ? 0 : (double)DRAWS * g->servers[i].weight / sum;
        double off = (double)drawn[i] - want;
        CHECK(off * off <= 25 * want); // five deviations
    }
}

// Weights 0 to 31; all of them, all but one, half of them, and by the list alone.
static void draws_by_weight(void)
{
    struct group *g = group_new(32);
    for (uint32_t i = 0; i < 32; i++) {
        g->servers[i].weight = i;
    }
    group_use(g, "two-choices");
    check_odds(g, -1);
    check_odds(g, 31);
    group_list(g, upper_half);
    check_odds(g, -1);
    check_odds(g, 20);
    g->choice.table = NULL;
    check_odds(g, -1);
    group_free(g);
}

static void the_less_loaded_of_two_wins(void)
{
    struct group *g = group_new(2);
    group_use(g, "two-choices");
    set_active(g, 0, 3);
    set_active(g, 1, 2);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ_INT(group_pick(g), 1);
    }
    g->servers[0].weight = 2; // 3/2 and 4/2 against 2 and 3
    group_use(g, "two-choices");
    for (int i = 0; i < 100; i++) {
        CHECK_EQ_INT(group_pick(g), 0);
    }
    group_free(g);
}

// The most loaded of n is never chosen, for each choice meets another.
static void the_most_loaded_gets_nothing(void)
{
    struct group *g = group_new(10);
    group_use(g, "two-choices");
    for (uint32_t i = 0; i < 10; i++) {
        set_active(g, i, i);
    }
    uint32_t turns[10] = {0};
    for (int i = 0; i < 9000; i++) {
        turns[group_pick(g)]++;
    }
    CHECK_EQ_INT(turns[9], 0);
    // Server i is chosen with the 9 - i worse ones: 2 * (9 - i) / (10 * 9).
    for (uint32_t i = 0; i < 9; i++) {
        CHECK(abs((int)turns[i] - (int)(200 * (9 - i))) < 200);
    }
    group_free(g);
}

static void least_conn_finds_the_least_of_all(void)
{
    struct group *g = group_new(200);
    group_use(g, "least-conn");
    for (uint32_t i = 0; i < 200; i++) {
        set_active(g, i, 5);
    }
    set_active(g, 100, 3);
    set_active(g, 150, 3);
    uint32_t turns[200] = {0};
    for (int i = 0; i < 1000; i++) {
        turns[group_pick(g)]++;
    }
    CHECK_EQ_INT(turns[100] + turns[150], 1000);
    CHECK(turns[100] > 400 && turns[150] > 400);
    g->barred[100] = true;
    CHECK_EQ_INT(group_pick(g), 150);
    g->barred[150] = true;
    for (int i = 0; i < 100; i++) {
        int other = group_pick(g);
        CHECK(other >= 0 && other != 100 && other != 150);
    }
    group_free(g);
}

// Requests that stay: each server fills by its weight.
static void least_conn_fills_by_weight(void)
{
    struct group *g = group_new(3);
    g->servers[1].weight = 4;
    g->servers[2].weight = 10;
    group_use(g, "least-conn");
    for (int i = 0; i < 1500; i++) {
        int chosen = group_pick(g);
        atomic_fetch_add(&g->vitals[chosen].active, 1);
    }
    CHECK(abs((int)atomic_load(&g->vitals[0].active) - 100) <= 2);
    CHECK(abs((int)atomic_load(&g->vitals[1].active) - 400) <= 2);
    CHECK(abs((int)atomic_load(&g->vitals[2].active) - 1000) <= 2);
    group_free(g);
}

static void a_latency_rises_at_once_and_fades(void)
{
    static struct vitals v; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&v, 0, sizeof v);
    const uint64_t half = (uint64_t)BALANCE_LATENCY_HALF_MS * MS;
    CHECK_EQ_INT(balance_latency(&v, 5), 0);
    balance_observe_latency(&v, 10 * MS, half);
    CHECK_EQ_INT(balance_latency(&v, half), 10 * MS);
    balance_observe_latency(&v, 90 * MS, half);
    CHECK_EQ_INT(balance_latency(&v, half), 90 * MS);
    CHECK_EQ_INT(balance_latency(&v, 2 * half), 45 * MS);
    CHECK_EQ_INT(balance_latency(&v, 3 * half), 22500000);
    CHECK_EQ_INT(balance_latency(&v, 1000 * half), 1); // known, if long ago
    balance_observe_latency(&v, 10 * MS, 2 * half);    // half of the way from 90 to 10
    CHECK_EQ_INT(balance_latency(&v, 2 * half), 50 * MS);
    CHECK_EQ_INT(balance_latency(&v, half), 50 * MS); // a core whose clock is behind
}

// However quickly samples come, an average reaches them.
static void a_latency_follows_quick_samples(void)
{
    static struct vitals v; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&v, 0, sizeof v);
    balance_observe_latency(&v, 1000, 1);
    uint64_t now = 1;
    for (int i = 0; i < 4000000; i++) {
        now += 1000;
        balance_observe_latency(&v, 10, now);
    }
    uint64_t left = balance_latency(&v, now);
    CHECK(left > 450 && left < 560); // one half-life
    balance_observe_latency(&v, 0, now);
    CHECK(balance_latency(&v, now) > 0);
}

static void the_quicker_of_two_wins(void)
{
    struct group *g = group_new(2);
    group_use(g, "ewma");
    set_latency(g, 0, 10 * MS);
    set_latency(g, 1, 11 * MS);
    CHECK_EQ_INT(group_pick(g), 0);
    set_active(g, 0, 1); // 20 against 11
    CHECK_EQ_INT(group_pick(g), 1);
    set_active(g, 1, 1);
    CHECK_EQ_INT(group_pick(g), 0);
    set_active(g, 1, 0);
    g->servers[0].weight = 10;
    group_use(g, "ewma"); // 10 * 2 / 10 against 11
    CHECK_EQ_INT(group_pick(g), 0);
    group_free(g);
}

// One that nothing is known of counts as quick as the other: chosen until it has as much to do.
static void a_new_server_is_neither_flooded_nor_starved(void)
{
    struct group *g = group_new(2);
    group_use(g, "ewma");
    set_latency(g, 0, 10 * MS);
    uint32_t turns[2] = {0};
    for (int i = 0; i < 1000; i++) {
        turns[group_pick(g)]++;
    }
    CHECK(turns[0] > 400 && turns[1] > 400);
    set_active(g, 0, 4);
    set_active(g, 1, 3);
    CHECK_EQ_INT(group_pick(g), 1);
    set_active(g, 1, 5);
    CHECK_EQ_INT(group_pick(g), 0);
    group_free(g);
}

// A slow one is tried again when its time has faded to that of the other, which has samples.
static void a_slow_server_gets_another_chance(void)
{
    struct group *g = group_new(2);
    group_use(g, "ewma");
    set_latency(g, 0, 10 * MS);
    set_latency(g, 1, 100 * MS);
    uint64_t begin = g->choice.now_ns;
    int chosen = 0;
    while (chosen == 0 && g->choice.now_ns < begin + (uint64_t)60000 * MS) {
        g->choice.now_ns += 10 * MS;
        chosen = group_pick(g);
        if (chosen == 0) {
            balance_observe_latency(&g->vitals[0], 10 * MS, g->choice.now_ns);
        }
    }
    uint64_t waited = (g->choice.now_ns - begin) / MS / BALANCE_LATENCY_HALF_MS;
    CHECK(waited == 3); // 10 = 100 / 2^3.3
    group_free(g);
}

TAP_MAIN(draws_by_weight, the_less_loaded_of_two_wins, the_most_loaded_gets_nothing,
         least_conn_finds_the_least_of_all, least_conn_fills_by_weight,
         a_latency_rises_at_once_and_fades, a_latency_follows_quick_samples,
         the_quicker_of_two_wins, a_new_server_is_neither_flooded_nor_starved,
         a_slow_server_gets_another_chance)
