// SPDX-License-Identifier: Apache-2.0
//
// Round robin by weight, as stride scheduling (Waldspurger & Weihl 1995): a server's next turn is at a
// point of a virtual time; the earliest one is chosen and moves on by 1 / weight. So a heavy server's
// turns are spread out rather than bunched, and a weight may change at any time.
//
// With many servers the turns are a heap, so that a choice costs log n. A server that may not be asked
// then loses the turn when it comes up. With few, or when few of many may be asked, the list is gone
// through; then those outside it fall behind. Whoever is behind has been away and begins anew within
// one stride of now, at random: nobody makes up for an absence with a burst.
//
// Each core has its own turns and begins at random places, so cores are not in step.

#include "upstream/balance_int.h"

enum {
    HEAP_FROM = 16,  // fewer are gone through: that is quicker
    HEAP_MISSES = 24 // turns lost in a row before the list is gone through
};

// A stride is this by the weight in thousandths: 1/65536 exact at the largest weight.
static const uint64_t stride_unit = (uint64_t)1 << 36;

struct turns {
    uint64_t now;    // virtual: of the last turn
    bool begun;      // false in zeroed memory
    bool ordered;    // the heap is one
    uint64_t next[]; // per server: its next turn; then the heap, uint16_t each
};

size_t balance_turns_bytes(uint32_t n)
{
    ensure(n <= BALANCE_SERVERS_MAX);
    return sizeof(struct turns) + n * (sizeof(uint64_t) + sizeof(uint16_t));
}

static uint16_t *heap_of(const struct balance_choice *c)
{
    struct turns *t = c->state;
    return (uint16_t *)(t->next + c->count);
}

static uint64_t stride_of(const struct balance_choice *c, uint32_t i)
{
    uint64_t weight = balance_weight_of(c, i);
    return weight > 0 ? stride_unit / weight : stride_unit;
}

// How far ahead a turn is. Wraps around without harm: what is farther than any stride is behind.
static uint64_t ahead(const struct turns *t, uint32_t i)
{
    return t->next[i] - t->now;
}

static bool is_behind(const struct turns *t, uint32_t i)
{
    return ahead(t, i) > stride_unit;
}

static void begin(const struct balance_choice *c)
{
    struct turns *t = c->state;
    t->begun = true;
    for (uint32_t i = 0; i < c->count; i++) {
        t->next[i] = rng_below(c->rng, stride_of(c, i));
    }
}

// ---- the heap: of all servers, the earliest turn at 0 ----------------------------------------------

static void sink(const struct balance_choice *c, uint16_t *heap, uint32_t at)
{
    const struct turns *t = c->state;
    uint16_t moved = heap[at];
    uint64_t key = ahead(t, moved);
    for (uint32_t child = 2 * at + 1; child < c->count; child = 2 * at + 1) {
        if (child + 1 < c->count && ahead(t, heap[child + 1]) < ahead(t, heap[child])) {
            child++;
        }
        if (key <= ahead(t, heap[child])) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

// Everybody gets a place, those behind a new turn.
static void order(const struct balance_choice *c, uint16_t *heap)
{
    struct turns *t = c->state;
    for (uint32_t i = 0; i < c->count; i++) {
        heap[i] = (uint16_t)i;
        if (is_behind(t, i)) {
            t->next[i] = t->now + rng_below(c->rng, stride_of(c, i));
        }
    }
    for (uint32_t at = c->count / 2; at > 0; at--) {
        sink(c, heap, at - 1);
    }
    t->ordered = true;
}

static int pick_from_heap(const struct balance_choice *c)
{
    struct turns *t = c->state;
    uint16_t *heap = heap_of(c);
    if (!t->ordered) {
        order(c, heap);
    }
    for (unsigned misses = 0; misses < HEAP_MISSES; misses++) {
        uint32_t i = heap[0];
        t->now = t->next[i];
        t->next[i] += stride_of(c, i);
        sink(c, heap, 0);
        if (c->servers[i].weight > 0 && balance_is_listed(c, i) && !balance_is_barred(c, i)) {
            return (int)i;
        }
    }
    return -1;
}

// ---- without the heap -----------------------------------------------------------------------------

static int pick_from_list(const struct balance_choice *c)
{
    struct turns *t = c->state;
    int best = -1;
    for (uint32_t n = 0; n < c->list_count; n++) {
        uint32_t i = c->list[n];
        if (is_behind(t, i)) {
            t->next[i] = t->now + rng_below(c->rng, stride_of(c, i));
            t->ordered = false;
        }
        bool sooner = best < 0 || ahead(t, i) < ahead(t, (uint32_t)best);
        if (sooner && c->servers[i].weight > 0 && !balance_is_barred(c, i)) {
            best = (int)i;
        }
    }
    if (best >= 0) {
        t->now = t->next[best];
        t->next[best] += stride_of(c, (uint32_t)best);
        t->ordered = false;
    }
    return best;
}

int balance_turns_pick(const struct balance_choice *c)
{
    const struct turns *t = c->state;
    if (!t->begun) {
        begin(c);
    }
    int chosen = -1;
    if (c->list_count > HEAP_FROM && c->list_count * 2 > c->count) {
        chosen = pick_from_heap(c);
    }
    return chosen >= 0 ? chosen : pick_from_list(c);
}
