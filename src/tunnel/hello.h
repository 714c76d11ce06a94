// SPDX-License-Identifier: Apache-2.0
//
// What an agent says when it calls: the Adit- fields of its request (docs/design/tunnel.md), read
// strictly into values. Whether it may have what it asks for is not judged here.
//
// Pure: no memory but the caller's, no clock, any thread.

#pragma once

#include <stdint.h>

#include "http/head.h"
#include "tunnel/registry.h"

#define HELLO_PATH     "/.well-known/adit/tunnel"
#define HELLO_PROTOCOL "adit-tunnel/1"
// In WebSocket messages: a subprotocol of it (RFC 6455 1.9).
#define HELLO_SUBPROTOCOL "adit-tunnel.1"

enum {
    HELLO_SECRET_BYTES = 32,
    HELLO_KEY_BYTES = 32,
    HELLO_SIGNATURE_BYTES = 64,
    HELLO_TOKEN_MAX = 256,  // characters; those that adit makes are far shorter
    HELLO_NONCE_MAX = 64,   // characters
    HELLO_TICKET_MAX = 640, // characters
    HELLO_AGENT_MAX = TUNNEL_AGENT_MAX - 1,
};

enum hello_proof { HELLO_NO_PROOF, HELLO_TOKEN, HELLO_KEY };

/** Slices are views of the request's head. */
struct hello {
    enum tunnel_kind kind;
    enum hello_proof proof;
    uint16_t port; // 0: any
    uint8_t slot;
    bool join;
    bool wildcard;
    bool has_secret;
    uint64_t sequence;
    uint8_t instance[TUNNEL_INSTANCE_BYTES];
    uint8_t secret[HELLO_SECRET_BYTES];
    struct slice token;
    struct slice nonce;
    uint8_t key[HELLO_KEY_BYTES];
    uint8_t signature[HELLO_SIGNATURE_BYTES];
    struct slice ticket; // empty: none
    struct slice agent;
    uint32_t name_len; // 0: any
    char name[TUNNEL_NAME_MAX];
};

static inline struct slice hello_name(const struct hello *h)
{
    return slice_of(h->name, h->name_len);
}

/** Whether a request asks for a tunnel, in any version. */
bool hello_is_asked_for(const struct http_head *head);
/** Whether it asks for the version that is spoken here. */
bool hello_is_spoken(const struct http_head *head);
/** Whether it asks for it in WebSocket messages, as RFC 6455 4.2.1 wants it, and not as it is. */
bool hello_in_websocket(const struct http_head *head);

/** Reads a request. NULL, or what is wrong with it, as a line for people; then *out means nothing. */
const char *hello_read(const struct http_head *head, struct hello *out) must_check;
