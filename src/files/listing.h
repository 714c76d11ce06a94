// SPDX-License-Identifier: Apache-2.0
//
// A page that lists what is in a folder, for people.

#pragma once

#include "base/arena.h"
#include "base/ensure.h"
#include "base/slice.h"

/** Of an opened folder; `path` is the request's, shown on top. Names that begin with a dot are left out,
 * and there are at most a thousand. *out is on the arena. What the kernel says, or E_NO_MEMORY. */
int files_listing(int fd, struct slice path, bool is_root, struct arena *arena, struct slice *out)
    must_check;
