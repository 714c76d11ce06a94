// SPDX-License-Identifier: Apache-2.0
//
// When to call an edge again. After a loss: within 250 ms, or at a time drawn uniformly from the window
// that the edge named, so that ten thousand agents do not return as one. Then with growing pauses,
// each drawn from the whole range (full jitter), up to 20 s. A connection that has held for two seconds
// makes the next loss a first one again: where the network breaks every few seconds, visitors wait for
// the agent, and not for long. One that breaks sooner does not, so that an edge that ends whatever it
// lets in is not called in a circle. Pure but for the generator.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/rng.h"

enum {
    RETRY_FIRST_MS = 250,
    RETRY_BASE_MS = 500,
    RETRY_MAX_MS = 20000,
    RETRY_HEALTHY_MS = 2000, // of a connection
};

/** Of one connection of an instance. Zero is the start. */
struct agent_retry {
    uint32_t failures; // since a connection last held
};

/** A connection was lost that had held for `held_ms`; `within_ms`: the window that the edge named, 0:
 * none. How long to wait. */
uint64_t agent_retry_lost(struct agent_retry *r, uint64_t held_ms, uint32_t within_ms,
                          struct rng *rng);
/** The edge asked for another connection at a time drawn from `within_ms`, and serves on meanwhile: no
 * failure, unless it asks again and again. */
uint64_t agent_retry_asked(struct agent_retry *r, uint64_t held_ms, uint32_t within_ms,
                           struct rng *rng);
/** An attempt failed. `least_ms`: the edge asked for so long at least (Retry-After), 0: nothing. */
uint64_t agent_retry_failed(struct agent_retry *r, uint64_t least_ms, struct rng *rng);
