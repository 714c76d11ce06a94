// SPDX-License-Identifier: Apache-2.0
//
// The handshake's proof against RFC 6455's example, with keys of any length, and who asks for it.

#include "http/websocket.h"

#include "tap.h"

// RFC 6455 1.3.
static void follows_from_the_key(void)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_accept(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK_TEXT(accept, sizeof(accept), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void bears_any_key(void)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    char again[WEBSOCKET_ACCEPT_BYTES];
    char key[1000];
    memset(key, 'k', sizeof(key));
    websocket_accept(slice_of(key, sizeof(key)), accept);
    websocket_accept(slice_of(key, 64), again);
    CHECK_BYTES(accept, sizeof(accept), again, sizeof(again));
    websocket_accept(slice_of("", 0), accept);
    CHECK_TEXT(accept, sizeof(accept), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
}

static void writes_keys(void)
{
    static const uint8_t random[16] = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p',
                                       'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};
    char key[WEBSOCKET_KEY_BYTES];
    websocket_key(random, key);
    CHECK_TEXT(key, sizeof(key), "dGhlIHNhbXBsZSBub25jZQ==");
}

static void knows_who_asks(void)
{
    struct http_head h = {.method = HTTP_METHOD_GET};
    CHECK(!websocket_is_asked(&h));
    h.upgrade = SLICE("foo, WebSocket");
    CHECK(websocket_is_asked(&h));
    h.method = HTTP_METHOD_POST;
    CHECK(!websocket_is_asked(&h));
    h.method = HTTP_METHOD_GET;
    h.upgrade = SLICE("websocket2");
    CHECK(!websocket_is_asked(&h));
}

TAP_MAIN(follows_from_the_key, bears_any_key, writes_keys, knows_who_asks)
