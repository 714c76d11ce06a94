// SPDX-License-Identifier: Apache-2.0
//
// Seeded pseudo-random numbers (xoshiro256**, Blackman & Vigna 2018): for jitter, ids and the
// simulation's faults. Not for secrets.

#pragma once

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/** Uniform in [0, bound), bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/** True with the given probability. */
int rng_chance(struct rng *r, double probability);
