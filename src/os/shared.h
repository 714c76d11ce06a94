// SPDX-License-Identifier: Apache-2.0
//
// Memory that processes share for writing: counters. Its size cannot change, so nobody who has mapped
// it can be made to fault.

#pragma once

#include <stddef.h>

#include "base/ensure.h"

/** A close-on-exec memory file of `len` zero bytes whose size is sealed, or a negative code. */
int os_shared_make(const char *name, size_t len) must_check;
/** Maps such a file, exactly `len` bytes long. 0, E_INVALID (not one of those), E_NO_MEMORY. The fd
 * may be closed after. */
int os_shared_map(int fd, size_t len, bool writable, void **out) must_check;
void os_shared_unmap(void *at, size_t len);
