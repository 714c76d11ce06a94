// SPDX-License-Identifier: Apache-2.0
//
// How we prove that a name is ours: which of the challenges a CA offers, and what is to be shown for
// it (RFC 8555 8, RFC 8737).

#pragma once

#include "acme/acme.h"
#include "acme/client.h"

struct acme_proof {
    struct slice url;   // where the CA is told
    struct slice token; // the offer's
    struct acme_challenge challenge;
};

/** Takes the first kind in the request's order that is offered and in `allowed`. Fills kind, url and
 * token. E_UNSUPPORTED with `failure`: nothing fits. */
int acme_proof_choose(struct acme_client *c, const struct acme_request *r,
                      const struct acme_authz *authz, unsigned allowed, struct acme_proof *out)
    must_check;
/** Fills the challenge: values, and for TLS-ALPN-01 a certificate. On `a`. */
int acme_proof_make(struct acme_client *c, const struct acme_authz *authz, struct arena *a,
                    struct acme_proof *p) must_check;
int acme_proof_show(struct acme_client *c, struct acme_host *host, const struct acme_proof *p)
    must_check;
/** "http-01", ... */
const char *acme_challenge_name(enum acme_challenge_kind kind);
