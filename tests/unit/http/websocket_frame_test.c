// SPDX-License-Identifier: Apache-2.0
//
// Frames of WebSocket: the examples of RFC 6455 5.7, what is refused, and any cut of what is not.

#include "base/error.h"
#include "http/websocket_frame.h"
#include "tap.h"

static struct websocket_reader reader;
static char stream[512];
static size_t stream_len;

/** Reads everything in steps of so many bytes; the last event that said something, or an error. */
static int read_all(const char *bytes, size_t len, size_t step)
{
    int last = WEBSOCKET_MORE;
    while (len > 0 && !reader.closed) {
        char piece[512];
        size_t n = len < step ? len : step;
        size_t used = 0;
        struct slice out;
        memcpy(piece, bytes, n);
        int event = websocket_read(&reader, piece, n, &used, &out);
        if (event < 0) {
            return event;
        }
        REQUIRE(used > 0 && used <= n);
        if (event == WEBSOCKET_BYTES || event == WEBSOCKET_PINGED) {
            REQUIRE(stream_len + out.len <= sizeof(stream));
            memcpy(stream + stream_len, out.ptr, out.len);
            stream_len += out.len;
        }
        last = event != WEBSOCKET_MORE ? event : last;
        bytes += used;
        len -= used;
    }
    return last;
}

static const struct {
    bool masked;
    const char *bytes;
    size_t len;
    int event;
    const char *stream;
} good[] = {
    {false, "\x82\x05Hello", 7, WEBSOCKET_BYTES, "Hello"},
    {true, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, WEBSOCKET_BYTES, "Hello"},
    {false, "\x02\x03Hel\x80\x02lo", 9, WEBSOCKET_BYTES, "Hello"},
    {false, "\x89\x05Hello", 7, WEBSOCKET_PINGED, "Hello"},
    {true, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, WEBSOCKET_MORE, ""},
    {false, "\x02\x03Hel\x89\x01!\x80\x02lo", 12, WEBSOCKET_BYTES, "Hel!lo"},
    {false, "\x02\x00\x00\x00\x80\x01x", 7, WEBSOCKET_BYTES, "x"},
    {false, "\x82\x00\x82\x01x", 5, WEBSOCKET_BYTES, "x"},
    {false, "\x88\x00", 2, WEBSOCKET_ENDED, ""},
    {false, "\x88\x02\x03\xe8", 4, WEBSOCKET_ENDED, ""},
    {false,
     "\x88\x05\x03\xe9"
     "bye",
     7, WEBSOCKET_ENDED, ""},
    {true, "\x88\x80\x01\x02\x03\x04", 6, WEBSOCKET_ENDED, ""},
    {false, "\x89\x00", 2, WEBSOCKET_PINGED, ""},
};

static void reads_frames_however_they_are_cut(void)
{
    for (size_t i = 0; i < array_len(good); i++) {
        for (size_t step = 1; step < 16; step++) {
            reader = websocket_reader_new(good[i].masked);
            stream_len = 0;
            if (!CHECK_EQ_INT(read_all(good[i].bytes, good[i].len, step), good[i].event)) {
                printf("# row %zu in steps of %zu\n", i, step);
            }
            CHECK_TEXT(stream, stream_len, good[i].stream);
        }
    }
}

static const struct {
    bool masked;
    const char *bytes;
    size_t len;
} bad[] = {
    {false, "\x81\x05Hello", 7}, // text
    {false, "\x83\x00", 2},      // opcodes nobody knows
    {false, "\x8b\x00", 2},
    {false, "\xc2\x00", 2}, // reserved bits
    {false, "\xa2\x00", 2},
    {false, "\x92\x00", 2},
    {false, "\x82\x80", 2},           // a server that masks
    {true, "\x82\x00", 2},            // a client that does not
    {false, "\x80\x01x", 3},          // nothing to continue
    {false, "\x02\x01x\x82\x01y", 6}, // a message within a message
    {false, "\x82\x7e\x00\x7d", 4},   // lengths written too long
    {false, "\x82\x7f\0\0\0\0\0\0\xff\xff", 10},
    {false, "\x82\x7f\x80\0\0\0\0\0\0\0", 10},
    {false, "\x09\x00", 2},         // control frames cut
    {false, "\x89\x7e\x00\x7e", 4}, // or long
    {false, "\x88\x01\x03", 3},     // half a status
    {false, "\x88\x02\x03\xe7", 4}, // statuses that are none
    {false, "\x88\x02\x03\xed", 4},
    {false, "\x88\x02\x00\x00", 4},
    {false, "HTTP/1.1 400", 12},
    {true, "PRI * HTTP/2.0", 14},
};

static void refuses_others(void)
{
    for (size_t i = 0; i < array_len(bad); i++) {
        for (size_t step = 1; step < 16; step += 7) {
            reader = websocket_reader_new(bad[i].masked);
            stream_len = 0;
            if (!CHECK_EQ_INT(read_all(bad[i].bytes, bad[i].len, step), E_BAD_WEBSOCKET)) {
                printf("# row %zu\n", i);
            }
        }
    }
}

static void bounds_idle_frames(void)
{
    static const char *const idle[] = {"\x89\x01x", "\x8a\x01x", "\x82\x00\x8a"};
    for (size_t i = 0; i < array_len(idle); i++) {
        reader = websocket_reader_new(false);
        int frames = 0;
        int e = 0;
        while (e >= 0 && frames < 2 * WEBSOCKET_IDLE_FRAMES_MAX) {
            stream_len = 0;
            e = i < 2 ? read_all(idle[i], 3, 3) : read_all(idle[i], 2, 2);
            frames++;
        }
        CHECK_EQ_INT(frames, WEBSOCKET_IDLE_FRAMES_MAX + 1);
        reader = websocket_reader_new(false);
        for (int n = 0; n < 3 * WEBSOCKET_IDLE_FRAMES_MAX;
             n++) { // bytes of the stream are in between
            stream_len = 0;
            CHECK(read_all("\x89\x01x\x82\x01y", 6, 6) >= 0);
        }
    }
}

static void writes_heads_that_it_reads(void)
{
    static const uint64_t lengths[] = {0, 1, 125, 126, 65535, 65536, 1u << 20};
    static const uint8_t mask[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < array_len(lengths); i++) {
        for (int masked = 0; masked < 2; masked++) {
            uint8_t head[WEBSOCKET_HEAD_MAX];
            size_t n =
                websocket_write_head(head, WEBSOCKET_BINARY, lengths[i], masked ? mask : NULL);
            size_t extra = lengths[i] < 126 ? 0 : lengths[i] < 65536 ? 2 : 8;
            CHECK_EQ_INT(n, 2 + extra + (masked ? 4 : 0));
            reader = websocket_reader_new(masked == 1);
            CHECK_EQ_INT(read_all((const char *)head, n, 1), WEBSOCKET_MORE);
            CHECK_EQ_INT(reader.left, lengths[i]);
        }
    }
}

static void masks_at_any_place(void)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    for (size_t at = 0; at < 5; at++) {
        for (size_t len = 0; len < 40; len++) {
            char bytes[40];
            char want[40];
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (char)(i * 7);
                want[i] = (char)((i * 7) ^ mask[(at + i) % 4]);
            }
            websocket_mask(bytes, len, mask, at);
            CHECK_BYTES(bytes, len, want, len);
        }
    }
}

TAP_MAIN(reads_frames_however_they_are_cut, refuses_others, bounds_idle_frames,
         writes_heads_that_it_reads, masks_at_any_place)
