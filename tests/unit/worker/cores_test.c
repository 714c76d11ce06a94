// SPDX-License-Identifier: Apache-2.0
//
// Core threads: every order reaches every core, and the end is orderly.

#include "worker/cores.h"

#include "base/error.h"
#include "obs/counters.h"
#include "obs/log.h"

#include "tap.h"

enum { CORES = 3 };

static struct counters counters[CORES];

static void orders_reach_all_cores(void)
{
    struct traffic_limits limits = {
        .cores = CORES, .connections_max = 100, .memory_bytes = 64 << 20};
    struct traffic *traffic = NULL;
    struct cores *cores = NULL;
    REQUIRE(traffic_new(&limits, &traffic) == 0);
    REQUIRE(cores_new(traffic, &limits, counters, &cores) == 0);
    REQUIRE(cores_start(cores) == 0);
    for (int i = 0; i < 100; i++) {
        struct core_order order = {.task = CORE_IS_IDLE};
        CHECK_EQ_INT(cores_ask(cores, &order), 0);
    }
    // A descriptor that is not open is refused by each of them.
    struct core_order listen = {.task = CORE_LISTEN, .fd = 5000};
    CHECK_EQ_INT(cores_ask(cores, &listen), CORES);
    struct core_order drain = {.task = CORE_DRAIN};
    CHECK_EQ_INT(cores_ask(cores, &drain), 0);
    cores_stop(cores);
    cores_free(cores);
    traffic_free(traffic);
}

static void cores_that_never_ran_are_freed(void)
{
    struct traffic_limits limits = {.cores = 1, .connections_max = 10, .memory_bytes = 1 << 20};
    struct traffic *traffic = NULL;
    struct cores *cores = NULL;
    REQUIRE(traffic_new(&limits, &traffic) == 0);
    REQUIRE(cores_new(traffic, &limits, counters, &cores) == 0);
    CHECK(cores_log_rings(cores)[0] != NULL);
    cores_free(cores);
    cores_free(NULL);
    traffic_free(traffic);
}

TAP_MAIN(orders_reach_all_cores, cores_that_never_ran_are_freed)
