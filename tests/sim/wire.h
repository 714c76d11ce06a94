// SPDX-License-Identifier: Apache-2.0
//
// A strict reader of HTTP/1.1 messages for the actors of the simulation. It is written apart from
// the proxy's codec on purpose: what the proxy sends must make sense to somebody else.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { WIRE_HEAD_MAX = 16384 };

enum wire_state {
    WIRE_HEAD,
    WIRE_BODY,
    WIRE_CHUNK_LINE,
    WIRE_CHUNK_DATA,
    WIRE_CHUNK_END,
    WIRE_TRAILERS,
    WIRE_UNTIL_CLOSE,
    WIRE_DONE,
    WIRE_BAD,
};

struct wire {
    bool request;   // reads requests; else responses
    bool head_only; // the response answers HEAD
    enum wire_state state;
    char head[WIRE_HEAD_MAX]; // start line and fields, up to the empty line
    size_t head_len;
    size_t line_start; // of the current line in the trailer section or of a size line
    char line[256];
    size_t line_len;
    int status;    // of a response
    uint64_t left; // of the body or of the current chunk
    uint64_t body_bytes;
    bool chunked, has_length, close;
    uint64_t length;
    const char *wrong; // WIRE_BAD: what broke
    /** Body bytes; `at` counts from the body's first. */
    void (*on_body)(void *user, struct slice bytes, uint64_t at);
    void *user;
};

/** Ready for the next message; request, on_body and user stay. */
void wire_reset(struct wire *w);
/** Takes bytes of one message; returns how many. Stops after a head (call again) and at WIRE_DONE. */
size_t wire_feed(struct wire *w, struct slice bytes, bool *head_done);
/** The other side closed: what that means for the message. Sets WIRE_DONE or leaves the state. */
void wire_eof(struct wire *w);
/** Value of the first field of that name (lower case), empty when there is none. */
struct slice wire_field(const struct wire *w, const char *name);
/** How many fields have that name. */
int wire_field_count(const struct wire *w, const char *name);
/** Word n of the start line. */
struct slice wire_word(const struct wire *w, int n);
