// SPDX-License-Identifier: Apache-2.0
//
// concurrency: when the limit rises, falls and stays.

#include "upstream/concurrency.h"

#include "base/error.h"
#include "proxy/upstream.h"
#include "tap.h"

static const struct concurrency_settings settings = {.target_ms = 100, .most = 1000};
static struct concurrency c;
static struct vitals v;
static uint64_t now;

static void begin(void)
{
    memset(&c, 0, sizeof c);
    memset(&v, 0, sizeof v);
    now = 1000;
    concurrency_reset(&settings, &c, &v);
}

/** A window's worth of attempts with so many at once; the limit afterwards. */
static uint32_t window(const struct upstream_outcome *o, uint32_t active)
{
    v.active = active;
    for (unsigned i = 0; i < 50; i++) {
        (void)concurrency_observe(&settings, &c, &v, o, now);
        now += 10;
    }
    return v.limit;
}

static struct upstream_outcome took(uint32_t ms)
{
    return (struct upstream_outcome){.status = 200, .latency_ns = ms * UINT64_C(1000000)};
}

static void rises_where_it_is_used(void)
{
    begin();
    CHECK_EQ_INT(v.limit, CONCURRENCY_FIRST);
    struct upstream_outcome quick = took(10);
    uint32_t first = window(&quick, 20);
    CHECK(first >= 24);
    uint32_t then = window(&quick, 5);     // begins in a window that had 20 at once
    CHECK_EQ_INT(window(&quick, 5), then); // five at once: nobody needs more
    CHECK(window(&quick, then) > then);
    for (unsigned i = 0; i < 200; i++) {
        (void)window(&quick, v.limit);
    }
    CHECK_EQ_INT(v.limit, 1000);
}

static void falls_by_the_ratio(void)
{
    begin();
    struct upstream_outcome late = took(125);
    v.limit = 100;
    CHECK(window(&late, 100) <= 80);
    begin();
    v.limit = 100;
    struct upstream_outcome later = took(5000);
    (void)window(&later, 100);
    CHECK(v.limit >= 20 && v.limit <= 50); // at most to a half in each window
    for (unsigned i = 0; i < 20; i++) {
        (void)window(&later, v.limit);
    }
    CHECK_EQ_INT(v.limit, CONCURRENCY_LEAST);
    begin();
    v.limit = 1000;
    CHECK(window(&late, 10) <= 10); // what was not used says nothing
}

static void stays_near_the_target(void)
{
    begin();
    struct upstream_outcome near = took(95);
    CHECK_EQ_INT(window(&near, 20), CONCURRENCY_FIRST);
}

static void what_counts(void)
{
    static const struct upstream_outcome silent[] = {
        {.status = 200, .latency_ns = 1, .abandoned = true},
        {.error = E_REFUSED},
        {.error = E_RESET},
        {.status = 500, .latency_ns = 1000},
        {.status = 502, .latency_ns = 1000},
        {.status = 101},
    };
    for (size_t i = 0; i < array_len(silent); i++) {
        begin();
        CHECK_EQ_INT(window(&silent[i], 20), CONCURRENCY_FIRST);
        CHECK_EQ_INT(c.samples, 0);
    }
    static const struct upstream_outcome overloaded[] = {
        {.error = E_RESPONSE_TIMEOUT},
        {.error = E_CONNECT_TIMEOUT},
        {.status = 503, .latency_ns = 1000},
        {.status = 429, .latency_ns = 1000},
    };
    for (size_t i = 0; i < array_len(overloaded); i++) {
        begin();
        CHECK(window(&overloaded[i], 20) <= 10);
    }
}

static void off(void)
{
    static const struct concurrency_settings none = {.most = 1};
    struct upstream_outcome late = took(1000);
    begin();
    concurrency_reset(&none, &c, &v);
    CHECK_EQ_INT(v.limit, 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(!concurrency_observe(&none, &c, &v, &late, i * 100));
    }
    CHECK_EQ_INT(v.limit, 0);
}

TAP_MAIN(rises_where_it_is_used, falls_by_the_ratio, stays_near_the_target, what_counts, off)
