// SPDX-License-Identifier: Apache-2.0
//
// Sealed memory files: how a document crosses from one process to another so that the receiver knows
// that it cannot change or shrink under it any more.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"

/** A sealed, close-on-exec memory file with these bytes, or a negative code. */
int os_memfd_make(const char *name, struct slice bytes) must_check;
/** Maps a memory file read-only after checking that all its seals are set. An empty one gives an
 * empty slice. 0, E_INVALID (not sealed), E_TOO_LARGE (above max), ... The fd may be closed after. */
int os_memfd_map(int fd, size_t max, struct slice *out) must_check;
void os_memfd_unmap(struct slice mapped);
