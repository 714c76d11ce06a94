// SPDX-License-Identifier: Apache-2.0
//
// Whole files by descriptor: reading one that was opened, writing all of a text. For processes that may
// block; the traffic path has no files.

#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"

/** Reads a regular file from its first byte, whatever the descriptor's position; one that becomes
 * shorter meanwhile gives what is left. *out is on `a`. 0, E_INVALID (not a regular file), E_TOO_LARGE
 * (more than `max`), E_NO_MEMORY, or what the kernel says. */
int os_file_read(int fd, size_t max, struct arena *a, struct slice *out) must_check;
/** Writes all of it at the descriptor's position. 0, E_IO, or what the kernel says. */
int os_file_write(int fd, struct slice bytes) must_check;
