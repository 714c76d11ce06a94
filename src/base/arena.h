// SPDX-License-Identifier: Apache-2.0
//
// Arena: memory with one end of life. Allocation moves a pointer; nothing is freed before fini.
// The first bytes come from memory that the owner embeds, further blocks from a chunk pool, up to a
// maximum in all. Clean-up hooks run in reverse order at fini. One core, no locks.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct chunk;
struct chunk_pool;

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    uint32_t magic;
    uint32_t used_max; // bytes over all blocks, the embedded first included
    uint32_t used;     // bytes reserved over all blocks
    char *pos;
    char *end;
    struct chunk *blocks;    // chain of pool chunks, newest first
    struct chunk_pool *pool; // NULL: blocks come from the system (start-up code)
    struct arena_cleanup *cleanups;
};

/** `first`/`first_len` may be NULL/0. `pool` may be NULL: blocks then come from mem_alloc(). */
void arena_init(struct arena *a, void *first, size_t first_len, struct chunk_pool *pool,
                size_t used_max);
/** Runs the clean-up hooks and gives everything back. */
void arena_fini(struct arena *a);
/** Zeroed? No: contents undefined. Aligned to 16. NULL over the maximum or out of memory. */
void *arena_alloc(struct arena *a, size_t size) must_check;
void *arena_zalloc(struct arena *a, size_t size) must_check;
/** Unaligned bytes, for text. */
char *arena_bytes(struct arena *a, size_t size) must_check;
/** A copy of s; on failure .ptr is NULL. */
struct slice arena_dup(struct arena *a, struct slice s);
/** NUL-terminated copy or NULL. */
char *arena_strdup(struct arena *a, struct slice s);
/** Registers fn(arg) for fini. 0 or E_NO_MEMORY. */
int arena_on_fini(struct arena *a, void (*fn)(void *arg), void *arg) must_check;
