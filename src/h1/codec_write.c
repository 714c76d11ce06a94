// SPDX-License-Identifier: Apache-2.0
//
// Writers: heads and chunk framing from the parsed form. Fields that lie in the store as they are
// written here, one behind the other, are copied as one: those of the peer as they came, and those
// that were added to them.

#include "base/num.h"
#include "h1/codec_int.h"

static void put_field(struct text *out, struct slice name, struct slice value)
{
    text_put(out, name);
    text_put(out, SLICE(": "));
    text_put(out, value);
    text_put(out, SLICE("\r\n"));
}

// Where a field ends that is written in the store.
static uint32_t written_end(const struct field *e)
{
    return e->value_off + e->value_len + 2;
}

static void put_fields(struct text *out, const struct fields *f)
{
    for (uint16_t i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (unlikely(!e->written)) {
            put_field(out, field_name(f, e), field_value(f, e));
            continue;
        }
        uint32_t from = e->name_off;
        uint32_t to = written_end(e);
        for (; i + 1 < f->count; i++) {
            const struct field *next = &f->entries[i + 1];
            if (!next->written || next->name_off != to) {
                break;
            }
            to = written_end(next);
        }
        text_put(out, slice_of(f->store + from, to - from));
    }
}

static void put_length(struct text *out, int64_t length)
{
    char digits[NUM_U64_DIGITS];
    ensure(length >= 0);
    size_t n = num_format_u64(digits, (uint64_t)length);
    text_put(out, SLICE("Content-Length: "));
    text_put(out, slice_of(digits, n));
    text_put(out, SLICE("\r\n"));
}

static void put_framing(struct text *out, const struct http_head *head, enum h1_framing framing)
{
    if (framing == H1_FRAMING_CHUNKED) {
        text_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (framing == H1_FRAMING_LENGTH || (framing == H1_FRAMING_NONE && head->has_length)) {
        put_length(out, head->content_length);
    }
}

// ---- request ---------------------------------------------------------------------------------------

static void put_request_line(struct text *out, const struct http_head *head)
{
    text_put(out, head->method_text);
    text_put(out, SLICE(" "));
    text_put(out, head->target);
    text_put(out, SLICE(" HTTP/1.1\r\nHost: "));
    text_put(out, head->authority);
    text_put(out, SLICE("\r\n"));
}

// Connection and what it lists (RFC 9110 7.6.1, 7.8, 10.1.4).
static void put_request_options(struct text *out, const struct http_head *head)
{
    bool upgrade = head->upgrade.len > 0;
    if (upgrade) {
        put_field(out, SLICE("Upgrade"), head->upgrade);
    }
    if (head->te_trailers) {
        text_put(out, SLICE("TE: trailers\r\n"));
    }
    if (upgrade && head->te_trailers) {
        text_put(out, SLICE("Connection: Upgrade, TE\r\n"));
    } else if (upgrade) {
        text_put(out, SLICE("Connection: Upgrade\r\n"));
    } else if (head->te_trailers) {
        text_put(out, SLICE("Connection: TE\r\n"));
    }
    if (head->expect_continue) {
        text_put(out, SLICE("Expect: 100-continue\r\n"));
    }
}

void h1_write_request(struct text *out, const struct http_head *head, enum h1_framing framing)
{
    ensure(head->method_text.len > 0);
    ensure(head->target.len > 0);
    put_request_line(out, head);
    put_fields(out, &head->fields);
    put_framing(out, head, framing);
    put_request_options(out, head);
    text_put(out, SLICE("\r\n"));
}

// ---- response --------------------------------------------------------------------------------------

static void put_status_line(struct text *out, const struct http_head *head)
{
    struct slice reason = head->reason.len > 0 ? head->reason : http_status_reason(head->status);
    char line[] = "HTTP/1.1 200 ";
    line[9] = (char)('0' + head->status / 100);
    line[10] = (char)('0' + head->status / 10 % 10);
    line[11] = (char)('0' + head->status % 10);
    text_put(out, slice_of(line, sizeof(line) - 1));
    text_put(out, reason);
    text_put(out, SLICE("\r\n"));
}

void h1_write_response(struct text *out, const struct http_head *head, enum h1_framing framing,
                       bool close, uint8_t client_minor, struct slice date)
{
    ensure(head->status >= 100 && head->status <= 599);
    bool interim = head->status < 200;
    put_status_line(out, head);
    put_fields(out, &head->fields);
    if (!interim && date.len > 0 && !fields_has(&head->fields, HTTP_DATE)) {
        put_field(out, SLICE("Date"), date);
    }
    if (!interim && head->status != 204) {
        put_framing(out, head, framing);
    }
    if (head->upgrade.len > 0) {
        put_field(out, SLICE("Upgrade"), head->upgrade);
        text_put(out, close ? SLICE("Connection: Upgrade, close\r\n")
                            : SLICE("Connection: Upgrade\r\n"));
    } else if (close && !interim) {
        text_put(out, SLICE("Connection: close\r\n"));
    } else if (client_minor == 0 && !interim) {
        text_put(out, SLICE("Connection: keep-alive\r\n"));
    }
    text_put(out, SLICE("\r\n"));
}

// ---- chunks ----------------------------------------------------------------------------------------

size_t h1_write_chunk_size(char *out, uint64_t size)
{
    size_t n = num_format_hex(out, size);
    memcpy(out + n, "\r\n", 2);
    return n + 2;
}

void h1_write_last_chunk(struct text *out, const struct fields *trailers)
{
    text_put(out, SLICE("0\r\n"));
    if (trailers != NULL) {
        put_fields(out, trailers);
    }
    text_put(out, SLICE("\r\n"));
}
