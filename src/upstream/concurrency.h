// SPDX-License-Identifier: Apache-2.0
//
// Adaptive concurrency: how many requests at once a server is given so that its answers take about as
// long as the target says. What is beyond waits in the queue, where it costs nothing and can be counted,
// rather than inside the server.
//
// At the end of each window the mean latency is compared with the target:
//
//     above it                limit := limit x max(1/2, target / latency)
//     below nine tenths of it limit := limit + sqrt(limit), where the limit was in use
//     between                 it stays
//
// That is the gradient of Netflix's limiters and Envoy's filter (new = old x gradient + sqrt(old)) with
// the target in the place of a measured minimum: both measure theirs by cutting the traffic down to a
// few requests from time to time, and both go wrong when that minimum is measured while the server is
// busy. The growth by a root is theirs, the decrease by the ratio too; the hold below the target keeps
// the limit still once it has been found. docs/design/health.md has the figures.
//
// Any core observes; the one that finds the window over decides. Time-outs and answers that say
// "overloaded" count as twice the target, quick failures do not count.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "upstream/vitals.h"

struct upstream_outcome;

enum {
    CONCURRENCY_FIRST = 20,      // the limit to begin with
    CONCURRENCY_LEAST = 2,       // it is never below
    CONCURRENCY_SAMPLES = 10,    // of a window that decides
    CONCURRENCY_WINDOW_MS = 250, // at least; and at least twice the target
};

struct concurrency_settings {
    uint32_t target_ms; // 0: there is no limit
    uint32_t most;      // the limit is never above
};

/** One per server. Zero is a new one. */
struct concurrency {
    _Alignas(64) _Atomic uint64_t samples; // of the window: count and microseconds
    _Atomic uint64_t ends_ms;
    atomic_uint most_active;
};

/** The settings are new: gives v->limit its first value, or takes it away. */
void concurrency_reset(const struct concurrency_settings *settings, struct concurrency *c,
                       struct vitals *v);
/** An attempt ended; v->active still counts it. Sets v->limit. True: the limit has grown, so requests
 * that wait may go. Any core. */
bool concurrency_observe(const struct concurrency_settings *settings, struct concurrency *c,
                         struct vitals *v, const struct upstream_outcome *o, uint64_t now_ms);

struct conf_node;
/** Of a checked `concurrency` node, which may not exist. */
void concurrency_compile(struct concurrency_settings *settings, struct conf_node n);
