// SPDX-License-Identifier: Apache-2.0
//
// Keys and what follows from them (RFC 6455 4.2.2): base64 of the SHA-1 of the key's text and a fixed
// GUID.

#include "http/websocket.h"

#include "base/base64.h"
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

static void put(const uint8_t *bytes, size_t n, char *out, size_t room)
{
    struct text t = text_on(out, room);
    base64_put(&t, slice_of((const char *)bytes, n), BASE64_PADDED);
    ensure(!t.overflow && t.len == room);
}

void websocket_key(const uint8_t random[16], char out[WEBSOCKET_KEY_BYTES])
{
    put(random, 16, out, WEBSOCKET_KEY_BYTES);
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
    put(digest, sizeof(digest), out, WEBSOCKET_ACCEPT_BYTES);
}
