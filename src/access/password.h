// SPDX-License-Identifier: Apache-2.0
//
// What the configuration says of a password, as one line of text:
//
//   pbkdf2-sha256:ITERATIONS:SALT:HASH   salt and hash in base64url; `adit password` makes it
//   plain:SECRET                         for what comes from $env() or $file()
//
// The word in front is always there: so a hash of another kind is never taken for a password, nor the
// other way round. bcrypt and the SHA-crypt of crypt(3) are not read: they can only be computed in one
// piece, and a good one takes a tenth of a second, in which a core would serve nobody.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"
#include "tls/digest.h"

enum {
    // What `adit password` asks for: 50 to 100 ms of work for each guess at a stolen hash, and for the
    // first request of each user on each core.
    PASSWORD_ITERATIONS = 100000,
    PASSWORD_ITERATIONS_MIN = 1000,
    PASSWORD_ITERATIONS_MAX = 1000000, // a second of a core's spare time
    PASSWORD_SALT_MIN = 8,
    PASSWORD_SALT_MAX = DIGEST_SALT_MAX,
    PASSWORD_TEXT_MAX = 200, // of the long form
    PASSWORD_MAX = 1000,     // what a user may type
};

struct password {
    uint32_t iterations; // 0: the hash is the SHA-256 of the plain secret
    uint8_t salt_len;
    uint8_t salt[PASSWORD_SALT_MAX];
    uint8_t hash[DIGEST_BYTES];
};

/** 0, or E_INVALID with *why, a clause for a message. */
int password_parse(struct slice text, struct password *out, const char **why) must_check;
/** A line for the configuration, with a salt of its own. Takes as long as checking it does. */
int password_make(struct slice password, struct text *out) must_check;
