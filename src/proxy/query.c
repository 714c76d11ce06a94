// SPDX-License-Identifier: Apache-2.0
//
// Query parameters, compared while they are decoded so that a match needs no memory. Only routes and
// their matches use this; what is forwarded stays as it was sent.

#include "proxy/query.h"

#include "base/error.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that stands at *at, which moves on.
static char next_byte(struct slice s, size_t *at)
{
    char c = s.ptr[(*at)++];
    if (c == '+') {
        return ' ';
    }
    if (c == '%' && s.len - *at >= 2) {
        int high = hex_value(s.ptr[*at]);
        int low = hex_value(s.ptr[*at + 1]);
        if (high >= 0 && low >= 0) {
            *at += 2;
            return (char)(high << 4 | low);
        }
    }
    return c;
}

bool query_eq(struct slice encoded, struct slice plain)
{
    size_t at = 0;
    for (size_t i = 0; i < plain.len; i++) {
        if (at == encoded.len || next_byte(encoded, &at) != plain.ptr[i]) {
            return false;
        }
    }
    return at == encoded.len;
}

bool query_next(struct slice *rest, struct slice name, struct slice *value)
{
    while (rest->len > 0) {
        ptrdiff_t end = slice_find_char(*rest, '&');
        struct slice pair = end < 0 ? *rest : slice_sub(*rest, 0, (size_t)end);
        *rest = end < 0 ? slice_from(*rest, rest->len) : slice_from(*rest, (size_t)end + 1);
        ptrdiff_t equals = slice_find_char(pair, '=');
        struct slice key = equals < 0 ? pair : slice_sub(pair, 0, (size_t)equals);
        if (pair.len > 0 && query_eq(key, name)) {
            *value = equals < 0 ? slice_from(pair, pair.len) : slice_from(pair, (size_t)equals + 1);
            return true;
        }
    }
    return false;
}

int query_decode(struct slice encoded, struct arena *arena, struct slice *plain)
{
    if (slice_find_char(encoded, '%') < 0 && slice_find_char(encoded, '+') < 0) {
        *plain = encoded;
        return 0;
    }
    char *bytes = arena_bytes(arena, encoded.len);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t at = 0; at < encoded.len;) {
        bytes[n++] = next_byte(encoded, &at);
    }
    *plain = slice_of(bytes, n);
    return 0;
}
