// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys as the keeper and the commands need them: reading, checking, describing.
// Not for the traffic path. Texts are for people: what is wrong, in which file.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

enum { CERT_NAMES_MAX = 256 };

/** A certificate as people ask about it. Slices are in the arena that was given. */
struct cert_info {
    struct slice subject;               // RFC 4514
    struct slice issuer;                // its organisation or common name
    struct slice serial;                // hexadecimal
    struct slice fingerprint;           // SHA-256, hexadecimal
    struct slice key_type;              // "ECDSA P-256", "RSA 2048", "Ed25519"
    struct slice names[CERT_NAMES_MAX]; // DNS names and IP addresses, lower case
    uint32_t name_count;
    uint64_t not_before; // seconds since 1970
    uint64_t not_after;
    struct slice ocsp_url; // empty: none
    bool must_staple;
    bool is_self_signed;
};

/** Describes the first certificate of a PEM chain. E_TLS_CERTIFICATE when there is none. */
int cert_describe(struct slice chain_pem, struct arena *a, struct cert_info *out) must_check;
/** Checks that chain and key can be served: both parse, the key fits, the chain's links fit, it has
 * not expired, its key is strong enough. `now`: seconds since 1970. 0 or E_TLS_... with `why` filled:
 * "the key does not belong to the certificate". What will soon be wrong is a warning: 0 and `why`. */
int cert_check(struct slice chain_pem, struct slice key_pem, uint64_t now, struct text *why)
    must_check;
/** True when `name` (exact, or "*.x" as such) is covered by one of the certificate's names. */
bool cert_covers(const struct cert_info *c, struct slice name);
/** Checks a PEM file of trusted certificates: at least one, all parse. */
int cert_check_authorities(struct slice pem, struct text *why) must_check;
