// SPDX-License-Identifier: Apache-2.0
//
// The body pipe. Bytes leave in the order in which they came:
// first the queue, then the kernel pipe, and while the pipe holds any nothing is added to the queue.
// A kernel pipe goes back to the cache only when it is known to be empty, so that no exchange can
// ever read what another left behind.

#include "http/body.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "loop/loop.h"

enum {
    HTTP_BODY_MAGIC = 0xb0d90001,
    // Spans that kept bytes may use: the rest of BUFQ_SPANS stays for what is under way, so that
    // everything fits one queue after a rewind.
    KEPT_SPANS_MAX = BUFQ_SPANS - 4,
};

void http_body_init(struct http_body *b, uint32_t limit)
{
    ensure(limit > 0);
    memset(b, 0, offsetof(struct http_body, q));
    b->magic = HTTP_BODY_MAGIC;
    b->limit = limit;
    b->total_max = UINT64_MAX;
    bufq_init(&b->q);
}

static void cut_tee(struct http_body *b, int error)
{
    struct http_body *to = b->tee;
    b->tee = NULL;
    to->from = NULL;
    if (!to->ended) {
        http_body_fail(to, error);
        to->on_cut(to);
    }
}

void http_body_fini(struct http_body *b, struct loop *loop)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    if (b->tee != NULL) {
        cut_tee(b, E_CLIENT_GONE);
    }
    if (b->from != NULL) {
        b->from->tee = NULL;
        b->from = NULL;
    }
    bufq_clear(&b->q);
    if (b->kept != NULL) {
        bufq_clear(b->kept);
    }
    http_body_close_kernel(b, loop);
    b->magic = 0;
}

void http_body_set_producer(struct http_body *b, void *producer,
                            void (*on_room)(struct http_body *b, void *producer))
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    b->producer = producer;
    b->on_room = on_room;
}

void http_body_set_consumer(struct http_body *b, void *consumer,
                            void (*on_data)(struct http_body *b, void *consumer))
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    b->consumer = consumer;
    b->on_data = on_data;
}

// ---- kernel pipes ----------------------------------------------------------------------------------

int http_body_open_kernel(struct http_body *b, struct loop *loop)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    return b->kernel != NULL ? 0 : kernel_pipe_take(loop, &b->kernel);
}

void http_body_close_kernel(struct http_body *b, struct loop *loop)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    struct kernel_pipe *k = b->kernel;
    if (k == NULL) {
        return;
    }
    bool empty = b->kernel_bytes == 0 && !b->kernel_dirty;
    b->kernel = NULL;
    b->kernel_bytes = 0;
    b->kernel_dirty = false;
    kernel_pipe_give(loop, k, empty);
}

// ---- producer --------------------------------------------------------------------------------------

// Spans that are still free, those that a rewind will need left out.
static unsigned free_spans(const struct http_body *b)
{
    unsigned kept = b->kept != NULL && !b->kept_lost ? b->kept->count : 0;
    unsigned used = b->q.count + kept;
    return used < BUFQ_SPANS ? BUFQ_SPANS - used : 0;
}

static size_t room_now(const struct http_body *b)
{
    if (b->discarding) {
        return b->limit;
    }
    size_t inside = http_body_bytes(b);
    if (inside >= b->limit || (b->kernel_bytes == 0 && free_spans(b) == 0)) {
        return 0;
    }
    return b->limit - inside;
}

size_t http_body_room(struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    size_t room = room_now(b);
    if (room == 0) {
        b->wants_room = true;
    }
    return room;
}

static void check_put(const struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(!b->ended);
    ensure(b->error == 0);
    ensure(b->kernel_bytes == 0);
}

/** Bytes of c, or any bytes with c NULL, to the tee as well. Small pieces are copied, so that they do
 * not use up its spans. */
static void put_tee(struct http_body *b, struct chunk_pool *pool, struct chunk *c,
                    struct slice bytes)
{
    struct http_body *to = b->tee;
    int rc = E_TOO_LARGE;
    if (to->discarding) {
        rc = 0;
    } else if (bytes.len <= to->limit - num_min_size(to->limit, to->q.bytes)) {
        bool copied = c == NULL || (bytes.len <= BUFQ_COPY_MAX && !c->shared);
        rc = copied ? bufq_write(&to->q, pool, bytes.ptr, bytes.len)
                    : bufq_push(&to->q, c, (size_t)(bytes.ptr - c->data), bytes.len);
    }
    if (rc != 0) {
        cut_tee(b, E_TOO_LARGE);
        return;
    }
    to->put_total += bytes.len;
}

static void count_discarded(struct http_body *b, size_t n)
{
    b->put_total += n;
    b->taken_total += n;
}

int http_body_put(struct http_body *b, struct chunk *c, size_t off, size_t len)
{
    check_put(b);
    if (len > b->total_max - b->put_total) {
        return E_BODY_TOO_LARGE;
    }
    if (!b->discarding) {
        int rc = bufq_push(&b->q, c, off, len);
        if (rc != 0) {
            return rc;
        }
        b->put_total += len;
    } else {
        count_discarded(b, len);
    }
    if (b->tee != NULL) {
        put_tee(b, c->pool, c, slice_of(c->data + off, len));
    }
    return 0;
}

int http_body_write(struct http_body *b, struct chunk_pool *pool, const void *bytes, size_t len)
{
    check_put(b);
    if (!b->discarding) {
        int rc = bufq_write(&b->q, pool, bytes, len);
        if (rc != 0) {
            return rc;
        }
        b->put_total += len;
    } else {
        count_discarded(b, len);
    }
    if (b->tee != NULL) {
        put_tee(b, pool, NULL, slice_of(bytes, len));
    }
    return 0;
}

void http_body_put_kernel(struct http_body *b, size_t n)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(b->kernel != NULL);
    ensure(!b->ended && b->error == 0);
    if (b->discarding) {
        b->kernel_dirty = true;
        count_discarded(b, n);
        return;
    }
    b->kernel_bytes += n;
    b->put_total += n;
}

void http_body_end(struct http_body *b, struct fields *trailers)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(!b->ended);
    b->trailers = trailers;
    b->ended = true;
    b->wants_room = false;
    if (b->tee != NULL) {
        http_body_end(b->tee, NULL);
    }
}

void http_body_fail(struct http_body *b, int error)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(error < 0);
    if (!b->ended && b->error == 0) {
        b->error = error;
    }
    b->wants_room = false;
    if (b->tee != NULL) {
        http_body_fail(b->tee, error);
    }
}

static void notify_tee(struct http_body *b)
{
    struct http_body *to = b->tee;
    if (to->error != 0) {
        cut_tee(b, to->error);
        return;
    }
    if (to->ended) {
        b->tee = NULL;
        to->from = NULL;
    }
    http_body_notify(to);
}

void http_body_notify(struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    if (b->on_data != NULL) {
        b->on_data(b, b->consumer);
    }
    if (b->tee != NULL) { // not any more if that was the end of b
        notify_tee(b);
    }
}

// ---- consumer --------------------------------------------------------------------------------------

static void lose_kept(struct http_body *b)
{
    b->kept_lost = true;
    bufq_clear(b->kept);
}

// Keeps the first n bytes of the queue, which are about to be dropped, for a rewind.
static void keep_front(struct http_body *b, size_t n)
{
    if (b->kept->bytes + n > b->kept_max) {
        lose_kept(b);
        return;
    }
    for (unsigned i = 0; n > 0; i++) {
        const struct span *s = &b->q.spans[(b->q.head + i) % BUFQ_SPANS];
        size_t part = num_min_size(n, s->len);
        if (b->kept->count >= KEPT_SPANS_MAX || bufq_push(b->kept, s->chunk, s->off, part) != 0) {
            lose_kept(b);
            return;
        }
        n -= part;
    }
}

static void note_taken(struct http_body *b, size_t n)
{
    if (b->kept != NULL && !b->kept_lost) {
        keep_front(b, n);
    }
    b->taken_total += n;
}

void http_body_take(struct http_body *b, size_t n)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(n <= b->q.bytes);
    note_taken(b, n);
    bufq_drop(&b->q, n);
}

size_t http_body_take_to(struct http_body *b, struct bufq *to, size_t n)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    size_t moved = 0;
    while (n > 0 && b->q.count > 0) {
        const struct span *s = &b->q.spans[b->q.head];
        size_t part = num_min_size(n, s->len);
        if (bufq_push(to, s->chunk, s->off, part) != 0) {
            break;
        }
        http_body_take(b, part);
        moved += part;
        n -= part;
    }
    return moved;
}

void http_body_take_kernel(struct http_body *b, size_t n)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(n <= b->kernel_bytes);
    ensure(b->q.bytes == 0);
    b->kernel_bytes -= n;
    b->taken_total += n;
    if (b->kept != NULL && n > 0) {
        lose_kept(b);
    }
}

void http_body_pull(struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    if (!b->wants_room || b->on_room == NULL || room_now(b) == 0) {
        return;
    }
    b->wants_room = false;
    b->on_room(b, b->producer);
}

void http_body_discard(struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    b->taken_total += http_body_bytes(b);
    bufq_clear(&b->q);
    if (b->kept != NULL) {
        lose_kept(b);
    }
    b->kernel_dirty |= b->kernel_bytes > 0;
    b->kernel_bytes = 0;
    b->takes_kernel = false;
    b->discarding = true;
    b->consumer = NULL;
    b->on_data = NULL;
    http_body_pull(b);
}

// ---- replay ----------------------------------------------------------------------------------------

void http_body_keep(struct http_body *b, struct bufq *kept, uint32_t max)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(b->taken_total == 0);
    ensure(b->kept == NULL);
    bufq_init(kept);
    b->kept = kept;
    b->kept_max = max;
}

void http_body_rewind(struct http_body *b)
{
    ensure_magic(b, HTTP_BODY_MAGIC);
    ensure(http_body_can_rewind(b));
    ensure(!b->discarding);
    if (b->taken_total == 0) {
        return;
    }
    size_t back = b->kept->bytes;
    size_t behind = b->q.bytes;
    ensure(b->taken_total == back);
    // can_rewind() has seen that there are spans for both.
    size_t moved = bufq_move(b->kept, &b->q, behind);
    ensure(moved == behind);
    moved = bufq_move(&b->q, b->kept, back + behind);
    ensure(moved == back + behind);
    ensure(b->kept->bytes == 0);
    b->taken_total = 0;
}

static int copy_spans(struct http_body *to, const struct bufq *q)
{
    for (unsigned i = 0; i < q->count; i++) {
        const struct span *s = &q->spans[(q->head + i) % BUFQ_SPANS];
        int e = http_body_put(to, s->chunk, s->off, s->len);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

int http_body_copy(struct http_body *to, const struct http_body *from)
{
    ensure_magic(from, HTTP_BODY_MAGIC);
    if (!from->ended || from->kernel_bytes > 0 || !http_body_can_rewind(from)) {
        return E_UNSUPPORTED;
    }
    http_body_init(to, from->limit);
    int e = from->taken_total > 0 ? copy_spans(to, from->kept) : 0;
    e = e != 0 ? e : copy_spans(to, &from->q);
    if (e < 0) {
        bufq_clear(&to->q);
        to->magic = 0;
        return E_UNSUPPORTED;
    }
    ensure(to->put_total == from->put_total);
    http_body_end(to, from->trailers);
    return 0;
}

// ---- tee -------------------------------------------------------------------------------------------

int http_body_tee(struct http_body *from, struct http_body *to,
                  void (*on_cut)(struct http_body *tee))
{
    ensure_magic(from, HTTP_BODY_MAGIC);
    ensure_magic(to, HTTP_BODY_MAGIC);
    ensure(to->put_total == 0 && to->from == NULL && from->tee == NULL);
    if (from->taken_total > 0 || from->kernel_bytes > 0 || from->error != 0 || from->discarding ||
        copy_spans(to, &from->q) < 0) {
        return E_UNSUPPORTED;
    }
    if (from->ended) {
        http_body_end(to, NULL);
        return 0;
    }
    from->tee = to;
    to->from = from;
    to->on_cut = on_cut;
    return 0;
}
