// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions (PCRE2 with JIT) under limits: of the pattern's length when it is compiled, of
// backtracking, heap and machine stack when it is matched. A pattern is compiled once, is immutable
// and shared by all cores; what a match needs to write is one block per thread.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum {
    REGEX_PATTERN_MAX = 4096,
    REGEX_CAPTURES_MAX = 10,  // $match(0) to $match(9)
    REGEX_STEPS_MAX = 100000, // PCRE2's match limit: some milliseconds at worst
    REGEX_HEAP_KIB = 1024,    // only used where JIT is not to be had
    REGEX_STACK_BYTES = 256 * 1024,
    REGEX_MESSAGE_MAX = 160,
};

struct regex;

struct regex_error {
    char message[REGEX_MESSAGE_MAX];
    size_t offset; // in the pattern
};

/** Start of a thread that matches (a core). 0 or E_NO_MEMORY. A second call does nothing. */
int regex_thread_init(void) must_check;
void regex_thread_fini(void);

/** The compiled pattern is freed when `arena` ends. E_INVALID with *error set, E_NO_MEMORY. */
int regex_compile(struct slice pattern, struct arena *arena, const struct regex **out,
                  struct regex_error *error) must_check;
/** Searches the subject (unanchored). True when it matches: then captures[0..max) are set, unused
 * ones to empty. A limit that is hit counts as no match and is logged (the first, then each 1024th of a thread). */
bool regex_match(const struct regex *r, struct slice subject, struct slice *captures, unsigned max);
