// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 by the library, in one call for a message (tls/ed25519.h).

#include "tls/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "tls/pem_int.h"

bool ed25519_verify(const uint8_t public_key[ED25519_KEY_BYTES], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_KEY_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = key != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(c, signature, ED25519_SIGNATURE_BYTES,
                                 (const unsigned char *)message.ptr, message.len) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

int ed25519_sign(const uint8_t private_key[ED25519_KEY_BYTES], struct slice message,
                 uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    size_t len = ED25519_SIGNATURE_BYTES;
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, ED25519_KEY_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good =
        key != NULL && c != NULL && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(c, signature, &len, (const unsigned char *)message.ptr, message.len) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good && len == ED25519_SIGNATURE_BYTES ? 0 : E_NO_MEMORY;
}

int ed25519_public(const uint8_t private_key[ED25519_KEY_BYTES],
                   uint8_t public_key[ED25519_KEY_BYTES])
{
    size_t len = ED25519_KEY_BYTES;
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, ED25519_KEY_BYTES);
    bool good = key != NULL && EVP_PKEY_get_raw_public_key(key, public_key, &len) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good && len == ED25519_KEY_BYTES ? 0 : E_NO_MEMORY;
}

int ed25519_read_pem(struct slice pem, uint8_t private_key[ED25519_KEY_BYTES])
{
    size_t len = ED25519_KEY_BYTES;
    EVP_PKEY *key = pem_read_key(pem);
    bool good = key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519 &&
                EVP_PKEY_get_raw_private_key(key, private_key, &len) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good && len == ED25519_KEY_BYTES ? 0 : E_TLS_KEY;
}
