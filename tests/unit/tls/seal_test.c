// SPDX-License-Identifier: Apache-2.0
//
// Sealed bytes: what was closed opens, and nothing else does.

#include "tls/seal.h"

#include "base/error.h"
#include "tap.h"

static const uint8_t key[SEAL_KEY_BYTES] = {1, 2, 3};
static const uint8_t other[SEAL_KEY_BYTES] = {1, 2, 4};
static const uint8_t nonce[SEAL_NONCE_BYTES] = {9};

static void opens_what_it_closed(void)
{
    uint8_t sealed[5 + SEAL_EXTRA];
    uint8_t plain[5];
    REQUIRE(seal_close(key, nonce, SLICE("zone"), SLICE("hello"), sealed) == 0);
    CHECK(memcmp(sealed + SEAL_NONCE_BYTES, "hello", 5) != 0);
    struct slice all = slice_of((char *)sealed, sizeof(sealed));
    CHECK_EQ_INT(seal_open(key, SLICE("zone"), all, plain), 0);
    CHECK_BYTES((char *)plain, 5, "hello", 5);
    CHECK_EQ_INT(seal_open(other, SLICE("zone"), all, plain), E_INVALID);
    CHECK_EQ_INT(seal_open(key, SLICE("zones"), all, plain), E_INVALID);
    CHECK_EQ_INT(seal_open(key, SLICE(""), all, plain), E_INVALID);
}

static void every_bit_counts(void)
{
    uint8_t sealed[5 + SEAL_EXTRA];
    uint8_t plain[5];
    REQUIRE(seal_close(key, nonce, SLICE(""), SLICE("hello"), sealed) == 0);
    struct slice all = slice_of((char *)sealed, sizeof(sealed));
    for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
        sealed[i / 8] ^= (uint8_t)(1u << i % 8);
        CHECK_EQ_INT(seal_open(key, SLICE(""), all, plain), E_INVALID);
        sealed[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < sizeof(sealed); n++) {
        CHECK_EQ_INT(seal_open(key, SLICE(""), slice_sub(all, 0, n), plain), E_INVALID);
    }
}

TAP_MAIN(opens_what_it_closed, every_bit_counts)
