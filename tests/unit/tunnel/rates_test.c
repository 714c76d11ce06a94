// SPDX-License-Identifier: Apache-2.0
//
// Rates: what a second lets in, that all who hold a grant share it, and that places are used again only
// when they have nothing left to remember.

#include "tunnel/rates.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tap.h"

static const uint64_t MS = 1000000;

static unsigned asks(struct rates *r, uint32_t place, uint64_t now_ns, unsigned most)
{
    unsigned n = 0;
    while (n < most && rates_may_ask(r, place, now_ns)) {
        n++;
    }
    return n;
}

static void a_second_lets_in_as_many(void)
{
    struct rates *r = rates_new(4);
    REQUIRE(r != NULL);
    uint32_t a = rates_hold(r, SLICE("a"), 10, 1000 * MS);
    CHECK_EQ_INT(asks(r, a, 5000 * MS, 100), 10);
    CHECK_EQ_INT(asks(r, a, 5099 * MS, 100), 0);
    CHECK_EQ_INT(asks(r, a, 5200 * MS, 100), 2);
    CHECK_EQ_INT(asks(r, a, 5000 * MS, 100), 0); // another core's clock is a little behind
    CHECK_EQ_INT(asks(r, a, 90000 * MS, 100), 10);
    CHECK_EQ_INT(asks(r, RATES_NONE, 5000 * MS, 100), 100);
    rates_let_go(r, a);
    rates_let_go(r, RATES_NONE);
    rates_free(r);
    rates_free(NULL);
}

static void all_of_a_grant_share_it(void)
{
    struct rates *r = rates_new(4);
    REQUIRE(r != NULL);
    uint32_t a = rates_hold(r, SLICE("a"), 10, 1000 * MS);
    uint32_t b = rates_hold(r, SLICE("b"), 10, 1000 * MS);
    uint32_t again = rates_hold(r, SLICE("a"), 10, 1000 * MS);
    CHECK(a == again);
    CHECK(a != b);
    CHECK_EQ_INT(asks(r, a, 5000 * MS, 7), 7);
    CHECK_EQ_INT(asks(r, again, 5000 * MS, 100), 3);
    CHECK_EQ_INT(asks(r, b, 5000 * MS, 100), 10);
    // A grant that was made anew under another rate has that from then on.
    CHECK_EQ_INT(rates_hold(r, SLICE("a"), 1000, 5000 * MS), a);
    CHECK_EQ_INT(asks(r, a, 5500 * MS, 1000), 500);
    rates_free(r);
}

static void coming_anew_gives_nothing(void)
{
    struct rates *r = rates_new(2);
    REQUIRE(r != NULL);
    uint32_t a = rates_hold(r, SLICE("a"), 10, 1000 * MS);
    CHECK_EQ_INT(asks(r, a, 5000 * MS, 100), 10);
    rates_let_go(r, a);
    CHECK_EQ_INT(rates_hold(r, SLICE("a"), 10, 5000 * MS), a);
    CHECK_EQ_INT(asks(r, a, 5000 * MS, 100), 0);
    rates_let_go(r, a);
    // Its place is not given away before it has come to rest.
    uint32_t b = rates_hold(r, SLICE("b"), 10, 5000 * MS);
    CHECK(b != a);
    CHECK_EQ_INT(rates_hold(r, SLICE("c"), 10, 5500 * MS), RATES_NONE);
    CHECK_EQ_INT(rates_hold(r, SLICE("c"), 10, 6000 * MS), a);
    CHECK_EQ_INT(rates_hold(r, SLICE("d"), 10, 90000 * MS), RATES_NONE);
    CHECK_EQ_INT(asks(r, a, 90000 * MS, 100), 10);
    rates_let_go(r, b);
    CHECK_EQ_INT(rates_hold(r, SLICE("a"), 10, 90000 * MS), b);
    rates_free(r);
}

static void places_are_found_again_among_many(void)
{
    enum { MANY = 5000 };
    struct rates *r = rates_new(MANY);
    REQUIRE(r != NULL);
    static uint32_t places[MANY];
    char id[RATES_ID_MAX];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            (void)snprintf(id, sizeof(id), "grant-%u", i);
            uint32_t at = rates_hold(r, slice_str(id), 5, 0);
            if (round == 0) {
                places[i] = at;
            }
            if (at == RATES_NONE || at != places[i]) {
                CHECK_EQ_INT(at, places[i]);
            }
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        rates_let_go(r, places[i]);
        rates_let_go(r, places[i]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(id, sizeof(id), "other-%u", i);
        CHECK(rates_hold(r, slice_str(id), 5, 0) != RATES_NONE);
    }
    CHECK_EQ_INT(rates_hold(r, SLICE("grant-1"), 5, 0), RATES_NONE);
    rates_free(r);
}

struct asking {
    struct rates *rates;
    uint32_t place;
    atomic_uint let_in;
};

static void *ask_on_a_core(void *arg)
{
    struct asking *a = arg;
    for (uint64_t ms = 0; ms < 2000; ms++) {
        uint32_t held = rates_hold(a->rates, SLICE("a"), 1000, 9000 * MS + ms * MS);
        for (int i = 0; i < 5; i++) {
            a->let_in += rates_may_ask(a->rates, a->place, 9000 * MS + ms * MS);
        }
        rates_let_go(a->rates, held);
    }
    return NULL;
}

static void cores_share_it(void)
{
    struct asking a = {.rates = rates_new(4)};
    REQUIRE(a.rates != NULL);
    a.place = rates_hold(a.rates, SLICE("a"), 1000, 0);
    pthread_t threads[4];
    for (size_t i = 0; i < array_len(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, ask_on_a_core, &a) == 0);
    }
    for (size_t i = 0; i < array_len(threads); i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    // Two seconds by everybody's clock, and what was saved up before.
    CHECK(a.let_in >= 2000);
    CHECK(a.let_in <= 3000);
    rates_free(a.rates);
}

TAP_MAIN(a_second_lets_in_as_many, all_of_a_grant_share_it, coming_anew_gives_nothing,
         places_are_found_again_among_many, cores_share_it)
