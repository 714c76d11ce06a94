// SPDX-License-Identifier: Apache-2.0
//
// A rewritten target or a Location may hold bytes that came from a client's header or query, so every
// byte is looked at once more before it goes into a line. A backslash is encoded because browsers
// read it as a slash, which would turn a path into a host.

#include "headers/target.h"

#include "base/error.h"

static bool may_stand(unsigned char b, bool fragment)
{
    if (b <= ' ' || b > 0x7e) {
        return false;
    }
    return b == '#' ? fragment : strchr("\"<>\\^`{|}", b) == NULL;
}

int target_encode(struct slice s, bool fragment, struct arena *arena, struct slice *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t odd = 0;
    for (size_t i = 0; i < s.len; i++) {
        odd += !may_stand((unsigned char)s.ptr[i], fragment);
    }
    *out = s;
    if (odd == 0) {
        return 0;
    }
    char *bytes = arena_bytes(arena, s.len + 2 * odd);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.ptr[i];
        if (may_stand(b, fragment)) {
            bytes[n++] = (char)b;
        } else {
            bytes[n++] = '%';
            bytes[n++] = hex[b >> 4];
            bytes[n++] = hex[b & 15];
        }
    }
    *out = slice_of(bytes, n);
    return 0;
}
