// SPDX-License-Identifier: Apache-2.0
//
// Digests: values of FIPS 180-4, RFC 4231 and those that are known for PBKDF2-HMAC-SHA-256, in one go
// and in steps of any size.

#include "base/text.h"
#include "tap.h"
#include "tls/digest.h"

static void check_hex(const uint8_t *bytes, const char *want)
{
    char buffer[2 * DIGEST_BYTES + 1];
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        (void)snprintf(buffer + 2 * i, 3, "%02x", bytes[i]);
    }
    CHECK_STR(buffer, want);
}

static void digests(void)
{
    uint8_t out[DIGEST_BYTES];
    CHECK_EQ_INT(digest_sha256(SLICE("abc"), out), 0);
    check_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_EQ_INT(digest_sha256(slice_of(NULL, 0), out), 0);
    check_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_EQ_INT(digest_hmac(SLICE("Jefe"), SLICE("what do ya want for nothing?"), out), 0);
    check_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK_EQ_INT(digest_hmac(slice_of(NULL, 0), slice_of(NULL, 0), out), 0);
    check_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static const struct {
    const char *password, *salt;
    uint32_t iterations;
    const char *result;
} chains[] = {
    {"password", "salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"},
    {"password", "salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"},
    {"password", "salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"},
    {"", "salt", 1, "f135c27993baf98773c5cdb40a5706ce6a345cde61b000a67858650cd6a324d7"},
};

static void chains_come_out_the_same(void)
{
    static const uint32_t steps[] = {1, 7, 1000, 100000};
    for (size_t i = 0; i < array_len(chains); i++) {
        for (size_t j = 0; j < array_len(steps); j++) {
            struct digest_chain c;
            struct slice password = slice_str(chains[i].password);
            CHECK_EQ_INT(
                digest_chain_begin(&c, password, slice_str(chains[i].salt), chains[i].iterations),
                0);
            while (c.left > 0) {
                CHECK_EQ_INT(digest_chain_step(&c, password, steps[j]), 0);
            }
            check_hex(c.sum, chains[i].result);
        }
    }
}

static void compares(void)
{
    CHECK(digest_equal("abc", "abc", 3));
    CHECK(!digest_equal("abc", "abd", 3));
    CHECK(digest_equal("", "x", 0));
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    CHECK_EQ_INT(digest_random(a, sizeof(a)), 0);
    CHECK_EQ_INT(digest_random(b, sizeof(b)), 0);
    CHECK(!digest_equal(a, b, sizeof(a)));
}

TAP_MAIN(digests, chains_come_out_the_same, compares)
