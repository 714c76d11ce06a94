// SPDX-License-Identifier: Apache-2.0
//
// Digests of secrets: SHA-256, HMAC (RFC 2104) and PBKDF2 (RFC 8018 5.2) with it, random bytes that
// nobody can guess, and comparing without telling where the difference is. PBKDF2 is a chain of many
// HMACs, which would hold a core up for a tenth of a second: here it is done in steps, and its state is
// plain bytes that its owner may drop at any time. Any thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum { DIGEST_BYTES = 32 };

/** These fail with E_NO_MEMORY alone. */
int digest_sha256(struct slice bytes, uint8_t out[DIGEST_BYTES]) must_check;
int digest_hmac(struct slice key, struct slice bytes, uint8_t out[DIGEST_BYTES]) must_check;
/** From the system's source. E_IO when it gives none. */
int digest_random(void *out, size_t len) must_check;
/** In a time that depends on `len` alone. */
bool digest_equal(const void *a, const void *b, size_t len);

/** The first block of PBKDF2-HMAC-SHA-256, being computed. */
struct digest_chain {
    uint32_t left;              // iterations to go; 0: `sum` is the result
    uint8_t last[DIGEST_BYTES]; // of the chain
    uint8_t sum[DIGEST_BYTES];
};

enum { DIGEST_SALT_MAX = 64 };

/** `iterations` > 0; does the first one. */
int digest_chain_begin(struct digest_chain *c, struct slice password, struct slice salt,
                       uint32_t iterations) must_check;
/** Does at most `count` more. */
int digest_chain_step(struct digest_chain *c, struct slice password, uint32_t count) must_check;
