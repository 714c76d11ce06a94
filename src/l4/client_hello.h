// SPDX-License-Identifier: Apache-2.0
//
// Reads the first message of a TLS client without taking part in the handshake: which name it asks for
// (SNI) and which protocols it offers (ALPN), so that the connection can be routed with its bytes
// unchanged. Nothing is decrypted and nothing is kept; what the message says is a wish of the client,
// not a proof, and it may hide the name it really wants (ECH): then the outer one is seen.
//
// Strict and bounded: the message may come in any pieces and over several records, but in no more
// bytes and records than the limits below; a length that does not add up ends it.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    // Whole, records included. With post-quantum key shares they have some 2 KB; browsers send no more
    // than 4 KB.
    CLIENT_HELLO_BYTES_MAX = 16 * 1024 - 32,
    CLIENT_HELLO_RECORDS_MAX = 32,
    CLIENT_HELLO_NAME_MAX = 255,
};

struct client_hello {
    uint8_t name_len; // 0: no name was asked for
    bool has_alpn;
    uint16_t alpn_len;
    char name[CLIENT_HELLO_NAME_MAX]; // lower case
    uint8_t alpn[512];                // the list as it came: a length byte before each protocol
};

/** Reads all the bytes that came so far, which begin the connection. 0: `out` is filled; E_AGAIN: more
 * are needed; E_TLS_NOT_TLS: not a TLS record (RFC 8446 5.1); E_TLS_HANDSHAKE: TLS, but not a
 * well-formed ClientHello (RFC 8446 4.1.2); E_TOO_LARGE: over one of the limits. */
int client_hello_parse(struct slice bytes, struct client_hello *out) must_check;
static inline struct slice client_hello_name(const struct client_hello *h)
{
    return slice_of(h->name, h->name_len);
}
/** True when the client offers the protocol. */
bool client_hello_offers(const struct client_hello *h, struct slice protocol);
