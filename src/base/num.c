// SPDX-License-Identifier: Apache-2.0
//
// Number text. Parsers look at every byte even after an overflow, so that "99999999999999999999x"
// is invalid rather than too large. Formatters write at the caller's memory and know no NUL.

#include "base/num.h"

#include <string.h>

#include "base/error.h"

int num_parse_u64(struct slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    bool too_large = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (d > 9) {
            return E_INVALID;
        }
        too_large |= __builtin_mul_overflow(value, 10u, &value);
        too_large |= __builtin_add_overflow(value, d, &value);
    }
    if (s.len == 0) {
        return E_INVALID;
    }
    if (too_large || value > max) {
        return E_RANGE;
    }
    *out = value;
    return 0;
}

int num_parse_hex_u64(struct slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    bool too_large = false;
    for (size_t i = 0; i < s.len; i++) {
        int d = num_hex_digit(s.ptr[i]);
        if (d < 0) {
            return E_INVALID;
        }
        too_large |= value >> 60 != 0;
        value = value << 4 | (unsigned)d;
    }
    if (s.len == 0) {
        return E_INVALID;
    }
    if (too_large || value > max) {
        return E_RANGE;
    }
    *out = value;
    return 0;
}

size_t num_format_u64(char *out, uint64_t value)
{
    char digits[NUM_U64_DIGITS];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

size_t num_format_hex(char *out, uint64_t value)
{
    size_t n = value == 0 ? 1 : (size_t)(63 - __builtin_clzll(value)) / 4 + 1;
    for (size_t i = n; i > 0; i--) {
        out[i - 1] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    return n;
}
