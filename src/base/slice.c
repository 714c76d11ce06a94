// SPDX-License-Identifier: Apache-2.0
//
// Searching and comparing slices. Case is ASCII case: HTTP knows no other, and the C library's
// functions ask the locale. The comparison without case is on the path of every field name, so it
// works on eight bytes at a time where there are eight.

#include "base/slice.h"

// Lower-cases the eight ASCII letters of a word at once; other bytes stay. The high bit of each
// byte of `upper` tells whether that byte is within A..Z: bytes are first cut to seven bits, so the
// two sums never carry into the next byte.
static uint64_t fold8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low7 = w & (0x7f * ones);
    uint64_t from_a = low7 + (0x80 - 'A') * ones;
    uint64_t past_z = low7 + (0x80 - 'Z' - 1) * ones;
    uint64_t upper = from_a & ~past_z & ~w & (0x80 * ones);
    return w | (upper >> 2);
}

static unsigned char fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool same_nocase(const char *a, const char *b, size_t len)
{
    for (; len >= 8; a += 8, b += 8, len -= 8) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if (x != y && fold8(x) != fold8(y)) {
            return false;
        }
    }
    for (; len > 0; a++, b++, len--) {
        if (fold((unsigned char)*a) != fold((unsigned char)*b)) {
            return false;
        }
    }
    return true;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && same_nocase(a.ptr, b.ptr, a.len);
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

bool slice_ends_nocase(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq_nocase(slice_from(s, s.len - suffix.len), suffix);
}

ptrdiff_t slice_find_char(struct slice s, char c)
{
    const char *found = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return found != NULL ? found - s.ptr : -1;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
    if (needle.len == 0) {
        return 0;
    }
    const char *found = s.len > 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return found != NULL ? found - s.ptr : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

// Where the element at the front of s ends: at a comma outside quotes, or at the end. A quote that
// is never closed reaches to the end.
static size_t element_end(struct slice s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            return i;
        }
    }
    return s.len;
}

bool slice_next_element(struct slice *rest, struct slice *element)
{
    while (rest->len > 0) {
        size_t end = element_end(*rest);
        *element = slice_trim(slice_sub(*rest, 0, end));
        *rest = slice_from(*rest, end + 1);
        if (element->len > 0) {
            return true;
        }
    }
    return false;
}
