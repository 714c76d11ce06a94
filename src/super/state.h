// SPDX-License-Identifier: Apache-2.0
//
// The state directory: where certificates, keys and accounts outlive the edge. The supervisor makes
// it and gives it to the keeper's user; what is in it is the keeper's alone.

#pragma once

#include "base/ensure.h"
#include "os/privileges.h"

struct text;

enum { STATE_PATH_MAX = 1024 };

/** Where it is when nothing is said: /var/lib/adit for root, else $XDG_STATE_HOME/adit or
 * ~/.local/state/adit; empty when neither is set. */
void super_state_default(char path[STATE_PATH_MAX]);
/** Makes the directory with those above it where they are missing, and opens it for `who`. A
 * descriptor, or a negative code with the reason in `why`. */
int super_state_open(const char *path, const struct os_identity *who, struct text *why) must_check;
