// SPDX-License-Identifier: Apache-2.0
//
// Chunks: refcounted buffers of CHUNK_BYTES for bodies and reads, from a pool of one core, and
// bufq, a bounded queue of spans of chunks. A span is (chunk, offset, length) and holds one
// reference, so bytes that were read once can be queued, split and written without a copy.
//
// A queue has at most BUFQ_SPANS spans: with whole chunks that is 256 KiB, the most that is taken
// from one side ahead of the other. Small pieces are copied together so that a peer that sends one
// byte at a time cannot make a queue of slivers. One core, no locks.
//
// A chunk that is to be read on another core is shared first (chunk_share()); from then on its
// references are counted atomically, wherever they are taken and given up, and with the last one it
// goes back to the pool that it is of, which finds it when it next needs one. Nobody else pays for it.

#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    CHUNK_WHOLE = 16384,            // a chunk with its head
    CHUNK_BYTES = CHUNK_WHOLE - 32, // data bytes of a chunk
    BUFQ_SPANS = 16,
    BUFQ_COPY_MAX = 512, // pieces up to this are copied into the tail chunk when it has room
};

struct chunk {
    struct chunk *next; // free list of the pool, block list of an arena
    struct chunk_pool *pool;
    uint32_t refs; // chunk_is_sole() asks for it
    uint32_t used; // data bytes filled by their writer; appending is for the sole writer only
    uint32_t capacity;
    bool shared; // other cores may hold references; `used` is not for them
    char pad[3];
    char data[]; // `capacity` bytes: CHUNK_BYTES, or more when made by chunk_new_large()
};

struct chunk_pool {
    uint32_t magic;
    uint32_t in_use;
    uint32_t in_use_max; // budget of this core, in chunks
    uint32_t free_count;
    uint32_t free_max; // kept for reuse, or as many as are in use; more goes back to the system
    struct chunk *free_list;
    char apart[64]; // other cores write the next, not what is used with each chunk
    _Atomic(struct chunk *) returned; // shared ones that nobody holds any more; they still count
    char apart_too[64];
};

/** `chunks_max`: budget of this core; `free_max`: how many free ones are kept warm when few are
 * in use. */
void chunk_pool_init(struct chunk_pool *p, uint32_t chunks_max, uint32_t free_max);
/** Every chunk must have been given back, those that other cores held as well. */
void chunk_pool_fini(struct chunk_pool *p);
/** One reference, used = 0; NULL over the budget or out of memory. */
struct chunk *chunk_new(struct chunk_pool *p) must_check;
/** One of `capacity` > CHUNK_BYTES, for the rare message head that does not fit a usual one. It counts
 * as as many chunks as would hold its bytes and goes back to the system when it is given up. */
struct chunk *chunk_new_large(struct chunk_pool *p, uint32_t capacity) must_check;
static inline struct chunk *chunk_ref(struct chunk *c)
{
    if (unlikely(c->shared)) {
        uint32_t before = __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
        ensure(before > 0);
        return c;
    }
    ensure(c->refs > 0);
    c->refs++;
    return c;
}
void chunk_unref(struct chunk *c);
/** From now on other cores may be given references to it, and views of what it holds by now. On the
 * core of its pool, by who holds a reference. */
static inline void chunk_share(struct chunk *c)
{
    if (!c->shared) {
        c->shared = true;
    }
}
/** Nobody else holds a reference. */
static inline bool chunk_is_sole(const struct chunk *c)
{
    // What the others did with it comes before what the sole holder does now.
    return __atomic_load_n(&c->refs, __ATOMIC_ACQUIRE) == 1;
}
/** Takes back the shared ones that nobody holds any more. On the pool's core. */
void chunk_pool_collect(struct chunk_pool *p);
static inline size_t chunk_room(const struct chunk *c)
{
    return c->capacity - c->used;
}

struct span {
    struct chunk *chunk;
    uint32_t off;
    uint32_t len;
};

struct bufq {
    uint16_t head;
    uint16_t count;
    uint32_t pad;
    size_t bytes;
    struct span spans[BUFQ_SPANS]; // ring; an empty one begins anew at the first, which is near
};

void bufq_init(struct bufq *q);
/** Drops everything. */
void bufq_clear(struct bufq *q);
static inline bool bufq_full(const struct bufq *q)
{
    return q->count == BUFQ_SPANS;
}
/** Appends a view of chunk bytes; takes its own reference. Joined with the last span when adjacent,
 * copied into the tail when small and the tail has room and no other owner. E_AGAIN when full. */
int bufq_push(struct bufq *q, struct chunk *c, size_t off, size_t len) must_check;
/** Copies bytes in, taking chunks from `pool` as needed. All or nothing: E_AGAIN when the spans do
 * not suffice, E_NO_MEMORY. */
int bufq_write(struct bufq *q, struct chunk_pool *pool, const void *bytes, size_t len) must_check;
/** Fills at most `max` iovecs with the queue's front; returns how many. Nothing is removed. */
int bufq_iov(const struct bufq *q, struct iovec *iov, int max);
/** The first contiguous bytes (empty when none). */
struct slice bufq_front(const struct bufq *q);
/** Removes n <= bytes from the front. */
void bufq_drop(struct bufq *q, size_t n);
/** Moves at most n bytes from the front of `from` to the end of `to`; returns how many went. */
size_t bufq_move(struct bufq *to, struct bufq *from, size_t n);
