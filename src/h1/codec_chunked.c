// SPDX-License-Identifier: Apache-2.0
//
// The chunked coding (RFC 9112 7.1), read strictly: hexadecimal digits, CRLF and nothing else count.
// Extensions are skipped, but their bytes are bounded: a peer that sends more of them than content is
// not transferring anything.

#include "base/error.h"
#include "base/num.h"
#include "h1/codec_int.h"

enum {
    SIZE_DIGITS_MAX = 16,
    // Bytes of extensions in one size line, and by how much those of all lines may run ahead of the
    // content: real ones are signatures of some hundred bytes beside chunks of many KiB.
    EXT_LINE_MAX = 1024,
    EXT_AHEAD_MAX = 16384,
};

enum chunk_state {
    CHUNK_SIZE,     // in the size, from its first digit
    CHUNK_EXT,      // behind ';'
    CHUNK_SIZE_LF,  // the line's CR was seen
    CHUNK_DATA,     // `left` bytes to come
    CHUNK_DATA_CR,  // content complete
    CHUNK_DATA_LF,  // and its CR was seen
    CHUNK_LAST,     // behind the line of the last chunk
    CHUNK_LAST_LF,  // an empty trailer section has begun
    CHUNK_TRAILERS, // the trailer section is the caller's
    CHUNK_OVER,
};

static inline int hex_value(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0';
    if (digit <= 9) {
        return (int)digit;
    }
    unsigned letter = ((unsigned char)c | 0x20u) - (unsigned)'a';
    return letter <= 5 ? (int)letter + 10 : -1;
}

// One byte of the size. 0 or what is wrong with it.
static int size_byte(struct h1_chunked *d, char c)
{
    int value = hex_value(c);
    if (value >= 0) {
        if (d->digits == SIZE_DIGITS_MAX) {
            return E_BAD_CHUNK_SIZE;
        }
        d->digits++;
        d->left = d->left << 4 | (uint64_t)value;
        return d->left > INT64_MAX ? E_BAD_CHUNK_SIZE : 0;
    }
    if (d->digits == 0) {
        return E_BAD_CHUNK_SIZE;
    }
    if (c == '\r') {
        d->state = CHUNK_SIZE_LF;
        return 0;
    }
    if (c == ';') {
        d->state = CHUNK_EXT;
        d->line_bytes = 0;
        return 0;
    }
    return c == '\n' ? E_BARE_LF : E_BAD_CHUNK_SIZE;
}

static int ext_byte(struct h1_chunked *d, char c)
{
    unsigned char u = (unsigned char)c;
    if (c == '\r') {
        d->state = CHUNK_SIZE_LF;
        return 0;
    }
    if (c == '\n') {
        return E_BARE_LF;
    }
    if ((u < 0x20 && c != '\t') || u == 0x7f) {
        return E_BAD_CHUNK_EXT;
    }
    d->line_bytes++;
    d->overhead++;
    return d->line_bytes > EXT_LINE_MAX || d->overhead > EXT_AHEAD_MAX ? E_BAD_CHUNK_EXT : 0;
}

// The LF that ends a size line.
static int size_done(struct h1_chunked *d, char c)
{
    if (c != '\n') {
        return E_BARE_CR;
    }
    d->digits = 0;
    d->overhead -= (uint32_t)num_min_u64(d->overhead, d->left);
    d->state = d->left > 0 ? CHUNK_DATA : CHUNK_LAST;
    return 0;
}

// One byte of framing, in any state but those of content and end.
static int framing_byte(struct h1_chunked *d, char c)
{
    switch ((enum chunk_state)d->state) {
    case CHUNK_SIZE:
        return size_byte(d, c);
    case CHUNK_EXT:
        return ext_byte(d, c);
    case CHUNK_SIZE_LF:
        return size_done(d, c);
    case CHUNK_DATA_CR:
        d->state = CHUNK_DATA_LF;
        return c == '\r' ? 0 : E_BAD_CHUNK_END;
    case CHUNK_DATA_LF:
        d->state = CHUNK_SIZE;
        return c == '\n' ? 0 : E_BAD_CHUNK_END;
    case CHUNK_LAST_LF:
        d->state = CHUNK_OVER;
        return c == '\n' ? 0 : E_BAD_TRAILER;
    case CHUNK_LAST:
    case CHUNK_DATA:
    case CHUNK_TRAILERS:
    case CHUNK_OVER:
        break;
    }
    unreachable();
}

// The usual framing between two runs of content, when all of it is there: CRLF, digits, CRLF. Returns
// how many bytes of p[0..n) it took; what is unusual, cut or bad is left to framing_byte().
static size_t usual_framing(struct h1_chunked *d, const char *p, size_t n)
{
    size_t i = 0;
    if (d->state == CHUNK_DATA_CR && n >= 2 && p[0] == '\r' && p[1] == '\n') {
        d->state = CHUNK_SIZE;
        i = 2;
    }
    if (d->state != CHUNK_SIZE || d->digits > 0) {
        return i;
    }
    uint64_t size = 0;
    size_t at = i;
    for (; at < n && at < i + SIZE_DIGITS_MAX / 2; at++) {
        int value = hex_value(p[at]);
        if (value < 0) {
            break;
        }
        size = size << 4 | (uint64_t)value;
    }
    if (size == 0 || n - at < 2 || p[at] != '\r' || p[at + 1] != '\n') {
        return i;
    }
    d->left = size;
    d->overhead -= (uint32_t)num_min_u64(d->overhead, size);
    d->state = CHUNK_DATA;
    return at + 2;
}

static int take_data(struct h1_chunked *d, const char *p, size_t n, struct slice *data)
{
    size_t len = (size_t)num_min_u64(n, d->left);
    *data = slice_of(p, len);
    d->left -= len;
    if (d->left == 0) {
        d->state = CHUNK_DATA_CR;
    }
    return H1_CHUNKED_DATA;
}

int h1_chunked_next(struct h1_chunked *d, const char *p, size_t n, size_t *used, struct slice *data)
{
    ensure(d->state < CHUNK_OVER);
    size_t i = usual_framing(d, p, n);
    int event = H1_CHUNKED_MORE;
    while (i < n && event == H1_CHUNKED_MORE) {
        if (d->state == CHUNK_DATA) {
            event = take_data(d, p + i, n - i, data);
            i += data->len;
            break;
        }
        if (d->state == CHUNK_LAST && p[i] != '\r') {
            d->state = CHUNK_TRAILERS;
        }
        if (d->state == CHUNK_TRAILERS) {
            event = H1_CHUNKED_TRAILERS;
            break;
        }
        if (d->state == CHUNK_LAST) {
            d->state = CHUNK_LAST_LF;
            i++;
            continue;
        }
        int rc = framing_byte(d, p[i++]);
        if (rc != 0) {
            return rc;
        }
        if (d->state == CHUNK_OVER) {
            event = H1_CHUNKED_END;
        }
    }
    *used = i;
    return event;
}

int h1_parse_trailers(struct h1_chunked *d, const struct h1_limits *limits, const char *p, size_t n,
                      size_t *used, struct fields *out)
{
    ensure(d->state == CHUNK_TRAILERS);
    size_t len;
    struct h1_scan_mode mode = {h1_scan_best(), true};
    int rc = h1_scan_with(mode, &d->scan, limits, p, n, &len);
    if (rc != 0) {
        return rc == E_AGAIN || rc == E_HEAD_TOO_LARGE ? rc : E_BAD_TRAILER;
    }
    struct h1_section s;
    rc = h1_section_begin(&s, H1_SECTION_TRAILERS, out, p, len, limits);
    if (rc != 0) {
        return rc;
    }
    struct h1_hop hop;
    h1_hop_init(&hop);
    rc = h1_section_fields(&s, &hop);
    if (rc != 0) {
        return rc == E_NO_MEMORY || rc == E_TOO_MANY_FIELDS ? rc : E_BAD_TRAILER;
    }
    d->state = CHUNK_OVER;
    *used = len;
    return 0;
}
