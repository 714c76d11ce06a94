// SPDX-License-Identifier: Apache-2.0
//
// A certificate authority of this machine's own, for development and for names that no public CA may
// certify: one root, made once, and short-lived certificates below it. Whoever trusts the root trusts
// the machine that holds its key, so the root may certify nothing but servers, and never another CA.
// Any thread. PEM, on the caller's arena; times in seconds since 1970.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum {
    LOCAL_CA_DAYS = 3650, // of the root
    LOCAL_CA_NAMES_MAX = 8,
};

/** Makes a root called "adit local CA" with a word to tell it from others ("host"). 0, E_NO_MEMORY. */
int local_ca_new(struct slice word, uint64_t now, struct arena *a, struct slice *root_pem,
                 struct slice *key_pem) must_check;
/** True when a root and its key can still be used. */
bool local_ca_usable(struct slice root_pem, struct slice key_pem, uint64_t now);

struct local_ca_request {
    struct slice root_pem;
    struct slice key_pem;
    const struct slice *names; // host names, "*.x", IP addresses; the first one is the subject's
    uint32_t count;            // 1 to LOCAL_CA_NAMES_MAX
    uint64_t now;
    uint64_t not_after;
};
/** A certificate for those names with a key of its own (P-256). 0, E_INVALID (a name), E_TLS_KEY or
 * E_TLS_CERTIFICATE (the root), E_NO_MEMORY. */
int local_ca_issue(const struct local_ca_request *r, struct arena *a, struct slice *chain_pem,
                   struct slice *key_pem) must_check;
