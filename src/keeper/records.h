// SPDX-License-Identifier: Apache-2.0
//
// Certificates of ACME in the state directory, a folder for each name that people can read and copy:
//
//     certificates/example.com/certificate.pem    the chain, leaf first
//     certificates/example.com/key.pem            mode 0600
//     certificates/example.com/status.json        who gave it, when it is renewed, what went wrong
//
// and the accounts at issuers: acme/ISSUER/account.key, acme/ISSUER/account.json. A certificate and its
// key are two files, so the order of writing is such that at every moment one pair on disk belongs
// together.

#pragma once

#include <stdint.h>

#include "acme/acme.h"
#include "base/arena.h"
#include "base/ensure.h"
#include "keeper/vault.h"

/** Reads what is there of a holding: the certificate with its key if they can still be served, and
 * its status. */
void record_load(struct holding *h, int dir, uint64_t now);
/** Writes a certificate and its key. 0, or why they could not be kept. */
int record_save(const struct holding *h, int dir, struct slice chain, struct slice key) must_check;
/** Writes the status; that it cannot be kept is told by record_save(). */
void record_status(const struct holding *h, int dir);
/** Calls `each` with the names whose certificates were got on demand. */
void records_on_demand(int dir, void (*each)(void *arg, struct slice name), void *arg);

/** The account at an issuer; false: none. */
bool account_load(int dir, const struct acme_issuer *i, struct arena *a, struct slice *key,
                  struct slice *url);
int account_save(int dir, const struct acme_issuer *i, struct slice key, struct slice url)
    must_check;
