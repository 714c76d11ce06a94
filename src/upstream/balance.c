// SPDX-License-Identifier: Apache-2.0
//
// Balancing methods. Smooth weighted round robin: every server gains its weight, the richest is
// chosen and pays the sum; so a heavy server's turns are spread out rather than bunched.

#include "upstream/balance.h"

static size_t round_robin_bytes(uint32_t n)
{
    return n * sizeof(int64_t);
}

static int round_robin_pick(const struct balance_choice *c)
{
    int64_t *credit = c->state;
    int64_t sum = 0;
    int best = -1;
    for (uint32_t n = 0; n < c->list_count; n++) {
        uint32_t i = c->list[n];
        if (c->barred(c->barred_arg, i)) {
            continue;
        }
        credit[i] += c->servers[i].weight;
        sum += c->servers[i].weight;
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
    {.name = "round-robin", .state_bytes = round_robin_bytes, .pick = round_robin_pick},
};

uint64_t balance_weight(const struct balance_settings *settings, const struct balance_server *s,
                        uint64_t now_ns)
{
    (void)settings;
    (void)now_ns;
    return (uint64_t)s->weight * 1000;
}

const struct balance_method *balance_find(struct slice name)
{
    for (size_t i = 0; i < array_len(methods); i++) {
        if (slice_eq(slice_str(methods[i].name), name)) {
            return &methods[i];
        }
    }
    return NULL;
}
