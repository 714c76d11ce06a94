// SPDX-License-Identifier: Apache-2.0
//
// Nonce, ciphertext, tag, in this order (tls/seal.h). A cipher context is made for each call: a seal is
// made or opened once for a connection of an agent, not for a request.

#include "tls/seal.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/error.h"

enum { SEALED_MAX = 1 << 20 }; // far above any use, and an int to the library

static bool run_close(EVP_CIPHER_CTX *c, struct slice context, struct slice plain, uint8_t *body)
{
    int n = 0;
    int last = 0;
    uint8_t *tag = body + plain.len;
    return EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)context.ptr, (int)context.len) == 1 &&
           EVP_EncryptUpdate(c, body, &n, (const uint8_t *)plain.ptr, (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(c, body + n, &last) == 1 && (size_t)n + (size_t)last == plain.len &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, tag) == 1;
}

int seal_close(const uint8_t key[SEAL_KEY_BYTES], const uint8_t nonce[SEAL_NONCE_BYTES],
               struct slice context, struct slice plain, uint8_t *out)
{
    ensure(plain.len > 0 && plain.len < SEALED_MAX && context.len < SEALED_MAX);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    memcpy(out, nonce, SEAL_NONCE_BYTES);
    bool ok = c != NULL && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              run_close(c, context, plain, out + SEAL_NONCE_BYTES);
    EVP_CIPHER_CTX_free(c);
    ERR_clear_error();
    return ok ? 0 : E_NO_MEMORY;
}

// The library wants the tag of what it must not change in memory that it may.
static bool run_open(EVP_CIPHER_CTX *c, struct slice context, struct slice body, uint8_t *out)
{
    int n = 0;
    int last = 0;
    uint8_t tag[SEAL_TAG_BYTES];
    memcpy(tag, body.ptr + body.len, SEAL_TAG_BYTES);
    return EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)context.ptr, (int)context.len) == 1 &&
           EVP_DecryptUpdate(c, out, &n, (const uint8_t *)body.ptr, (int)body.len) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + n, &last) == 1;
}

int seal_open(const uint8_t key[SEAL_KEY_BYTES], struct slice context, struct slice sealed,
              uint8_t *out)
{
    if (sealed.len <= SEAL_EXTRA || sealed.len >= SEALED_MAX) {
        return E_INVALID;
    }
    const uint8_t *nonce = (const uint8_t *)sealed.ptr;
    struct slice body = slice_sub(sealed, SEAL_NONCE_BYTES, sealed.len - SEAL_EXTRA);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c == NULL || EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1) {
        EVP_CIPHER_CTX_free(c);
        ERR_clear_error();
        return E_NO_MEMORY;
    }
    bool ok = run_open(c, context, body, out);
    EVP_CIPHER_CTX_free(c);
    ERR_clear_error();
    return ok ? 0 : E_INVALID;
}
