// SPDX-License-Identifier: Apache-2.0
//
// A sliding window: how many events there were in the last so many milliseconds, and how many of them
// were marked (failures, repeats). Any number of threads add and read without a lock. The window is cut
// into ten slots, each one word that holds its own time, so a slot that is out of date is known by
// itself and nothing has to be swept: an add is one atomic addition, a read looks at ten words.
//
// What it may be wrong by: the oldest tenth of the window leaves at once; an add that is held up for a
// whole window between two instructions counts in the wrong slot; a slot counts up to four million.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum { WINDOW_SLOTS = 10, WINDOW_MS_MIN = 100 };

/** Zero is an empty one. */
struct window {
    _Alignas(64) _Atomic uint64_t slots[WINDOW_SLOTS];
};

struct window_sum {
    uint32_t total;
    uint32_t marked;
};

/** `window_ms` is the same in all calls, at least WINDOW_MS_MIN; after a change the counts of the time
 * before may be lost. `now_ms` is monotonic. Any thread. */
void window_add(struct window *w, uint32_t window_ms, uint64_t now_ms, struct window_sum what);
/** Takes marks of this moment back, as far as they are still there. */
void window_unmark(struct window *w, uint32_t window_ms, uint64_t now_ms);
struct window_sum window_read(const struct window *w, uint32_t window_ms, uint64_t now_ms);
/** Forgets everything. */
void window_clear(struct window *w);
