// SPDX-License-Identifier: Apache-2.0
//
// Signed conversation with one CA (RFC 8555 6): the directory, nonces, the account's key, messages in
// JWS, and what to make of refusals. One thread, one run.
//
// Whatever fails leaves its reason in `failure`; the functions answer with its error.

#pragma once

#include "acme/acme.h"
#include "acme/http.h"
#include "acme/parse.h"

struct jws_key;

struct acme_failure {
    char buffer[1536];
    struct text why;
    uint64_t retry_after_ms;
    bool permanent;
    bool by_ca; // `kind` is what the CA's problem document said
    enum acme_problem_kind kind;
};

struct acme_client {
    const struct acme_issuer *issuer;
    struct acme_http *http;
    const atomic_bool *cancel;
    struct arena *arena; // of the run
    struct acme_directory directory;
    struct jws_key *key;
    struct slice key_pem;
    struct slice account; // URL; empty before there is one: messages then carry the public key
    struct slice subject; // the one name that refusals are about; empty: none or several
    char nonce[ACME_NONCE_MAX];
    size_t nonce_len;
    struct acme_failure failure;
};

/** Asks for the directory. `c` is the caller's memory. */
int acme_client_open(struct acme_client *c, const struct acme_issuer *issuer,
                     const atomic_bool *cancel, struct arena *a) must_check;
void acme_client_close(struct acme_client *c);

struct acme_message {
    struct slice url;
    struct slice payload; // JSON; empty: POST-as-GET (RFC 8555 6.3)
    const char *accept;   // NULL: JSON
};
/** Sends a signed message. Nonces that the CA does not like are replaced, a CA that is briefly out of
 * order is asked again. 0 for 2xx; else `failure` is set. The answer is on `a`. */
int acme_client_post(struct acme_client *c, const struct acme_message *m, struct arena *a,
                     struct acme_answer *out) must_check;

/** The failure begins anew: empty text, nothing known. */
void acme_failure_reset(struct acme_failure *f);
/** For `return acme_fail(...)`: remembers the reason. */
int acme_fail(struct acme_client *c, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The same from a problem about `name`. */
int acme_fail_problem(struct acme_client *c, const struct acme_problem *p, struct slice name);
