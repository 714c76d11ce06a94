// SPDX-License-Identifier: Apache-2.0
//
// Base64 both ways (base/base64.h), a group of up to three bytes at a time. Nothing here takes constant
// time: what is a secret is compared after it was read.

#include "base/base64.h"

#include "base/error.h"

static const char digits[2][65] = {
    [BASE64_PADDED] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_put(struct text *out, struct slice bytes, enum base64_kind kind)
{
    const char *digit = digits[kind];
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= n > 2 ? p[i + 2] : 0;
        char group[4] = {digit[v >> 18], digit[v >> 12 & 63], digit[v >> 6 & 63], digit[v & 63]};
        size_t used = n > 2 ? 4 : n + 1;
        if (kind == BASE64_PADDED) {
            memset(group + used, '=', 4 - used);
            used = 4;
        }
        text_put(out, slice_of(group, used));
    }
}

/** 0 to 63, or -1. */
static int value_of(char c, enum base64_kind kind)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == digits[kind][62] ? 62 : c == digits[kind][63] ? 63 : -1;
}

static int read_group(struct slice group, enum base64_kind kind, uint8_t *out, size_t room)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < group.len ? value_of(group.ptr[i], kind) : 0;
        if (value < 0) {
            return E_INVALID;
        }
        v = v << 6 | (uint32_t)value;
    }
    size_t bytes = group.len - 1;
    if (group.len < 2 || (v & (bytes == 1 ? 0xffffU : bytes == 2 ? 0xffU : 0U)) != 0) {
        return E_INVALID;
    }
    if (bytes > room) {
        return E_TOO_LARGE;
    }
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(v >> (16 - 8 * i));
    }
    return 0;
}

int base64_read(struct slice text, enum base64_kind kind, void *out, size_t room, size_t *len)
{
    *len = 0;
    if (kind == BASE64_PADDED) {
        if (text.len % 4 != 0) {
            return E_INVALID;
        }
        for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
            text.len--;
        }
    }
    while (text.len > 0) {
        struct slice group = slice_sub(text, 0, 4);
        int rc = read_group(group, kind, (uint8_t *)out + *len, room - *len);
        if (rc != 0) {
            return rc;
        }
        *len += group.len - 1;
        text = slice_from(text, group.len);
    }
    return 0;
}
