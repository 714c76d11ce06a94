// SPDX-License-Identifier: Apache-2.0
//
// breaker: when it opens, what it lets through meanwhile, when it closes.

#include "upstream/breaker.h"

#include "tap.h"

static const struct breaker_settings settings = {
    .percent = 50, .least = 20, .window_ms = 10000, .open_ms = 5000, .probes = 3};

/** A request that is sent and ends at once; false: refused. */
static bool ask(struct breaker *b, enum verdict v, uint64_t now)
{
    enum breaker_pass pass = breaker_enter(b, &settings, now);
    if (pass == BREAKER_REFUSED) {
        return false;
    }
    (void)breaker_leave(b, &settings, pass, v, now);
    return true;
}

static void open_it(struct breaker *b, uint64_t now)
{
    for (unsigned i = 0; i < 20; i++) {
        (void)ask(b, VERDICT_BAD, now);
    }
    REQUIRE(breaker_state(b) == BREAKER_OPEN);
}

static void opens_by_share(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    for (unsigned i = 0; i < 19; i++) {
        CHECK(ask(&b, VERDICT_BAD, 0));
    }
    CHECK(breaker_state(&b) == BREAKER_CLOSED); // too few to decide
    for (unsigned i = 0; i < 21; i++) {
        CHECK(ask(&b, VERDICT_GOOD, 0));
    }
    enum breaker_pass pass = breaker_enter(&b, &settings, 0);
    CHECK(pass == BREAKER_PASSED);
    CHECK(!breaker_leave(&b, &settings, pass, VERDICT_NONE, 0));
    CHECK(!breaker_leave(&b, &settings, pass, VERDICT_BAD, 0)); // 20 of 41
    CHECK(breaker_leave(&b, &settings, pass, VERDICT_BAD, 0));  // 21 of 42
    CHECK(breaker_state(&b) == BREAKER_OPEN);
    CHECK(!ask(&b, VERDICT_GOOD, 4999));
    CHECK_EQ_INT(breaker_left_ms(&b, &settings, 0), 5000);
    CHECK_EQ_INT(breaker_left_ms(&b, &settings, 4900), 100);
    CHECK_EQ_INT(breaker_left_ms(&b, &settings, 6000), 1);
    CHECK_EQ_INT(b.opened, 1);
}

static void old_failures_do_not_count(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    for (unsigned i = 0; i < 19; i++) {
        (void)ask(&b, VERDICT_BAD, 0);
    }
    (void)ask(&b, VERDICT_BAD, 10000);
    CHECK(breaker_state(&b) == BREAKER_CLOSED);
}

static void probes_close_it(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    open_it(&b, 0);
    enum breaker_pass probe[3];
    for (unsigned i = 0; i < 3; i++) {
        probe[i] = breaker_enter(&b, &settings, 5000);
        CHECK(probe[i] == BREAKER_PROBE);
    }
    CHECK(breaker_state(&b) == BREAKER_HALF_OPEN);
    CHECK(breaker_enter(&b, &settings, 5000) == BREAKER_REFUSED);
    CHECK_EQ_INT(breaker_left_ms(&b, &settings, 5000), 1); // as soon as the probes have ended
    CHECK(!breaker_leave(&b, &settings, probe[0], VERDICT_GOOD, 5001));
    CHECK(!breaker_leave(&b, &settings, probe[1], VERDICT_NONE, 5001));
    CHECK(ask(&b, VERDICT_GOOD, 5001)); // in the place of the one that said nothing
    CHECK(breaker_leave(&b, &settings, probe[2], VERDICT_GOOD, 5001));
    CHECK(breaker_state(&b) == BREAKER_CLOSED);
    CHECK(ask(&b, VERDICT_BAD, 5002));
    CHECK(breaker_state(&b) == BREAKER_CLOSED); // it begins anew
}

static void a_failed_probe_opens_it_again(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    open_it(&b, 0);
    enum breaker_pass first = breaker_enter(&b, &settings, 5000);
    enum breaker_pass second = breaker_enter(&b, &settings, 5000);
    CHECK(breaker_leave(&b, &settings, first, VERDICT_BAD, 6000));
    CHECK(breaker_state(&b) == BREAKER_OPEN);
    CHECK(!breaker_leave(&b, &settings, second, VERDICT_GOOD, 6000)); // too late to matter
    CHECK(!ask(&b, VERDICT_GOOD, 10999));
    CHECK(ask(&b, VERDICT_GOOD, 11000));
}

static void probes_that_last_hold_nothing_up(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    open_it(&b, 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(breaker_enter(&b, &settings, 5000) == BREAKER_PROBE);
    }
    CHECK(breaker_enter(&b, &settings, 9999) == BREAKER_REFUSED);
    CHECK(ask(&b, VERDICT_GOOD, 10000));
    CHECK(ask(&b, VERDICT_GOOD, 10000));
    CHECK(ask(&b, VERDICT_GOOD, 10000));
    CHECK(breaker_state(&b) == BREAKER_CLOSED);
}

// Requests from before it opened say nothing about now.
static void late_ends_change_nothing(void)
{
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    enum breaker_pass old = breaker_enter(&b, &settings, 0);
    open_it(&b, 0);
    CHECK(!breaker_leave(&b, &settings, old, VERDICT_BAD, 100));
    CHECK(breaker_enter(&b, &settings, 5000) == BREAKER_PROBE);
    CHECK(!breaker_leave(&b, &settings, old, VERDICT_BAD, 5001));
    CHECK(breaker_state(&b) == BREAKER_HALF_OPEN);
}

static void off_is_closed(void)
{
    static const struct breaker_settings off = {0};
    static struct breaker b; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&b, 0, sizeof b);
    open_it(&b, 0);
    enum breaker_pass pass = breaker_enter(&b, &off, 1);
    CHECK(pass == BREAKER_PASSED);
    CHECK(!breaker_leave(&b, &off, pass, VERDICT_BAD, 1));
    CHECK(breaker_state(&b) == BREAKER_CLOSED);
}

TAP_MAIN(opens_by_share, old_failures_do_not_count, probes_close_it, a_failed_probe_opens_it_again,
         probes_that_last_hold_nothing_up, late_ends_change_nothing, off_is_closed)
