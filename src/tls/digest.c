// SPDX-License-Identifier: Apache-2.0
//
// Digests of secrets (tls/digest.h), on OpenSSL's MACs. A step makes its HMAC context anew, which is
// nothing beside the hundreds of iterations of a step; the context then starts from the key that it
// has, so that an iteration is two or three blocks of SHA-256.

#include "tls/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/error.h"

_Static_assert(DIGEST_BYTES == 256 / 8, "SHA-256");

int digest_sha256(struct slice bytes, uint8_t out[DIGEST_BYTES])
{
    unsigned len = 0;
    bool ok = EVP_Digest(bytes.ptr, bytes.len, out, &len, EVP_sha256(), NULL) == 1;
    return ok && len == DIGEST_BYTES ? 0 : E_NO_MEMORY;
}

int digest_hmac(struct slice key, struct slice bytes, uint8_t out[DIGEST_BYTES])
{
    unsigned len = 0;
    ensure(key.len <= INT_MAX);
    const void *made = HMAC(EVP_sha256(), key.ptr != NULL ? key.ptr : "", (int)key.len,
                            (const unsigned char *)bytes.ptr, bytes.len, out, &len);
    return made != NULL && len == DIGEST_BYTES ? 0 : E_NO_MEMORY;
}

int digest_random(void *out, size_t len)
{
    ensure(len <= INT_MAX);
    return RAND_bytes(out, (int)len) == 1 ? 0 : E_IO;
}

bool digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

/** An HMAC context with the password as its key, or NULL. */
static EVP_MAC_CTX *open_mac(struct slice password)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); // the context holds it
    char name[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    const unsigned char *key = (const unsigned char *)(password.len > 0 ? password.ptr : "");
    if (ctx != NULL && EVP_MAC_init(ctx, key, password.len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/** One HMAC under the key that the context has. */
static bool run_mac(EVP_MAC_CTX *ctx, const void *bytes, size_t len, uint8_t out[DIGEST_BYTES])
{
    size_t made = 0;
    return EVP_MAC_init(ctx, NULL, 0, NULL) == 1 && EVP_MAC_update(ctx, bytes, len) == 1 &&
           EVP_MAC_final(ctx, out, &made, DIGEST_BYTES) == 1 && made == DIGEST_BYTES;
}

int digest_chain_begin(struct digest_chain *c, struct slice password, struct slice salt,
                       uint32_t iterations)
{
    ensure(iterations > 0);
    ensure(salt.len <= DIGEST_SALT_MAX);
    uint8_t first[DIGEST_SALT_MAX + 4];
    static const uint8_t block[4] = {0, 0, 0, 1};
    if (salt.len > 0) {
        memcpy(first, salt.ptr, salt.len);
    }
    memcpy(first + salt.len, block, sizeof(block));
    int rc = digest_hmac(password, slice_of((const char *)first, salt.len + 4), c->last);
    memcpy(c->sum, c->last, DIGEST_BYTES);
    c->left = iterations - 1;
    return rc;
}

int digest_chain_step(struct digest_chain *c, struct slice password, uint32_t count)
{
    count = count < c->left ? count : c->left;
    if (count == 0) {
        return 0;
    }
    EVP_MAC_CTX *ctx = open_mac(password);
    bool ok = ctx != NULL;
    for (; ok && count > 0; count--, c->left--) {
        ok = run_mac(ctx, c->last, DIGEST_BYTES, c->last);
        for (size_t i = 0; i < DIGEST_BYTES; i++) {
            c->sum[i] ^= c->last[i];
        }
    }
    EVP_MAC_CTX_free(ctx);
    return ok ? 0 : E_NO_MEMORY;
}
