// SPDX-License-Identifier: Apache-2.0
//
// A slice: a view of bytes that somebody else owns. Never NUL-terminated, never freed.
// All text from peers and from the configuration travels as slices; strlen() is for literals.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

/** A slice of a string literal (compile time only). */
#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})
/** The same for static initialisers. */
#define SLICE_INIT(lit)                                                                            \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
/** For printf("%.*s"). */
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline struct slice slice_str(const char *nul_terminated)
{
    return (struct slice){nul_terminated, strlen(nul_terminated)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** Bytes [from, from + len) of s, cut to what there is. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t len)
{
    if (from >= s.len) {
        return (struct slice){s.len > 0 ? s.ptr + s.len : s.ptr, 0}; // a NULL stays as it is
    }
    return (struct slice){s.ptr + from, len < s.len - from ? len : s.len - from};
}

static inline struct slice slice_from(struct slice s, size_t from)
{
    return slice_sub(s, from, s.len);
}

/** ASCII only: the comparison that HTTP means by "case-insensitive" (RFC 9110 section 5.1). */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_ends_nocase(struct slice s, struct slice suffix);
/** Index of the first c, or -1. */
ptrdiff_t slice_find_char(struct slice s, char c);
/** Index of the first occurrence of needle, or -1; an empty needle is at 0. */
ptrdiff_t slice_find(struct slice s, struct slice needle);
/** Without leading and trailing blanks and tabs (OWS, RFC 9110 section 5.6.3). */
struct slice slice_trim(struct slice s);
/** Next comma-separated element of a list (RFC 9110 section 5.6.1), trimmed, empty ones skipped and
 * commas inside quoted strings respected. Moves *rest on; false at the end. */
bool slice_next_element(struct slice *rest, struct slice *element);
