// SPDX-License-Identifier: Apache-2.0
//
// Keys of agents: what an Ed25519 key signs (docs/design/tunnel.md), and the nonces for it. A nonce says
// when it was made and that it was made for this connection; the edge keeps none of them, only a key of
// its own that no other process has.
//
// What is signed names the edge and holds what only the two ends of one TLS connection know, so a
// signature is of use on that connection alone, and the nonce says that it was made just now.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"

#define KEY_EXPORTER_LABEL "EXPORTER-adit-tunnel-1"

enum {
    KEY_EXPORTER_BYTES = 32,
    KEY_NONCE_SECRET_BYTES = 32,
    KEY_NONCE_LIFE_MS = 60 * 1000,
    KEY_MESSAGE_MAX = 400, // the longest name of an edge and the longest nonce
};

struct key_nonces {
    uint8_t secret[KEY_NONCE_SECRET_BYTES]; // random, of this process
};

/** Writes a nonce for a connection. 0, E_NO_MEMORY. */
int key_nonce(const struct key_nonces *k, uint64_t connection, uint64_t now_ms, struct text *out)
    must_check;
/** Whether it was made here for that connection within the last minute. */
bool key_nonce_is(const struct key_nonces *k, uint64_t connection, uint64_t now_ms,
                  struct slice nonce);

/** Writes what is signed: for the edge, and for the agent. The nonce as it was written. */
void key_message(const uint8_t exporter[KEY_EXPORTER_BYTES], struct slice edge, struct slice nonce,
                 struct text *out);
