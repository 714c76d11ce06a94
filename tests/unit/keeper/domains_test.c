// SPDX-License-Identifier: Apache-2.0
//
// What an answer means for a domain, and when it is asked for again.

#include "keeper/domains.h"

#include "base/error.h"
#include "net/txt.h"
#include "state/state.h"
#include "tap.h"

static const uint64_t hour = UINT64_C(3600000);
static const uint64_t day = UINT64_C(86400000);
static const uint64_t start = UINT64_C(1780000000000);

static const struct txt_question yes = {.found = true};
static const struct txt_question other = {.found = false};
static const struct txt_question none = {.error = E_NOT_FOUND};
static const struct txt_question nobody = {.error = E_AGAIN, .why = "SERVFAIL"};

static void proved_and_asked_again_in_a_day(void)
{
    struct state_domain d = {.why = SLICE("not asked yet")};
    CHECK(domain_due_ms(&d) <= start);
    CHECK(domain_judge(&d, &yes, start));
    CHECK(d.proved_ms == start && d.why.len == 0);
    CHECK_EQ_INT(domain_due_ms(&d), start + day);
    CHECK(!domain_judge(&d, &yes, start + day)); // nothing new
    CHECK(d.proved_ms == start + day);
}

static void until_then_soon_and_then_every_hour(void)
{
    struct state_domain d = {0};
    uint64_t before = 0;
    for (int i = 0; i < 20; i++) {
        CHECK(!domain_judge(&d, i % 2 == 0 ? &none : &nobody, start));
        uint64_t wait = domain_due_ms(&d) - start;
        CHECK(wait >= before && wait <= hour);
        before = wait;
    }
    CHECK_EQ_INT(before, hour);
    CHECK(d.proved_ms == 0);
    CHECK(domain_judge(&d, &yes, start));
}

static void a_clear_no_takes_it_away_at_once(void)
{
    const struct txt_question *const no[] = {&none, &other};
    for (size_t i = 0; i < array_len(no); i++) {
        struct state_domain d = {.proved_ms = start, .asked_ms = start};
        CHECK(domain_judge(&d, no[i], start + 1));
        CHECK(d.proved_ms == 0 && d.why.len > 0);
        CHECK(!domain_judge(&d, no[i], start + 2)); // it is gone already
    }
}

static void when_nobody_can_say_it_stays_for_three_days(void)
{
    struct state_domain d = {.proved_ms = start, .asked_ms = start};
    uint64_t now = start;
    uint64_t asked = 0;
    while (d.proved_ms != 0) {
        now = domain_due_ms(&d);
        bool changed = domain_judge(&d, &nobody, now);
        CHECK(changed == (d.proved_ms == 0));
        REQUIRE(++asked < 1000);
    }
    CHECK(now >= start + 4 * day && now < start + 4 * day + 2 * hour);
    CHECK(asked > 3 * 24);
    CHECK_TEXT(d.why.ptr, d.why.len, "SERVFAIL");
}

static void a_yes_in_between_begins_anew(void)
{
    struct state_domain d = {.proved_ms = start, .asked_ms = start};
    CHECK(!domain_judge(&d, &nobody, start + 3 * day));
    CHECK(!domain_judge(&d, &yes, start + 3 * day + hour));
    CHECK(!domain_judge(&d, &nobody, start + 6 * day));
    CHECK(d.proved_ms != 0);
}

TAP_MAIN(proved_and_asked_again_in_a_day, until_then_soon_and_then_every_hour,
         a_clear_no_takes_it_away_at_once, when_nobody_can_say_it_stays_for_three_days,
         a_yes_in_between_begins_anew)
