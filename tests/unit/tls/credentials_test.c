// SPDX-License-Identifier: Apache-2.0
//
// The block of credentials: what is written is read back, and nothing that is broken is read at all.

#include "tls/credentials.h"

#include "base/error.h"
#include "base/rng.h"
#include "tap.h"

static const char ticket_key[CREDENTIAL_TICKET_KEY_BYTES] = "0123456789abcdef";

static const struct credential samples[] = {
    {CREDENTIAL_CERTIFICATE, SLICE_INIT("acme:example.com"), SLICE_INIT("chain"), SLICE_INIT("key"),
     SLICE_INIT("ocsp")},
    {CREDENTIAL_AUTHORITY,
     SLICE_INIT("ca:/etc/ca.pem"),
     SLICE_INIT("authorities"),
     {"", 0},
     {"", 0}},
    {CREDENTIAL_TICKET_KEY, {"", 0}, {"", 0}, {ticket_key, sizeof(ticket_key)}, {"", 0}},
    {CREDENTIAL_HTTP_01, SLICE_INIT("token"), {"", 0}, SLICE_INIT("token.thumbprint"), {"", 0}},
    {CREDENTIAL_TLS_ALPN_01, SLICE_INIT("example.com"), SLICE_INIT("c"), SLICE_INIT("k"), {"", 0}},
    {CREDENTIAL_STICKY_KEY, {"", 0}, {"", 0}, SLICE_INIT("0123456789abcdef"), {"", 0}},
};

static struct slice write_samples(char *room, size_t capacity)
{
    struct credential_writer w;
    credentials_begin(&w, room, capacity);
    for (size_t i = 0; i < array_len(samples); i++) {
        CHECK_EQ_INT(credentials_add(&w, &samples[i]), 0);
    }
    return credentials_end(&w);
}

static void reads_back_what_was_written(void)
{
    char room[1024];
    struct slice all = write_samples(room, sizeof(room));
    size_t bytes = CREDENTIALS_HEAD_BYTES;
    struct credential_reader r;
    REQUIRE(credentials_open(all, &r) == 0);
    struct credential c;
    for (size_t i = 0; i < array_len(samples); i++) {
        REQUIRE(credentials_next(&r, &c));
        CHECK_EQ_INT(c.kind, samples[i].kind);
        CHECK(slice_eq(c.id, samples[i].id));
        CHECK(slice_eq(c.chain, samples[i].chain));
        CHECK(slice_eq(c.key, samples[i].key));
        CHECK(slice_eq(c.ocsp, samples[i].ocsp));
        bytes += credential_bytes(&samples[i]);
    }
    CHECK(!credentials_next(&r, &c));
    CHECK_EQ_INT(bytes, all.len);
}

static void an_empty_block_has_no_records(void)
{
    char room[CREDENTIALS_HEAD_BYTES];
    struct credential_writer w;
    credentials_begin(&w, room, sizeof(room));
    struct credential_reader r;
    struct credential c;
    CHECK_EQ_INT(credentials_open(credentials_end(&w), &r), 0);
    CHECK(!credentials_next(&r, &c));
}

static void what_does_not_fit_is_not_written(void)
{
    char room[CREDENTIALS_HEAD_BYTES + 40];
    struct credential_writer w;
    credentials_begin(&w, room, sizeof(room));
    CHECK_EQ_INT(credentials_add(&w, &samples[0]), E_TOO_LARGE);
    CHECK_EQ_INT(credentials_end(&w).len, CREDENTIALS_HEAD_BYTES);
    const struct credential huge = {CREDENTIAL_AUTHORITY, SLICE("x"),
                                    slice_of(room, (size_t)CREDENTIALS_BYTES_MAX + 1), SLICE(""),
                                    SLICE("")};
    CHECK_EQ_INT(credentials_add(&w, &huge), E_TOO_LARGE);
    const struct credential unsound = {.kind = CREDENTIAL_TICKET_KEY, .key = SLICE("short")};
    CHECK_ABORTS(CHECK_EQ_INT(credentials_add(&w, &unsound), 0));
}

static void every_cut_is_refused(void)
{
    char room[1024];
    struct slice all = write_samples(room, sizeof(room));
    struct credential_reader r;
    for (size_t len = 0; len < all.len; len++) {
        CHECK_EQ_INT(credentials_open(slice_sub(all, 0, len), &r), E_INVALID);
    }
    room[all.len] = 0;
    CHECK_EQ_INT(credentials_open(slice_of(room, all.len + 1), &r), E_INVALID);
}

// Whatever numbers are put into it: it is refused, or reading stays inside.
static void broken_numbers_do_no_harm(void)
{
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        char room[1024];
        struct slice all = write_samples(room, sizeof(room));
        size_t at = (size_t)rng_below(&rng, all.len - 4);
        uint32_t value =
            rng_chance(&rng, 0.5) ? (uint32_t)rng_below(&rng, 600) : (uint32_t)rng_u64(&rng);
        memcpy(room + at, &value, sizeof(value));
        struct credential_reader r;
        struct credential c;
        if (credentials_open(all, &r) != 0) {
            continue;
        }
        while (credentials_next(&r, &c)) {
            CHECK(c.ocsp.ptr + c.ocsp.len <= all.ptr + all.len);
        }
    }
}

TAP_MAIN(reads_back_what_was_written, an_empty_block_has_no_records,
         what_does_not_fit_is_not_written, every_cut_is_refused, broken_numbers_do_no_harm)
