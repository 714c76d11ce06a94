// SPDX-License-Identifier: Apache-2.0
//
// The Priority field: what counts, what is passed over, and that nothing in it is an error.

#include "h2/fields.h"

#include "tap.h"

struct row {
    const char *text;
    int urgency;
    bool incremental;
};

static void reads_the_field(void)
{
    static const struct row rows[] = {
        {"", 3, false},        {"u=0", 0, false},      {"u=7, i", 7, true},    {"i", 3, true},
        {"i=?1", 3, true},     {"i, i=?0", 3, false},  {"u=8", 3, false},      {"u=-1", 3, false},
        {"u=1;x=2", 1, false}, {"u=1,u=5", 5, false},  {"foo, u=2", 2, false}, {"u=22", 3, false},
        {"U=1", 3, false},     {"\x01\xff", 3, false}, {",,,", 3, false},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        uint8_t urgency;
        bool incremental;
        h2_priority_parse(slice_str(rows[i].text), &urgency, &incremental);
        CHECK_EQ_INT(urgency, rows[i].urgency);
        CHECK_EQ_INT(incremental, rows[i].incremental);
    }
}

TAP_MAIN(reads_the_field)
