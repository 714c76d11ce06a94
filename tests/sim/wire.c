// SPDX-License-Identifier: Apache-2.0
//
// The actors' reader of messages. Byte by byte and unhurried; anything that is not exactly what
// RFC 9112 allows a sender to send is WIRE_BAD with a word about it.

#include "wire.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"

void wire_reset(struct wire *w)
{
    w->head_only = false;
    w->state = WIRE_HEAD;
    w->head_len = 0;
    w->line_len = 0;
    w->status = 0;
    w->left = 0;
    w->body_bytes = 0;
    w->chunked = false;
    w->has_length = false;
    w->close = false;
    w->length = 0;
    w->wrong = NULL;
}

static void bad(struct wire *w, const char *why)
{
    w->state = WIRE_BAD;
    w->wrong = why;
}

// Walks the lines of the head behind the first; false at the end.
static bool next_line(const struct wire *w, size_t *at, struct slice *line)
{
    struct slice rest = slice_of(w->head + *at, w->head_len - *at);
    ptrdiff_t end = slice_find(rest, SLICE("\r\n"));
    if (end <= 0) {
        return false;
    }
    *line = slice_sub(rest, 0, (size_t)end);
    *at += (size_t)end + 2;
    return true;
}

static int find_field(const struct wire *w, const char *name, struct slice *value)
{
    size_t at = 0;
    struct slice line;
    int count = 0;
    *value = SLICE("");
    (void)next_line(w, &at, &line);
    while (next_line(w, &at, &line)) {
        ptrdiff_t colon = slice_find_char(line, ':');
        if (colon > 0 && slice_eq_nocase(slice_sub(line, 0, (size_t)colon), slice_str(name))) {
            if (count++ == 0) {
                *value = slice_trim(slice_from(line, (size_t)colon + 1));
            }
        }
    }
    return count;
}

struct slice wire_field(const struct wire *w, const char *name)
{
    struct slice value;
    (void)find_field(w, name, &value);
    return value;
}

int wire_field_count(const struct wire *w, const char *name)
{
    struct slice value;
    return find_field(w, name, &value);
}

struct slice wire_word(const struct wire *w, int n)
{
    size_t at = 0;
    struct slice line;
    if (!next_line(w, &at, &line)) {
        return SLICE("");
    }
    for (; n > 0; n--) {
        ptrdiff_t space = slice_find_char(line, ' ');
        if (space < 0) {
            return SLICE("");
        }
        line = slice_from(line, (size_t)space + 1);
    }
    ptrdiff_t space = slice_find_char(line, ' ');
    return space < 0 ? line : slice_sub(line, 0, (size_t)space);
}

static bool check_lines(struct wire *w)
{
    size_t at = 0;
    struct slice line;
    if (!next_line(w, &at, &line)) {
        bad(w, "no start line");
        return false;
    }
    while (next_line(w, &at, &line)) {
        ptrdiff_t colon = slice_find_char(line, ':');
        if (colon <= 0 || line.ptr[colon - 1] == ' ' || line.ptr[0] == ' ') {
            bad(w, "a line that is no field");
            return false;
        }
    }
    for (size_t i = 0; i < w->head_len; i++) {
        char c = w->head[i];
        bool pair = (c == '\r' && w->head[i + 1] == '\n') || (c == '\n' && w->head[i - 1] == '\r');
        if ((unsigned char)c < 0x20 && c != '\t' && !pair) {
            bad(w, "a control byte in the head");
            return false;
        }
    }
    return true;
}

static bool read_framing(struct wire *w)
{
    int lengths = wire_field_count(w, "content-length");
    int codings = wire_field_count(w, "transfer-encoding");
    if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) {
        bad(w, "ambiguous framing");
        return false;
    }
    w->has_length = lengths > 0;
    w->chunked = codings > 0;
    if (lengths > 0 &&
        num_parse_u64(wire_field(w, "content-length"), UINT64_MAX, &w->length) != 0) {
        bad(w, "bad length");
        return false;
    }
    if (codings > 0 && !slice_eq_nocase(wire_field(w, "transfer-encoding"), SLICE("chunked"))) {
        bad(w, "unknown coding");
        return false;
    }
    struct slice rest = wire_field(w, "connection");
    struct slice element;
    while (slice_next_element(&rest, &element)) {
        w->close = w->close || slice_eq_nocase(element, SLICE("close"));
    }
    return true;
}

static bool read_status(struct wire *w)
{
    uint64_t status;
    struct slice version = wire_word(w, 0);
    if (!slice_eq(version, SLICE("HTTP/1.1")) || wire_word(w, 1).len != 3 ||
        num_parse_u64(wire_word(w, 1), 599, &status) != 0 || status < 100) {
        bad(w, "bad status line");
        return false;
    }
    w->status = (int)status;
    return true;
}

static void begin_body(struct wire *w)
{
    bool none =
        !w->request && (w->head_only || w->status < 200 || w->status == 204 || w->status == 304);
    if (none) {
        w->state = WIRE_DONE;
    } else if (w->chunked) {
        w->state = WIRE_CHUNK_LINE;
        w->line_len = 0;
    } else if (w->has_length) {
        w->left = w->length;
        w->state = w->left > 0 ? WIRE_BODY : WIRE_DONE;
    } else {
        w->state = w->request ? WIRE_DONE : WIRE_UNTIL_CLOSE;
    }
}

static void end_head(struct wire *w)
{
    if (!check_lines(w)) {
        return;
    }
    if (!w->request && !read_status(w)) {
        return;
    }
    if (w->request &&
        (!slice_eq(wire_word(w, 2), SLICE("HTTP/1.1")) || wire_field_count(w, "host") != 1)) {
        bad(w, "bad request line or Host");
        return;
    }
    if (read_framing(w)) {
        begin_body(w);
    }
}

static void put_body(struct wire *w, struct slice bytes)
{
    if (w->on_body != NULL) {
        w->on_body(w->user, bytes, w->body_bytes);
    }
    w->body_bytes += bytes.len;
}

// A line of the chunked coding is complete in w->line.
static void end_line(struct wire *w)
{
    struct slice line = slice_of(w->line, w->line_len);
    w->line_len = 0;
    if (w->state == WIRE_CHUNK_END) {
        if (line.len != 0) {
            bad(w, "chunk data not followed by CRLF");
            return;
        }
        w->state = WIRE_CHUNK_LINE;
    } else if (w->state == WIRE_TRAILERS) {
        w->state = line.len == 0 ? WIRE_DONE : WIRE_TRAILERS;
    } else if (num_parse_hex_u64(line, UINT64_MAX, &w->left) != 0) {
        bad(w, "bad chunk size");
    } else {
        w->state = w->left > 0 ? WIRE_CHUNK_DATA : WIRE_TRAILERS;
    }
}

static void line_byte(struct wire *w, char c)
{
    if (w->line_len == sizeof(w->line)) {
        bad(w, "chunk line too long");
        return;
    }
    w->line[w->line_len++] = c;
    if (c != '\n') {
        return;
    }
    if (w->line_len < 2 || w->line[w->line_len - 2] != '\r') {
        bad(w, "bare LF");
        return;
    }
    w->line_len -= 2;
    end_line(w);
}

static bool head_byte(struct wire *w, char c)
{
    if (w->head_len == WIRE_HEAD_MAX - 1) {
        bad(w, "head too large");
        return false;
    }
    w->head[w->head_len++] = c;
    bool end = w->head_len >= 4 && memcmp(w->head + w->head_len - 4, "\r\n\r\n", 4) == 0;
    if (end) {
        end_head(w);
    }
    return end;
}

size_t wire_feed(struct wire *w, struct slice bytes, bool *head_done)
{
    *head_done = false;
    size_t at = 0;
    while (at < bytes.len && w->state != WIRE_DONE && w->state != WIRE_BAD) {
        size_t left = bytes.len - at;
        switch (w->state) {
        case WIRE_HEAD:
            if (head_byte(w, bytes.ptr[at++])) {
                *head_done = true;
                return at;
            }
            break;
        case WIRE_BODY:
        case WIRE_CHUNK_DATA: {
            size_t n = left < w->left ? left : (size_t)w->left;
            put_body(w, slice_sub(bytes, at, n));
            at += n;
            w->left -= n;
            if (w->left == 0) {
                w->state = w->state == WIRE_BODY ? WIRE_DONE : WIRE_CHUNK_END;
            }
            break;
        }
        case WIRE_UNTIL_CLOSE:
            put_body(w, slice_from(bytes, at));
            return bytes.len;
        case WIRE_CHUNK_LINE:
        case WIRE_CHUNK_END:
        case WIRE_TRAILERS:
            line_byte(w, bytes.ptr[at++]);
            break;
        case WIRE_DONE:
        case WIRE_BAD:
            break;
        }
    }
    return at;
}

void wire_eof(struct wire *w)
{
    if (w->state == WIRE_UNTIL_CLOSE) {
        w->state = WIRE_DONE;
    }
}
