// SPDX-License-Identifier: Apache-2.0
//
// What the crypto library knows.

#include "tls/known.h"

#include "tap.h"

static void curves(void)
{
    CHECK(tls_curve(SLICE("X25519")) != 0);
    CHECK(tls_curve(SLICE("P-256")) != 0);
    CHECK(tls_curve(SLICE("prime256v1")) == tls_curve(SLICE("P-256")));
    CHECK(tls_curve(SLICE("secp384r1")) == tls_curve(SLICE("P-384")));
    CHECK_EQ_INT(tls_curve(SLICE("P-255")), 0);
    CHECK_EQ_INT(tls_curve(SLICE("rsaEncryption")), 0);
    CHECK_EQ_INT(tls_curve(SLICE("")), 0);
    CHECK_EQ_INT(tls_curve(SLICE("P-256\0x")), 0);
    CHECK_EQ_INT(tls_curve(SLICE("a-name-that-is-longer-than-that-of-any-curve-there-is")), 0);
}

static void ciphers(void)
{
    CHECK(tls_knows_ciphers(SLICE("ECDHE-RSA-AES128-GCM-SHA256")));
    CHECK(tls_knows_ciphers(SLICE("nonsense:ECDHE+AESGCM")));
    CHECK(!tls_knows_ciphers(SLICE("nonsense")));
    CHECK(!tls_knows_ciphers(SLICE("")));
}

TAP_MAIN(curves, ciphers)
