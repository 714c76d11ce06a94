// SPDX-License-Identifier: Apache-2.0
//
// The gzip stream: whatever the level and the sizes of the buffers, what comes out is what went in.

#include "compress/deflate.h"

#include <zlib.h>

#include "base/rng.h"
#include "base/slab.h"
#include "tap.h"

enum { TEXT_BYTES = 200 * 1000 };

static unsigned char text[TEXT_BYTES];
static unsigned char packed[TEXT_BYTES * 2];
static unsigned char unpacked[TEXT_BYTES + 1];

static void fill(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (unsigned char)(seed % 2 == 0 ? 'a' + rng_below(&r, 8) : rng_u64(&r));
    }
}

// Runs one purpose to its end; how many bytes came out.
static size_t run(struct deflate *d, const unsigned char *in, size_t len, size_t step, size_t at,
                  enum deflate_flush flush)
{
    size_t before = at;
    for (;;) {
        struct deflate_io io = {.in = in, .in_len = len, .out = packed + at, .out_len = step};
        bool done = deflate_step(d, &io, flush);
        in += io.consumed;
        len -= io.consumed;
        at += io.produced;
        if (done) {
            CHECK_EQ_INT(len, 0);
            return at - before;
        }
    }
}

static size_t unpack(size_t len, bool whole)
{
    z_stream z;
    memset(&z, 0, sizeof(z));
    REQUIRE(inflateInit2(&z, 15 + 16) == Z_OK);
    z.next_in = packed;
    z.avail_in = (uInt)len;
    z.next_out = unpacked;
    z.avail_out = sizeof(unpacked);
    int rc = inflate(&z, Z_SYNC_FLUSH);
    CHECK(rc == (whole ? Z_STREAM_END : Z_OK) || (!whole && rc == Z_BUF_ERROR));
    size_t out = sizeof(unpacked) - z.avail_out;
    (void)inflateEnd(&z);
    return out;
}

static void gives_back_what_went_in(void)
{
    for (int level = 1; level <= 9; level++) {
        for (uint64_t seed = 0; seed < 6; seed++) {
            struct rng r;
            struct deflate *d = deflate_new(level);
            REQUIRE(d != NULL);
            rng_seed(&r, seed);
            fill(seed);
            size_t at = 0;
            size_t out = 0;
            while (at < sizeof(text)) {
                size_t part = rng_below(&r, 40000) + 1;
                part = part < sizeof(text) - at ? part : sizeof(text) - at;
                out += run(d, text + at, part, rng_below(&r, 16000) + 256, out, DEFLATE_RUN);
                at += part;
                if (rng_below(&r, 3) == 0) {
                    out += run(d, NULL, 0, rng_below(&r, 1000) + 256, out, DEFLATE_FLUSH);
                    CHECK_EQ_INT(unpack(out, false), at);
                    CHECK(memcmp(text, unpacked, at) == 0);
                }
            }
            out += run(d, NULL, 0, 256, out, DEFLATE_FINISH);
            deflate_free(d);
            CHECK_EQ_INT(unpack(out, true), sizeof(text));
            CHECK(memcmp(text, unpacked, sizeof(text)) == 0);
        }
    }
}

static void packs_nothing(void)
{
    for (int level = 1; level <= 9; level++) {
        struct deflate *d = deflate_new(level);
        REQUIRE(d != NULL);
        size_t out = run(d, NULL, 0, 256, 0, DEFLATE_FINISH);
        deflate_free(d);
        CHECK(out >= 18);
        CHECK_EQ_INT(unpack(out, true), 0);
    }
}

static void bounds_live_states(void)
{
    struct deflate *all[DEFLATE_LIVE_MAX];
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        all[i] = deflate_new(i % 2 == 0 ? 1 : 9);
        REQUIRE(all[i] != NULL);
    }
    CHECK_EQ_INT(deflate_live(), DEFLATE_LIVE_MAX);
    CHECK(deflate_new(1) == NULL);
    deflate_free(all[3]);
    all[3] = deflate_new(9);
    CHECK(all[3] != NULL);
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        deflate_free(all[i]);
    }
    CHECK_EQ_INT(deflate_live(), 0);
}

TAP_MAIN(gives_back_what_went_in, packs_nothing, bounds_live_states)
