// SPDX-License-Identifier: Apache-2.0
//
// Fixed-size objects of one core, with a maximum. Freed objects are reused last-in first-out while
// their cache lines are warm. Memory is taken from the system in blocks and given back when a block
// is empty, more than a quarter of all is free, and that is more than some warm memory. Under
// AddressSanitizer every object is its own malloc, so that use after free is seen. Not thread-safe: one core, one slab.
//
// base is the only folder that calls malloc on the traffic path; alloc_fail_nth() lets tests make
// the n-th allocation of any slab, arena or chunk pool of this thread fail.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/list.h"

struct slab {
    uint32_t magic;
    uint32_t object_size; // as given to init, rounded up to 16
    uint32_t in_use;      // objects handed out
    uint32_t in_use_max;  // limit
    void *free_list;      // objects ready to be taken, last given first
    struct list blocks;   // empty ones first
    uint32_t per_block;
    uint32_t free_count;
    uintptr_t block_mask; // object address & mask = its block
    const char *name;     // for the panic dump and status
};

/** `name` must live as long as the slab. `objects_max` > 0. */
void slab_init(struct slab *s, const char *name, size_t object_size, uint32_t objects_max);
/** Every object must have been given back. */
void slab_fini(struct slab *s);
/** An object with undefined contents, aligned to 16, or NULL at the limit or out of memory. */
void *slab_take(struct slab *s) must_check;
void slab_give(struct slab *s, void *object);

/** Test hook: makes the n-th allocation from now on (1 = the next) of this thread fail, in all
 * allocators of base; 0 switches it off. */
void alloc_fail_nth(uint64_t n);
/** Test hook: true while the allocation that alloc_fail_nth() named has not been made. */
bool alloc_fail_pending(void) must_check;
/** Test hook: every allocation of this thread fails with this probability (0..1), from its own
 * seeded generator. */
void alloc_fail_rate(double probability, uint64_t seed);
/** For the allocators in base: true when the current allocation must fail. */
bool alloc_must_fail(void);

/** The system's allocator for start-up, compile and keeper code; NULL when out of memory. Traffic
 * code uses slabs, arenas and chunks. */
void *mem_alloc(size_t size) must_check;
void *mem_zalloc(size_t size) must_check;
/** For structs with an _Alignas of their own: a power of two and a multiple of a pointer's size. */
void *mem_zalloc_aligned(size_t size, size_t alignment) must_check;
void *mem_realloc(void *ptr, size_t size) must_check;
void mem_free(void *ptr);
