// SPDX-License-Identifier: Apache-2.0
//
// Signed messages: the examples of the RFCs, signatures that OpenSSL verifies, and keys that are not
// for this.

#include "tls/jws.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"
#include "tls/pem_int.h"

static struct arena a;

static void setup(void)
{
    arena_init(&a, NULL, 0, NULL, 4 << 20);
}

static void check_base64url(const char *bytes, const char *want)
{
    char buffer[64];
    struct text t = text_on(buffer, sizeof(buffer));
    jws_base64url(&t, slice_str(bytes));
    CHECK_TEXT(t.ptr, t.len, want);
    struct slice back = {NULL, 0};
    CHECK_EQ_INT(jws_base64url_read(slice_str(want), &a, &back), 0);
    CHECK_TEXT(back.ptr, back.len, bytes);
}

static void base64url_both_ways(void)
{
    check_base64url("", "");
    check_base64url("f", "Zg");
    check_base64url("fo", "Zm8");
    check_base64url("foo", "Zm9v");
    check_base64url("foob", "Zm9vYg");
    check_base64url("\xff\xfe\xfd", "__79");
    struct slice out = {NULL, 0};
    CHECK_EQ_INT(jws_base64url_read(SLICE("Zm8="), &a, &out), 0);
    CHECK_TEXT(out.ptr, out.len, "fo");
    CHECK_EQ_INT(jws_base64url_read(SLICE("Z"), &a, &out), E_INVALID);
    CHECK_EQ_INT(jws_base64url_read(SLICE("Zm+v"), &a, &out), E_INVALID);
    CHECK_EQ_INT(jws_base64url_read(SLICE("Z m8"), &a, &out), E_INVALID);
    CHECK_EQ_INT(jws_base64url_read(SLICE("Zm8\0"), &a, &out), E_INVALID);
}

// A public key's thumbprint needs no private key, but a PEM of one does: so the example of RFC 7638 3.1
// is met by its hash alone.
static void thumbprint_of_rfc_7638(void)
{
    static const char jwk[] = "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":"
                              "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4"
                              "cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
                              "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93"
                              "lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
                              "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C"
                              "bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
                              "xBniIqbw0Ls1jF44-csFCur-kEgU8aw"
                              "apJzKnqDKgw\"}";
    unsigned char hash[JWS_SHA256_BYTES];
    char buffer[64];
    struct text t = text_on(buffer, sizeof(buffer));
    CHECK_EQ_INT(jws_sha256(slice_str(jwk), hash), 0);
    jws_base64url(&t, slice_of((const char *)hash, sizeof(hash)));
    CHECK_TEXT(t.ptr, t.len, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

// RFC 7515 A.1, as a flattened message.
static void hmac_of_rfc_7515(void)
{
    struct slice secret = {NULL, 0};
    struct slice out = {NULL, 0};
    CHECK_EQ_INT(
        jws_base64url_read(SLICE("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN"
                                 "3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                           &a, &secret),
        0);
    CHECK_EQ_INT(jws_sign_hmac(secret, SLICE("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}"),
                               SLICE("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                                     "\"http://example.com/is_root\":true}"),
                               &a, &out),
                 0);
    CHECK_TEXT(
        out.ptr, out.len,
        "{\"protected\":\"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\",\"payload\":"
        "\"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
        "Ijp0cnVlfQ\",\"signature\":\"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk\"}");
    CHECK_EQ_INT(jws_sign_hmac((struct slice){"", 0}, SLICE("{}"), SLICE("{}"), &a, &out),
                 E_INVALID);
}

// ---- signatures -----------------------------------------------------------------------------------

// The value of a member of the flattened message.
static struct slice member(struct slice message, const char *name)
{
    char quoted[32];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":\"", name);
    ptrdiff_t at = slice_find(message, slice_str(quoted));
    REQUIRE(at >= 0);
    struct slice rest = slice_from(message, (size_t)at + strlen(quoted));
    return slice_sub(rest, 0, (size_t)slice_find_char(rest, '"'));
}

static bool verifies(const struct pki_cert *key, struct slice message, bool ec)
{
    char input[512];
    struct slice signature = {NULL, 0};
    unsigned char der[128];
    int len = snprintf(input, sizeof(input), "%.*s.%.*s", SLICE_ARG(member(message, "protected")),
                       SLICE_ARG(member(message, "payload")));
    if (jws_base64url_read(member(message, "signature"), &a, &signature) != 0) {
        return false;
    }
    const unsigned char *bytes = (const unsigned char *)signature.ptr;
    size_t bytes_len = signature.len;
    if (ec) {
        ECDSA_SIG *sig = ECDSA_SIG_new();
        REQUIRE(signature.len == 64);
        REQUIRE(ECDSA_SIG_set0(sig, BN_bin2bn(bytes, 32, NULL), BN_bin2bn(bytes + 32, 32, NULL)) ==
                1);
        unsigned char *p = der;
        bytes_len = (size_t)i2d_ECDSA_SIG(sig, &p);
        bytes = der;
        ECDSA_SIG_free(sig);
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok =
        EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->key) == 1 &&
        EVP_DigestVerify(md, bytes, bytes_len, (const unsigned char *)input, (size_t)len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static void signs_with(enum pki_key kind, const char *algorithm, const char *jwk_begins)
{
    struct pki_cert c = pki_make(&(struct pki_order){.cn = "x", .key = kind});
    struct jws_key *key = NULL;
    // Half of all signatures have a number with a leading zero bit; some a leading zero byte.
    if (CHECK_EQ_INT(jws_key_open(c.key_pem, &a, &key), 0)) {
        struct slice out = {NULL, 0};
        CHECK_TEXT(jws_algorithm(key).ptr, jws_algorithm(key).len, algorithm);
        CHECK(slice_starts(jws_public_key(key), slice_str(jwk_begins)));
        CHECK_EQ_INT(jws_thumbprint(key).len, JWS_THUMBPRINT_BYTES);
        for (int i = 0; i < 20; i++) {
            CHECK_EQ_INT(jws_sign(key, SLICE("{\"alg\":\"?\"}"), SLICE("{}"), &a, &out), 0);
            CHECK(out.ptr != NULL && verifies(&c, out, kind == PKI_P256));
        }
    }
    pki_free(&c);
}

static void es256(void)
{
    signs_with(PKI_P256, "ES256", "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
}

static void rs256(void)
{
    signs_with(PKI_RSA_2048, "RS256", "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"");
}

static void other_keys_are_refused(void)
{
    static const enum pki_key kinds[] = {PKI_P384, PKI_SECP256K1, PKI_RSA_1024, PKI_ED25519};
    struct jws_key *key = NULL;
    for (size_t i = 0; i < array_len(kinds); i++) {
        struct pki_cert c = pki_make(&(struct pki_order){.cn = "x", .key = kinds[i]});
        CHECK_EQ_INT(jws_key_open(c.key_pem, &a, &key), E_TLS_KEY);
        pki_free(&c);
    }
    CHECK_EQ_INT(jws_key_open(SLICE("no key"), &a, &key), E_TLS_KEY);
    CHECK_EQ_INT(jws_key_open((struct slice){NULL, 0}, &a, &key), E_TLS_KEY);
}

static void fini(void)
{
    arena_fini(&a);
}

TAP_MAIN(setup, base64url_both_ways, thumbprint_of_rfc_7638, hmac_of_rfc_7515, es256, rs256,
         other_keys_are_refused, fini)
