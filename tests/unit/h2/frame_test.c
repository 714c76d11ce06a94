// SPDX-License-Identifier: Apache-2.0
//
// Frame heads there and back, the lengths and streams that each type demands, and the codes that peers
// are told.

#include "h2/frame.h"

#include "base/error.h"

#include "tap.h"

static void reads_what_it_writes(void)
{
    char bytes[H2_FRAME_HEAD];
    struct h2_frame f = {.length = 16384, .stream = 0x7ffffffe, .type = H2_HEADERS, .flags = 0x25};
    CHECK(h2_frame_write(bytes, f) == bytes + H2_FRAME_HEAD);
    struct h2_frame back = h2_frame_parse(bytes);
    CHECK_EQ_INT(back.length, f.length);
    CHECK_EQ_INT(back.stream, f.stream);
    CHECK_EQ_INT(back.type, f.type);
    CHECK_EQ_INT(back.flags, f.flags);
    bytes[5] |= (char)0x80; // the reserved bit is ignored
    CHECK_EQ_INT(h2_frame_parse(bytes).stream, f.stream);
}

static void writes_settings(void)
{
    char bytes[6];
    uint16_t id;
    uint32_t value;
    CHECK(h2_setting_write(bytes, H2_SET_INITIAL_WINDOW_SIZE, 0x01020304) == bytes + 6);
    h2_setting_parse(bytes, &id, &value);
    CHECK_EQ_INT(id, H2_SET_INITIAL_WINDOW_SIZE);
    CHECK_EQ_INT(value, 0x01020304);
}

struct row {
    struct h2_frame f;
    enum h2_code want;
};

static void knows_lengths_and_streams(void)
{
    static const struct row rows[] = {
        {{0, 1, H2_DATA, 0}, H2_NO_ERROR},
        {{0, 0, H2_DATA, 0}, H2_PROTOCOL_ERROR},
        {{0, 1, H2_DATA, H2_FLAG_PADDED}, H2_FRAME_SIZE_ERROR},
        {{16385, 1, H2_DATA, 0}, H2_FRAME_SIZE_ERROR},
        {{5, 1, H2_HEADERS, H2_FLAG_PRIORITY}, H2_NO_ERROR},
        {{5, 1, H2_HEADERS, H2_FLAG_PRIORITY | H2_FLAG_PADDED}, H2_FRAME_SIZE_ERROR},
        {{0, 0, H2_HEADERS, 0}, H2_PROTOCOL_ERROR},
        {{5, 0, H2_PRIORITY, 0}, H2_PROTOCOL_ERROR},
        {{4, 1, H2_PRIORITY, 0}, H2_NO_ERROR}, // of the stream only
        {{4, 1, H2_RST_STREAM, 0}, H2_NO_ERROR},
        {{3, 1, H2_RST_STREAM, 0}, H2_FRAME_SIZE_ERROR},
        {{4, 0, H2_RST_STREAM, 0}, H2_PROTOCOL_ERROR},
        {{12, 0, H2_SETTINGS, 0}, H2_NO_ERROR},
        {{11, 0, H2_SETTINGS, 0}, H2_FRAME_SIZE_ERROR},
        {{6, 0, H2_SETTINGS, H2_FLAG_ACK}, H2_FRAME_SIZE_ERROR},
        {{0, 1, H2_SETTINGS, 0}, H2_PROTOCOL_ERROR},
        {{8, 0, H2_PUSH_PROMISE, 0}, H2_PROTOCOL_ERROR},
        {{8, 0, H2_PING, 0}, H2_NO_ERROR},
        {{7, 0, H2_PING, 0}, H2_FRAME_SIZE_ERROR},
        {{8, 1, H2_PING, 0}, H2_PROTOCOL_ERROR},
        {{8, 0, H2_GOAWAY, 0}, H2_NO_ERROR},
        {{7, 0, H2_GOAWAY, 0}, H2_FRAME_SIZE_ERROR},
        {{8, 1, H2_GOAWAY, 0}, H2_PROTOCOL_ERROR},
        {{4, 0, H2_WINDOW_UPDATE, 0}, H2_NO_ERROR},
        {{4, 1, H2_WINDOW_UPDATE, 0}, H2_NO_ERROR},
        {{5, 0, H2_WINDOW_UPDATE, 0}, H2_FRAME_SIZE_ERROR},
        {{1, 0, H2_CONTINUATION, 0}, H2_PROTOCOL_ERROR},
        {{4, 0, H2_PRIORITY_UPDATE, 0}, H2_NO_ERROR},
        {{4, 1, H2_PRIORITY_UPDATE, 0}, H2_PROTOCOL_ERROR},
        {{3, 0, H2_PRIORITY_UPDATE, 0}, H2_FRAME_SIZE_ERROR},
        {{3, 7, 0xbe, 0xff}, H2_NO_ERROR},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        if (!CHECK_EQ_INT(h2_frame_check(&rows[i].f, H2_FRAME_MAX), rows[i].want)) {
            printf("# row %zu\n", i);
        }
    }
    struct h2_frame f = {.length = H2_FRAME_MAX_TUNNEL, .stream = 1, .type = H2_DATA};
    CHECK_EQ_INT(h2_frame_check(&f, H2_FRAME_MAX_TUNNEL), H2_NO_ERROR);
    f.length++;
    CHECK_EQ_INT(h2_frame_check(&f, H2_FRAME_MAX_TUNNEL), H2_FRAME_SIZE_ERROR);
}

static void maps_codes(void)
{
    CHECK_EQ_INT(h2_code_of(0), H2_NO_ERROR);
    CHECK_EQ_INT(h2_code_of(E_BAD_PSEUDO), H2_PROTOCOL_ERROR);
    CHECK_EQ_INT(h2_code_of(E_CLIENT_GONE), H2_CANCEL);
    CHECK_EQ_INT(h2_code_of(E_INTERNAL), H2_INTERNAL_ERROR);
    CHECK_EQ_INT(h2_code_of(E_GLITCHES), H2_ENHANCE_YOUR_CALM);
    CHECK_EQ_INT(h2_error_of(H2_REFUSED_STREAM), E_NOT_PROCESSED);
    CHECK_EQ_INT(h2_error_of(H2_HTTP_1_1_REQUIRED), E_HTTP_1_1_REQUIRED);
    CHECK_EQ_INT(h2_error_of(0xffffffff), E_STREAM_RESET);
}

TAP_MAIN(reads_what_it_writes, writes_settings, knows_lengths_and_streams, maps_codes)
