// SPDX-License-Identifier: Apache-2.0
//
// Edit distance for suggestions (conf/nearest.h). Three rows of the table are enough, on the stack.

#include "conf/nearest.h"

#include "base/num.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

size_t conf_edit_distance(struct slice a, struct slice b)
{
    size_t rows[3][CONF_NEAREST_NAME_MAX + 1];
    if (a.len > CONF_NEAREST_NAME_MAX || b.len > CONF_NEAREST_NAME_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = lower(a.ptr[i - 1]) == lower(b.ptr[j - 1]);
            size_t best = above[j - 1] + !same;
            best = num_min_size(best, above[j] + 1);
            best = num_min_size(best, row[j - 1] + 1);
            bool swapped = i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2]) &&
                           lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]);
            if (swapped) {
                best = num_min_size(best, two_above[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[a.len % 3][b.len];
}

struct conf_nearest conf_nearest_to(struct slice wanted)
{
    return (struct conf_nearest){.wanted = wanted, .best = SLICE(""), .distance = SIZE_MAX};
}

void conf_nearest_offer(struct conf_nearest *n, struct slice candidate)
{
    size_t allowed = n->wanted.len / 3 > 1 ? n->wanted.len / 3 : 1;
    size_t distance = conf_edit_distance(n->wanted, candidate);
    // A short word is near to everything: it must keep at least half of its letters.
    if (distance <= allowed && distance < n->distance && distance * 2 <= candidate.len) {
        n->best = candidate;
        n->distance = distance;
    }
}
