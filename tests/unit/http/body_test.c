// SPDX-License-Identifier: Apache-2.0
//
// The body pipe: back-pressure, replay, discarding, and that no kernel pipe with bytes in it is ever
// used again.

#include "http/body.h"

#include "base/error.h"
#include "base/rng.h"
#include "loop/loop.h"
#include "tap.h"

static struct chunk_pool pool;
static struct http_body body;
static unsigned rooms;
static unsigned datas;

static void on_room(struct http_body *b, void *producer)
{
    CHECK(b == &body && producer == &rooms);
    rooms++;
}

static void on_data(struct http_body *b, void *consumer)
{
    CHECK(b == &body && consumer == &datas);
    datas++;
}

// ---- a kernel that only counts ---------------------------------------------------------------------

static int next_fd;
static int open_fds;
static int pipe_error;

static int fake_pipe_open(struct sys *s, int fds[2], size_t *capacity)
{
    (void)s;
    if (pipe_error != 0) {
        return pipe_error;
    }
    fds[0] = next_fd++;
    fds[1] = next_fd++;
    open_fds += 2;
    *capacity = 65536;
    return 0;
}

static void fake_close(struct sys *s, int fd, bool reset)
{
    (void)s;
    CHECK(fd >= 100 && !reset);
    open_fds--;
}

static const struct sys_ops fake_ops = {.pipe_open = fake_pipe_open, .close = fake_close};
static struct sys fake_sys = {.ops = &fake_ops};
static struct loop loop;

static void begin(void)
{
    chunk_pool_init(&pool, 1000, 10);
    http_body_init(&body, HTTP_BODY_LIMIT);
    http_body_set_producer(&body, &rooms, on_room);
    http_body_set_consumer(&body, &datas, on_data);
    rooms = datas = 0;
    memset(&loop, 0, sizeof(loop));
    loop.sys = &fake_sys;
    next_fd = 100;
    open_fds = 0;
    pipe_error = 0;
}

static void end(void)
{
    http_body_fini(&body, &loop);
    kernel_pipe_core_fini(&loop);
    CHECK_EQ_INT(open_fds, 0);
    chunk_pool_fini(&pool);
}

static void put(const char *text)
{
    CHECK_EQ_INT(http_body_write(&body, &pool, text, strlen(text)), 0);
}

static bool front_is(const char *want)
{
    return slice_eq(bufq_front(&body.q), slice_str(want));
}

// ---- cases -----------------------------------------------------------------------------------------

static void carries_bytes_and_the_end(void)
{
    begin();
    put("hello");
    put(" world");
    http_body_notify(&body);
    CHECK_EQ_INT(datas, 1);
    CHECK_EQ_INT(http_body_bytes(&body), 11);
    CHECK(front_is("hello world"));
    http_body_take(&body, 6);
    CHECK(front_is("world"));
    CHECK(!http_body_done(&body));
    http_body_end(&body, NULL);
    CHECK(!http_body_done(&body));
    http_body_take(&body, 5);
    CHECK(http_body_done(&body));
    CHECK_EQ_INT(body.put_total, 11);
    CHECK_EQ_INT(body.taken_total, 11);
    CHECK_ABORTS(put("more"));
    CHECK_ABORTS(http_body_take(&body, 1));
    end();
}

static void makes_the_producer_wait(void)
{
    begin();
    static char block[CHUNK_BYTES];
    size_t put_bytes = 0;
    size_t room;
    while ((room = http_body_room(&body)) > 0) {
        size_t n = room < sizeof(block) ? room : sizeof(block);
        CHECK_EQ_INT(http_body_write(&body, &pool, block, n), 0);
        put_bytes += n;
    }
    CHECK(put_bytes <= HTTP_BODY_LIMIT);
    CHECK(put_bytes > HTTP_BODY_LIMIT - (int)CHUNK_BYTES);
    CHECK(body.wants_room);
    http_body_pull(&body);
    CHECK_EQ_INT(rooms, 0);
    http_body_take(&body, CHUNK_BYTES);
    CHECK_EQ_INT(rooms, 0);
    http_body_pull(&body);
    CHECK_EQ_INT(rooms, 1);
    http_body_pull(&body);
    CHECK_EQ_INT(rooms, 1);
    end();
}

static void fails_once(void)
{
    begin();
    put("abc");
    http_body_fail(&body, E_EARLY_CLOSE);
    http_body_fail(&body, E_RESET);
    CHECK_EQ_INT(body.error, E_EARLY_CLOSE);
    CHECK(!http_body_done(&body));
    end();
    begin();
    http_body_end(&body, NULL);
    http_body_fail(&body, E_RESET);
    CHECK_EQ_INT(body.error, 0);
    end();
}

static void drops_what_nobody_wants(void)
{
    begin();
    put("abc");
    http_body_discard(&body);
    CHECK_EQ_INT(http_body_bytes(&body), 0);
    put("def");
    CHECK_EQ_INT(http_body_bytes(&body), 0);
    CHECK(http_body_room(&body) > 0);
    CHECK_EQ_INT(body.put_total, 6);
    CHECK_EQ_INT(body.taken_total, 6);
    http_body_end(&body, NULL);
    CHECK(http_body_done(&body));
    http_body_notify(&body);
    CHECK_EQ_INT(datas, 0);
    end();
    // A producer that waits is woken.
    begin();
    body.wants_room = true;
    http_body_discard(&body);
    CHECK_EQ_INT(rooms, 1);
    end();
}

static void replays_what_was_taken(void)
{
    begin();
    struct bufq kept;
    http_body_keep(&body, &kept, 64);
    put("hello");
    http_body_take(&body, 3);
    put(" world");
    http_body_take(&body, 4);
    CHECK(http_body_can_rewind(&body));
    http_body_rewind(&body);
    CHECK_EQ_INT(body.taken_total, 0);
    CHECK_EQ_INT(http_body_bytes(&body), 11);
    struct bufq to;
    bufq_init(&to);
    CHECK_EQ_INT(http_body_take_to(&body, &to, 100), 11);
    CHECK(slice_eq(bufq_front(&to), SLICE("hello world")));
    bufq_clear(&to);
    // And once more.
    http_body_rewind(&body);
    CHECK(front_is("hello world"));
    http_body_take(&body, 11);
    for (int i = 0; i < 6; i++) {
        put("0123456789");
        http_body_take(&body, 10);
    }
    CHECK(!http_body_can_rewind(&body));
    CHECK_EQ_INT(kept.bytes, 0);
    CHECK_ABORTS(http_body_rewind(&body));
    end();
}

// Puts and takes pieces of any size with a replay kept, rewinds where it may, and compares with what
// must come out.
static void replays_in_any_pattern(void)
{
    static char all[1 << 16];
    struct rng rng;
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (char)(i * 7 + i / 251);
    }
    unsigned rewinds = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        rng_seed(&rng, seed);
        begin();
        struct bufq kept;
        http_body_keep(&body, &kept, 40000);
        size_t in = 0;
        size_t out = 0;
        while (out < sizeof(all)) {
            size_t size = rng_below(&rng, 8) == 0 ? 20000 : 1500;
            size_t n = rng_below(&rng, size) + 1;
            size_t room = http_body_room(&body);
            n = n < room ? n : room;
            n = n < sizeof(all) - in ? n : sizeof(all) - in;
            if (n > 0 && http_body_write(&body, &pool, all + in, n) == 0) {
                in += n;
            }
            struct slice front = bufq_front(&body.q);
            if (front.len > 0) {
                size_t take = rng_below(&rng, front.len) + 1;
                REQUIRE(memcmp(front.ptr, all + out, take) == 0);
                http_body_take(&body, take);
                out += take;
            }
            if (rng_below(&rng, 16) == 0 && http_body_can_rewind(&body)) {
                http_body_rewind(&body);
                rewinds += out > 0;
                out = 0;
            }
        }
        CHECK_EQ_INT(body.taken_total, sizeof(all));
        end();
    }
    CHECK(rewinds > 100);
}

static void never_uses_a_dirty_pipe_again(void)
{
    begin();
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), 0);
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), 0);
    CHECK_EQ_INT(open_fds, 2);
    http_body_put_kernel(&body, 100);
    CHECK_EQ_INT(http_body_bytes(&body), 100);
    CHECK_ABORTS(put("behind kernel bytes"));
    http_body_take_kernel(&body, 60);
    http_body_take_kernel(&body, 40);
    CHECK_ABORTS(http_body_take_kernel(&body, 1));
    http_body_close_kernel(&body, &loop);
    CHECK_EQ_INT(loop.kernel_pipe_count, 1);
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), 0);
    CHECK_EQ_INT(open_fds, 2);
    CHECK_EQ_INT(loop.kernel_pipe_count, 0);
    http_body_put_kernel(&body, 1);
    http_body_close_kernel(&body, &loop);
    CHECK_EQ_INT(loop.kernel_pipe_count, 0);
    CHECK_EQ_INT(open_fds, 0);

    // Bytes that were counted as dropped are still in the pipe.
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), 0);
    http_body_put_kernel(&body, 1);
    http_body_discard(&body);
    CHECK_EQ_INT(http_body_bytes(&body), 0);
    CHECK(!body.takes_kernel);
    http_body_put_kernel(&body, 5);
    http_body_close_kernel(&body, &loop);
    CHECK_EQ_INT(open_fds, 0);
    end();
}

static void bounds_the_cache_of_pipes(void)
{
    begin();
    enum { BODIES = 40 };
    static struct http_body many[BODIES];
    for (int i = 0; i < BODIES; i++) {
        http_body_init(&many[i], 1000);
        CHECK_EQ_INT(http_body_open_kernel(&many[i], &loop), 0);
    }
    CHECK_EQ_INT(open_fds, 2 * BODIES);
    for (int i = 0; i < BODIES; i++) {
        http_body_fini(&many[i], &loop);
    }
    CHECK_EQ_INT(loop.kernel_pipe_count, 32);
    CHECK_EQ_INT(open_fds, 64);
    end();
    begin();
    pipe_error = E_NO_DESCRIPTORS;
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), E_NO_DESCRIPTORS);
    CHECK(body.kernel == NULL);
    end();
}

static void loses_the_replay_of_kernel_bytes(void)
{
    begin();
    struct bufq kept;
    http_body_keep(&body, &kept, 1000);
    put("abc");
    http_body_take(&body, 3);
    CHECK_EQ_INT(http_body_open_kernel(&body, &loop), 0);
    http_body_put_kernel(&body, 2);
    CHECK(http_body_can_rewind(&body));
    http_body_take_kernel(&body, 1);
    CHECK(!http_body_can_rewind(&body));
    end();
}

// ---- copies and tees -------------------------------------------------------------------------------

static void copies_what_can_be_given_again(void)
{
    struct http_body copy;
    struct bufq kept;
    begin();
    http_body_keep(&body, &kept, 100);
    put("hello ");
    http_body_take(&body, 4);
    put("world");
    CHECK_EQ_INT(http_body_copy(&copy, &body), E_UNSUPPORTED); // it has not ended
    http_body_end(&body, NULL);
    REQUIRE(http_body_copy(&copy, &body) == 0);
    CHECK(copy.ended);
    CHECK_EQ_INT(copy.q.bytes, 11);
    char bytes[16];
    size_t n = 0;
    while (copy.q.bytes > 0) {
        struct slice front = bufq_front(&copy.q);
        memcpy(bytes + n, front.ptr, front.len);
        n += front.len;
        http_body_take(&copy, front.len);
    }
    CHECK_TEXT(bytes, n, "hello world");
    http_body_fini(&copy, &loop);
    end();
}

static struct http_body tee;
static unsigned tee_datas;

static void on_tee_data(struct http_body *b, void *consumer)
{
    CHECK(b == &tee && consumer == &tee_datas);
    tee_datas++;
}

static unsigned tee_cuts;

static void on_tee_cut(struct http_body *b)
{
    CHECK(b == &tee && b->error < 0 && b->from == NULL);
    tee_cuts++;
}

static void begin_tee(uint32_t limit)
{
    begin();
    tee_datas = 0;
    tee_cuts = 0;
    http_body_init(&tee, limit);
    http_body_set_consumer(&tee, &tee_datas, on_tee_data);
}

static void a_tee_gets_the_same(void)
{
    begin_tee(1000);
    put("one ");
    REQUIRE(http_body_tee(&body, &tee, on_tee_cut) == 0);
    CHECK_EQ_INT(tee.q.bytes, 4);
    put("two");
    struct chunk *c = chunk_new(&pool);
    REQUIRE(c != NULL);
    memset(c->data, 'x', 600);
    c->used = 600;
    REQUIRE(http_body_put(&body, c, 0, 600) == 0);
    chunk_unref(c);
    http_body_notify(&body);
    CHECK_EQ_INT(tee_datas, 1);
    CHECK_EQ_INT(tee.q.bytes, 607);
    http_body_discard(&body); // the origin has answered; the other goes on
    put("!");
    CHECK_EQ_INT(tee.q.bytes, 608);
    http_body_end(&body, NULL);
    http_body_notify(&body);
    CHECK(tee.ended && body.tee == NULL && tee.from == NULL);
    CHECK_EQ_INT(tee_datas, 2);
    http_body_fini(&tee, &loop);
    end();
}

static void a_tee_that_is_full_is_cut(void)
{
    begin_tee(10);
    REQUIRE(http_body_tee(&body, &tee, on_tee_cut) == 0);
    put("12345678");
    put("12345678");
    CHECK_EQ_INT(tee.error, E_TOO_LARGE);
    CHECK_EQ_INT(tee_cuts, 1);
    CHECK(body.tee == NULL && body.error == 0);
    put("more");
    http_body_end(&body, NULL);
    CHECK_EQ_INT(body.q.bytes, 20);
    http_body_fini(&tee, &loop);
    end();
}

static void a_tee_ends_with_its_body(void)
{
    begin_tee(100);
    REQUIRE(http_body_tee(&body, &tee, on_tee_cut) == 0);
    http_body_fail(&body, E_BODY_TIMEOUT);
    http_body_notify(&body);
    CHECK_EQ_INT(tee.error, E_BODY_TIMEOUT);
    http_body_fini(&tee, &loop);
    end();
    begin_tee(100);
    REQUIRE(http_body_tee(&body, &tee, on_tee_cut) == 0);
    http_body_fini(&body, &loop);
    CHECK_EQ_INT(tee.error, E_CLIENT_GONE);
    CHECK_EQ_INT(tee_cuts, 1);
    http_body_fini(&tee, &loop);
    http_body_init(&body, 100);
    end();
    begin_tee(100);
    REQUIRE(http_body_tee(&body, &tee, on_tee_cut) == 0);
    http_body_fini(&tee, &loop); // who got it may go first
    CHECK(body.tee == NULL);
    put("on");
    end();
}

static void a_tee_begins_with_the_first_byte(void)
{
    begin_tee(100);
    put("x");
    http_body_take(&body, 1);
    CHECK_EQ_INT(http_body_tee(&body, &tee, on_tee_cut), E_UNSUPPORTED);
    http_body_fini(&tee, &loop);
    end();
}

TAP_MAIN(carries_bytes_and_the_end, makes_the_producer_wait, fails_once, drops_what_nobody_wants,
         replays_what_was_taken, replays_in_any_pattern, never_uses_a_dirty_pipe_again,
         bounds_the_cache_of_pipes, loses_the_replay_of_kernel_bytes,
         copies_what_can_be_given_again, a_tee_gets_the_same, a_tee_that_is_full_is_cut,
         a_tee_ends_with_its_body, a_tee_begins_with_the_first_byte)
