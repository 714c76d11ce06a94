// SPDX-License-Identifier: Apache-2.0
//
// The sliding window (upstream/window.h). A slot is one word: 22 bits of all events, 22 bits of the
// marked ones, 20 bits of the tick it counts for. A tick is a tenth of the window. The same 20 bits
// come back after 2^20 ticks, 29 hours for the shortest window: a slot that nobody touched for just
// that long would count once more.

#include "upstream/window.h"

#include "base/ensure.h"

enum {
    COUNT_BITS = 22,
    TICK_SHIFT = 2 * COUNT_BITS,
    COUNT_MASK = (1 << COUNT_BITS) - 1,
    TICK_MASK = (1 << 20) - 1,
    COUNT_FULL = COUNT_MASK - (1 << 16), // room for threads that add in this moment
    ADD_MAX = 1 << 8,
};

static uint64_t tick_of(uint32_t window_ms, uint64_t now_ms)
{
    ensure(window_ms >= WINDOW_MS_MIN);
    return now_ms / (window_ms / WINDOW_SLOTS);
}

static uint32_t total_of(uint64_t word)
{
    return (uint32_t)(word & COUNT_MASK);
}

static uint32_t marked_of(uint64_t word)
{
    return (uint32_t)(word >> COUNT_BITS & COUNT_MASK);
}

void window_add(struct window *w, uint32_t window_ms, uint64_t now_ms, struct window_sum what)
{
    ensure(what.total <= ADD_MAX && what.marked <= ADD_MAX);
    uint64_t tick = tick_of(window_ms, now_ms);
    _Atomic uint64_t *slot = &w->slots[tick % WINDOW_SLOTS];
    uint64_t add = (uint64_t)what.marked << COUNT_BITS | what.total;
    uint64_t fresh = (tick & TICK_MASK) << TICK_SHIFT | add;
    uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    while (word >> TICK_SHIFT != (tick & TICK_MASK)) {
        if (atomic_compare_exchange_weak_explicit(slot, &word, fresh, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return;
        }
    }
    if (total_of(word) < COUNT_FULL && marked_of(word) < COUNT_FULL) {
        (void)atomic_fetch_add_explicit(slot, add, memory_order_relaxed);
    }
}

void window_unmark(struct window *w, uint32_t window_ms, uint64_t now_ms)
{
    uint64_t tick = tick_of(window_ms, now_ms);
    _Atomic uint64_t *slot = &w->slots[tick % WINDOW_SLOTS];
    uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    while (word >> TICK_SHIFT == (tick & TICK_MASK) && marked_of(word) > 0) {
        uint64_t less = word - (UINT64_C(1) << COUNT_BITS);
        if (atomic_compare_exchange_weak_explicit(slot, &word, less, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return;
        }
    }
}

struct window_sum window_read(const struct window *w, uint32_t window_ms, uint64_t now_ms)
{
    uint64_t tick = tick_of(window_ms, now_ms);
    struct window_sum sum = {0, 0};
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        uint64_t word = atomic_load_explicit(&w->slots[i], memory_order_relaxed);
        uint64_t age = (tick - (word >> TICK_SHIFT)) & TICK_MASK;
        if (age < WINDOW_SLOTS) {
            sum.total += total_of(word);
            sum.marked += marked_of(word);
        }
    }
    return sum;
}

void window_clear(struct window *w)
{
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        atomic_store_explicit(&w->slots[i], 0, memory_order_relaxed);
    }
}
