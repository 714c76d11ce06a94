// SPDX-License-Identifier: Apache-2.0
//
// xoshiro256** with its state filled by SplitMix64, as its authors advise, so that seeds 0, 1, 2 ...
// give unrelated sequences. The sequence of a seed is part of the contract: simulations are
// reproduced by seed.

#include "base/rng.h"

#include "base/ensure.h"

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ensure(bound > 0);
    // Values under `uneven` would make the low results more likely than the others.
    uint64_t uneven = -bound % bound;
    uint64_t x;
    do {
        x = rng_u64(r);
    } while (x < uneven);
    return x % bound;
}

int rng_chance(struct rng *r, double probability)
{
    // 53 bits: the doubles in [0, 1) that are multiples of 2^-53.
    return (double)(rng_u64(r) >> 11) * 0x1p-53 < probability;
}
