// SPDX-License-Identifier: Apache-2.0
//
// Ranges of bytes: those of RFC 9110 14.1.2, and those that are as good as none.

#include "files/range.h"
#include "tap.h"

static const struct {
    const char *field;
    uint64_t size;
    enum files_range kind;
    uint64_t first, len;
} rows[] = {
    {"bytes=0-499", 10000, FILES_PART, 0, 500},
    {"bytes=500-999", 10000, FILES_PART, 500, 500},
    {"bytes=-500", 10000, FILES_PART, 9500, 500},
    {"bytes=9500-", 10000, FILES_PART, 9500, 500},
    {"bytes=0-0", 10000, FILES_PART, 0, 1},
    {"bytes=-1", 10000, FILES_PART, 9999, 1},
    {"Bytes= 0-1", 10, FILES_PART, 0, 2},
    {"bytes=5-99999", 10, FILES_PART, 5, 5},
    {"bytes=-99999", 10, FILES_PART, 0, 10},
    {"bytes=0-18446744073709551615", 10, FILES_PART, 0, 10},
    {"bytes=10-", 10, FILES_UNSATISFIABLE, 0, 0},
    {"bytes=99-100", 10, FILES_UNSATISFIABLE, 0, 0},
    {"bytes=-0", 10, FILES_UNSATISFIABLE, 0, 0},
    {"bytes=0-", 0, FILES_UNSATISFIABLE, 0, 0},
    {"bytes=-5", 0, FILES_UNSATISFIABLE, 0, 0},
    {"bytes=0-1,3-4", 10, FILES_WHOLE, 0, 0},
    {"bytes=5-4", 10, FILES_WHOLE, 0, 0},
    {"bytes=-", 10, FILES_WHOLE, 0, 0},
    {"bytes=", 10, FILES_WHOLE, 0, 0},
    {"bytes=5", 10, FILES_WHOLE, 0, 0},
    {"bytes=a-b", 10, FILES_WHOLE, 0, 0},
    {"bytes=--5", 10, FILES_WHOLE, 0, 0},
    {"bytes=0-18446744073709551616", 10, FILES_WHOLE, 0, 0},
    {"lines=1-2", 10, FILES_WHOLE, 0, 0},
    {"", 10, FILES_WHOLE, 0, 0},
};

static void reads_ranges(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t first = 0;
        uint64_t len = 0;
        enum files_range kind =
            files_range_read(slice_str(rows[i].field), rows[i].size, &first, &len);
        bool same = CHECK_EQ_INT(kind, rows[i].kind);
        if (kind == FILES_PART) {
            same = CHECK_EQ_INT(first, rows[i].first) && same;
            same = CHECK_EQ_INT(len, rows[i].len) && same;
        }
        if (!same) {
            printf("# %s of %llu\n", rows[i].field, (unsigned long long)rows[i].size);
        }
    }
}

TAP_MAIN(reads_ranges)
