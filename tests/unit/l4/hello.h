// SPDX-License-Identifier: Apache-2.0
//
// Builds ClientHellos for tests, well-formed or not: a message from its parts, and records around it.

#pragma once

#include <stdint.h>
#include <string.h>

#include "base/slice.h"

struct hello {
    uint8_t bytes[20000];
    size_t len;
};

static inline void hello_put(struct hello *h, const void *bytes, size_t n)
{
    memcpy(h->bytes + h->len, bytes, n);
    h->len += n;
}
static inline void hello_number(struct hello *h, size_t width, uint32_t n)
{
    while (width-- > 0) {
        h->bytes[h->len++] = (uint8_t)(n >> (8 * width));
    }
}
static inline void hello_extension(struct hello *h, uint32_t type, struct slice value)
{
    hello_number(h, 2, type);
    hello_number(h, 2, (uint32_t)value.len);
    hello_put(h, value.ptr, value.len);
}
static inline void hello_name(struct hello *h, struct slice name)
{
    hello_number(h, 2, 0);
    hello_number(h, 2, (uint32_t)name.len + 5);
    hello_number(h, 2, (uint32_t)name.len + 3);
    hello_number(h, 1, 0);
    hello_number(h, 2, (uint32_t)name.len);
    hello_put(h, name.ptr, name.len);
}
/** `list`: with its length bytes, as in "\2h2\10http/1.1". */
static inline void hello_alpn(struct hello *h, struct slice list)
{
    hello_number(h, 2, 16);
    hello_number(h, 2, (uint32_t)list.len + 2);
    hello_number(h, 2, (uint32_t)list.len);
    hello_put(h, list.ptr, list.len);
}
/** The handshake message with those extensions (NULL: none at all). */
static inline void hello_message(struct hello *out, const struct hello *extensions)
{
    static const uint8_t random[32] = {7};
    size_t more = extensions == NULL ? 0 : 2 + extensions->len;
    out->len = 0;
    hello_number(out, 1, 1);
    hello_number(out, 3, (uint32_t)(2 + 32 + 1 + 32 + 2 + 2 + 1 + 1 + more));
    hello_number(out, 2, 0x303);
    hello_put(out, random, 32);
    hello_number(out, 1, 32);
    hello_put(out, random, 32);
    hello_number(out, 2, 2);
    hello_number(out, 2, 0x1301);
    hello_number(out, 1, 1);
    hello_number(out, 1, 0);
    if (extensions != NULL) {
        hello_number(out, 2, (uint32_t)extensions->len);
        hello_put(out, extensions->bytes, extensions->len);
    }
}
/** The message in records of at most `size` bytes. */
static inline void hello_records(struct hello *out, const struct hello *message, size_t size)
{
    out->len = 0;
    for (size_t at = 0; at < message->len; at += size) {
        size_t n = message->len - at < size ? message->len - at : size;
        hello_number(out, 1, 22);
        hello_number(out, 2, 0x301);
        hello_number(out, 2, (uint32_t)n);
        hello_put(out, message->bytes + at, n);
    }
}
static inline struct slice hello_slice(const struct hello *h)
{
    return slice_of((const char *)h->bytes, h->len);
}
