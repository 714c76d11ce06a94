// SPDX-License-Identifier: Apache-2.0
//
// Certificates on the keeper's main thread: with each load, between loads as time passes or the
// issuer's threads have something new, and after a keeper has taken over from one that died.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "conf/doc.h"
#include "ipc/messages.h"
#include "keeper/needs.h"
#include "keeper/vault.h"

struct keeper;

struct certificates {
    struct vault vault;
    struct needs *needs; // of the document in force; NULL: none yet
    uint64_t number;     // of the newest credentials that were sent
    bool awaiting;       // the supervisor has not said what became of them
    uint64_t sent;       // the vault's version in them
    uint64_t retry_at_ms;
    bool recalled; // names on demand were looked for on disk
    bool warned;   // that nothing outlives the edge
};

void certificates_init(struct certificates *c);
/** Writes the credentials that go with a document about to be planned: *fd and *number. 0 or a
 * negative code. */
int certificates_stage(struct keeper *k, struct needs *n, int *fd, uint64_t *number) must_check;
/** The document of these needs is in force; takes them over. */
void certificates_commit(struct keeper *k, struct needs *n);
/** The document that they were staged for was refused. */
void certificates_unstage(struct keeper *k);
/** Takes over what a keeper before this one left in force. `fds` stay the caller's. */
void certificates_recover(struct keeper *k, const struct ipc_doc *doc, const struct ipc_fds *fds);
/** What is due: renewals of the local CA, ticket keys, new credentials for the workers. */
void certificates_tick(struct keeper *k);
/** Milliseconds until certificates_tick() has something to do, -1: nothing. */
int certificates_wait_ms(struct keeper *k);
/** What became of credentials that were sent alone. */
void certificates_in_force(struct keeper *k, const struct ipc_done *m);
