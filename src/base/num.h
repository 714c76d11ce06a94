// SPDX-License-Identifier: Apache-2.0
//
// Checked arithmetic and strict number text. Parsing takes digits only: no sign, no blank, no
// prefix, no separator; overflow is an error, not a wrap.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

#define NUM_U64_DIGITS 20

/** 0 or E_INVALID (not all digits, empty) or E_RANGE (above max). */
int num_parse_u64(struct slice s, uint64_t max, uint64_t *out) must_check;
int num_parse_hex_u64(struct slice s, uint64_t max, uint64_t *out) must_check;
/** Writes decimal digits at `out` (room for NUM_U64_DIGITS), returns how many. */
size_t num_format_u64(char *out, uint64_t value);
/** Lower-case hex, no leading zeros, returns how many (<= 16). */
size_t num_format_hex(char *out, uint64_t value);

/** The value of a hexadecimal digit of either case; -1: it is none. */
static inline int num_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static inline bool num_add_size(size_t a, size_t b, size_t *out) must_check;
static inline bool num_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool num_mul_size(size_t a, size_t b, size_t *out) must_check;
static inline bool num_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline uint64_t num_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline size_t num_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
