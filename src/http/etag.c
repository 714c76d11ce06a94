// SPDX-License-Identifier: Apache-2.0
//
// Entity tags. A comma may stand inside of a tag's quotes, and a tag knows no escapes, so lists are
// read tag by tag here and not with the general list reader.

#include "http/etag.h"

bool http_etag_is_weak(struct slice s)
{
    return s.len >= 2 && s.ptr[0] == 'W' && s.ptr[1] == '/';
}

// The quoted part.
static struct slice opaque(struct slice s)
{
    return http_etag_is_weak(s) ? slice_from(s, 2) : s;
}

bool http_etag_ok(struct slice s)
{
    struct slice q = opaque(s);
    if (q.len < 2 || q.ptr[0] != '"' || q.ptr[q.len - 1] != '"') {
        return false;
    }
    for (size_t i = 1; i + 1 < q.len; i++) {
        unsigned char c = (unsigned char)q.ptr[i];
        if (c <= 0x20 || c == '"' || c == 0x7f) {
            return false;
        }
    }
    return true;
}

bool http_etag_match_strong(struct slice a, struct slice b)
{
    return !http_etag_is_weak(a) && !http_etag_is_weak(b) && http_etag_ok(a) && slice_eq(a, b);
}

bool http_etag_match_weak(struct slice a, struct slice b)
{
    return http_etag_ok(a) && http_etag_ok(b) && slice_eq(opaque(a), opaque(b));
}

// Length of the tag that s begins with, 0 when it begins with none.
static size_t tag_len(struct slice s)
{
    size_t start = http_etag_is_weak(s) ? 2 : 0;
    if (start >= s.len || s.ptr[start] != '"') {
        return 0;
    }
    ptrdiff_t end = slice_find_char(slice_from(s, start + 1), '"');
    return end < 0 ? 0 : start + 1 + (size_t)end + 1;
}

bool http_etag_listed(struct slice list, struct slice tag, bool strong)
{
    struct slice rest = slice_trim(list);
    if (slice_eq(rest, SLICE("*"))) {
        return tag.len > 0;
    }
    while (rest.len > 0) {
        size_t len = tag_len(rest);
        if (len == 0 && rest.ptr[0] != ',') {
            return false;
        }
        struct slice one = slice_sub(rest, 0, len);
        if (len > 0 &&
            (strong ? http_etag_match_strong(one, tag) : http_etag_match_weak(one, tag))) {
            return true;
        }
        rest = slice_trim(slice_from(rest, len > 0 ? len : 1));
    }
    return false;
}
