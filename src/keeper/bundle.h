// SPDX-License-Identifier: Apache-2.0
//
// Credentials as workers get them (tls/credentials.h), written into a sealed memory file: what a
// document needs, as far as it is there, with staples, challenges and ticket keys. And the way back: a
// keeper that takes over from one that died reads from them what is nowhere else.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"
#include "keeper/needs.h"
#include "keeper/vault.h"

/** A descriptor, or a negative code. With the vault's lock held. */
int bundle_make(struct vault *v, const struct needs *n) must_check;
/** Takes ticket keys into the vault, certificates of local CA and ACME into its holdings, and files into
 * `n`; what the vault has already stays. With the lock held. */
void bundle_recover(struct vault *v, struct needs *n, struct slice credentials);
