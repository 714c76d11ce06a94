// SPDX-License-Identifier: Apache-2.0
//
// What a CA complains about (RFC 7807 documents, RFC 8555 6.7), and the same in words for the people who
// run the edge. Pure functions.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"

enum acme_problem_kind {
    ACME_PROBLEM_OTHER,
    ACME_PROBLEM_ACCOUNT_UNKNOWN,
    ACME_PROBLEM_ALREADY_REPLACED,
    ACME_PROBLEM_BAD_CSR,
    ACME_PROBLEM_BAD_NONCE,
    ACME_PROBLEM_CAA,
    ACME_PROBLEM_COMPOUND,
    ACME_PROBLEM_CONNECTION,
    ACME_PROBLEM_CONTACT,
    ACME_PROBLEM_DNS,
    ACME_PROBLEM_EXTERNAL_ACCOUNT,
    ACME_PROBLEM_IDENTIFIER,
    ACME_PROBLEM_INCORRECT_RESPONSE,
    ACME_PROBLEM_INVALID_PROFILE,
    ACME_PROBLEM_MALFORMED,
    ACME_PROBLEM_ORDER_NOT_READY,
    ACME_PROBLEM_RATE_LIMITED,
    ACME_PROBLEM_SERVER,
    ACME_PROBLEM_TLS,
    ACME_PROBLEM_UNAUTHORIZED,
    ACME_PROBLEM_USER_ACTION,
    ACME_PROBLEM_COUNT,
};

enum { ACME_SUBPROBLEMS_MAX = 3 };

struct acme_subproblem {
    enum acme_problem_kind kind;
    struct slice name; // whom it is about; may be empty
    struct slice detail;
};

struct acme_problem {
    enum acme_problem_kind kind;
    struct slice type;   // as the CA wrote it
    struct slice detail; // one line, may be empty
    struct acme_subproblem subs[ACME_SUBPROBLEMS_MAX];
    uint32_t sub_count;
};

/** Of "urn:ietf:params:acme:error:...". */
enum acme_problem_kind acme_problem_kind_of(struct slice type);
/** One line: what it means, for which name (may be empty), and in brackets the CA's own words. */
void acme_problem_words(const struct acme_problem *p, struct slice name, struct text *out);
/** True when asking again for the same names cannot help. */
bool acme_problem_permanent(const struct acme_problem *p);
/** True when another kind of challenge may succeed where one failed with this. */
bool acme_problem_of_challenge(enum acme_problem_kind kind);
