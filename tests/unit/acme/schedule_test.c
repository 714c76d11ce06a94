// SPDX-License-Identifier: Apache-2.0
//
// When to renew, and when to try again.

#include "acme/acme.h"

#include "tap.h"

enum { HOUR = 3600, DAY = 24 * HOUR };

static void a_third_of_life_is_left(void)
{
    // 90 days: after 60, up to 4.5 days earlier.
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, NULL, 1), 60 * DAY);
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, NULL, 0), 60 * DAY - 90 * DAY / 20);
    uint64_t middle = acme_renew_at(0, 90 * DAY, NULL, 0.5);
    CHECK(middle > 55 * DAY && middle < 60 * DAY);
}

static void half_of_a_short_life_is_left(void)
{
    CHECK_EQ_INT(acme_renew_at(1000, 1000 + 6 * DAY, NULL, 1), 1000 + 3 * DAY);
    CHECK_EQ_INT(acme_renew_at(0, 60, NULL, 1), 30);
}

static void the_window_of_the_ca_goes_first(void)
{
    struct acme_window window = {.start = 10 * DAY, .end = 12 * DAY};
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, &window, 0), 10 * DAY);
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, &window, 0.5), 11 * DAY);
    struct acme_window none = {.start = 0};
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, &none, 1), 60 * DAY);
}

static void odd_input_has_an_answer(void)
{
    CHECK_EQ_INT(acme_renew_at(100, 100, NULL, 0.5), 100);
    CHECK_EQ_INT(acme_renew_at(100, 50, NULL, 0.5), 100);
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, NULL, 7), 60 * DAY);
    CHECK_EQ_INT(acme_renew_at(0, 90 * DAY, NULL, -7), 60 * DAY - 90 * DAY / 20);
}

static void pauses_double_up_to_a_day(void)
{
    CHECK_EQ_INT(acme_backoff_s(0, 0, 30 * DAY), 60);
    CHECK_EQ_INT(acme_backoff_s(1, 0, 30 * DAY), 60);
    CHECK_EQ_INT(acme_backoff_s(2, 0, 30 * DAY), 120);
    CHECK_EQ_INT(acme_backoff_s(5, 0, 30 * DAY), 960);
    CHECK_EQ_INT(acme_backoff_s(12, 0, 30 * DAY), DAY);
    CHECK_EQ_INT(acme_backoff_s(UINT32_MAX, 0, 30 * DAY), DAY);
}

static void who_is_about_to_expire_waits_less(void)
{
    CHECK_EQ_INT(acme_backoff_s(12, 0, HOUR), 900);
    CHECK_EQ_INT(acme_backoff_s(1, 0, 0), 60);
}

static void what_the_ca_asks_for_is_done(void)
{
    CHECK_EQ_INT(acme_backoff_s(1, 3600 * 1000, 30 * DAY), 3600);
    CHECK_EQ_INT(acme_backoff_s(1, 3600 * 1000, HOUR), 3600);
    CHECK_EQ_INT(acme_backoff_s(1, 61500, 0), 62);
    CHECK_EQ_INT(acme_backoff_s(1, 1000, 0), 60);
}

TAP_MAIN(a_third_of_life_is_left, half_of_a_short_life_is_left, the_window_of_the_ca_goes_first,
         odd_input_has_an_answer, pauses_double_up_to_a_day, who_is_about_to_expire_waits_less,
         what_the_ca_asks_for_is_done)
