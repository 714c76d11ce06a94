// SPDX-License-Identifier: Apache-2.0
//
// The table of balancing methods, and what all of them go by: who is in the list, and what a weight
// is while a server starts slowly. The methods are in balance_turns.c (round robin), balance_draw.c
// (chosen at random, the better of two) and balance_ring.c (by a key).

#include "upstream/balance.h"

#include "upstream/balance_int.h"

// A server that starts slowly begins with this part of its weight: enough to be seen to work, little
// enough for cold caches.
enum { SLOW_START_FLOOR = 100 };

static const struct balance_method methods[] = {
    {
        .name = "two-choices",
        .state_bytes = balance_no_state,
        .build = balance_odds_new,
        .discard = balance_odds_free,
        .pick = balance_two_pick,
    },
    {
        .name = "round-robin",
        .state_bytes = balance_turns_bytes,
        .pick = balance_turns_pick,
    },
    {
        .name = "least-conn",
        .state_bytes = balance_no_state,
        .build = balance_odds_new,
        .discard = balance_odds_free,
        .pick = balance_least_pick,
    },
    {
        .name = "ewma",
        .state_bytes = balance_no_state,
        .build = balance_odds_new,
        .discard = balance_odds_free,
        .pick = balance_ewma_pick,
    },
    {
        .name = "ip-hash",
        .by_key = true,
        .state_bytes = balance_no_state,
        .build = balance_ring_new,
        .discard = balance_ring_free,
        .pick = balance_ring_pick,
    },
    {
        .name = "hash",
        .by_key = true,
        .state_bytes = balance_no_state,
        .build = balance_ring_new,
        .discard = balance_ring_free,
        .pick = balance_ring_pick,
    },
};

size_t balance_no_state(uint32_t n)
{
    (void)n;
    return sizeof(uint64_t);
}

uint64_t balance_weight(const struct balance_settings *settings, const struct balance_server *s,
                        uint64_t now_ns)
{
    uint64_t full = (uint64_t)s->weight * 1000;
    if (settings->slow_start_ms == 0 || s->weight == 0) {
        return full;
    }
    uint64_t since = atomic_load_explicit(&s->vitals->ready_since_ms, memory_order_relaxed);
    uint64_t now = now_ns / 1000000;
    if (since == 0 || now >= since + settings->slow_start_ms) {
        return full;
    }
    uint64_t elapsed = now > since ? now - since : 0; // another core's clock may be a turn ahead
    uint64_t part = elapsed * 1000 / settings->slow_start_ms;
    return s->weight * (part > SLOW_START_FLOOR ? part : SLOW_START_FLOOR);
}

bool balance_is_listed(const struct balance_choice *c, uint32_t i)
{
    if (c->list_count == c->count) {
        return true;
    }
    uint32_t from = 0;
    uint32_t to = c->list_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (c->list[middle] < i) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < c->list_count && c->list[from] == i;
}

const struct balance_method *balance_at(size_t i)
{
    return i < array_len(methods) ? &methods[i] : NULL;
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
