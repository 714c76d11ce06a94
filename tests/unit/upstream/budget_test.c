// SPDX-License-Identifier: Apache-2.0
//
// budget: a share of the requests, never less than the floor, never more with several threads.

#include "upstream/budget.h"

#include <pthread.h>

#include "tap.h"

static uint32_t take_all(struct budget *b, const struct budget_settings *s, uint64_t now)
{
    uint32_t taken = 0;
    while (taken < 100000 && budget_take(b, s, now)) {
        taken++;
    }
    return taken;
}

static void is_a_share_of_the_requests(void)
{
    static const struct budget_settings settings = {.percent = 20, .floor = 3};
    static struct budget b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    for (unsigned i = 0; i < 1000; i++) {
        budget_request(&b, 5000);
    }
    CHECK_EQ_INT(take_all(&b, &settings, 5000), 200);
    CHECK(!budget_take(&b, &settings, 9000));
    CHECK_EQ_INT(take_all(&b, &settings, 15000), 30); // all that has left; the floor
}

static void floor_without_traffic(void)
{
    static const struct budget_settings settings = {.percent = 20, .floor = 3};
    static const struct budget_settings none = {.percent = 5};
    static const struct budget_settings any = {.unlimited = true};
    static struct budget b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    CHECK_EQ_INT(take_all(&b, &settings, 0), 30);
    static struct budget c; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&c, 0, sizeof c);
    CHECK_EQ_INT(take_all(&c, &none, 0), 0);
    CHECK_EQ_INT(take_all(&c, &any, 0), 100000);
}

static struct budget shared;
static const struct budget_settings shared_settings = {.percent = 10, .floor = 0};
enum { THREADS = 4, ROUNDS = 20000 };

static void *asks(void *arg)
{
    uint32_t *taken = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        *taken += budget_take(&shared, &shared_settings, 0);
    }
    return NULL;
}

static void threads_never_exceed_it(void)
{
    pthread_t threads[THREADS];
    uint32_t taken[THREADS] = {0};
    uint32_t sum = 0;
    for (unsigned i = 0; i < 10000; i++) {
        budget_request(&shared, 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, asks, &taken[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += taken[i];
    }
    CHECK_EQ_INT(sum, 1000);
}

TAP_MAIN(is_a_share_of_the_requests, floor_without_traffic, threads_never_exceed_it)
