// SPDX-License-Identifier: Apache-2.0
//
// The inspector's memory: what is written is there, and there is never more than was promised.

#include "inspect/ring.h"
#include "tap.h"

static struct ring r;

static void fill(uint64_t id, enum ring_piece piece, size_t bytes)
{
    static char data[RING_BODY_MAX];
    memset(data, (int)('a' + id % 26), sizeof(data));
    while (bytes > 0) {
        size_t n = bytes < sizeof(data) ? bytes : sizeof(data);
        ring_write_body(&r, id, piece, slice_of(data, n));
        bytes -= n;
    }
}

static void keeps_what_is_written(void)
{
    char copy[16];
    ring_init(&r);
    struct ring_entry *e = ring_add(&r);
    REQUIRE(e != NULL);
    CHECK_EQ_INT(e->id, 1);
    CHECK(ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("abc")));
    CHECK(ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("")));
    CHECK(ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("def")));
    ring_copy(&e->text[RING_REQUEST_HEAD], copy);
    CHECK_TEXT(copy, e->text[RING_REQUEST_HEAD].len, "abcdef");
    uint64_t change = e->change;
    ring_touch(&r, e);
    CHECK(e->change > change);
    CHECK(ring_find(&r, 0) == NULL);
    CHECK(ring_find(&r, 1) == e);
    CHECK(ring_find(&r, 2) == NULL);
    CHECK(!ring_write(&r, 2, RING_REQUEST_HEAD, SLICE("abc")));
    ring_fini(&r);
}

static void a_body_is_counted_beyond_what_is_kept(void)
{
    ring_init(&r);
    struct ring_entry *e = ring_add(&r);
    REQUIRE(e != NULL);
    fill(1, RING_ANSWER_BODY, RING_BODY_MAX - 1);
    fill(1, RING_ANSWER_BODY, 100000);
    CHECK_EQ_INT(e->answer.bytes, RING_BODY_MAX - 1 + 100000);
    CHECK_EQ_INT(e->text[RING_ANSWER_BODY].len, RING_BODY_MAX);
    CHECK_EQ_INT(e->request.bytes, 0);
    size_t total = 0;
    const struct ring_block *at = NULL;
    const struct ring_text *t = &e->text[RING_ANSWER_BODY];
    for (struct slice s = ring_next(t, &at); s.len > 0; s = ring_next(t, &at)) {
        total += s.len;
    }
    CHECK_EQ_INT(total, RING_BODY_MAX);
    ring_clear(&r, e, RING_ANSWER_BODY);
    CHECK_EQ_INT(e->text[RING_ANSWER_BODY].len, 0);
    CHECK_EQ_INT(r.blocks.in_use, 0);
    ring_fini(&r);
}

static void the_oldest_go_first(void)
{
    ring_init(&r);
    for (uint64_t id = 1; id <= 5000; id++) {
        struct ring_entry *e = ring_add(&r);
        REQUIRE(e != NULL);
        CHECK_EQ_INT(e->id, id);
        fill(id, RING_REQUEST_BODY, id % 200 * 1000);
        CHECK(ring_find(&r, id) == e);
        CHECK(r.blocks.in_use <= RING_BLOCKS_MAX);
        CHECK(r.next - r.oldest <= RING_ENTRIES_MAX);
    }
    CHECK(r.oldest > 4000);
    for (uint64_t id = r.oldest; id < r.next; id++) {
        CHECK_EQ_INT(ring_find(&r, id)->id, id);
    }
    CHECK(ring_find(&r, r.oldest - 1) == NULL);
    ring_fini(&r);
}

static void the_number_is_bounded(void)
{
    ring_init(&r);
    for (unsigned i = 0; i < 3 * RING_ENTRIES_MAX; i++) {
        REQUIRE(ring_add(&r) != NULL);
    }
    CHECK_EQ_INT(r.next - r.oldest, RING_ENTRIES_MAX);
    CHECK_EQ_INT(r.entry_slab.in_use, RING_ENTRIES_MAX);
    ring_fini(&r);
}

/** It is written to while it is the oldest: it goes as any other. */
static void one_that_is_under_way_may_go(void)
{
    ring_init(&r);
    REQUIRE(ring_add(&r) != NULL);
    fill(1, RING_REQUEST_BODY, 4 * RING_BLOCK_BYTES);
    for (uint64_t id = 2; r.blocks.in_use < RING_BLOCKS_MAX; id++) {
        REQUIRE(ring_add(&r) != NULL);
        fill(id, RING_ANSWER_BODY, 4 * RING_BLOCK_BYTES);
    }
    CHECK(ring_find(&r, 1) != NULL);
    CHECK(!ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("abc")));
    CHECK(ring_find(&r, 1) == NULL);
    ring_write_body(&r, 1, RING_REQUEST_BODY, SLICE("abc"));
    ring_fini(&r);
}

static void without_memory_less_is_known(void)
{
    ring_init(&r);
    alloc_fail_nth(1);
    CHECK(ring_add(&r) == NULL);
    REQUIRE(ring_add(&r) != NULL);
    alloc_fail_nth(1);
    CHECK(!ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("abc")));
    CHECK(ring_write(&r, 1, RING_REQUEST_HEAD, SLICE("abc")));
    alloc_fail_nth(0);
    ring_fini(&r);
}

TAP_MAIN(keeps_what_is_written, a_body_is_counted_beyond_what_is_kept, the_oldest_go_first,
         the_number_is_bounded, one_that_is_under_way_may_go, without_memory_less_is_known)
