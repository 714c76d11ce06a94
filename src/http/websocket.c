// SPDX-License-Identifier: Apache-2.0
//
// Keys and what follows from them (RFC 6455 4.2.2): base64 of the SHA-1 of the key's text and a fixed
// GUID.

#include "http/websocket.h"

#include "base/num.h"
#include "base/sha1.h"

enum { KEY_MAX = 64 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool websocket_is_asked(const struct http_head *request)
{
    struct slice offered = request->upgrade;
    struct slice protocol;
    while (request->method == HTTP_METHOD_GET && slice_next_element(&offered, &protocol)) {
        if (slice_eq_nocase(protocol, SLICE("websocket"))) {
            return true;
        }
    }
    return false;
}

/** RFC 4648 4; `out` has room for four bytes per three. */
static void base64(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3, out += 4) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        out[0] = digits[v >> 18];
        out[1] = digits[v >> 12 & 63];
        out[2] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        out[3] = i + 2 < n ? digits[v & 63] : '=';
    }
}

void websocket_key(const uint8_t random[16], char out[WEBSOCKET_KEY_BYTES])
{
    base64(random, 16, out);
}

void websocket_accept(struct slice key, char out[WEBSOCKET_ACCEPT_BYTES])
{
    char text[KEY_MAX + sizeof(guid) - 1];
    size_t n = num_min_size(key.len, KEY_MAX);
    if (n > 0) {
        memcpy(text, key.ptr, n);
    }
    memcpy(text + n, guid, sizeof(guid) - 1);
    uint8_t digest[SHA1_BYTES];
    sha1(slice_of(text, n + sizeof(guid) - 1), digest);
    base64(digest, sizeof(digest), out);
}
