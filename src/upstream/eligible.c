// SPDX-License-Identifier: Apache-2.0
//
// Who may be asked (upstream/eligible.h).

#include "upstream/eligible.h"

struct walk {
    const struct balance_server *servers;
    const uint8_t *tiers;
    uint32_t n;
};

struct tier {
    uint32_t candidates;
    uint32_t usable;
};

static unsigned bits_of(const struct walk *w, uint32_t i)
{
    return atomic_load_explicit(&w->servers[i].vitals->bits, memory_order_relaxed);
}

/** Nobody has taken it out: whatever its health. */
static bool is_candidate(const struct walk *w, uint32_t i, unsigned bits)
{
    const unsigned taken_out = VITALS_DRAIN | VITALS_MAINTENANCE | VITALS_GONE | VITALS_AWAY;
    return (bits & taken_out) == 0 && w->servers[i].weight > 0;
}

static struct tier look(const struct walk *w, unsigned tier)
{
    struct tier t = {0, 0};
    for (uint32_t i = 0; i < w->n; i++) {
        unsigned bits = bits_of(w, i);
        if (w->tiers[i] == tier && is_candidate(w, i, bits)) {
            t.candidates++;
            t.usable += bits == 0;
        }
    }
    return t;
}

/** The next tier at or above `from` that has candidates; -1: none. */
static int next_tier(const struct walk *w, unsigned from)
{
    int next = -1;
    for (uint32_t i = 0; i < w->n; i++) {
        bool nearer = next < 0 || w->tiers[i] < next;
        if (w->tiers[i] >= from && nearer && is_candidate(w, i, bits_of(w, i))) {
            next = w->tiers[i];
        }
    }
    return next;
}

static bool holds(const struct tier *t, uint32_t panic_percent)
{
    return t->usable > 0 && (uint64_t)t->usable * 100 >= (uint64_t)t->candidates * panic_percent;
}

/** Takes the usable ones of the tiers from..last, and of tier `all` also those that are not well. */
static void collect(struct eligible *e, const struct walk *w, const int range[2], int all)
{
    for (uint32_t i = 0; i < w->n; i++) {
        unsigned bits = bits_of(w, i);
        bool wanted = bits == 0 || w->tiers[i] == all;
        bool within = w->tiers[i] >= range[0] && w->tiers[i] <= range[1];
        if (wanted && within && e->count < w->n && is_candidate(w, i, bits)) {
            e->list[e->count++] = (uint16_t)i;
        }
    }
}

void eligible_fill(struct eligible *e, const struct balance_server *servers, const uint8_t *tiers,
                   uint32_t n, uint32_t panic_percent)
{
    ensure(n <= BALANCE_SERVERS_MAX);
    const struct walk w = {servers, tiers, n};
    int first = next_tier(&w, 0);
    int last = -1; // the tier that holds
    e->count = 0;
    e->usable = 0;
    e->candidates = 0;
    e->panic = false;
    for (int t = first; t >= 0; t = next_tier(&w, (unsigned)t + 1)) {
        struct tier tier = look(&w, (unsigned)t);
        bool may_help = t != ELIGIBLE_TIER_BACKUP || e->usable == 0;
        if (last < 0 && may_help && holds(&tier, panic_percent)) {
            last = t;
        }
        e->usable += tier.usable;
        e->candidates += tier.candidates;
    }
    if (last >= 0) {
        collect(e, &w, (int[2]){0, last}, -1);
    } else if (first >= 0 && panic_percent > 0) {
        e->panic = true;
        last = ELIGIBLE_TIER_BACKUP - (first != ELIGIBLE_TIER_BACKUP);
        collect(e, &w, (int[2]){0, last}, first);
    }
    e->first = e->count;
    for (int t = last < 0 ? -1 : next_tier(&w, (unsigned)last + 1); t >= 0;
         t = next_tier(&w, (unsigned)t + 1)) {
        collect(e, &w, (int[2]){t, t}, -1);
    }
}
