// SPDX-License-Identifier: Apache-2.0
//
// The key that sticky cookies are signed with when the configuration has none (upstream/sticky.h). It
// is made once and kept: in the state directory, and in the credentials that the supervisor holds, so
// it outlives workers, keepers, reloads and a new program; with a state directory a restart as well.
// It protects no traffic, only the choice of a server, so it may lie on a disk and need not change.

#pragma once

#include "base/slice.h"
#include "keeper/vault.h"

#define STICKY_KEY_FILE "sticky.key"

/** Reads it, or makes it. `dir`: the state directory, -1: none. There is none when the kernel gives no
 * random bytes; it is asked again with the next load. With the vault's lock held. */
void sticky_key_ready(struct vault *v, int dir);
/** Takes it up as it stands in credentials, when there is none yet. */
void sticky_key_recover(struct vault *v, struct slice bytes);
