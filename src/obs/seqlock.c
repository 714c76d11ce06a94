// SPDX-License-Identifier: Apache-2.0
//
// Sequence locks (obs/seqlock.h). A reader tries again some times and then gives up: a writer that died
// in the middle leaves an odd number for ever. Every word is released and acquired: who has read one of a
// writer reads its odd number or a later one behind it. Fences would say the same, but ThreadSanitizer
// does not know them.

#include "obs/seqlock.h"

enum { READ_TRIES = 64 };

void seqlock_write(_Atomic uint64_t *number, _Atomic uint64_t *row, const uint64_t *words,
                   size_t count)
{
    uint64_t odd = atomic_load_explicit(number, memory_order_relaxed) | 1;
    atomic_store_explicit(number, odd, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&row[i], words[i], memory_order_release);
    }
    atomic_store_explicit(number, odd + 1, memory_order_release);
}

bool seqlock_read(const _Atomic uint64_t *number, const _Atomic uint64_t *row, uint64_t *words,
                  size_t count)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t before = atomic_load_explicit(number, memory_order_acquire);
        if (before == 0) {
            return false;
        }
        for (size_t k = 0; k < count; k++) {
            words[k] = atomic_load_explicit(&row[k], memory_order_acquire);
        }
        uint64_t after = atomic_load_explicit(number, memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            return true;
        }
    }
    return false;
}
