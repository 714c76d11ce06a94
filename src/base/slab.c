// SPDX-License-Identifier: Apache-2.0
//
// Slabs. Objects live in blocks of a power of two that are aligned to their size, so that an object
// finds its block by masking its address and needs no header of its own. All free objects of a slab
// are in one doubly linked list through their first bytes: the last one given is the next one taken,
// and an empty block can take its objects out of the list one by one when it goes back.
//
// Blocks ask for a little less than their alignment: the system allocator's own header then fits
// before the next block, and blocks lie side by side instead of at every other multiple.
//
// The fault injection for all allocators of base lives here too: two thread-local switches.

#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

enum {
    SLAB_MAGIC = 0x51ab0001,
    SLAB_BLOCK_MIN = 32 * 1024,
    SLAB_BLOCK_OBJECTS = 8, // at least so many objects share a block
    SLAB_BLOCK_GAP = 16,    // the system allocator's header
    // Free memory that is kept in any case, so that a load which rises and falls within each turn
    // does not take blocks from the system and return them every time (measured: a tenth of the
    // CPU of small requests went into page faults). It holds the exchanges of some hundred streams.
    SLAB_WARM_BYTES = 4 * 1024 * 1024,
};

// With a sanitizer every object is an allocation of its own.
#ifdef ADIT_SANITIZED
enum { SLAB_SEPARATE = 1 };
#else
enum { SLAB_SEPARATE = 0 };
#endif

struct slab_node {
    struct slab_node *next;
    struct slab_node *prev;
};

struct slab_block {
    struct list link;
    struct slab *slab;
    uint32_t in_use;
    uint32_t pad;
};

static_assert(sizeof(struct slab_block) % 16 == 0, "objects behind it are aligned to 16");

// ---- fault injection -----------------------------------------------------------------------------

static _Thread_local bool fail_armed;
static _Thread_local uint64_t fail_countdown;
static _Thread_local double fail_probability;
static _Thread_local struct rng fail_rng;

void alloc_fail_nth(uint64_t n)
{
    fail_countdown = n;
    fail_armed = fail_countdown > 0 || fail_probability > 0;
}

bool alloc_fail_pending(void)
{
    return fail_countdown > 0;
}

void alloc_fail_rate(double probability, uint64_t seed)
{
    fail_probability = probability;
    rng_seed(&fail_rng, seed);
    fail_armed = fail_countdown > 0 || fail_probability > 0;
}

bool alloc_must_fail(void)
{
    if (likely(!fail_armed)) {
        return false;
    }
    if (fail_countdown > 0 && --fail_countdown == 0) {
        fail_armed = fail_probability > 0;
        return true;
    }
    return fail_probability > 0 && rng_chance(&fail_rng, fail_probability);
}

// ---- the system's allocator ------------------------------------------------------------------------

void *mem_alloc(size_t size)
{
    return alloc_must_fail() ? NULL : malloc(size > 0 ? size : 1);
}

void *mem_zalloc(size_t size)
{
    return alloc_must_fail() ? NULL : calloc(1, size > 0 ? size : 1);
}

void *mem_zalloc_aligned(size_t size, size_t alignment)
{
    void *memory = NULL;
    if (alloc_must_fail() || posix_memalign(&memory, alignment, size) != 0) {
        return NULL;
    }
    memset(memory, 0, size);
    return memory;
}

void *mem_realloc(void *ptr, size_t size)
{
    return alloc_must_fail() ? NULL : realloc(ptr, size > 0 ? size : 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

// ---- slabs -----------------------------------------------------------------------------------------

static size_t block_bytes(const struct slab *s)
{
    size_t want =
        sizeof(struct slab_block) + (size_t)s->object_size * SLAB_BLOCK_OBJECTS + SLAB_BLOCK_GAP;
    size_t bytes = SLAB_BLOCK_MIN;
    while (bytes < want) {
        bytes *= 2;
    }
    return bytes;
}

void slab_init(struct slab *s, const char *name, size_t object_size, uint32_t objects_max)
{
    ensure(object_size > 0 && object_size <= UINT32_MAX / 64);
    ensure(objects_max > 0);
    *s = (struct slab){
        .magic = SLAB_MAGIC,
        .object_size = (uint32_t)((object_size + 15) & ~(size_t)15),
        .in_use_max = objects_max,
        .name = name,
    };
    list_init(&s->blocks);
    s->block_mask = ~(uintptr_t)(block_bytes(s) - 1);
    s->per_block =
        (uint32_t)((block_bytes(s) - SLAB_BLOCK_GAP - sizeof(struct slab_block)) / s->object_size);
}

static void push_free(struct slab *s, struct slab_node *n)
{
    struct slab_node *first = s->free_list;
    n->next = first;
    n->prev = NULL;
    if (first != NULL) {
        first->prev = n;
    }
    s->free_list = n;
    s->free_count++;
}

static void drop_free(struct slab *s, struct slab_node *n)
{
    if (n->next != NULL) {
        n->next->prev = n->prev;
    }
    if (n->prev != NULL) {
        n->prev->next = n->next;
    } else {
        s->free_list = n->next;
    }
    s->free_count--;
}

static struct slab_node *object_at(const struct slab *s, struct slab_block *b, uint32_t i)
{
    return (struct slab_node *)(void *)((char *)(b + 1) + (size_t)i * s->object_size);
}

static bool add_block(struct slab *s)
{
    void *memory = NULL;
    size_t bytes = block_bytes(s);
    if (posix_memalign(&memory, bytes, bytes - SLAB_BLOCK_GAP) != 0) {
        return false;
    }
    struct slab_block *b = memory;
    *b = (struct slab_block){.slab = s};
    list_init(&b->link);
    list_push_front(&s->blocks, &b->link);
    for (uint32_t i = s->per_block; i > 0; i--) {
        push_free(s, object_at(s, b, i - 1));
    }
    return true;
}

static void free_block(struct slab *s, struct slab_block *b)
{
    ensure(b->in_use == 0);
    for (uint32_t i = 0; i < s->per_block; i++) {
        drop_free(s, object_at(s, b, i));
    }
    list_remove(&b->link);
    free(b);
}

void slab_fini(struct slab *s)
{
    ensure_magic(s, SLAB_MAGIC);
    ensure(s->in_use == 0);
    struct list *first;
    while ((first = list_first(&s->blocks)) != NULL) {
        free_block(s, list_entry(first, struct slab_block, link));
    }
    ensure(s->free_count == 0);
    s->magic = 0;
}

static struct slab_block *block_of(const struct slab *s, void *object)
{
    return (struct slab_block *)((uintptr_t)object & s->block_mask);
}

void *slab_take(struct slab *s)
{
    ensure_magic(s, SLAB_MAGIC);
    if (unlikely(s->in_use >= s->in_use_max) || unlikely(alloc_must_fail())) {
        return NULL;
    }
    if (SLAB_SEPARATE) {
        void *object = malloc(s->object_size);
        s->in_use += object != NULL;
        return object;
    }
    if (unlikely(s->free_list == NULL) && !add_block(s)) {
        return NULL;
    }
    struct slab_node *n = s->free_list;
    s->free_list = n->next;
    if (n->next != NULL) {
        n->next->prev = NULL;
    }
    s->free_count--;
    s->in_use++;
    struct slab_block *b = block_of(s, n);
    if (b->in_use++ == 0) {
        list_remove(&b->link);
        list_push_back(&s->blocks, &b->link);
    }
    return n;
}

// Gives the first block back when it is empty and what stays free is still plenty.
static void trim(struct slab *s)
{
    struct list *first = list_first(&s->blocks);
    ensure(first != NULL);
    struct slab_block *b = list_entry(first, struct slab_block, link);
    if (b->in_use == 0 && s->free_count > (s->in_use + s->free_count) / 4) {
        free_block(s, b);
    }
}

void slab_give(struct slab *s, void *object)
{
    ensure_magic(s, SLAB_MAGIC);
    ensure(object != NULL);
    ensure(s->in_use > 0);
    s->in_use--;
    if (SLAB_SEPARATE) {
        free(object);
        return;
    }
    struct slab_block *b = block_of(s, object);
    ensure(b->slab == s);
    ensure(b->in_use > 0);
    if (--b->in_use == 0) {
        list_remove(&b->link);
        list_push_front(&s->blocks, &b->link);
    }
    push_free(s, object);
    if (unlikely((size_t)s->free_count * s->object_size >= SLAB_WARM_BYTES)) {
        trim(s);
    }
}
