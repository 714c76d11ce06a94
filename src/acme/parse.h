// SPDX-License-Identifier: Apache-2.0
//
// What an authority says, from JSON to structs: pure functions over bytes, fuzzed. Whatever is missing,
// of a wrong type, too long or too many is an error with a reason; members nobody asked for are
// ignored (RFC 8555 7.1). URLs must be https, tokens base64url, times readable. Results are on the
// arena.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

#include "acme/acme.h"
#include "acme/problem.h"

enum { ACME_NAMES_MAX = 100, ACME_TOKEN_MAX = 256, ACME_PROFILES_MAX = 16 };

struct acme_directory {
    struct slice new_nonce;
    struct slice new_account;
    struct slice new_order;
    struct slice renewal_info; // empty: none (RFC 9773)
    bool external_account_required;
    struct slice profiles[ACME_PROFILES_MAX];
    uint32_t profile_count;
};

enum acme_status {
    ACME_STATUS_OTHER,
    ACME_STATUS_PENDING,
    ACME_STATUS_PROCESSING,
    ACME_STATUS_READY,
    ACME_STATUS_VALID,
    ACME_STATUS_INVALID,
    ACME_STATUS_DEACTIVATED,
    ACME_STATUS_EXPIRED,
    ACME_STATUS_REVOKED,
};

struct acme_order {
    enum acme_status status;
    struct slice authorizations[ACME_NAMES_MAX]; // URLs
    uint32_t authorization_count;
    struct slice finalize;    // URL
    struct slice certificate; // URL; there when valid
    bool failed;              // `problem` says why
    struct acme_problem problem;
};

struct acme_offer {
    enum acme_challenge_kind kind;
    struct slice url;
    struct slice token;
    enum acme_status status;
    bool failed; // `problem` says why
    struct acme_problem problem;
};

struct acme_authz {
    enum acme_status status;
    struct slice name; // without "*."
    bool is_ip;
    bool wildcard;
    struct acme_offer offers[3]; // of the kinds we know
    uint32_t offer_count;
};

int acme_parse_directory(struct slice json, struct arena *a, struct acme_directory *out,
                         struct text *why) must_check;
int acme_parse_order(struct slice json, struct arena *a, struct acme_order *out, struct text *why)
    must_check;
int acme_parse_authz(struct slice json, struct arena *a, struct acme_authz *out, struct text *why)
    must_check;
/** Renewal information: start and end; the rest of *out is untouched. */
int acme_parse_window(struct slice json, struct acme_window *out, struct text *why) must_check;
/** A problem document; E_INVALID when it is none. */
int acme_parse_problem(struct slice json, struct arena *a, struct acme_problem *out) must_check;

/** Letters, digits, '-' and '_', at least one. */
bool acme_is_base64url(struct slice s);
/** "2026-11-23T09:15:00Z", with or without a fraction or an offset (RFC 3339), to seconds since 1970.
 * E_INVALID. */
int acme_parse_time(struct slice s, uint64_t *out) must_check;
/** "Mon, 23 Nov 2026 09:15:00 GMT" (RFC 9110 5.6.7). E_INVALID. */
int acme_parse_http_date(struct slice s, uint64_t *out) must_check;
