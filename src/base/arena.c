// SPDX-License-Identifier: Apache-2.0
//
// Arenas. Aligned objects and text come from the same end of the current block; what is left of a
// block when the next one is taken is lost until fini. The budget counts reserved bytes, so a block
// that would burst it is used only as far as the budget goes.
//
// What does not fit a pool chunk gets a block of its own from the system, linked behind the current
// one so that the current one's rest stays usable. Under a sanitizer every allocation is such a
// block: reading past the end of one object is then seen.

#include "base/arena.h"

#include <string.h>

#include "base/chunk.h"
#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"

enum {
    ARENA_MAGIC = 0xa7e4a001,
    ARENA_ALIGN = 16,
    ARENA_BLOCK_HEAD = offsetof(struct chunk, data),
};

static_assert(ARENA_BLOCK_HEAD % ARENA_ALIGN == 0, "block data is aligned");

#ifdef ADIT_SANITIZED
enum { ARENA_SEPARATE = 1 };
#else
enum { ARENA_SEPARATE = 0 };
#endif

void arena_init(struct arena *a, void *first, size_t first_len, struct chunk_pool *pool,
                size_t used_max)
{
    ensure(used_max > 0 && used_max <= UINT32_MAX);
    ensure(first_len <= used_max);
    *a = (struct arena){.magic = ARENA_MAGIC, .used_max = (uint32_t)used_max, .pool = pool};
    if (first != NULL && !ARENA_SEPARATE) {
        a->pos = first;
        a->end = a->pos + first_len;
        a->used = (uint32_t)first_len;
    }
}

void arena_fini(struct arena *a)
{
    ensure_magic(a, ARENA_MAGIC);
    while (a->cleanups != NULL) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->arg);
    }
    while (a->blocks != NULL) {
        struct chunk *block = a->blocks;
        a->blocks = block->next;
        if (block->pool != NULL) {
            chunk_unref(block);
        } else {
            mem_free(block);
        }
    }
    a->pos = NULL;
    a->end = NULL;
    a->magic = 0;
}

// A block of its own for `size` bytes.
static void *alloc_apart(struct arena *a, size_t size)
{
    if (size > a->used_max - a->used) {
        return NULL;
    }
    struct chunk *block = mem_alloc(ARENA_BLOCK_HEAD + size);
    if (block == NULL) {
        return NULL;
    }
    block->pool = NULL;
    block->capacity = (uint32_t)size;
    a->used += (uint32_t)size;
    if (a->blocks != NULL) {
        block->next = a->blocks->next;
        a->blocks->next = block;
    } else {
        block->next = NULL;
        a->blocks = block;
    }
    return block->data;
}

// The next block, as current one.
static bool add_block(struct arena *a, size_t size)
{
    size_t room = num_min_size(a->used_max - a->used, CHUNK_BYTES);
    if (room < size) {
        return false;
    }
    struct chunk *block =
        a->pool != NULL ? chunk_new(a->pool) : mem_alloc(ARENA_BLOCK_HEAD + CHUNK_BYTES);
    if (block == NULL) {
        return false;
    }
    if (a->pool == NULL) {
        block->pool = NULL;
    }
    block->next = a->blocks;
    a->blocks = block;
    a->used += (uint32_t)room;
    a->pos = block->data;
    a->end = block->data + room;
    return true;
}

static void *alloc_slow(struct arena *a, size_t size)
{
    if (ARENA_SEPARATE || size > CHUNK_BYTES / 2) {
        return alloc_apart(a, size);
    }
    if (!add_block(a, size)) {
        return NULL;
    }
    char *p = a->pos;
    a->pos += size;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    ensure_magic(a, ARENA_MAGIC);
    if (unlikely(alloc_must_fail()) || unlikely(size > a->used_max)) {
        return NULL;
    }
    uintptr_t at = ((uintptr_t)a->pos + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
    uintptr_t end = (uintptr_t)a->end;
    if (likely(at <= end && size <= end - at && a->pos != NULL)) {
        char *p = a->pos + (at - (uintptr_t)a->pos);
        a->pos = p + size;
        return p;
    }
    return alloc_slow(a, size);
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    if (p != NULL) {
        memset(p, 0, size);
    }
    return p;
}

char *arena_bytes(struct arena *a, size_t size)
{
    ensure_magic(a, ARENA_MAGIC);
    if (unlikely(alloc_must_fail()) || unlikely(size > a->used_max)) {
        return NULL;
    }
    if (likely(size <= (size_t)(a->end - a->pos) && a->pos != NULL)) {
        char *p = a->pos;
        a->pos += size;
        return p;
    }
    return alloc_slow(a, size);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *p = arena_bytes(a, s.len);
    if (p != NULL && s.len > 0) {
        memcpy(p, s.ptr, s.len);
    }
    return slice_of(p, p != NULL ? s.len : 0);
}

char *arena_strdup(struct arena *a, struct slice s)
{
    char *p = arena_bytes(a, s.len + 1);
    if (p != NULL) {
        if (s.len > 0) {
            memcpy(p, s.ptr, s.len);
        }
        p[s.len] = '\0';
    }
    return p;
}

int arena_on_fini(struct arena *a, void (*fn)(void *arg), void *arg)
{
    ensure(fn != NULL);
    struct arena_cleanup *c = arena_alloc(a, sizeof(*c));
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    *c = (struct arena_cleanup){.next = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = c;
    return 0;
}
