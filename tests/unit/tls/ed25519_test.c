// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 against the first test of RFC 8032 7.1, and what it refuses.

#include "tls/ed25519.h"

#include "tap.h"

static const uint8_t private_key[ED25519_KEY_BYTES] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const uint8_t public_key[ED25519_KEY_BYTES] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static void agrees_with_the_rfc(void)
{
    static const uint8_t begin[] = {0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72};
    uint8_t public[ED25519_KEY_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    REQUIRE(ed25519_public(private_key, public) == 0);
    CHECK(memcmp(public, public_key, sizeof(public)) == 0);
    REQUIRE(ed25519_sign(private_key, SLICE(""), signature) == 0);
    CHECK(memcmp(signature, begin, sizeof(begin)) == 0);
    CHECK(ed25519_verify(public_key, SLICE(""), signature));
}

static void takes_no_other(void)
{
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    uint8_t wrong[ED25519_KEY_BYTES];
    REQUIRE(ed25519_sign(private_key, SLICE("message"), signature) == 0);
    CHECK(ed25519_verify(public_key, SLICE("message"), signature));
    CHECK(!ed25519_verify(public_key, SLICE("messagf"), signature));
    CHECK(!ed25519_verify(public_key, SLICE("messag"), signature));
    memset(wrong, 0xff, sizeof(wrong)); // not a point
    CHECK(!ed25519_verify(wrong, SLICE("message"), signature));
    for (size_t i = 0; i < sizeof(signature); i++) {
        signature[i] ^= 1;
        CHECK(!ed25519_verify(public_key, SLICE("message"), signature));
        signature[i] ^= 1;
    }
}

TAP_MAIN(agrees_with_the_rfc, takes_no_other)
