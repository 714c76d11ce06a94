// SPDX-License-Identifier: Apache-2.0
//
// SHA-1 against the digests that RFC 3174 gives, and around the lengths at which its padding changes.
// (From Python's hashlib where the RFC has none.)

#include "base/sha1.h"

#include "tap.h"

static void check(struct slice message, const char *want)
{
    uint8_t digest[SHA1_BYTES];
    char hex[2 * SHA1_BYTES + 1];
    sha1(message, digest);
    for (unsigned i = 0; i < SHA1_BYTES; i++) {
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
    CHECK_STR(hex, want);
}

// FIPS 180-1's examples (RFC 3174 7.3).
static void gives_the_known_digests(void)
{
    check(SLICE(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check(SLICE("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check(SLICE("0123456701234567012345670123456701234567012345670123456701234567"),
          "e0c094e867ef46c350ef54a7f59dd60bed92ae83");
}

static void pads_at_every_length(void)
{
    char bytes[200];
    memset(bytes, 'a', sizeof(bytes));
    check(slice_of(bytes, 55), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    check(slice_of(bytes, 56), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    check(slice_of(bytes, 64), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    check(slice_of(bytes, 200), "e61cfffe0d9195a525fc6cf06ca2d77119c24a40");
}

TAP_MAIN(gives_the_known_digests, pads_at_every_length)
