// SPDX-License-Identifier: Apache-2.0
//
// Vitals: what all cores know of a server. Every core adds its own requests to them, and any core
// reads them to choose; so they are atomics, with no order among themselves: a choice made from a
// value that is a moment old is still a good choice. They belong to the server and so outlive
// reloads, rosters and snapshots.
//
// The first line of the cache is written with every request, the second only when a server's state
// changes.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Why a server is not asked. Several at once are possible. */
enum vitals_bits {
    VITALS_DOWN = 1,        // the health checks say so
    VITALS_EJECTED = 2,     // what requests met there says so
    VITALS_DRAIN = 4,       // by the configuration or a command: no new clients, sticky ones still
    VITALS_MAINTENANCE = 8, // by the configuration or a command: nobody
    VITALS_GONE = 16,       // no longer in the list
    VITALS_AWAY = 32,       // it calls in, and has no connection just now: requests wait for it
};

struct vitals {
    _Alignas(64) atomic_uint active; // requests that it carries now, dials for them included
    atomic_uint open;                // connections to it, dials included
    _Atomic uint64_t requests;       // attempts that ended here
    _Atomic uint64_t failures;       // of these, those that count against it
    _Atomic uint64_t latency_ns;     // peak-EWMA of the time to the response head; 0: not known
    _Atomic uint64_t latency_at_ns;  // monotonic time of its last sample
    atomic_uint streak;              // failures in a row
    atomic_uint limit;               // of `active`, found by adaptive concurrency; 0: none

    _Alignas(64) atomic_uint bits;   // enum vitals_bits
    _Atomic uint64_t avoid_until_ms; // a connect failed: others are tried first
    _Atomic uint64_t ready_since_ms; // when it last became usable: slow start; 0: since ever
    _Atomic uint64_t ejected_until_ms;
    atomic_uint ejections; // in a row: each lasts longer
};

/** May it be asked by anyone new? */
static inline bool vitals_usable(const struct vitals *v)
{
    return atomic_load_explicit(&v->bits, memory_order_relaxed) == 0;
}

static inline uint32_t vitals_active(const struct vitals *v)
{
    return atomic_load_explicit(&v->active, memory_order_relaxed);
}
