// SPDX-License-Identifier: Apache-2.0
//
// Programs that may take the edge over: where our own is, and whether another may be run. Since the
// keeper passes the wish on and may have been taken over, what can be run is narrow, as with hooks: a
// file that only root or the user who started the edge can write to.

#pragma once

#include <stddef.h>

#include "base/ensure.h"

struct stat;
struct text;

/** Where the running program came from; empty when nobody knows. A file that was replaced since is
 * still named, which is the point: an upgrade wants what is there now. */
void program_own_path(char *path, size_t size);
/** May a file be run for the keeper: one that only root or the user who started the edge can write to?
 * E_INVALID, E_DENIED, with the reason in `why`. */
int program_judge(const struct stat *st, const char *path, struct text *why) must_check;
/** Opens a program for execveat(): a descriptor above those that children begin with, or a negative
 * code with the reason in `why`. */
int program_open(const char *path, struct text *why) must_check;
