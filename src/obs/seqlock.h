// SPDX-License-Identifier: Apache-2.0
//
// Rows of shared memory by sequence locks: the writer, one at a time, makes the number of a row odd,
// writes, and makes it even again; a reader that saw the same even number before and after has read one
// state. The words are atomics, so a reader that loses the race reads rubbish but nothing undefined.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"

/** Writes the first `count` words of a row. */
void seqlock_write(_Atomic uint64_t *number, _Atomic uint64_t *row, const uint64_t *words,
                   size_t count);
/** Reads them. False: the number is 0, which is nobody's, or the writer was always quicker. */
bool seqlock_read(const _Atomic uint64_t *number, const _Atomic uint64_t *row, uint64_t *words,
                  size_t count) must_check;
