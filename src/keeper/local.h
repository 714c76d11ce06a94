// SPDX-License-Identifier: Apache-2.0
//
// The local CA at work: its root in the state directory (local/root.pem, local/root.key), certificates
// of a week for the names that want one, renewed when a third of that is left. Certificates are not
// kept on disk: new ones are made in a moment. Called with the vault's lock held.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "keeper/needs.h"
#include "keeper/vault.h"

enum { LOCAL_LIFE_S = 7 * 86400, LOCAL_RENEW_S = LOCAL_LIFE_S / 3 };

#define LOCAL_ROOT     "local/root.pem"
#define LOCAL_ROOT_KEY "local/root.key"

/** Makes what is missing or soon expires. `dir`: the state directory. True when a certificate was
 * made. *error gets why not all could be. */
bool local_renew(struct vault *v, const struct needs *n, int dir, uint64_t now, int *error);
/** When the next one is due, seconds since 1970; UINT64_MAX: none. */
uint64_t local_due(const struct vault *v, const struct needs *n);
