// SPDX-License-Identifier: Apache-2.0
//
// Time for code that has no loop: start-up, supervisor, keeper, the log's threads. Traffic code asks
// its loop instead, whose clock the simulation replaces.

#pragma once

#include <stdint.h>
#include <time.h>

/** Monotonic milliseconds. */
static inline uint64_t os_clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/** Wall clock, milliseconds since 1970. */
static inline uint64_t os_clock_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
