// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing frames (http/websocket_frame.h).

#include "http/websocket_frame.h"

#include "base/error.h"
#include "base/num.h"

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127
};

void websocket_mask(char *bytes, size_t len, const uint8_t mask[4], size_t at)
{
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof(turned); i++) {
        turned[i] = mask[(at + i) % 4];
    }
    uint64_t word;
    memcpy(&word, turned, sizeof(word));
    size_t i = 0;
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        uint64_t part;
        memcpy(&part, bytes + i, sizeof(part));
        part ^= word;
        memcpy(bytes + i, &part, sizeof(part));
    }
    for (; i < len; i++) {
        bytes[i] = (char)(bytes[i] ^ turned[i % 4]);
    }
}

size_t websocket_write_head(uint8_t out[WEBSOCKET_HEAD_MAX], enum websocket_opcode opcode,
                            uint64_t len, const uint8_t *mask)
{
    size_t n = 2;
    size_t extra = len < LENGTH_16 ? 0 : len <= UINT16_MAX ? 2 : 8;
    out[0] = (uint8_t)(FIN | opcode);
    out[1] = (uint8_t)(extra == 0 ? len : extra == 2 ? LENGTH_16 : LENGTH_64);
    for (size_t i = extra; i > 0; i--) {
        out[n++] = (uint8_t)(len >> (8 * (i - 1)));
    }
    if (mask != NULL) {
        out[1] |= MASKED;
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

/** How long the head is, as far as it is there. */
static size_t head_size(const struct websocket_reader *r)
{
    if (r->head_len < 2) {
        return 2;
    }
    unsigned length = r->head[1] & LENGTH;
    return 2 +
           (length == LENGTH_16   ? 2U
            : length == LENGTH_64 ? 8U
                                  : 0U) +
           ((r->head[1] & MASKED) != 0 ? 4U : 0U);
}

/** The first two bytes are there: what is wrong with them is found before more is waited for. */
static bool begins_well(const struct websocket_reader *r)
{
    bool fin = (r->head[0] & FIN) != 0;
    unsigned length = r->head[1] & LENGTH;
    if ((r->head[0] & RESERVED) != 0 || ((r->head[1] & MASKED) != 0) != r->masked) {
        return false;
    }
    switch (r->head[0] & OPCODE) {
    case WEBSOCKET_CONTINUED:
        return r->within;
    case WEBSOCKET_BINARY:
        return !r->within;
    case WEBSOCKET_CLOSE:
        return fin && length <= WEBSOCKET_CONTROL_MAX && length != 1; // a status has two bytes
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        return fin && length <= WEBSOCKET_CONTROL_MAX;
    default:
        return false;
    }
}

static bool read_head(struct websocket_reader *r)
{
    unsigned length = r->head[1] & LENGTH;
    size_t extra = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    uint64_t value = extra == 0 ? length : 0;
    for (size_t i = 0; i < extra; i++) {
        value = value << 8 | r->head[2 + i];
    }
    if ((extra == 2 && value < LENGTH_16) || (extra == 8 && value <= UINT16_MAX) ||
        value > INT64_MAX) {
        return false;
    }
    if (r->masked) {
        memcpy(r->mask, r->head + 2 + extra, sizeof(r->mask));
    }
    r->opcode = r->head[0] & OPCODE;
    r->left = value;
    r->at = 0;
    r->control_len = 0;
    if (r->opcode < WEBSOCKET_CLOSE) {
        r->within = (r->head[0] & FIN) == 0;
    }
    return r->opcode < WEBSOCKET_CLOSE && value > 0 ? true : ++r->idle <= WEBSOCKET_IDLE_FRAMES_MAX;
}

/** RFC 6455 7.4: a status that may be sent. */
static bool is_status(unsigned status)
{
    return (status >= 1000 && status <= 1014 && status != 1004 && status != 1005 &&
            status != 1006) ||
           (status >= 3000 && status <= 4999);
}

static int end_control(struct websocket_reader *r, struct slice *out)
{
    r->head_len = 0;
    *out = slice_of((const char *)r->control, r->control_len);
    if (r->opcode == WEBSOCKET_PING) {
        return WEBSOCKET_PINGED;
    }
    if (r->opcode == WEBSOCKET_CLOSE) {
        unsigned status = (unsigned)r->control[0] << 8 | r->control[1];
        r->closed = true;
        return r->control_len == 0 || is_status(status) ? WEBSOCKET_ENDED : E_BAD_WEBSOCKET;
    }
    return WEBSOCKET_MORE;
}

static int take_payload(struct websocket_reader *r, char *in, size_t n, struct slice *out)
{
    if (r->masked) {
        websocket_mask(in, n, r->mask, r->at);
    }
    r->at = (uint32_t)((r->at + n) % 4);
    r->left -= n;
    if (r->opcode < WEBSOCKET_CLOSE) {
        r->head_len = r->left == 0 ? 0 : r->head_len;
        r->idle = 0;
        *out = slice_of(in, n);
        return WEBSOCKET_BYTES;
    }
    memcpy(r->control + r->control_len, in, n);
    r->control_len = (uint8_t)(r->control_len + n);
    return r->left == 0 ? end_control(r, out) : WEBSOCKET_MORE;
}

/** Takes bytes of a head. 1: it is whole, and its frame has a payload; an event of one that has none. */
static int take_head(struct websocket_reader *r, const char *in, size_t len, size_t *used,
                     struct slice *out)
{
    while (*used < len) {
        r->head[r->head_len++] = (uint8_t)in[(*used)++];
        if (r->head_len == 2 && !begins_well(r)) {
            return E_BAD_WEBSOCKET;
        }
        if (r->head_len < head_size(r)) {
            continue;
        }
        if (!read_head(r)) {
            return E_BAD_WEBSOCKET;
        }
        if (r->left > 0) {
            return WEBSOCKET_MORE;
        }
        if (r->opcode >= WEBSOCKET_CLOSE) {
            int event = end_control(r, out);
            if (event != WEBSOCKET_MORE) {
                return event;
            }
        }
        r->head_len = 0;
    }
    return WEBSOCKET_MORE;
}

static bool head_is_whole(const struct websocket_reader *r)
{
    return r->head_len >= 2 && r->head_len == head_size(r);
}

int websocket_read(struct websocket_reader *r, char *in, size_t len, size_t *used,
                   struct slice *out)
{
    *used = 0;
    *out = slice_of("", 0);
    ensure(!r->closed);
    while (*used < len) {
        int event = WEBSOCKET_MORE;
        if (head_is_whole(r)) {
            size_t n = (size_t)num_min_u64(len - *used, r->left);
            event = take_payload(r, in + *used, n, out);
            *used += n;
        } else {
            event = take_head(r, in, len, used, out);
        }
        if (event != WEBSOCKET_MORE) {
            return event;
        }
    }
    return WEBSOCKET_MORE;
}
