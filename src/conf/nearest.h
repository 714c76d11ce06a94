// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean": the name nearest to what was typed, by edit distance with transpositions (optimal
// string alignment). Offer candidates one by one; what is too far off is never suggested.

#pragma once

#include <stddef.h>

#include "base/slice.h"

enum { CONF_NEAREST_NAME_MAX = 64 }; // longer names are not compared

struct conf_nearest {
    struct slice wanted;
    struct slice best; // .len 0: none is near
    size_t distance;   // of best
};

/** Suggests only names within a third of the length of `wanted`, at least one edit. */
struct conf_nearest conf_nearest_to(struct slice wanted);
void conf_nearest_offer(struct conf_nearest *n, struct slice candidate);
/** The number of edits, case ignored, or SIZE_MAX when a name is too long. */
size_t conf_edit_distance(struct slice a, struct slice b);
