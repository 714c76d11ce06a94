// SPDX-License-Identifier: Apache-2.0
//
// eject: what ejects, for how long, and that the limit holds whoever ejects.

#include "upstream/eject.h"

#include <pthread.h>

#include "base/error.h"
#include "proxy/upstream.h"
#include "tap.h"

enum { SERVERS = 10 };

static struct eject_settings settings = {
    .failures = 5, .least = 100, .every_ms = 10000, .for_ms = 30000, .at_most = 50};
static struct eject_group group;
static struct vitals vitals[SERVERS];
static struct eject_server servers[SERVERS];
static struct eject_server *list[SERVERS];
static char told[200];

static const struct upstream_outcome good = {.status = 200, .latency_ns = 1000000};
static const struct upstream_outcome slow = {.status = 200, .latency_ns = 50000000};
static const struct upstream_outcome bad = {.error = E_REFUSED};

static void begin(uint32_t count)
{
    settings.success_rate = false;
    settings.latency = 0;
    settings.failures = 5;
    settings.statuses = (struct status_set){{0}};
    status_set_add(&settings.statuses, 502, 504);
    memset(vitals, 0, sizeof vitals);
    memset(&group, 0, sizeof group);
    for (uint32_t i = 0; i < count; i++) {
        eject_server_init(&servers[i], &vitals[i], &group);
        list[i] = &servers[i];
    }
    eject_resize(&group, &settings, count);
}

static bool see(uint32_t i, const struct upstream_outcome *o, uint64_t now)
{
    return eject_observe(&settings, &servers[i], o, now);
}

static bool fail_times(uint32_t i, uint32_t times, uint64_t now)
{
    bool ejected = false;
    for (uint32_t n = 0; n < times; n++) {
        ejected = see(i, &bad, now) || ejected;
    }
    return ejected;
}

static bool is_out(uint32_t i)
{
    return (vitals[i].bits & VITALS_EJECTED) != 0;
}

static void tell(void *arg, uint32_t index, enum eject_why why)
{
    (void)arg;
    size_t used = strlen(told);
    (void)snprintf(told + used, sizeof told - used, "%u: %s; ", index, eject_why_text(why));
}

static const char *sweep(uint32_t count, uint64_t now)
{
    told[0] = '\0';
    eject_sweep(&settings, list, count, now, tell, NULL);
    return told;
}

static void failures_in_a_row(void)
{
    begin(4);
    CHECK(!fail_times(0, 4, 0));
    CHECK(!see(0, &good, 0));
    CHECK(!fail_times(0, 4, 0));
    CHECK(!see(0, &(struct upstream_outcome){.error = E_RESET, .abandoned = true}, 0));
    CHECK(see(0, &(struct upstream_outcome){.status = 503}, 0));
    CHECK(is_out(0) && !vitals_usable(&vitals[0]));
    CHECK(!fail_times(0, 10, 0)); // it is out already
    CHECK_EQ_INT(group.ejected, 1);
    CHECK_EQ_INT(group.ejections, 1);
}

static void ejections_last_longer_each_time(void)
{
    begin(4);
    uint64_t now = 1000;
    for (uint32_t times = 1; times <= 12; times++) {
        CHECK(fail_times(0, 5, now));
        uint64_t lasts = 30000 * (uint64_t)(times < 10 ? times : 10);
        CHECK_STR(sweep(4, now + lasts - 1), "");
        CHECK(is_out(0));
        now += lasts;
        CHECK_STR(sweep(4, now), "0: its time is over; ");
        CHECK(!is_out(0));
        CHECK_EQ_INT(vitals[0].ready_since_ms, now);
        CHECK_EQ_INT(vitals[0].streak, 0);
    }
    CHECK_EQ_INT(vitals[0].ejections, 12);
    for (uint32_t i = 0; i < 11; i++) {
        now += 10000;
        CHECK_STR(sweep(4, now), "");
        CHECK_STR(sweep(4, now + 500), ""); // not an interval later
    }
    CHECK_EQ_INT(vitals[0].ejections, 1);
    CHECK(fail_times(0, 5, now));
    CHECK_EQ_INT(vitals[0].ejected_until_ms, now + 60000);
}

static void the_limit(void)
{
    static const struct {
        uint32_t servers;
        uint32_t at_most;
        uint32_t limit;
    } table[] = {{1, 50, 0}, {2, 50, 1},  {3, 50, 1}, {4, 50, 2},    {10, 50, 5},
                 {10, 1, 1}, {1, 100, 1}, {2, 1, 1},  {10, 100, 10}, {0, 50, 0}};
    for (size_t i = 0; i < array_len(table); i++) {
        settings.at_most = table[i].at_most;
        eject_resize(&group, &settings, table[i].servers);
        CHECK_EQ_INT(group.limit, table[i].limit);
    }
    settings.at_most = 50;
    begin(SERVERS);
    for (uint32_t i = 0; i < SERVERS; i++) {
        CHECK_EQ_INT(fail_times(i, 5, i), i < 5);
    }
    CHECK_EQ_INT(group.ejected, 5);
    CHECK(fail_times(9, 1, 0) == false);
    eject_forget(&servers[0]); // leaves the group
    CHECK(fail_times(9, 1, 0));
}

static void a_smaller_group_lets_some_back(void)
{
    begin(SERVERS);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(fail_times(i, 5, 100 + 10 * i));
    }
    eject_resize(&group, &settings, 6);
    CHECK_STR(sweep(6, 1000), "0: its time is over; 1: its time is over; ");
    CHECK_EQ_INT(group.ejected, 3);
    settings.failures = 0; // it ejects no more
    (void)sweep(6, 1000);
    CHECK_EQ_INT(group.ejected, 0);
}

static void those_out_already_are_left(void)
{
    begin(4);
    vitals[0].bits = VITALS_DOWN;
    vitals[1].bits = VITALS_MAINTENANCE;
    CHECK(!fail_times(0, 10, 0) && !fail_times(1, 10, 0));
    CHECK_EQ_INT(group.ejected, 0);
    vitals[2].bits = VITALS_DRAIN;
    CHECK(fail_times(2, 5, 0));
    (void)sweep(4, 60000);
    CHECK_EQ_INT(vitals[2].bits, VITALS_DRAIN);
}

static void many(uint32_t i, const struct upstream_outcome *o, uint32_t n)
{
    while (n-- > 0) {
        (void)see(i, o, 1);
    }
}

static void success_rates(void)
{
    static const struct upstream_outcome gateway = {.status = 503};
    begin(SERVERS);
    settings.failures = 0;
    settings.success_rate = true;
    CHECK_STR(sweep(SERVERS, 1), ""); // the first interval begins
    for (uint32_t i = 0; i < SERVERS; i++) {
        many(i, &good, i == 9 ? 20 : 180); // the last one has too few
        many(i, &gateway, i == 3 ? 80 : i == 9 ? 60 : 2);
    }
    CHECK_STR(sweep(SERVERS, 10000), "");
    CHECK_STR(sweep(SERVERS, 10001), "3: success rate far below the others'; ");
    CHECK_STR(sweep(SERVERS, 20001), ""); // counted anew
    // A small difference ejects nobody, though it is far from the mean in deviations.
    for (uint32_t i = 0; i < SERVERS; i++) {
        many(i, &good, 199);
        many(i, &gateway, i == 5 ? 1 : 0);
    }
    CHECK_STR(sweep(SERVERS, 30001), "");
    // When all fail alike nobody is an outlier.
    for (uint32_t i = 0; i < SERVERS; i++) {
        many(i, &good, 100);
        many(i, &gateway, 100 + i);
    }
    CHECK_STR(sweep(SERVERS, 40001), "3: its time is over; ");
}

static void latencies(void)
{
    begin(5);
    settings.failures = 0;
    settings.latency = 3;
    CHECK_STR(sweep(5, 1), "");
    for (uint32_t i = 0; i < 5; i++) {
        many(i, i == 2 ? &slow : &good, i == 4 ? 10 : 30);
    }
    CHECK_STR(sweep(5, 10001), "2: latency far above the others'; ");
    many(0, &slow, 10); // too few
    many(1, &good, 30);
    many(3, &good, 30);
    many(4, &good, 30);
    CHECK_STR(sweep(5, 20001), "");
    many(0, &slow, 30); // two are not enough to compare
    many(1, &good, 30);
    CHECK_STR(sweep(5, 30001), "");
}

enum { THREADS = 4 };

static void *fails_all(void *arg)
{
    uint32_t *ejected = arg;
    for (uint32_t n = 0; n < 2000; n++) {
        for (uint32_t i = 0; i < SERVERS; i++) {
            *ejected += see(i, &bad, n);
            CHECK(group.ejected <= 5);
        }
    }
    return NULL;
}

static void threads_keep_to_the_limit(void)
{
    pthread_t threads[THREADS];
    uint32_t ejected[THREADS] = {0};
    uint32_t sum = 0;
    uint32_t out = 0;
    begin(SERVERS);
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, fails_all, &ejected[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += ejected[i];
    }
    for (uint32_t i = 0; i < SERVERS; i++) {
        out += is_out(i);
    }
    CHECK_EQ_INT(sum, 5);
    CHECK_EQ_INT(out, 5);
    CHECK_EQ_INT(group.ejected, 5);
}

TAP_MAIN(failures_in_a_row, ejections_last_longer_each_time, the_limit,
         a_smaller_group_lets_some_back, those_out_already_are_left, success_rates, latencies,
         threads_keep_to_the_limit)
