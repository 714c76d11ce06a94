// SPDX-License-Identifier: Apache-2.0
//
// The bounded builder's longer verbs: numbers, printf, and the two escapings that adit writes, JSON
// strings and HTML text. After an overflow the text is incomplete and says so; each verb still puts
// all of its piece or nothing, but for the escapings, which stop in the middle.

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"

void text_str(struct text *t, const char *nul_terminated)
{
    text_put(t, slice_str(nul_terminated));
}

void text_u64(struct text *t, uint64_t value)
{
    char digits[NUM_U64_DIGITS];
    text_put(t, slice_of(digits, num_format_u64(digits, value)));
}

void text_hex(struct text *t, uint64_t value)
{
    char digits[16];
    text_put(t, slice_of(digits, num_format_hex(digits, value)));
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;
    size_t room = t->capacity - t->len;
    if (room == 0) { // perhaps there is no buffer at all
        t->overflow = true;
        return;
    }
    va_start(args, format);
    int n = vsnprintf(t->ptr + t->len, room, format, args);
    va_end(args);
    // vsnprintf needs one byte more than the text for its NUL.
    if (n < 0 || (size_t)n >= room) {
        t->overflow = true;
        return;
    }
    t->len += (size_t)n;
}

// How many bytes at the front of s are one well-formed UTF-8 sequence (RFC 3629), or 0.
static size_t utf8_sequence(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (s.len < n) {
        return 0;
    }
    // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

static void json_control(struct text *t, unsigned char c)
{
    static const char short_forms[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    char escape[6] = {'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15]};
    if (c < sizeof(short_forms) && short_forms[c] != 0) {
        escape[1] = short_forms[c];
        text_put(t, slice_of(escape, 2));
        return;
    }
    text_put(t, slice_of(escape, sizeof(escape)));
}

static bool json_plain(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x20 && u < 0x7f && u != '"' && u != '\\';
}

void text_json(struct text *t, struct slice s)
{
    while (s.len > 0 && !t->overflow) {
        size_t run = 0;
        while (run < s.len && json_plain(s.ptr[run])) {
            run++;
        }
        if (run > 0) {
            text_put(t, slice_sub(s, 0, run));
            s = slice_from(s, run);
            continue;
        }
        unsigned char c = (unsigned char)s.ptr[0];
        size_t n = utf8_sequence(s);
        if (c == '"' || c == '\\') {
            char escape[2] = {'\\', (char)c};
            text_put(t, slice_of(escape, 2));
        } else if (c < 0x20 || c == 0x7f) {
            json_control(t, c);
        } else if (n == 0) {
            text_put(t, SLICE("\xef\xbf\xbd"));
        } else {
            text_put(t, slice_sub(s, 0, n));
        }
        s = slice_from(s, n > 0 ? n : 1);
    }
}

void text_json_string(struct text *t, const char *name, struct slice value)
{
    text_printf(t, ",\"%s\":\"", name);
    text_json(t, value);
    text_char(t, '"');
}

void text_json_number(struct text *t, const char *name, uint64_t value)
{
    text_printf(t, ",\"%s\":%llu", name, (unsigned long long)value);
}

static struct slice html_entity(char c)
{
    switch (c) {
    case '&':
        return SLICE("&amp;");
    case '<':
        return SLICE("&lt;");
    case '>':
        return SLICE("&gt;");
    case '"':
        return SLICE("&quot;");
    case '\'':
        return SLICE("&#39;");
    default:
        return SLICE("");
    }
}

void text_html(struct text *t, struct slice s)
{
    for (size_t i = 0; i < s.len && !t->overflow; i++) {
        struct slice entity = html_entity(s.ptr[i]);
        if (entity.len > 0) {
            text_put(t, entity);
        } else {
            text_char(t, s.ptr[i]);
        }
    }
}
