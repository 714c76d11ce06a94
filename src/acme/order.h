// SPDX-License-Identifier: Apache-2.0
//
// One order (RFC 8555 7.4): names, proofs that they are ours, the certificate.

#pragma once

#include "acme/acme.h"
#include "acme/client.h"

struct acme_run {
    struct acme_client client;
    const struct acme_request *request;
    struct acme_host *host;
    unsigned failed_kinds; // of challenge, in this run: the next order does without them
    unsigned used_kinds;   // in this order
    bool without_replaces; // the CA did not like to be told
};

/** From order to certificate: chain and key on `a`. 0, or run->client.failure is set. */
int acme_order_run(struct acme_run *run, struct arena *a, struct slice *chain, struct slice *key)
    must_check;
