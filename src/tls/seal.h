// SPDX-License-Identifier: Apache-2.0
//
// Sealed bytes: what the edge gives away and wants back unread and unchanged (AES-256-GCM, NIST SP
// 800-38D). Who has not the key can neither read nor make one. Any thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    SEAL_KEY_BYTES = 32,
    SEAL_NONCE_BYTES = 12,
    SEAL_TAG_BYTES = 16,
    SEAL_EXTRA = SEAL_NONCE_BYTES + SEAL_TAG_BYTES, // what is sealed is longer by so much
};

/** Writes plain.len + SEAL_EXTRA bytes to `out`. `nonce` is random, never used twice with a key: up to
 * 2^32 may be drawn (8.3 there). `context` is not in it, but must be the same to open. 0, E_NO_MEMORY. */
int seal_close(const uint8_t key[SEAL_KEY_BYTES], const uint8_t nonce[SEAL_NONCE_BYTES],
               struct slice context, struct slice plain, uint8_t *out) must_check;
/** Writes sealed.len - SEAL_EXTRA bytes to `out`. E_INVALID: it was not sealed with this key and
 * context; what is in `out` then means nothing. E_NO_MEMORY. */
int seal_open(const uint8_t key[SEAL_KEY_BYTES], struct slice context, struct slice sealed,
              uint8_t *out) must_check;
