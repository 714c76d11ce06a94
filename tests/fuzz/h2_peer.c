// SPDX-License-Identifier: Apache-2.0
//
// A fuzzer's end of a tunnel (h2_peer.h).

#include "h2_peer.h"

#include <string.h>

enum { PREFACE_BYTES = 24, FRAME_MAX = 33000, BLOCK_MAX = 4096, FIELDS_MAX = 15 };

// ---- reading -----------------------------------------------------------------------------------------

static void take_text(struct h2_peer *p, char c)
{
    if (p->text_len < sizeof(p->text)) {
        p->text[p->text_len++] = c;
    }
    if (!slice_ends(slice_of(p->text, p->text_len), SLICE("\r\n\r\n"))) {
        return;
    }
    p->framed = p->on_text(p);
    p->skip = p->preface ? PREFACE_BYTES : 0;
    p->deaf = p->deaf || !p->framed;
    if (p->framed && p->preface) { // the server's, with extended CONNECT
        h2_peer_frame(p, H2_FRAME_SETTINGS, 0, 0, "\x00\x08\x00\x00\x00\x01", 6);
    }
}

static void end_frame(struct h2_peer *p)
{
    uint8_t type = p->head[3];
    uint8_t flags = p->head[4];
    uint32_t stream = (uint32_t)(p->head[5] & 0x7f) << 24 | (uint32_t)p->head[6] << 16 |
                      (uint32_t)p->head[7] << 8 | p->head[8];
    p->head_have = 0;
    if (type == H2_FRAME_HEADERS) {
        p->streams[p->stream_count++ % H2_PEER_STREAMS] = stream;
    }
    if (p->polite && type == H2_FRAME_SETTINGS && (flags & 1) == 0) {
        h2_peer_frame(p, H2_FRAME_SETTINGS, 1, 0, "", 0);
    }
    if (p->polite && type == H2_FRAME_PING && (flags & 1) == 0) {
        h2_peer_frame(p, H2_FRAME_PING, 1, 0, p->payload, sizeof(p->payload));
    }
    p->goaway = p->goaway || type == H2_FRAME_GOAWAY;
    if (p->on_frame != NULL) {
        p->on_frame(p, type, flags, stream);
    }
}

static void take_frame_byte(struct h2_peer *p, uint8_t c)
{
    if (p->skip > 0) {
        p->skip--;
        return;
    }
    if (p->head_have < sizeof(p->head)) {
        p->head[p->head_have++] = c;
        if (p->head_have < sizeof(p->head)) {
            return;
        }
        p->payload_left =
            (uint32_t)p->head[0] << 16 | (uint32_t)p->head[1] << 8 | (uint32_t)p->head[2];
        p->payload_have = 0;
    } else {
        if (p->payload_have < sizeof(p->payload)) {
            p->payload[p->payload_have++] = c;
        }
        p->payload_left--;
    }
    if (p->payload_left == 0) {
        end_frame(p);
    }
}

void h2_peer_read(struct h2_peer *p)
{
    char buffer[4096];
    size_t n = 0;
    while (!p->deaf && p->end != NULL && (n = sim_recv(p->end, buffer, sizeof(buffer))) > 0) {
        for (size_t i = 0; i < n && p->end != NULL; i++) {
            if (p->framed && p->form == H2_PEER_PLAIN) {
                take_frame_byte(p, (uint8_t)buffer[i]);
            } else if (!p->framed && !p->deaf) {
                take_text(p, buffer[i]);
            }
        }
    }
}

void h2_peer_close(struct h2_peer *p)
{
    if (p->end != NULL) {
        sim_close(p->end);
        p->end = NULL;
    }
}

// ---- writing -----------------------------------------------------------------------------------------

/** A binary message (RFC 6455 5.2), its length written as short as it can be; a client's mask is zero,
 * which changes nothing. */
static void begin_message(struct h2_peer *p, size_t n)
{
    bool masks = p->form == H2_PEER_WEBSOCKET_CLIENT;
    char head[8] = {(char)0x82};
    size_t len = 2;
    if (n < 126) {
        head[1] = (char)n;
    } else {
        head[1] = 126;
        head[len++] = (char)(n >> 8);
        head[len++] = (char)n;
    }
    head[1] = (char)(head[1] | (masks ? 0x80 : 0));
    (void)sim_send(p->end, slice_of(head, masks ? len + 4 : len));
}

void h2_peer_send(struct h2_peer *p, const void *bytes, size_t n)
{
    if (p->end != NULL && n > 0) {
        if (p->framed && p->form != H2_PEER_PLAIN) {
            ensure(n <= 0xffff);
            begin_message(p, n);
        }
        (void)sim_send(p->end, slice_of(bytes, n));
    }
}

void h2_peer_frame(struct h2_peer *p, unsigned type, unsigned flags, uint32_t stream,
                   const void *payload, size_t n)
{
    n = n < FRAME_MAX ? n : FRAME_MAX;
    p->left = p->left || type == H2_FRAME_GOAWAY;
    static char frame[9 + FRAME_MAX];
    const char head[9] = {(char)(n >> 16),      (char)(n >> 8),      (char)n,
                          (char)type,           (char)flags,         (char)(stream >> 24),
                          (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    memcpy(frame, head, sizeof(head));
    if (n > 0) {
        memcpy(frame + sizeof(head), payload, n);
    }
    h2_peer_send(p, frame, 9 + n);
}

/** One field of a block. How many bytes it took. */
static size_t put_field(char *out, size_t room, struct slice name, struct slice value, bool indexed)
{
    name = slice_sub(name, 0, name.len < 126 ? name.len : 126);
    value = slice_sub(value, 0, value.len < 126 ? value.len : 126);
    if (room < name.len + value.len + 3) {
        return 0;
    }
    size_t n = 0;
    out[n++] = indexed ? 0x40 : 0x00; // RFC 7541 6.2.1, 6.2.2
    out[n++] = (char)name.len;
    if (name.len > 0) {
        memcpy(out + n, name.ptr, name.len);
    }
    n += name.len;
    out[n++] = (char)value.len;
    if (value.len > 0) {
        memcpy(out + n, value.ptr, value.len);
    }
    return n + value.len;
}

/** A stream that is there, or any number. */
static uint32_t some_stream(struct h2_peer *p, bool ours, uint8_t which)
{
    if (which >= 0x80) {
        return which & 0x7fu;
    }
    if (ours) {
        return p->last_stream > 2u * which ? p->last_stream - 2u * which : 1;
    }
    uint32_t known = p->stream_count < H2_PEER_STREAMS ? p->stream_count : H2_PEER_STREAMS;
    return known == 0 ? 1 : p->streams[(p->stream_count - 1 - which % known) % H2_PEER_STREAMS];
}

static size_t put_word(char *out, size_t room, const struct h2_words *w, struct input *in)
{
    uint8_t which = next_byte(in);
    bool indexed = (which & 0x80) != 0;
    which &= 0x7f;
    if (which != 0x7f) {
        const struct h2_field *f = &w->fields[which % w->field_count];
        return put_field(out, room, slice_str(f->name), slice_str(f->value), indexed);
    }
    struct slice name = next_bytes(in, next_byte(in) & 0x3f);
    struct slice value = next_bytes(in, next_byte(in) & 0x7f);
    return put_field(out, room, name, value, indexed);
}

// Flags of the frame are bits of a byte: 1 END_STREAM, 2 no END_HEADERS, 4 cut in two, 8 a stream that is
// there (of ours; the other side's always are), 16 no first block.
void h2_peer_head(struct h2_peer *p, const struct h2_words *w, bool ours, struct input *in)
{
    char block[BLOCK_MAX];
    size_t len = 0;
    uint8_t first = next_byte(in);
    uint8_t bits = next_byte(in);
    uint8_t which = next_byte(in);
    uint8_t count = next_byte(in) & FIELDS_MAX;
    uint32_t stream = 0;
    if (ours && (bits & 8) == 0) {
        p->last_stream += p->last_stream == 0 ? 1 : 2;
        stream = p->last_stream;
    } else {
        stream = some_stream(p, ours, which);
    }
    const struct h2_field *f = w->firsts[(first & 0x7f) % w->first_count];
    for (size_t i = 0; i < 5 && f[i].name != NULL && (bits & 16) == 0; i++) {
        len += put_field(block + len, sizeof(block) - len, slice_str(f[i].name),
                         slice_str(f[i].value), (first & 0x80) != 0);
    }
    for (uint8_t i = 0; i < count; i++) {
        len += put_word(block + len, sizeof(block) - len, w, in);
    }
    unsigned end = (bits & 2) == 0 ? 4 : 0;
    size_t cut = (bits & 4) != 0 ? len / 2 : len;
    h2_peer_frame(p, H2_FRAME_HEADERS, (bits & 1u) | (cut == len ? end : 0), stream, block, cut);
    if (cut < len) {
        h2_peer_frame(p, H2_FRAME_CONTINUATION, end, stream, block + cut, len - cut);
    }
}

/** A frame of much content, up to sixty-four times: windows grow only under that. */
static void send_much(struct h2_peer *p, unsigned flags, uint32_t stream, size_t n)
{
    static const char filler[FRAME_MAX] = "mallory's bytes";
    static const uint8_t times[] = {1, 4, 16, 64};
    n = (flags & 0x80) != 0 ? n * 2 : n;
    for (unsigned i = times[flags >> 4 & 3]; i > 0 && p->end != NULL; i--) {
        if (p->on_full != NULL && p->much > 0 && sim_room(p->end) < n + 9) {
            p->much--;
            p->on_full(p);
        }
        h2_peer_frame(p, H2_FRAME_DATA, i == 1 ? flags & 9 : 0, stream, filler, n);
    }
}

// Flags of the frame and, 0x40, bytes of the input; else 0x30, how often, and 0x80, twice as long.
void h2_peer_data(struct h2_peer *p, bool ours, struct input *in)
{
    uint8_t flags = next_byte(in);
    uint32_t stream = some_stream(p, ours, next_byte(in));
    uint8_t n = next_byte(in);
    if ((flags & 0x40) != 0) { // the input's own: capsules, what a service says
        struct slice bytes = next_bytes(in, n);
        h2_peer_frame(p, H2_FRAME_DATA, flags & 9u, stream, bytes.ptr, bytes.len);
        return;
    }
    send_much(p, flags, stream, n < 100 ? n : (size_t)(n - 99) * 100);
}

void h2_peer_any(struct h2_peer *p, bool ours, struct input *in)
{
    uint8_t type = next_byte(in); // in the low half; repeats in the high one
    uint8_t flags = next_byte(in);
    uint8_t which = next_byte(in);
    struct slice payload = next_bytes(in, next_byte(in) & 63);
    uint32_t stream = which == 0x7f ? 0 : some_stream(p, ours, which);
    for (unsigned i = 0; i <= (unsigned)(type >> 4) * (type >> 4) * 4; i++) {
        h2_peer_frame(p, type & 15u, flags, stream, payload.ptr, payload.len);
    }
}

void h2_peer_raw(struct h2_peer *p, struct input *in)
{
    uint8_t n = next_byte(in);
    struct slice raw = next_bytes(in, n);
    p->left = true; // nobody looks what it is
    if (n >= 0x80 && p->form != H2_PEER_PLAIN && p->end != NULL) {
        (void)sim_send(p->end, raw); // messages of its own making: pings, the end of the stream
    } else {
        h2_peer_send(p, raw.ptr, raw.len);
    }
}
