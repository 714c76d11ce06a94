// SPDX-License-Identifier: Apache-2.0
//
// The chunk pool and the queue of spans. A chunk's bytes up to `used` belong to whoever holds a
// reference and never change; the bytes behind belong to its sole owner. That is why the tail of a
// queue may be appended to exactly when the queue holds the only reference and its last span ends
// where the used bytes end.

#include "base/chunk.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"

enum { CHUNK_POOL_MAGIC = 0xc4a90001 };

static_assert(sizeof(struct chunk) + CHUNK_BYTES == CHUNK_WHOLE,
              "the head of a chunk has no padding");

// CHUNK_SPREAD: unused bytes behind each chunk. Blocks of exactly 16 KiB begin at addresses that share
// a set of the cache, which then holds the heads of a dozen of them and no more.
#ifdef ADIT_SANITIZED
enum { CHUNK_REUSE = 0, CHUNK_SPREAD = 0 };
#else
enum { CHUNK_REUSE = 1, CHUNK_SPREAD = 320 };
#endif

// ---- pool ------------------------------------------------------------------------------------------

void chunk_pool_init(struct chunk_pool *p, uint32_t chunks_max, uint32_t free_max)
{
    ensure(chunks_max > 0);
    *p = (struct chunk_pool){
        .magic = CHUNK_POOL_MAGIC,
        .in_use_max = chunks_max,
        .free_max = CHUNK_REUSE ? free_max : 0,
    };
}

void chunk_pool_fini(struct chunk_pool *p)
{
    ensure_magic(p, CHUNK_POOL_MAGIC);
    chunk_pool_collect(p);
    ensure(p->in_use == 0);
    while (p->free_list != NULL) {
        struct chunk *c = p->free_list;
        p->free_list = c->next;
        mem_free(c);
    }
    p->free_count = 0;
    p->magic = 0;
}

struct chunk *chunk_new(struct chunk_pool *p)
{
    ensure_magic(p, CHUNK_POOL_MAGIC);
    if (unlikely(p->free_list == NULL || p->in_use >= p->in_use_max)) {
        chunk_pool_collect(p);
    }
    if (unlikely(p->in_use >= p->in_use_max)) {
        return NULL;
    }
    struct chunk *c = p->free_list;
    if (likely(c != NULL)) {
        if (unlikely(alloc_must_fail())) {
            return NULL;
        }
        p->free_list = c->next;
        p->free_count--;
        // The next one's link is asked for now: it is seldom in the nearest cache.
        __builtin_prefetch(p->free_list);
    } else {
        c = mem_alloc(CHUNK_WHOLE + CHUNK_SPREAD);
        if (c == NULL) {
            return NULL;
        }
        c->pool = p;
        c->capacity = CHUNK_BYTES;
    }
    c->next = NULL;
    c->refs = 1;
    c->used = 0;
    c->shared = false;
    p->in_use++;
    return c;
}

// How many of the budget's chunks one of this capacity stands for.
static uint32_t weight(uint32_t capacity)
{
    if (likely(capacity == CHUNK_BYTES)) {
        return 1;
    }
    return (capacity + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

struct chunk *chunk_new_large(struct chunk_pool *p, uint32_t capacity)
{
    ensure_magic(p, CHUNK_POOL_MAGIC);
    ensure(capacity > CHUNK_BYTES);
    uint32_t chunks = weight(capacity);
    chunk_pool_collect(p);
    if (chunks > p->in_use_max || p->in_use > p->in_use_max - chunks) {
        return NULL;
    }
    struct chunk *c = mem_alloc(sizeof(*c) + capacity);
    if (c == NULL) {
        return NULL;
    }
    *c = (struct chunk){.pool = p, .refs = 1, .capacity = capacity};
    p->in_use += chunks;
    return c;
}

// As many as are in use may be free as well: many streams of few connections begin and end together, and
// giving memory back each time costs more than all the rest of them. When the use falls for good, two
// go with each that is given up, so that at its end no more are left than at the beginning.
static void give_back(struct chunk_pool *p)
{
    uint32_t most = p->free_max > p->in_use ? p->free_max : p->in_use;
    for (int i = 0; i < 2 && p->free_count > most; i++) {
        struct chunk *c = p->free_list;
        p->free_list = c->next;
        p->free_count--;
        mem_free(c);
    }
}

static void free_chunk(struct chunk *c)
{
    struct chunk_pool *p = c->pool;
    ensure_magic(p, CHUNK_POOL_MAGIC);
    uint32_t chunks = weight(c->capacity);
    ensure(p->in_use >= chunks);
    p->in_use -= chunks;
    if (chunks != 1) {
        mem_free(c);
        return;
    }
    c->next = p->free_list;
    p->free_list = c;
    p->free_count++;
    if (unlikely(p->free_count > p->free_max)) {
        give_back(p);
    }
}

void chunk_pool_collect(struct chunk_pool *p)
{
    ensure_magic(p, CHUNK_POOL_MAGIC);
    if (atomic_load_explicit(&p->returned, memory_order_relaxed) == NULL) {
        return;
    }
    struct chunk *c = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    while (c != NULL) {
        struct chunk *next = c->next;
        free_chunk(c);
        c = next;
    }
}

// Whoever lets go last may be on any core: the chunk goes onto a stack that its pool takes whole.
static void unref_shared(struct chunk *c)
{
    uint32_t before = __atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL);
    ensure(before > 0);
    if (before > 1) {
        return;
    }
    struct chunk_pool *p = c->pool;
    struct chunk *head = atomic_load_explicit(&p->returned, memory_order_relaxed);
    do {
        c->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&p->returned, &head, c, memory_order_release,
                                                    memory_order_relaxed));
}

void chunk_unref(struct chunk *c)
{
    if (unlikely(c->shared)) {
        unref_shared(c);
        return;
    }
    ensure(c->refs > 0);
    if (--c->refs == 0) {
        free_chunk(c);
    }
}

// ---- queue -----------------------------------------------------------------------------------------

void bufq_init(struct bufq *q)
{
    // The spans are written before they are read; clearing them would cost each exchange 512 bytes.
    q->head = 0;
    q->count = 0;
    q->pad = 0;
    q->bytes = 0;
}

static struct span *span_at(struct bufq *q, unsigned i)
{
    return &q->spans[(q->head + i) % BUFQ_SPANS];
}

static const struct span *span_at_const(const struct bufq *q, unsigned i)
{
    return &q->spans[(q->head + i) % BUFQ_SPANS];
}

void bufq_clear(struct bufq *q)
{
    for (unsigned i = 0; i < q->count; i++) {
        chunk_unref(span_at(q, i)->chunk);
    }
    bufq_init(q);
}

// Bytes that may be appended to the last span in place.
static size_t tail_room(struct bufq *q)
{
    if (q->count == 0) {
        return 0;
    }
    const struct span *tail = span_at(q, q->count - 1u);
    const struct chunk *c = tail->chunk;
    return chunk_is_sole(c) && tail->off + tail->len == c->used ? chunk_room(c) : 0;
}

static void tail_append(struct bufq *q, const void *bytes, size_t len)
{
    struct span *tail = span_at(q, q->count - 1u);
    memcpy(tail->chunk->data + tail->chunk->used, bytes, len);
    tail->chunk->used += (uint32_t)len;
    tail->len += (uint32_t)len;
    q->bytes += len;
}

static void add_span(struct bufq *q, struct chunk *c, size_t off, size_t len)
{
    ensure(q->count < BUFQ_SPANS);
    *span_at(q, q->count) = (struct span){c, (uint32_t)off, (uint32_t)len};
    q->count++;
    q->bytes += len;
}

int bufq_push(struct bufq *q, struct chunk *c, size_t off, size_t len)
{
    ensure(c->shared ? off + len <= c->capacity : off + len <= c->used);
    if (len == 0) {
        return 0;
    }
    if (q->count > 0) {
        struct span *tail = span_at(q, q->count - 1u);
        if (tail->chunk == c && tail->off + tail->len == off) {
            tail->len += (uint32_t)len;
            q->bytes += len;
            return 0;
        }
        if (len <= BUFQ_COPY_MAX && len <= tail_room(q)) {
            tail_append(q, c->data + off, len);
            return 0;
        }
    }
    if (bufq_full(q)) {
        return E_AGAIN;
    }
    add_span(q, chunk_ref(c), off, len);
    return 0;
}

int bufq_write(struct bufq *q, struct chunk_pool *pool, const void *bytes, size_t len)
{
    const char *from = bytes;
    size_t in_tail = num_min_size(len, tail_room(q));
    size_t chunks = (len - in_tail + CHUNK_BYTES - 1) / CHUNK_BYTES;
    if (chunks > (size_t)(BUFQ_SPANS - q->count)) {
        return E_AGAIN;
    }
    struct chunk *fresh[BUFQ_SPANS];
    for (size_t i = 0; i < chunks; i++) {
        fresh[i] = chunk_new(pool);
        if (fresh[i] == NULL) {
            while (i > 0) {
                chunk_unref(fresh[--i]);
            }
            return E_NO_MEMORY;
        }
    }
    if (in_tail > 0) {
        tail_append(q, from, in_tail);
        from += in_tail;
        len -= in_tail;
    }
    for (size_t i = 0; i < chunks; i++) {
        size_t part = num_min_size(len, CHUNK_BYTES);
        memcpy(fresh[i]->data, from, part);
        fresh[i]->used = (uint32_t)part;
        add_span(q, fresh[i], 0, part);
        from += part;
        len -= part;
    }
    return 0;
}

int bufq_iov(const struct bufq *q, struct iovec *iov, int max)
{
    int n = q->count < max ? q->count : max;
    for (int i = 0; i < n; i++) {
        const struct span *s = span_at_const(q, (unsigned)i);
        iov[i] = (struct iovec){s->chunk->data + s->off, s->len};
    }
    return n;
}

struct slice bufq_front(const struct bufq *q)
{
    if (q->count == 0) {
        return (struct slice){NULL, 0};
    }
    const struct span *s = span_at_const(q, 0);
    return slice_of(s->chunk->data + s->off, s->len);
}

void bufq_drop(struct bufq *q, size_t n)
{
    ensure(n <= q->bytes);
    q->bytes -= n;
    while (n > 0) {
        struct span *s = span_at(q, 0);
        if (n < s->len) {
            s->off += (uint32_t)n;
            s->len -= (uint32_t)n;
            return;
        }
        n -= s->len;
        chunk_unref(s->chunk);
        q->count--;
        q->head = (uint16_t)(q->count == 0 ? 0 : (q->head + 1) % BUFQ_SPANS);
    }
}

size_t bufq_move(struct bufq *to, struct bufq *from, size_t n)
{
    ensure(to != from);
    size_t moved = 0;
    while (n > 0 && from->count > 0) {
        const struct span *s = span_at(from, 0);
        size_t part = num_min_size(n, s->len);
        if (bufq_push(to, s->chunk, s->off, part) != 0) {
            break;
        }
        bufq_drop(from, part);
        moved += part;
        n -= part;
    }
    return moved;
}
