// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 (RFC 8032): the keys that an agent may hold instead of a token. Any thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

/** False: it is not this key's signature of these bytes, or the key is none. */
bool ed25519_verify(const uint8_t public_key[ED25519_KEY_BYTES], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES]);
/** Any 32 random bytes are a private key. 0, E_NO_MEMORY. */
int ed25519_sign(const uint8_t private_key[ED25519_KEY_BYTES], struct slice message,
                 uint8_t signature[ED25519_SIGNATURE_BYTES]) must_check;
int ed25519_public(const uint8_t private_key[ED25519_KEY_BYTES],
                   uint8_t public_key[ED25519_KEY_BYTES]) must_check;
/** A private key as `openssl genpkey -algorithm ed25519` writes it (PEM, PKCS #8, not encrypted). 0, or
 * E_TLS_KEY: it is another one, or none. */
int ed25519_read_pem(struct slice pem, uint8_t private_key[ED25519_KEY_BYTES]) must_check;
