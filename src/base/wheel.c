// SPDX-License-Identifier: Apache-2.0
//
// The timer wheel. A timer is filed by the highest digit (base 256) in which its time differs from
// now: level 0 holds what comes up within the current 256 ms, level 1 within the current 256 * 256,
// and so on; what lies beyond the current 2^32 ms is in one far list. Because filing goes by digits
// and not by distance, a slot of level n is empty of its window's timers until the window begins,
// so that taking it apart then keeps the order in which timers were set.
//
// Invariant: at every moment each filed timer sits where filing it now would put it, because the
// time never passes a filled slot without handling it. Bitmaps of filled slots find the next one
// without walking the time between.

#include "base/wheel.h"

#include <string.h>

#include "base/num.h"

enum { WHEEL_MAGIC = 0x3ee10001, WHEEL_BITS = 8, WHEEL_WORDS = WHEEL_SLOTS / 64 };

static_assert(WHEEL_SLOTS == 1 << WHEEL_BITS, "a digit is an index");
static_assert(WHEEL_LEVELS * WHEEL_BITS == 32, "the far list begins at 2^32");

#define WHEEL_NEVER UINT64_MAX

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    memset(w, 0, sizeof(*w));
    w->magic = WHEEL_MAGIC;
    w->now_ms = now_ms;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < WHEEL_SLOTS; slot++) {
            list_init(&w->slots[level][slot]);
        }
    }
    list_init(&w->far);
}

void wheel_timer_init(struct wheel_timer *t, void (*fn)(struct wheel_timer *t))
{
    ensure(fn != NULL);
    list_init(&t->link);
    t->expires_ms = 0;
    t->slot_ms = 0;
    t->fn = fn;
}

static unsigned digit(uint64_t ms, int level)
{
    return (unsigned)(ms >> (level * WHEEL_BITS)) % WHEEL_SLOTS;
}

// Files t, which is in no list, under `at` >= now.
static void file_timer(struct wheel *w, struct wheel_timer *t, uint64_t at)
{
    ensure(at >= w->now_ms);
    t->slot_ms = at;
    uint64_t diff = at ^ w->now_ms;
    if (unlikely(diff >> 32 != 0)) {
        list_push_back(&w->far, &t->link);
        return;
    }
    int level = diff == 0 ? 0 : (63 - __builtin_clzll(diff)) / WHEEL_BITS;
    unsigned slot = digit(at, level);
    list_push_back(&w->slots[level][slot], &t->link);
    w->filled[level][slot / 64] |= UINT64_C(1) << (slot % 64);
}

// Takes t out of its list. When it was alone in a slot, its neighbour on both sides is the slot's
// head, and the head's place in the table tells which bit to clear.
static void unfile_timer(struct wheel *w, struct wheel_timer *t)
{
    struct list *neighbour = t->link.next;
    bool alone = neighbour == t->link.prev;
    list_remove(&t->link);
    uintptr_t offset = (uintptr_t)neighbour - (uintptr_t)&w->slots[0][0];
    if (alone && offset < sizeof(w->slots)) {
        size_t index = offset / sizeof(struct list);
        w->filled[index / WHEEL_SLOTS][index % WHEEL_SLOTS / 64] &= ~(UINT64_C(1) << (index % 64));
    }
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t expires_ms)
{
    ensure_magic(w, WHEEL_MAGIC);
    ensure(t->fn != NULL);
    t->expires_ms = expires_ms;
    if (wheel_timer_is_set(t)) {
        if (likely(expires_ms >= t->slot_ms)) {
            return; // it is moved when its slot comes up
        }
        unfile_timer(w, t);
    } else {
        w->count++;
    }
    file_timer(w, t, expires_ms > w->now_ms ? expires_ms : w->now_ms);
}

void wheel_stop(struct wheel *w, struct wheel_timer *t)
{
    ensure_magic(w, WHEEL_MAGIC);
    if (!wheel_timer_is_set(t)) {
        return;
    }
    ensure(w->count > 0);
    w->count--;
    unfile_timer(w, t);
}

// The first filled slot of a level at or after `from`, or WHEEL_SLOTS.
static unsigned next_filled(const struct wheel *w, int level, unsigned from)
{
    for (unsigned word = from / 64; word < WHEEL_WORDS; word++) {
        uint64_t bits = w->filled[level][word];
        if (word == from / 64) {
            bits &= ~UINT64_C(0) << (from % 64);
        }
        if (bits != 0) {
            return word * 64 + (unsigned)__builtin_ctzll(bits);
        }
    }
    return WHEEL_SLOTS;
}

// When there is something to do next: a slot of level 0 comes up, a slot of a higher level is to be
// taken apart, or the far list's window begins. Lower levels always come first.
static uint64_t next_event(const struct wheel *w)
{
    if (w->count == 0) {
        return WHEEL_NEVER;
    }
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        unsigned from = digit(w->now_ms, level) + (level > 0);
        unsigned slot = from < WHEEL_SLOTS ? next_filled(w, level, from) : WHEEL_SLOTS;
        if (slot < WHEEL_SLOTS) {
            int shift = level * WHEEL_BITS;
            uint64_t above = w->now_ms >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS);
            return above | (uint64_t)slot << shift;
        }
    }
    return list_empty(&w->far) ? WHEEL_NEVER : ((w->now_ms >> 32) + 1) << 32;
}

static void take_slot(struct wheel *w, int level, unsigned slot, struct list *out)
{
    list_init(out);
    list_splice(out, &w->slots[level][slot]);
    w->filled[level][slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static void refile(struct wheel *w, struct list *timers, uint64_t at_least)
{
    struct list *node;
    while ((node = list_first(timers)) != NULL) {
        struct wheel_timer *t = list_entry(node, struct wheel_timer, link);
        list_remove(node);
        file_timer(w, t, t->expires_ms > at_least ? t->expires_ms : at_least);
    }
}

// The time has just become now_ms: takes apart the windows that begin with it, widest first.
static void cascade(struct wheel *w)
{
    struct list taken;
    if ((w->now_ms & UINT32_MAX) == 0) {
        list_init(&taken);
        list_splice(&taken, &w->far);
        refile(w, &taken, w->now_ms);
    }
    for (int level = WHEEL_LEVELS - 1; level > 0; level--) {
        uint64_t below = (UINT64_C(1) << (level * WHEEL_BITS)) - 1;
        if ((w->now_ms & below) == 0) {
            take_slot(w, level, digit(w->now_ms, level), &taken);
            refile(w, &taken, w->now_ms);
        }
    }
}

// Fires what is due in the current slot; what was pushed back is filed anew.
static void fire_slot(struct wheel *w)
{
    struct list due;
    take_slot(w, 0, digit(w->now_ms, 0), &due);
    struct list *node;
    while ((node = list_first(&due)) != NULL) {
        struct wheel_timer *t = list_entry(node, struct wheel_timer, link);
        list_remove(node);
        if (t->expires_ms > w->now_ms) {
            file_timer(w, t, t->expires_ms);
            continue;
        }
        ensure(w->count > 0);
        w->count--;
        t->fn(t);
    }
}

void wheel_advance(struct wheel *w, uint64_t now_ms)
{
    ensure_magic(w, WHEEL_MAGIC);
    ensure(now_ms >= w->now_ms);
    for (;;) {
        uint64_t at = next_event(w);
        if (at > now_ms) {
            w->now_ms = now_ms;
            return;
        }
        if (at != w->now_ms) {
            w->now_ms = at;
            cascade(w);
        }
        fire_slot(w);
        fire_slot(w); // what the callbacks set for now
        if (w->now_ms == now_ms) {
            return;
        }
        // Callbacks of the second round that set timers for now again get the next tick.
        struct list again;
        take_slot(w, 0, digit(w->now_ms, 0), &again);
        refile(w, &again, w->now_ms + 1);
    }
}

uint64_t wheel_next_ms(const struct wheel *w, uint64_t limit_ms)
{
    ensure_magic(w, WHEEL_MAGIC);
    uint64_t at = next_event(w);
    return at == WHEEL_NEVER ? limit_ms : num_min_u64(at - w->now_ms, limit_ms);
}
