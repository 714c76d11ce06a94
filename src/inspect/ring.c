// SPDX-License-Identifier: Apache-2.0
//
// The inspector's memory (inspect/ring.h). Entries have consecutive numbers and go in their order, so those
// that there are lie between two numbers, and one is found by its number's remainder.

#include "inspect/ring.h"

#include <string.h>

#include "base/num.h"

enum { RING_MAGIC = 0x72696e67 };

struct ring_block {
    struct ring_block *next;
    uint32_t used;
    char data[RING_BLOCK_BYTES];
};

void ring_init(struct ring *r)
{
    *r = (struct ring){.magic = RING_MAGIC, .oldest = 1, .next = 1};
    slab_init(&r->entry_slab, "inspected requests", sizeof(struct ring_entry), RING_ENTRIES_MAX);
    slab_init(&r->blocks, "inspected bytes", sizeof(struct ring_block), RING_BLOCKS_MAX);
}

void ring_clear(struct ring *r, struct ring_entry *e, enum ring_piece piece)
{
    struct ring_text *t = &e->text[piece];
    while (t->first != NULL) {
        struct ring_block *b = t->first;
        t->first = b->next;
        slab_give(&r->blocks, b);
    }
    *t = (struct ring_text){0};
}

static void forget_oldest(struct ring *r)
{
    ensure(r->oldest < r->next);
    struct ring_entry *e = r->at[r->oldest % RING_ENTRIES_MAX];
    for (unsigned i = 0; i < RING_PIECES; i++) {
        ring_clear(r, e, (enum ring_piece)i);
    }
    r->at[r->oldest % RING_ENTRIES_MAX] = NULL;
    r->oldest++;
    slab_give(&r->entry_slab, e);
}

void ring_fini(struct ring *r)
{
    ensure_magic(r, RING_MAGIC);
    while (r->oldest < r->next) {
        forget_oldest(r);
    }
    slab_fini(&r->entry_slab);
    slab_fini(&r->blocks);
    r->magic = 0;
}

void ring_touch(struct ring *r, struct ring_entry *e)
{
    e->change = ++r->changes;
}

struct ring_entry *ring_add(struct ring *r)
{
    ensure_magic(r, RING_MAGIC);
    if (r->next - r->oldest == RING_ENTRIES_MAX) {
        forget_oldest(r);
    }
    struct ring_entry *e = slab_take(&r->entry_slab);
    if (e == NULL) {
        return NULL;
    }
    *e = (struct ring_entry){.id = r->next++};
    r->at[e->id % RING_ENTRIES_MAX] = e;
    ring_touch(r, e);
    return e;
}

struct ring_entry *ring_find(const struct ring *r, uint64_t id)
{
    ensure_magic(r, RING_MAGIC);
    return id >= r->oldest && id < r->next ? r->at[id % RING_ENTRIES_MAX] : NULL;
}

/** A block, for which the oldest entries make room. NULL: no memory, or `id` itself had to go. */
static struct ring_block *take_block(struct ring *r, uint64_t id)
{
    struct ring_block *b = NULL;
    while (r->blocks.in_use == RING_BLOCKS_MAX) {
        forget_oldest(r);
    }
    if (id >= r->oldest) {
        b = slab_take(&r->blocks);
    }
    if (b != NULL) {
        b->next = NULL;
        b->used = 0;
    }
    return b;
}

bool ring_write(struct ring *r, uint64_t id, enum ring_piece piece, struct slice bytes)
{
    struct ring_entry *e = ring_find(r, id);
    while (e != NULL && bytes.len > 0) {
        struct ring_text *t = &e->text[piece];
        if (t->last == NULL || t->last->used == RING_BLOCK_BYTES) {
            struct ring_block *b = take_block(r, id);
            if (b == NULL) {
                return false;
            }
            *(t->last == NULL ? &t->first : &t->last->next) = b;
            t->last = b;
        }
        size_t n = num_min_size(bytes.len, RING_BLOCK_BYTES - t->last->used);
        memcpy(t->last->data + t->last->used, bytes.ptr, n);
        t->last->used += (uint32_t)n;
        t->len += (uint32_t)n;
        bytes = slice_from(bytes, n);
    }
    return e != NULL;
}

void ring_write_body(struct ring *r, uint64_t id, enum ring_piece piece, struct slice bytes)
{
    struct ring_entry *e = ring_find(r, id);
    if (e == NULL) {
        return;
    }
    ensure(piece == RING_REQUEST_BODY || piece == RING_ANSWER_BODY);
    struct ring_body *body = piece == RING_REQUEST_BODY ? &e->request : &e->answer;
    body->bytes += bytes.len;
    size_t room = RING_BODY_MAX - e->text[piece].len;
    (void)ring_write(r, id, piece,
                     slice_sub(bytes, 0, room)); // what is not there is seen by the length
}

struct slice ring_next(const struct ring_text *t, const struct ring_block **at)
{
    *at = *at == NULL ? t->first : (*at)->next;
    return *at == NULL ? slice_of("", 0) : slice_of((*at)->data, (*at)->used);
}

void ring_copy(const struct ring_text *t, char *out)
{
    for (const struct ring_block *b = t->first; b != NULL; b = b->next) {
        memcpy(out, b->data, b->used);
        out += b->used;
    }
}
