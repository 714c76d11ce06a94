// SPDX-License-Identifier: Apache-2.0
//
// Hierarchical timer wheel (Varghese & Lauck, SOSP 1987): set and stop are O(1), a tick is a
// millisecond. Pure data structure: time is handed in, never read. Timers fire in order of their
// expiry; those of one tick in the order they were set, pushed-back ones (below) in the order in
// which they were filed anew.
//
// Most timers of a proxy are pushed back over and over and never fire, so wheel_set() to a later
// time of a timer that is set only notes the new time; it is moved when the old one comes up.

#pragma once

#include <stdint.h>

#include "base/list.h"

enum {
    WHEEL_LEVELS = 4,
    WHEEL_SLOTS = 256, // per level; 4 levels of 8 bits are 49 days, beyond is one list
};

struct wheel_timer {
    struct list link;
    uint64_t expires_ms; // when it is to fire
    uint64_t slot_ms;    // under which time it is filed (<= expires_ms)
    void (*fn)(struct wheel_timer *t);
};

struct wheel {
    uint32_t magic;
    uint32_t count;
    uint64_t now_ms;
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list far;                                 // beyond the current 2^32 ms
    uint64_t filled[WHEEL_LEVELS][WHEEL_SLOTS / 64]; // one bit per non-empty slot
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/** `fn` is called once per set; the timer is stopped before the call, so fn may free or set it. */
void wheel_timer_init(struct wheel_timer *t, void (*fn)(struct wheel_timer *t));
static inline bool wheel_timer_is_set(const struct wheel_timer *t)
{
    return t->link.next != &t->link;
}
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t expires_ms);
void wheel_stop(struct wheel *w, struct wheel_timer *t);
/** Moves the time on and fires what is due. Timers set by callbacks for a time that is already due
 * fire in the same call, once; when they set themselves again for then, in the next call. */
void wheel_advance(struct wheel *w, uint64_t now_ms);
/** Milliseconds until wheel_advance() has something to do (an expiry or a cascade), at most
 * `limit_ms`. */
uint64_t wheel_next_ms(const struct wheel *w, uint64_t limit_ms);
