// SPDX-License-Identifier: Apache-2.0
//
// Capsules: what is written is read again, in pieces of any size, and what each bad input gets.

#include "http/capsule.h"

#include "base/error.h"
#include "tap.h"

static struct chunk_pool pool;
static struct capsule_reader reader;

static void begin(void)
{
    chunk_pool_init(&pool, 100, 4);
    capsule_reader_init(&reader, &pool);
}

static void end(void)
{
    capsule_reader_fini(&reader);
    CHECK_EQ_INT(pool.in_use, 0);
    chunk_pool_fini(&pool);
}

/** Feeds pieces of `step` bytes; counts datagrams and adds up their lengths. The first error. */
static int feed(struct slice bytes, size_t step, unsigned *count, size_t *sum)
{
    *count = 0;
    *sum = 0;
    while (bytes.len > 0) {
        struct slice in = slice_sub(bytes, 0, bytes.len < step ? bytes.len : step);
        bytes = slice_from(bytes, in.len);
        struct slice out;
        int e;
        while ((e = capsule_read(&reader, &in, &out)) == 0) {
            for (size_t i = 0; i < out.len; i++) {
                CHECK(out.ptr[i] == (char)(i * 7));
            }
            *count += 1;
            *sum += out.len;
        }
        if (e != E_AGAIN) {
            return e;
        }
    }
    return 0;
}

static size_t put(char *to, size_t len)
{
    size_t n = capsule_datagram_head(to, len);
    for (size_t i = 0; i < len; i++) {
        to[n + i] = (char)(i * 7);
    }
    return n + len;
}

static void reads_what_it_writes(void)
{
    static char bytes[400 * 1024];
    static const size_t lengths[] = {0, 1, 62, 63, 64, 1200, 16381, 16382, 16383, 16384, 65527, 9};
    size_t n = 0;
    size_t all = 0;
    for (size_t i = 0; i < array_len(lengths); i++) {
        n += put(bytes + n, lengths[i]);
        all += lengths[i];
    }
    static const size_t steps[] = {1, 2, 7, 1000, 16384, sizeof(bytes)};
    for (size_t i = 0; i < array_len(steps); i++) {
        begin();
        unsigned count;
        size_t sum;
        CHECK_EQ_INT(feed(slice_of(bytes, n), steps[i], &count, &sum), 0);
        CHECK_EQ_INT(count, array_len(lengths));
        CHECK_EQ_INT(sum, all);
        CHECK(capsule_reader_is_between(&reader));
        end();
    }
}

static void skips_what_it_does_not_know(void)
{
    static const char bytes[] = "\x3f\x03"
                                "abc"               // another type
                                "\x00\x03\x02xx"    // another context
                                "\x40\x00\x02\x00"  // a type in two bytes
                                "\x00"              // and its payload
                                "\x7f\xff\x00"      // another type without a value
                                "\x00\x40\x01\x00"; // a length in two bytes
    for (size_t step = 1; step < sizeof(bytes); step++) {
        begin();
        unsigned count;
        size_t sum;
        CHECK_EQ_INT(feed(slice_of(bytes, sizeof(bytes) - 1), step, &count, &sum), 0);
        CHECK_EQ_INT(count, 2);
        CHECK_EQ_INT(sum, 1);
        CHECK(capsule_reader_is_between(&reader));
        end();
    }
}

static void refuses_bad_ones(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int error;
    } rows[] = {
        {"\x00\x00", 2, E_PROTOCOL},                               // no context
        {"\x00\x01\x40", 3, E_PROTOCOL},                           // half of one
        {"\x00\x03\x80\x00\x00", 5, E_PROTOCOL},                   // three quarters
        {"\x00\x80\x01\x00\x00", 5, E_TOO_LARGE},                  // 65536
        {"\x00\xff\xff\xff\xff\xff\xff\xff\xff", 10, E_TOO_LARGE}, // 2^62 - 1
        {"\x3f\x80\x10\x00\x01", 5, E_TOO_LARGE},                  // skipped, 1 MiB + 1
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16, E_TOO_LARGE},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        for (size_t step = 1; step <= rows[i].len; step++) {
            begin();
            unsigned count;
            size_t sum;
            CHECK_EQ_INT(feed(slice_of(rows[i].bytes, rows[i].len), step, &count, &sum),
                         rows[i].error);
            CHECK_EQ_INT(count, 0);
            end();
        }
    }
}

static void knows_when_it_is_between_two(void)
{
    begin();
    unsigned count;
    size_t sum;
    CHECK(capsule_reader_is_between(&reader));
    CHECK_EQ_INT(feed(slice_of("\x00", 1), 1, &count, &sum), 0);
    CHECK(!capsule_reader_is_between(&reader));
    CHECK_EQ_INT(feed(slice_of("\x02\x00", 2), 1, &count, &sum), 0);
    CHECK(!capsule_reader_is_between(&reader));
    CHECK_EQ_INT(feed(slice_of("\x00", 1), 1, &count, &sum), 0);
    CHECK(capsule_reader_is_between(&reader));
    CHECK_EQ_INT(count, 1);
    end();
}

TAP_MAIN(reads_what_it_writes, skips_what_it_does_not_know, refuses_bad_ones,
         knows_when_it_is_between_two)
