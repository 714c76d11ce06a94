// SPDX-License-Identifier: Apache-2.0
//
// See jws.h. What is signed is made of base64url and dots, so nothing needs escaping; the texts that
// go in (protected, payload) are the caller's JSON.

#include "tls/jws.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/error.h"
#include "tls/pem_int.h"

enum {
    P256_BYTES = 32,
    RSA_BYTES_MAX = 1024, // 8192 bits
    RSA_BITS_MIN = 2048,
    JWK_BYTES_MAX = 2048,
    SIGNATURE_BYTES_MAX = RSA_BYTES_MAX,
};

struct jws_key {
    EVP_PKEY *pkey;
    bool is_ec;
    struct slice jwk;
    char thumbprint[JWS_THUMBPRINT_BYTES];
};

// ---- base64url (RFC 4648 5, without padding) --------------------------------------------------------

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void jws_base64url(struct text *out, struct slice bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        unsigned bits = (unsigned)p[i] << 16;
        bits |= left > 1 ? (unsigned)p[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)p[i + 2] : 0;
        text_char(out, alphabet[bits >> 18]);
        text_char(out, alphabet[bits >> 12 & 63]);
        if (left > 1) {
            text_char(out, alphabet[bits >> 6 & 63]);
        }
        if (left > 2) {
            text_char(out, alphabet[bits & 63]);
        }
    }
}

int jws_base64url_read(struct slice text, struct arena *a, struct slice *out)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '=') {
        text.len--;
    }
    if (text.len % 4 == 1) {
        return E_INVALID;
    }
    char *bytes = arena_bytes(a, text.len / 4 * 3 + 3);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    size_t len = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] != '\0' ? strchr(alphabet, text.ptr[i]) : NULL;
        if (at == NULL) {
            return E_INVALID;
        }
        bits = bits << 6 | (unsigned)(at - alphabet);
        // After 2, 3 and 4 letters another byte is complete.
        if (i % 4 > 0) {
            bytes[len++] = (char)(bits >> (6 - i % 4 * 2) & 255);
        }
    }
    *out = slice_of(bytes, len);
    return 0;
}

int jws_sha256(struct slice bytes, unsigned char out[JWS_SHA256_BYTES])
{
    unsigned len = 0;
    bool ok = EVP_Digest(bytes.ptr, bytes.len, out, &len, EVP_sha256(), NULL) == 1;
    return ok && len == JWS_SHA256_BYTES ? 0 : E_NO_MEMORY;
}

// ---- the key ----------------------------------------------------------------------------------------

// A number of the public key, big-endian; `width` 0: as short as it is.
static bool put_number(struct text *out, const EVP_PKEY *key, const char *name, int width)
{
    unsigned char bytes[RSA_BYTES_MAX];
    BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1) {
        return false;
    }
    int len = width > 0 ? width : BN_num_bytes(n);
    bool ok = len <= RSA_BYTES_MAX && BN_bn2binpad(n, bytes, len) == len;
    BN_free(n);
    if (ok) {
        jws_base64url(out, slice_of((const char *)bytes, (size_t)len));
    }
    return ok;
}

static bool put_jwk(struct text *out, const struct jws_key *k)
{
    bool ok;
    if (k->is_ec) {
        text_str(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
        ok = put_number(out, k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, P256_BYTES);
        text_str(out, "\",\"y\":\"");
        ok = ok && put_number(out, k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, P256_BYTES);
    } else {
        text_str(out, "{\"e\":\"");
        ok = put_number(out, k->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        text_str(out, "\",\"kty\":\"RSA\",\"n\":\"");
        ok = ok && put_number(out, k->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
    }
    text_str(out, "\"}");
    return ok && !out->overflow;
}

static bool usable(struct jws_key *k)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(k->pkey, "EC")) {
        k->is_ec = true;
        return EVP_PKEY_get_group_name(k->pkey, group, sizeof(group), NULL) == 1 &&
               strcmp(group, SN_X9_62_prime256v1) == 0;
    }
    return EVP_PKEY_is_a(k->pkey, "RSA") && EVP_PKEY_get_bits(k->pkey) >= RSA_BITS_MIN &&
           EVP_PKEY_get_bits(k->pkey) <= RSA_BYTES_MAX * 8;
}

static int describe_key(struct jws_key *k, struct arena *a)
{
    char buffer[JWK_BYTES_MAX];
    struct text jwk = text_on(buffer, sizeof(buffer));
    unsigned char hash[JWS_SHA256_BYTES];
    if (!usable(k) || !put_jwk(&jwk, k)) {
        return E_TLS_KEY;
    }
    k->jwk = arena_dup(a, text_slice(&jwk));
    if (k->jwk.ptr == NULL || jws_sha256(k->jwk, hash) != 0) {
        return E_NO_MEMORY;
    }
    struct text thumbprint = text_on(k->thumbprint, sizeof(k->thumbprint));
    jws_base64url(&thumbprint, slice_of((const char *)hash, sizeof(hash)));
    ensure(thumbprint.len == JWS_THUMBPRINT_BYTES && !thumbprint.overflow);
    return 0;
}

static void free_key(void *arg)
{
    struct jws_key *k = arg;
    EVP_PKEY_free(k->pkey);
}

int jws_key_open(struct slice pem, struct arena *a, struct jws_key **out)
{
    struct jws_key *k = arena_zalloc(a, sizeof(*k));
    if (k == NULL) {
        return E_NO_MEMORY;
    }
    k->pkey = pem_read_key(pem);
    if (k->pkey == NULL) {
        return E_TLS_KEY;
    }
    int rc = arena_on_fini(a, free_key, k);
    if (rc != 0) {
        free_key(k);
        return rc;
    }
    rc = describe_key(k, a);
    ERR_clear_error();
    *out = k;
    return rc;
}

struct slice jws_algorithm(const struct jws_key *k)
{
    return k->is_ec ? SLICE("ES256") : SLICE("RS256");
}

struct slice jws_public_key(const struct jws_key *k)
{
    return k->jwk;
}

struct slice jws_thumbprint(const struct jws_key *k)
{
    return slice_of(k->thumbprint, sizeof(k->thumbprint));
}

// ---- signatures -------------------------------------------------------------------------------------

// ECDSA as JWS wants it: r and s, 32 bytes each (RFC 7518 3.4).
static int plain_ecdsa(unsigned char *signature, size_t *len)
{
    const unsigned char *p = signature;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &p, (long)*len);
    if (parts == NULL) {
        return E_NO_MEMORY;
    }
    unsigned char plain[2 * P256_BYTES];
    bool ok = BN_bn2binpad(ECDSA_SIG_get0_r(parts), plain, P256_BYTES) == P256_BYTES &&
              BN_bn2binpad(ECDSA_SIG_get0_s(parts), plain + P256_BYTES, P256_BYTES) == P256_BYTES;
    ECDSA_SIG_free(parts);
    memcpy(signature, plain, sizeof(plain));
    *len = sizeof(plain);
    return ok ? 0 : E_INTERNAL;
}

static int make_signature(const struct jws_key *k, struct slice input, unsigned char *out,
                          size_t *len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    *len = SIGNATURE_BYTES_MAX;
    bool ok = md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
              EVP_DigestSign(md, out, len, (const unsigned char *)input.ptr, input.len) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    if (!ok) {
        return E_NO_MEMORY;
    }
    return k->is_ec ? plain_ecdsa(out, len) : 0;
}

// "PROTECTED.PAYLOAD", what is signed, and later cut at the dot for the message.
static int signing_input(struct slice protected_json, struct slice payload, struct arena *a,
                         struct text *out)
{
    size_t room = (protected_json.len + payload.len) / 3 * 4 + 16;
    char *buffer = arena_bytes(a, room);
    if (buffer == NULL) {
        return E_NO_MEMORY;
    }
    *out = text_on(buffer, room);
    jws_base64url(out, protected_json);
    text_char(out, '.');
    jws_base64url(out, payload);
    ensure(!out->overflow);
    return 0;
}

static int message(struct slice input, struct slice signature, struct arena *a, struct slice *out)
{
    size_t room = input.len + signature.len / 3 * 4 + 64;
    char *buffer = arena_bytes(a, room);
    if (buffer == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(buffer, room);
    size_t dot = (size_t)slice_find_char(input, '.');
    text_str(&t, "{\"protected\":\"");
    text_put(&t, slice_sub(input, 0, dot));
    text_str(&t, "\",\"payload\":\"");
    text_put(&t, slice_from(input, dot + 1));
    text_str(&t, "\",\"signature\":\"");
    jws_base64url(&t, signature);
    text_str(&t, "\"}");
    ensure(!t.overflow);
    *out = text_slice(&t);
    return 0;
}

int jws_sign(const struct jws_key *k, struct slice protected_json, struct slice payload,
             struct arena *a, struct slice *out)
{
    struct text input;
    unsigned char signature[SIGNATURE_BYTES_MAX];
    size_t len = 0;
    int rc = signing_input(protected_json, payload, a, &input);
    if (rc == 0) {
        rc = make_signature(k, text_slice(&input), signature, &len);
    }
    return rc != 0 ? rc
                   : message(text_slice(&input), slice_of((const char *)signature, len), a, out);
}

int jws_sign_hmac(struct slice secret, struct slice protected_json, struct slice payload,
                  struct arena *a, struct slice *out)
{
    struct text input;
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int rc = signing_input(protected_json, payload, a, &input);
    if (rc != 0) {
        return rc;
    }
    if (secret.len == 0 || secret.len > 4096) {
        return E_INVALID;
    }
    if (HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)input.ptr, input.len,
             mac, &len) == NULL) {
        return E_NO_MEMORY;
    }
    return message(text_slice(&input), slice_of((const char *)mac, len), a, out);
}
