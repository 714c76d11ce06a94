// SPDX-License-Identifier: Apache-2.0
//
// http_body: the pipe between whoever produces a body and whoever consumes it. A session, a stage or
// a fixed answer may stand at either end; neither knows the other.
//
// Back-pressure is by pull: the producer puts bytes while http_body_room() is above zero and then
// waits for on_room; the consumer takes bytes when on_data says so. At most `limit` bytes (and
// BUFQ_SPANS spans) wait inside. Large bodies between two clear sockets go through a kernel pipe by
// splice: bytes in it come after those of the queue, and while there are any, only kernel bytes are
// added. A consumer says with `takes_kernel` whether it can move them.
//
// All of one exchange's bodies live on one core. Callbacks may be called from inside put/take calls
// of the other end, never after that end has been detached.

#pragma once

#include <stdint.h>

#include "base/chunk.h"
#include "loop/kernel_pipe.h"

#include "http/fields.h"

struct loop;

enum { HTTP_BODY_LIMIT = 256 * 1024 };

struct http_body {
    uint32_t magic;
    bool ended;        // the producer has put the last byte
    bool takes_kernel; // the consumer can move kernel bytes
    bool wants_room;   // the producer waits for on_room
    bool discarding;   // nobody consumes: bytes are counted and dropped
    bool kernel_dirty; // the kernel pipe holds bytes that nobody will take
    int error;         // the producer failed: the body is cut (negative code)
    uint32_t limit;
    struct kernel_pipe *kernel;
    size_t kernel_bytes;
    uint64_t total_max;      // more than this is E_BODY_TOO_LARGE; UINT64_MAX: no limit
    uint64_t put_total;      // bytes that came in
    uint64_t taken_total;    // bytes that went out
    struct fields *trailers; // set before `ended`, or NULL
    struct bufq *kept;       // when not NULL, taken bytes are kept here for a replay
    uint32_t kept_max;
    bool kept_lost;         // more went through than kept_max: no replay
    struct http_body *tee;  // gets what is put as well (http_body_tee)
    struct http_body *from; // whose tee this one is
    void (*on_cut)(struct http_body *tee);
    void *producer;
    void (*on_room)(struct http_body *b, void *producer);
    void *consumer;
    void (*on_data)(struct http_body *b, void *consumer); // bytes, end, or error
    struct bufq q; // the last member: its spans are not cleared
};

void http_body_init(struct http_body *b, uint32_t limit);
/** Drops what is inside; kernel bytes are thrown away with their pipe. Callbacks are not called. */
void http_body_fini(struct http_body *b, struct loop *loop);

/** Gives b an empty kernel pipe, from the core's cache or a new one. Nothing happens when it has one.
 * E_UNSUPPORTED, E_NO_DESCRIPTORS, E_NO_MEMORY: go on without. */
int http_body_open_kernel(struct http_body *b, struct loop *loop) must_check;
/** Gives the pipe back to the core's cache; one with bytes in it is closed, never used again. */
void http_body_close_kernel(struct http_body *b, struct loop *loop);

void http_body_set_producer(struct http_body *b, void *producer,
                            void (*on_room)(struct http_body *b, void *producer));
void http_body_set_consumer(struct http_body *b, void *consumer,
                            void (*on_data)(struct http_body *b, void *consumer));

// Producer's end.

/** How many bytes may be put now; 0: set wants_room (done here) and wait. When b->kernel_bytes > 0 they
 * may only be spliced into the kernel pipe: a producer that cannot waits as if there were no room. */
size_t http_body_room(struct http_body *b);
/** Bytes of a chunk; a reference is taken. Never more than room. E_NO_MEMORY, E_BODY_TOO_LARGE. Does
 * not notify. */
int http_body_put(struct http_body *b, struct chunk *c, size_t off, size_t len) must_check;
/** The same by copy, for stages. */
int http_body_write(struct http_body *b, struct chunk_pool *pool, const void *bytes, size_t len)
    must_check;
/** n bytes were spliced into b->kernel. */
void http_body_put_kernel(struct http_body *b, size_t n);
/** The end; trailers may be NULL. Does not notify. */
void http_body_end(struct http_body *b, struct fields *trailers);
/** The body is cut: the consumer must make the cut visible (RFC 9112 8). Does not notify. */
void http_body_fail(struct http_body *b, int error);
/** Tells the consumer that there is something new. */
void http_body_notify(struct http_body *b);

// Consumer's end.

static inline size_t http_body_bytes(const struct http_body *b)
{
    return b->q.bytes + b->kernel_bytes;
}
/** True when everything has been taken and there will be no more. */
static inline bool http_body_done(const struct http_body *b)
{
    return b->ended && b->q.bytes == 0 && b->kernel_bytes == 0;
}
/** Removes n bytes from the queue's front (they were written). Keeps them when a replay is asked
 * for. Does not wake the producer: call http_body_pull() when done with a batch. */
void http_body_take(struct http_body *b, size_t n);
/** Moves at most n bytes of the queue to the end of `to`; returns how many. */
size_t http_body_take_to(struct http_body *b, struct bufq *to, size_t n);
void http_body_take_kernel(struct http_body *b, size_t n);
/** Wakes a producer that waits for room, when there is some. */
void http_body_pull(struct http_body *b);
/** From now on whatever is put is dropped; the producer is woken. */
void http_body_discard(struct http_body *b);

// Replay (request bodies).

/** Keeps up to `max` taken bytes in `kept` so that http_body_rewind() can put them back. */
void http_body_keep(struct http_body *b, struct bufq *kept, uint32_t max);
/** True when everything taken so far can be given again. */
static inline bool http_body_can_rewind(const struct http_body *b)
{
    return b->taken_total == 0 ||
           (b->kept != NULL && !b->kept_lost && b->kept->count + b->q.count <= BUFQ_SPANS);
}
/** The next consumer gets the body from its first byte. */
void http_body_rewind(struct http_body *b);
/** Makes `to` a second body with all bytes of `from`, which has ended and could be rewound; the bytes
 * are shared. E_UNSUPPORTED: they are not all here; `to` is nothing then. */
int http_body_copy(struct http_body *to, const struct http_body *from) must_check;

// Tee (mirrors of requests).

/** Makes `to`, which is new, a second body with all that is in `from` and will be put into it, shared
 * and without its trailers. Nothing of `from` may have been taken. Whoever consumes `to` never holds up
 * `from`: when `to` is full it fails with E_TOO_LARGE. When `from` fails or goes before its end, so does
 * `to`. Both are told by on_cut, from inside of a call for `from`, which must not be touched there.
 * E_UNSUPPORTED: not possible. */
int http_body_tee(struct http_body *from, struct http_body *to,
                  void (*on_cut)(struct http_body *tee)) must_check;
