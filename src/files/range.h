// SPDX-License-Identifier: Apache-2.0
//
// One range of bytes (RFC 9110 14.1.2) out of a file. Pure.

#pragma once

#include <stdint.h>

#include "base/slice.h"

enum files_range {
    FILES_WHOLE,         // no range, one that is not understood, or several: all of it
    FILES_PART,          // *first and *len
    FILES_UNSATISFIABLE, // 416
};

/** Reads a Range field for a file of that size. */
enum files_range files_range_read(struct slice field, uint64_t size, uint64_t *first,
                                  uint64_t *len);
