// SPDX-License-Identifier: Apache-2.0
//
// Ranges of bytes (files/range.h).

#include "files/range.h"

#include "base/num.h"

enum files_range files_range_read(struct slice field, uint64_t size, uint64_t *first, uint64_t *len)
{
    static const struct slice unit = SLICE_INIT("bytes=");
    if (!slice_eq_nocase(slice_sub(field, 0, unit.len), unit)) {
        return FILES_WHOLE;
    }
    struct slice spec = slice_trim(slice_from(field, unit.len));
    ptrdiff_t dash = slice_find_char(spec, '-');
    if (dash < 0 || slice_find_char(spec, ',') >= 0) {
        return FILES_WHOLE;
    }
    struct slice from = slice_sub(spec, 0, (size_t)dash);
    struct slice to = slice_from(spec, (size_t)dash + 1);
    uint64_t a = 0;
    uint64_t b = UINT64_MAX;
    if (from.len == 0) { // the last so many bytes
        if (num_parse_u64(to, UINT64_MAX, &b) != 0) {
            return FILES_WHOLE;
        }
        *len = num_min_u64(b, size);
        *first = size - *len;
        return *len > 0 ? FILES_PART : FILES_UNSATISFIABLE;
    }
    if (num_parse_u64(from, UINT64_MAX, &a) != 0 ||
        (to.len > 0 && num_parse_u64(to, UINT64_MAX, &b) != 0) || b < a) {
        return FILES_WHOLE;
    }
    if (a >= size) {
        return FILES_UNSATISFIABLE;
    }
    *first = a;
    *len = num_min_u64(b, size - 1) - a + 1;
    return FILES_PART;
}
