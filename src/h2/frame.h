// SPDX-License-Identifier: Apache-2.0
//
// Frames of HTTP/2 (RFC 9113 4, 6): their heads, numbers and small payloads, as pure functions over
// bytes. Nothing here knows a connection.

#pragma once

#include <stdint.h>

#include "base/ensure.h"

enum {
    H2_FRAME_HEAD = 9,
    H2_FRAME_MAX = 16384, // SETTINGS_MAX_FRAME_SIZE of nearly everybody, and the least there can be
    H2_FRAME_MAX_TUNNEL = 32768, // what the ends of a tunnel take
    H2_FRAME_LIMIT = 1 << 24,    // RFC 9113 4.2
    H2_PREFACE_BYTES = 24,
    H2_WINDOW_FIRST = 65535, // RFC 9113 6.9.2
    H2_WINDOW_MAX = INT32_MAX,
    H2_STREAM_ID_MAX = INT32_MAX,
};

extern const char h2_preface[H2_PREFACE_BYTES];

enum h2_frame_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_PRIORITY = 2,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PUSH_PROMISE = 5,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9,
    H2_PRIORITY_UPDATE = 16, // RFC 9218 7.1
};

enum h2_frame_flag {
    H2_FLAG_END_STREAM = 0x1,
    H2_FLAG_ACK = 0x1,
    H2_FLAG_END_HEADERS = 0x4,
    H2_FLAG_PADDED = 0x8,
    H2_FLAG_PRIORITY = 0x20,
};

/** RFC 9113 7. */
enum h2_code {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_FLOW_CONTROL_ERROR = 3,
    H2_SETTINGS_TIMEOUT = 4,
    H2_STREAM_CLOSED = 5,
    H2_FRAME_SIZE_ERROR = 6,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_COMPRESSION_ERROR = 9,
    H2_CONNECT_ERROR = 10,
    H2_ENHANCE_YOUR_CALM = 11,
    H2_INADEQUATE_SECURITY = 12,
    H2_HTTP_1_1_REQUIRED = 13,
};

/** RFC 9113 6.5.2, 8441 3, 9218 2.1. */
enum h2_setting {
    H2_SET_HEADER_TABLE_SIZE = 1,
    H2_SET_ENABLE_PUSH = 2,
    H2_SET_MAX_CONCURRENT_STREAMS = 3,
    H2_SET_INITIAL_WINDOW_SIZE = 4,
    H2_SET_MAX_FRAME_SIZE = 5,
    H2_SET_MAX_HEADER_LIST_SIZE = 6,
    H2_SET_ENABLE_CONNECT_PROTOCOL = 8,
    H2_SET_NO_RFC7540_PRIORITIES = 9,
};

struct h2_frame {
    uint32_t length;
    uint32_t stream; // without the reserved bit
    uint8_t type;
    uint8_t flags;
};

static inline uint32_t h2_get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}
static inline void h2_put32(char *p, uint32_t v)
{
    p[0] = (char)(v >> 24);
    p[1] = (char)(v >> 16);
    p[2] = (char)(v >> 8);
    p[3] = (char)v;
}

/** Of the nine bytes at p. */
struct h2_frame h2_frame_parse(const char *p);
/** Writes nine bytes at p; returns where the payload begins. */
char *h2_frame_write(char *p, struct h2_frame f);

/** One entry of a SETTINGS payload at p: six bytes. */
void h2_setting_parse(const char *p, uint16_t *id, uint32_t *value);
char *h2_setting_write(char *p, enum h2_setting id, uint32_t value);

/** What a frame of this type must be like, whatever the connection's state: 0, or the code of the
 * connection error (RFC 9113 6). `most` is the SETTINGS_MAX_FRAME_SIZE that we gave. A PRIORITY of a
 * wrong length is an error of its stream only and let pass here. */
enum h2_code h2_frame_check(const struct h2_frame *f, uint32_t most);

/** The code that tells a peer of one of our errors (base/error.h), and the error of ours for the code
 * with which a peer reset a stream. */
enum h2_code h2_code_of(int error);
int h2_error_of(uint32_t code);
