// SPDX-License-Identifier: Apache-2.0
//
// The proof in the handshake of WebSocket (RFC 6455 4), which only HTTP/1.1 has: a key in the request,
// and in the answer what follows from it. Where one side of an exchange speaks HTTP/2 (RFC 8441) the
// h1 session on the other makes or checks them itself.

#pragma once

#include "http/head.h"

enum { WEBSOCKET_KEY_BYTES = 24, WEBSOCKET_ACCEPT_BYTES = 28 };

/** A request that asks for a switch to WebSocket, maybe among others. */
bool websocket_is_asked(const struct http_head *request);
/** The text of a key from sixteen random bytes. */
void websocket_key(const uint8_t random[16], char out[WEBSOCKET_KEY_BYTES]);
/** What the server answers to a key. `key` may be what any client sent: at most 64 bytes of it count. */
void websocket_accept(struct slice key, char out[WEBSOCKET_ACCEPT_BYTES]);

#define WEBSOCKET_KEY     SLICE("Sec-WebSocket-Key")
#define WEBSOCKET_ACCEPT  SLICE("Sec-WebSocket-Accept")
#define WEBSOCKET_VERSION SLICE("Sec-WebSocket-Version")
