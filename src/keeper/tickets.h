// SPDX-License-Identifier: Apache-2.0
//
// The keys of session tickets: a new one every twelve hours, and the two before it still open what
// they closed. They are never written to a disk, so that a session that was recorded cannot be
// decrypted by who gets the disk later; they outlive workers and keepers by being part of the
// credentials that the supervisor holds.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"
#include "tls/credentials.h"

enum { TICKETS_MAX = 3, TICKETS_LIFE_S = 12 * 3600, TICKET_ID_MAX = 32 };

struct ticket_key {
    uint64_t made; // seconds since 1970
    char bytes[CREDENTIAL_TICKET_KEY_BYTES];
};

struct tickets {
    uint32_t count;
    struct ticket_key at[TICKETS_MAX]; // newest first
};

/** Makes a new key when there is none or the newest is old. True: they have changed. */
bool tickets_rotate(struct tickets *t, uint64_t now);
/** When the next key is due, seconds since 1970; 0: at once. */
uint64_t tickets_due(const struct tickets *t);
/** Takes up a key as it stands in credentials: its id says when it was made. Ignored when it is none,
 * or when there is no room. Newest first. */
void tickets_recover(struct tickets *t, struct slice id, struct slice bytes);
/** The id under which a key stands in credentials. */
void ticket_id(const struct ticket_key *k, struct text *out);
