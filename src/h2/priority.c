// SPDX-License-Identifier: Apache-2.0
//
// The Priority field (RFC 9218 4): a dictionary of structured fields (RFC 8941 3.2) of which two
// members count, u=0..7 and i. The last of several wins; what is not understood is passed over, and
// a value that cannot be parsed says nothing at all.

#include "h2/fields.h"

enum { URGENCY_DEFAULT = 3, URGENCY_MAX = 7 };

void h2_priority_parse(struct slice value, uint8_t *urgency, bool *incremental)
{
    *urgency = URGENCY_DEFAULT;
    *incremental = false;
    struct slice member;
    while (slice_next_element(&value, &member)) {
        ptrdiff_t semicolon =
            slice_find_char(member, ';'); // parameters of a member mean nothing here
        member = slice_trim(semicolon < 0 ? member : slice_sub(member, 0, (size_t)semicolon));
        if (member.len == 3 && member.ptr[0] == 'u' && member.ptr[1] == '=') {
            unsigned u = (unsigned char)member.ptr[2] - (unsigned)'0';
            *urgency = u <= URGENCY_MAX ? (uint8_t)u : *urgency;
        } else if (slice_eq(member, SLICE("i")) || slice_eq(member, SLICE("i=?1"))) {
            *incremental = true;
        } else if (slice_eq(member, SLICE("i=?0"))) {
            *incremental = false;
        }
    }
}
