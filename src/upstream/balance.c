// SPDX-License-Identifier: Apache-2.0
//
// Balancing methods. Smooth weighted round robin: every server gains its weight, the richest is
// chosen and pays the sum; so a heavy server's turns are spread out rather than bunched.

#include "upstream/balance.h"

static size_t round_robin_bytes(uint32_t n)
{
    return n * sizeof(int64_t);
}

static int round_robin_pick(void *state, const struct balance_candidate *candidates, uint32_t n,
                            const struct upstream_request *rq)
{
    (void)rq;
    int64_t *credit = state;
    int64_t sum = 0;
    int best = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (!candidates[i].usable) {
            continue;
        }
        credit[i] += candidates[i].weight;
        sum += candidates[i].weight;
        if (best < 0 || credit[i] > credit[best]) {
            best = (int)i;
        }
    }
    if (best >= 0) {
        credit[best] -= sum;
    }
    return best;
}

static const struct balance_method methods[] = {
    {"round-robin", round_robin_bytes, round_robin_pick},
};

const struct balance_method *balance_find(struct slice name)
{
    for (size_t i = 0; i < array_len(methods); i++) {
        if (slice_eq(slice_str(methods[i].name), name)) {
            return &methods[i];
        }
    }
    return NULL;
}
