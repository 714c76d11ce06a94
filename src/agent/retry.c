// SPDX-License-Identifier: Apache-2.0
//
// Pauses between calls (agent/retry.h).

#include "agent/retry.h"

static uint64_t range_of(uint32_t failures)
{
    uint64_t range = RETRY_BASE_MS;
    for (uint32_t i = 1; i < failures && range < RETRY_MAX_MS; i++) {
        range *= 2;
    }
    return range < RETRY_MAX_MS ? range : RETRY_MAX_MS;
}

uint64_t agent_retry_lost(struct agent_retry *r, uint64_t held_ms, uint32_t within_ms,
                          struct rng *rng)
{
    if (held_ms >= RETRY_HEALTHY_MS) {
        r->failures = 0;
    }
    if (r->failures == 0) {
        r->failures = 1;
        return rng_below(rng, (uint64_t)(within_ms > 0 ? within_ms : RETRY_FIRST_MS) + 1);
    }
    uint64_t pause = agent_retry_failed(r, 0, rng);
    // An edge that restarts over and over still wants its agents spread.
    return within_ms > 0 ? pause + rng_below(rng, (uint64_t)within_ms + 1) : pause;
}

uint64_t agent_retry_asked(struct agent_retry *r, uint64_t held_ms, uint32_t within_ms,
                           struct rng *rng)
{
    ensure(within_ms > 0);
    bool served = held_ms >= RETRY_HEALTHY_MS;
    return served ? rng_below(rng, (uint64_t)within_ms + 1)
                  : agent_retry_lost(r, held_ms, within_ms, rng);
}

uint64_t agent_retry_failed(struct agent_retry *r, uint64_t least_ms, struct rng *rng)
{
    r->failures += r->failures < UINT32_MAX;
    uint64_t range = range_of(r->failures);
    ensure(range >= RETRY_BASE_MS && range <= RETRY_MAX_MS);
    return least_ms + rng_below(rng, range + 1);
}
