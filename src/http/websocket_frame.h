// SPDX-License-Identifier: Apache-2.0
//
// Frames of WebSocket (RFC 6455 5) that carry a byte stream: binary messages of any length, cut anywhere,
// whose borders mean nothing. The reader takes bytes as they come and gives pieces of the stream and what
// control frames say; it holds nothing but a frame's head. The writer makes heads. Pure.
//
// Refused: text, extensions (reserved bits), unknown opcodes, lengths that are longer written than need
// be, control frames that are cut or long, a client's bytes without a mask and a server's with one, and
// what would only keep us busy: too many frames without a byte of the stream in a row.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    WEBSOCKET_HEAD_MAX = 14,
    WEBSOCKET_CONTROL_MAX = 125,
    WEBSOCKET_IDLE_FRAMES_MAX = 256, // without a byte of the stream, in a row
};

enum websocket_opcode {
    WEBSOCKET_CONTINUED = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_status { // RFC 6455 7.4.1
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
};

struct websocket_reader {
    bool masked; // what we expect: true on the server's side
    bool within; // a message has begun and not ended
    bool closed; // the peer said its last word
    uint8_t head[WEBSOCKET_HEAD_MAX];
    uint8_t head_len;
    uint8_t opcode;      // of the frame whose payload comes
    uint8_t control_len; // of a control frame, so far
    uint16_t idle;       // frames without a byte of the stream
    uint32_t at;         // bytes of the payload so far, modulo 4: place in the mask
    uint64_t left;       // of the payload
    uint8_t mask[4];
    uint8_t control[WEBSOCKET_CONTROL_MAX];
};

enum websocket_event {
    WEBSOCKET_MORE,   // everything was taken, nothing is said yet
    WEBSOCKET_BYTES,  // `out` is a piece of the stream, unmasked where it was
    WEBSOCKET_PINGED, // `out` is to be given back in a pong; good until the next call
    WEBSOCKET_ENDED,  // a close frame: nothing follows that would count
};

static inline struct websocket_reader websocket_reader_new(bool masked)
{
    return (struct websocket_reader){.masked = masked};
}

/** Takes from the front of `in`, which it may change, and says how much: until something is to be said,
 * or nothing is left. enum websocket_event, or E_BAD_WEBSOCKET. */
int websocket_read(struct websocket_reader *r, char *in, size_t len, size_t *used,
                   struct slice *out) must_check;

/** Writes the head of a whole frame (FIN set). `mask` NULL: none. Its length. */
size_t websocket_write_head(uint8_t out[WEBSOCKET_HEAD_MAX], enum websocket_opcode opcode,
                            uint64_t len, const uint8_t *mask);
/** Masks, or unmasks, bytes that are `at` bytes into their frame. */
void websocket_mask(char *bytes, size_t len, const uint8_t mask[4], size_t at);
