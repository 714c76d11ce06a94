// SPDX-License-Identifier: Apache-2.0
//
// Path patterns with wildcards: `*` stands for any bytes but '/', `**` for any bytes at all. What the
// wildcards stood for is captured in order. Matching is linear in the text for each wildcard: no
// pattern and no path makes it explode.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum {
    GLOB_TOKENS_MAX = 64,        // pieces of one pattern
    GLOB_STEPS_MAX = 256 * 1024, // comparisons of one match; beyond it the answer is no
};

enum glob_kind { GLOB_LITERAL, GLOB_STAR, GLOB_DOUBLE_STAR };

struct glob_token {
    struct slice text;  // GLOB_LITERAL
    uint8_t kind;       // enum glob_kind
    uint8_t capture;    // wildcards: number from 1
    bool segment_bound; // GLOB_STAR: no '/' in the literals since the last GLOB_DOUBLE_STAR
};

struct glob {
    uint16_t count;
    struct glob_token tokens[];
};

/** True when the text has a wildcard. */
bool glob_is_pattern(struct slice text);
/** `text` is borrowed by the result, which lies in the arena. E_TOO_LARGE (more than
 * GLOB_TOKENS_MAX pieces), E_NO_MEMORY. */
int glob_compile(struct slice text, struct arena *arena, const struct glob **out) must_check;
/** Whole-text match. On success captures[0] is the text and captures[n] what the n-th wildcard stood
 * for, the shortest that fits from the left; those at and above `captures_max` are not kept and
 * unused ones stay as they are. */
bool glob_match(const struct glob *g, struct slice text, struct slice *captures,
                unsigned captures_max);
