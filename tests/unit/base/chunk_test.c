// SPDX-License-Identifier: Apache-2.0
//
// chunk and bufq: references, the budget, and the queue against a plain byte string.

#include "base/chunk.h"

#include <pthread.h>

#include "base/error.h"
#include "base/rng.h"
#include "base/slab.h"
#include "tap.h"

static void counts_references(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 2, 1);
    struct chunk *a = chunk_new(&pool);
    struct chunk *b = chunk_new(&pool);
    REQUIRE(a != NULL && b != NULL);
    CHECK(chunk_new(&pool) == NULL);
    CHECK_EQ_INT(chunk_room(a), CHUNK_BYTES);
    CHECK(chunk_ref(a) == a);
    chunk_unref(a);
    CHECK_EQ_INT(pool.in_use, 2);
    CHECK_ABORTS(chunk_pool_fini(&pool));
    chunk_unref(a);
    chunk_unref(b);
    CHECK_EQ_INT(pool.in_use, 0);
    CHECK(pool.free_count <= 1);
    alloc_fail_nth(1);
    CHECK(chunk_new(&pool) == NULL);
    chunk_pool_fini(&pool);
}

static void gives_a_burst_back_when_it_is_over(void)
{
    enum { BURST = 200, WARM = 8 };
    struct chunk_pool pool;
    struct chunk *all[BURST];
    chunk_pool_init(&pool, BURST, WARM);
    for (int i = 0; i < BURST; i++) {
        all[i] = chunk_new(&pool);
        REQUIRE(all[i] != NULL);
    }
    uint32_t most = 0;
    for (int i = 0; i < BURST; i++) {
        chunk_unref(all[i]);
        most = pool.free_count > most ? pool.free_count : most;
        CHECK(pool.free_count <= (pool.in_use > WARM ? pool.in_use : WARM) + 1);
    }
    CHECK(most <= BURST / 2 + 1);
    CHECK(pool.free_count <= WARM);
    chunk_pool_fini(&pool);
}

static struct chunk *filled(struct chunk_pool *pool, const char *text)
{
    struct chunk *c = chunk_new(pool);
    REQUIRE(c != NULL);
    c->used = (uint32_t)strlen(text);
    memcpy(c->data, text, c->used);
    return c;
}

static void joins_neighbours_and_copies_slivers(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 8, 8);
    struct bufq q;
    bufq_init(&q);
    struct chunk *a = filled(&pool, "abcdef");
    CHECK_EQ_INT(bufq_push(&q, a, 0, 2), 0);
    CHECK_EQ_INT(bufq_push(&q, a, 2, 4), 0);
    CHECK_EQ_INT(q.count, 1);
    CHECK_EQ_INT(a->refs, 2);
    // While we hold it too, nothing may be appended behind it.
    struct chunk *b = filled(&pool, "XY");
    CHECK_EQ_INT(bufq_push(&q, b, 0, 1), 0);
    CHECK_EQ_INT(q.count, 2);
    chunk_unref(b);
    chunk_unref(a);
    struct chunk *c = filled(&pool, "more");
    CHECK_EQ_INT(bufq_push(&q, c, 0, 4), 0); // b still has "Y" behind the span: not appendable
    CHECK_EQ_INT(q.count, 3);
    chunk_unref(c);
    struct chunk *d = filled(&pool, "tail");
    CHECK_EQ_INT(bufq_push(&q, d, 0, 4), 0);
    CHECK_EQ_INT(q.count, 3);
    CHECK_EQ_INT(d->refs, 1);
    chunk_unref(d);
    CHECK_EQ_INT(q.bytes, 15);
    CHECK_TEXT(bufq_front(&q).ptr, bufq_front(&q).len, "abcdef");
    bufq_drop(&q, 7);
    CHECK_TEXT(bufq_front(&q).ptr, bufq_front(&q).len, "moretail");
    bufq_clear(&q);
    CHECK_EQ_INT(pool.in_use, 0);
    CHECK(bufq_front(&q).len == 0);
    chunk_pool_fini(&pool);
}

static void is_bounded(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 20, 4);
    struct bufq q;
    bufq_init(&q);
    static char big[17 * CHUNK_BYTES];
    CHECK_EQ_INT(bufq_write(&q, &pool, big, sizeof(big)), E_AGAIN);
    CHECK_EQ_INT(pool.in_use, 0);
    CHECK_EQ_INT(bufq_write(&q, &pool, big, 16 * CHUNK_BYTES), 0);
    CHECK(bufq_full(&q));
    CHECK_EQ_INT(bufq_write(&q, &pool, big, 1), E_AGAIN);
    struct chunk *c = filled(&pool, "x");
    CHECK_EQ_INT(bufq_push(&q, c, 0, 1), E_AGAIN);
    CHECK_EQ_INT(bufq_push(&q, c, 0, 0), 0);
    CHECK_ABORTS(bufq_push(&q, c, 0, 2) != 0);
    bufq_drop(&q, CHUNK_BYTES);
    CHECK_EQ_INT(bufq_push(&q, c, 0, 1), 0);
    CHECK_ABORTS(bufq_drop(&q, q.bytes + 1));
    chunk_unref(c);
    bufq_clear(&q);
    chunk_pool_fini(&pool);
}

static void writes_all_or_nothing(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 3, 4);
    struct bufq q;
    bufq_init(&q);
    static char big[4 * CHUNK_BYTES];
    CHECK_EQ_INT(bufq_write(&q, &pool, "abc", 3), 0);
    CHECK_EQ_INT(bufq_write(&q, &pool, big, sizeof(big)), E_NO_MEMORY);
    CHECK_EQ_INT(q.bytes, 3);
    CHECK_EQ_INT(pool.in_use, 1);
    CHECK_EQ_INT(bufq_write(&q, &pool, "", 0), 0);
    CHECK_EQ_INT(bufq_write(&q, &pool, big, 2 * CHUNK_BYTES), 0);
    CHECK_EQ_INT(q.bytes, 3 + 2 * CHUNK_BYTES);
    bufq_clear(&q);
    chunk_pool_fini(&pool);
}

// ---- the queue against a byte string -----------------------------------------------------------------

enum { MODEL_MAX = 2 * BUFQ_SPANS * CHUNK_BYTES };

struct model {
    unsigned char *bytes;
    size_t from, to;
};

static void model_push(struct model *m, const void *bytes, size_t len)
{
    if (m->to + len > 2 * MODEL_MAX) {
        memmove(m->bytes, m->bytes + m->from, m->to - m->from);
        m->to -= m->from;
        m->from = 0;
    }
    memcpy(m->bytes + m->to, bytes, len);
    m->to += len;
}

static void check_same(const struct bufq *q, const struct model *m)
{
    struct iovec iov[BUFQ_SPANS];
    int n = bufq_iov(q, iov, BUFQ_SPANS);
    size_t at = m->from;
    for (int i = 0; i < n; i++) {
        if (at + iov[i].iov_len > m->to ||
            memcmp(iov[i].iov_base, m->bytes + at, iov[i].iov_len) != 0) {
            CHECK(false);
            return;
        }
        at += iov[i].iov_len;
    }
    if (at != m->to || q->bytes != m->to - m->from) {
        CHECK_EQ_INT(at, m->to);
    }
}

static void push_random(struct rng *r, struct chunk_pool *pool, struct bufq *q, struct model *m)
{
    static unsigned char data[3 * CHUNK_BYTES];
    size_t len = rng_chance(r, 0.7) ? rng_below(r, 700) : rng_below(r, sizeof(data));
    memset(data, (int)rng_below(r, 256), len);
    if (rng_chance(r, 0.5)) {
        if (bufq_write(q, pool, data, len) == 0) {
            model_push(m, data, len);
        }
        return;
    }
    struct chunk *c = chunk_new(pool);
    if (c == NULL) {
        return;
    }
    len = len > CHUNK_BYTES ? CHUNK_BYTES : len;
    memcpy(c->data, data, len);
    c->used = (uint32_t)len;
    size_t off = len > 0 ? rng_below(r, len) : 0;
    if (bufq_push(q, c, off, len - off) == 0) {
        model_push(m, c->data + off, len - off);
    }
    chunk_unref(c);
}

static void equals_a_byte_string(void)
{
    struct rng r;
    rng_seed(&r, 11);
    struct chunk_pool pool;
    chunk_pool_init(&pool, 30, 8);
    struct bufq q[2];
    struct model m[2];
    for (int i = 0; i < 2; i++) {
        bufq_init(&q[i]);
        m[i] = (struct model){.bytes = malloc(3 * MODEL_MAX)};
        REQUIRE(m[i].bytes != NULL);
    }
    for (int step = 0; step < 20000; step++) {
        int k = (int)rng_below(&r, 2);
        uint64_t what = rng_below(&r, 10);
        if (what < 5) {
            push_random(&r, &pool, &q[k], &m[k]);
        } else if (what < 7) {
            size_t n = rng_below(&r, q[k].bytes + 1);
            bufq_drop(&q[k], n);
            m[k].from += n;
        } else if (what < 9) {
            size_t n = bufq_move(&q[k], &q[1 - k], rng_below(&r, 50000));
            model_push(&m[k], m[1 - k].bytes + m[1 - k].from, n);
            m[1 - k].from += n;
        } else if (rng_chance(&r, 0.02)) {
            bufq_clear(&q[k]);
            m[k].from = m[k].to;
        }
        check_same(&q[0], &m[0]);
        check_same(&q[1], &m[1]);
    }
    bufq_clear(&q[0]);
    bufq_clear(&q[1]);
    CHECK_EQ_INT(pool.in_use, 0);
    chunk_pool_fini(&pool);
    free(m[0].bytes);
    free(m[1].bytes);
}

// One byte at a time must not use up the spans.
static void takes_slivers_for_long(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 40, 8);
    struct bufq q;
    bufq_init(&q);
    for (int i = 0; i < 16 * CHUNK_BYTES; i++) {
        struct chunk *c = filled(&pool, "x");
        int rc = bufq_push(&q, c, 0, 1);
        chunk_unref(c);
        if (rc != 0) {
            CHECK_EQ_INT(rc, 0);
            break;
        }
    }
    CHECK_EQ_INT(q.bytes, 16 * CHUNK_BYTES);
    bufq_clear(&q);
    chunk_pool_fini(&pool);
}

static void counts_large_chunks(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4, 4);
    struct chunk *big = chunk_new_large(&pool, 2 * CHUNK_BYTES + 1);
    REQUIRE(big != NULL);
    CHECK_EQ_INT(pool.in_use, 3);
    CHECK_EQ_INT(chunk_room(big), 2 * CHUNK_BYTES + 1);
    memset(big->data, 'x', big->capacity);
    big->used = big->capacity;
    CHECK(chunk_new_large(&pool, CHUNK_BYTES + 1) == NULL);
    CHECK(chunk_new_large(&pool, 5 * CHUNK_BYTES) == NULL);
    struct bufq q;
    bufq_init(&q);
    CHECK_EQ_INT(bufq_push(&q, big, 0, big->used), 0);
    chunk_unref(big);
    CHECK_EQ_INT(q.bytes, 2 * CHUNK_BYTES + 1);
    bufq_drop(&q, q.bytes);
    CHECK_EQ_INT(pool.in_use, 0);
    CHECK_EQ_INT(pool.free_count, 0);
    CHECK_ABORTS(chunk_new_large(&pool, CHUNK_BYTES) == NULL);
    chunk_pool_fini(&pool);
}

// ---- shared chunks ----------------------------------------------------------------------------------

enum { SHARED = 200, THREADS = 3 };

static struct chunk *shared[SHARED];

static void *reads_and_lets_go(void *arg)
{
    (void)arg;
    struct bufq q;
    bufq_init(&q);
    uintptr_t wrong = 0;
    for (int i = 0; i < SHARED; i++) {
        wrong += bufq_push(&q, shared[i], 1, 3) != 0;
        wrong += memcmp(bufq_front(&q).ptr, "bcd", 3) != 0;
        bufq_drop(&q, 3);
        chunk_unref(shared[i]);
    }
    return (void *)wrong;
}

static void shared_ones_come_back_from_any_thread(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, SHARED, 8);
    for (int i = 0; i < SHARED; i++) {
        shared[i] = filled(&pool, "abcde");
        chunk_share(shared[i]);
        CHECK(chunk_is_sole(shared[i]));
        for (int k = 0; k < THREADS; k++) {
            (void)chunk_ref(shared[i]);
        }
        CHECK(!chunk_is_sole(shared[i]));
    }
    CHECK(chunk_new(&pool) == NULL);
    pthread_t threads[THREADS];
    for (int k = 0; k < THREADS; k++) {
        REQUIRE(pthread_create(&threads[k], NULL, reads_and_lets_go, NULL) == 0);
    }
    for (int i = 0; i < SHARED; i++) {
        shared[i]->data[5] = 'f'; // behind what the others look at
        shared[i]->used = 6;
        chunk_unref(shared[i]);
    }
    for (int k = 0; k < THREADS; k++) {
        void *wrong = NULL;
        REQUIRE(pthread_join(threads[k], &wrong) == 0);
        CHECK(wrong == NULL);
    }
    CHECK_EQ_INT(pool.in_use, SHARED); // nobody has asked for one
    struct chunk *c = chunk_new(&pool);
    REQUIRE(c != NULL);
    CHECK(!c->shared);
    CHECK_EQ_INT(pool.in_use, 1);
    chunk_unref(c);
    chunk_pool_fini(&pool);
}

static void a_shared_one_is_appended_to_by_its_sole_holder(void)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4, 4);
    struct chunk *c = filled(&pool, "ab");
    chunk_share(c);
    struct bufq q;
    bufq_init(&q);
    CHECK_EQ_INT(bufq_push(&q, c, 0, 2), 0);
    CHECK_EQ_INT(bufq_write(&q, &pool, "cd", 2), 0); // another holds it: not into its tail
    CHECK_EQ_INT(q.count, 2);
    bufq_clear(&q);
    CHECK_EQ_INT(bufq_push(&q, c, 0, 2), 0);
    chunk_unref(c);
    CHECK_EQ_INT(bufq_write(&q, &pool, "cd", 2), 0);
    CHECK_EQ_INT(q.count, 1);
    CHECK_BYTES(bufq_front(&q).ptr, bufq_front(&q).len, "abcd", 4);
    bufq_clear(&q);
    chunk_pool_fini(&pool);
}

TAP_MAIN(counts_references, gives_a_burst_back_when_it_is_over, joins_neighbours_and_copies_slivers,
         is_bounded, writes_all_or_nothing, equals_a_byte_string, takes_slivers_for_long,
         counts_large_chunks, shared_ones_come_back_from_any_thread,
         a_shared_one_is_appended_to_by_its_sole_holder)
