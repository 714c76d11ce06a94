// SPDX-License-Identifier: Apache-2.0
//
// Counters: sums over cores, and what a new worker takes over from a dead one.

#include "obs/counters.h"

#include "tap.h"

static struct counters rows[2];

static void cores_are_summed(void)
{
    counter_add(&rows[0], COUNTER_requests, 3);
    counter_add(&rows[1], COUNTER_requests, 4);
    CHECK_EQ_INT(counters_sum(rows, 2, COUNTER_requests), 7);
    counter_add(&rows[0], COUNTER_connections_open, 2);
    counter_sub(&rows[0], COUNTER_connections_open, 1);
    CHECK_EQ_INT(counters_sum(rows, 2, COUNTER_connections_open), 1);
}

static void a_new_worker_begins_with_nothing_open(void)
{
    counters_restart(rows, 2);
    CHECK_EQ_INT(counters_sum(rows, 2, COUNTER_requests), 7);
    CHECK_EQ_INT(counters_sum(rows, 2, COUNTER_connections_open), 0);
}

static void every_counter_has_a_name_and_a_line(void)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        CHECK(strlen(counter_name((enum counter)id)) > 0);
        CHECK(strlen(counter_text((enum counter)id)) > 10);
        bool now = strstr(counter_text((enum counter)id), " now") != NULL;
        CHECK_EQ_INT(counter_is_gauge((enum counter)id), now);
    }
    CHECK_EQ_INT(counters_block_bytes(3), 4 * sizeof(struct counters));
}

static void what_an_ended_worker_counted_goes_on(void)
{
    static struct counters old[3]; // two cores and the row of those before
    static struct counters new[2]; // one core
    counter_add(&old[1], COUNTER_requests, 5);
    counter_add(&old[2], COUNTER_requests, 10);
    counter_add(&old[0], COUNTER_connections_open, 2);
    counter_add(&new[0], COUNTER_requests, 1);
    counters_retire(new, 1, old, 2);
    CHECK_EQ_INT(counters_total(new, 1, COUNTER_requests), 16);
    CHECK_EQ_INT(counters_sum(new, 1, COUNTER_requests), 1);
    CHECK_EQ_INT(counters_total(new, 1, COUNTER_connections_open), 0);
    CHECK(counters_fingerprint() == counters_fingerprint());
    CHECK(counters_fingerprint() != 0);
}

TAP_MAIN(cores_are_summed, a_new_worker_begins_with_nothing_open,
         every_counter_has_a_name_and_a_line, what_an_ended_worker_counted_goes_on)
