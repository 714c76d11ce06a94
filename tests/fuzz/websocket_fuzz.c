// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes frames of WebSocket. The first byte says on which side we are and how the rest is cut. However
// it is cut, the same stream comes out and the same becomes of it; nothing that is said lies outside of
// what came. Then the bytes are written as frames of all sizes and must come back as they were.

#include <stdlib.h>

#include "base/error.h"
#include "http/websocket_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    int end; // the last event or error
    size_t pings;
    size_t stream_len;
    char *stream;
};

static char *allocate(size_t len)
{
    char *p = malloc(len + 1);
    if (p == NULL) {
        abort();
    }
    return p;
}

static struct result read_all(const char *bytes, size_t len, size_t step, bool masked)
{
    struct websocket_reader r = websocket_reader_new(masked);
    struct result got = {.stream = allocate(len)};
    while (len > 0 && !r.closed) {
        size_t n = len < step ? len : step;
        char *copy = allocate(n);
        memcpy(copy, bytes, n);
        size_t used = 0;
        struct slice out;
        got.end = websocket_read(&r, copy, n, &used, &out);
        ensure(got.end >= 0 || got.end == E_BAD_WEBSOCKET);
        ensure(used <= n);
        if (got.end < 0) {
            free(copy);
            break;
        }
        ensure(used > 0);
        if (got.end == WEBSOCKET_BYTES) {
            ensure(out.len > 0 && out.ptr >= copy && out.ptr + out.len <= copy + used);
            memcpy(got.stream + got.stream_len, out.ptr, out.len);
            got.stream_len += out.len;
        } else if (got.end == WEBSOCKET_PINGED) {
            ensure(out.len <= WEBSOCKET_CONTROL_MAX);
            got.pings++;
        }
        free(copy);
        bytes += used;
        len -= used;
    }
    return got;
}

static void write_back(const uint8_t *data, size_t size, bool masked)
{
    size_t step = size > 0 ? (size_t)data[0] * 7 + 1 : 1;
    size_t frames = size / step + 1;
    char *wire = allocate(size + frames * WEBSOCKET_HEAD_MAX);
    size_t len = 0;
    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t mask[4] = {data[at], 1, (uint8_t)n, 0x80};
        len +=
            websocket_write_head((uint8_t *)wire + len, WEBSOCKET_BINARY, n, masked ? mask : NULL);
        memcpy(wire + len, data + at, n);
        if (masked) {
            websocket_mask(wire + len, n, mask, 0);
        }
        len += n;
    }
    struct result back = read_all(wire, len, 1000, masked);
    ensure(back.end >= 0);
    ensure(slice_eq(slice_of(back.stream, back.stream_len), slice_of((const char *)data, size)));
    free(back.stream);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    bool masked = (data[0] & 1) != 0;
    const char *bytes = (const char *)data + 1;
    struct result slow = read_all(bytes, size - 1, 1, masked);
    struct result fast = read_all(bytes, size - 1, (size_t)(data[0] >> 1) + 1, masked);
    ensure((slow.end < 0) == (fast.end < 0));
    ensure((slow.end == WEBSOCKET_ENDED) == (fast.end == WEBSOCKET_ENDED));
    ensure(slow.pings == fast.pings);
    ensure(
        slice_eq(slice_of(slow.stream, slow.stream_len), slice_of(fast.stream, fast.stream_len)));
    free(slow.stream);
    free(fast.stream);
    write_back(data + 1, size - 1, masked);
    return 0;
}
