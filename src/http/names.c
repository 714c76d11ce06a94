// SPDX-License-Identifier: Apache-2.0
//
// The ids of field names. A name's length, first and last letter are hashed into a table of 128
// slots in which every known name has one of its own (tools/name_hash.py found the multiplier), so a
// lookup is one multiplication and one comparison whether the name is known or not.

#include "http/names.h"

#include "base/ensure.h"

enum { NAME_BYTES_MAX = 24, NAME_SLOT_BITS = 7 };

#define NAME_HASH_MULTIPLIER 0x4351595du

static const uint8_t name_slots[1 << NAME_SLOT_BITS] = {
    [0] = HTTP_X_FORWARDED_HOST,
    [2] = HTTP_X_FORWARDED_FOR,
    [4] = HTTP_PROXY_AUTHORIZATION,
    [5] = HTTP_RETRY_AFTER,
    [8] = HTTP_ALLOW,
    [15] = HTTP_USER_AGENT,
    [18] = HTTP_LOCATION,
    [21] = HTTP_TRANSFER_ENCODING,
    [22] = HTTP_TRAILER,
    [25] = HTTP_IF_NONE_MATCH,
    [28] = HTTP_COOKIE,
    [30] = HTTP_ORIGIN,
    [36] = HTTP_X_REAL_IP,
    [37] = HTTP_TE,
    [38] = HTTP_UPGRADE,
    [40] = HTTP_CONTENT_TYPE,
    [44] = HTTP_CONTENT_ENCODING,
    [50] = HTTP_MAX_FORWARDS,
    [57] = HTTP_IF_MATCH,
    [59] = HTTP_ACCEPT,
    [60] = HTTP_ACCEPT_ENCODING,
    [61] = HTTP_CONNECTION,
    [63] = HTTP_IF_RANGE,
    [65] = HTTP_EXPECT,
    [66] = HTTP_X_REQUEST_ID,
    [69] = HTTP_EXPIRES,
    [71] = HTTP_SERVER,
    [75] = HTTP_ACCEPT_RANGES,
    [77] = HTTP_HOST,
    [81] = HTTP_IF_MODIFIED_SINCE,
    [82] = HTTP_REFERER,
    [83] = HTTP_AGE,
    [85] = HTTP_CONTENT_RANGE,
    [87] = HTTP_ETAG,
    [91] = HTTP_LAST_MODIFIED,
    [92] = HTTP_KEEP_ALIVE,
    [94] = HTTP_FORWARDED,
    [97] = HTTP_X_FORWARDED_PROTO,
    [99] = HTTP_HTTP2_SETTINGS,
    [100] = HTTP_DATE,
    [102] = HTTP_LINK,
    [104] = HTTP_RANGE,
    [105] = HTTP_SET_COOKIE,
    [106] = HTTP_PROXY_AUTHENTICATE,
    [112] = HTTP_VARY,
    [113] = HTTP_CACHE_CONTROL,
    [115] = HTTP_VIA,
    [123] = HTTP_CONTENT_LENGTH,
    [124] = HTTP_WWW_AUTHENTICATE,
    [126] = HTTP_PROXY_CONNECTION,
    [127] = HTTP_AUTHORIZATION,
};

struct name {
    char text[NAME_BYTES_MAX + 1]; // NUL-padded
    uint8_t len;
};

static const struct name names[HTTP_NAME_COUNT] = {
#define HTTP_NAME_ENTRY(id, text) [HTTP_##id] = {text, sizeof(text) - 1},
    HTTP_NAME_TABLE(HTTP_NAME_ENTRY)
#undef HTTP_NAME_ENTRY
};

// Bit 0x20 of every letter of a known name: the bits in which the two cases differ. Known names are
// made of letters, digits and '-', and of these only letters have bit 0x40.
static uint64_t case_bits(uint64_t text)
{
    return text >> 1 & 0x2020202020202020u;
}

static bool same8(const char *a, const char *known)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, 8);
    memcpy(&y, known, 8);
    return ((x ^ y) & ~case_bits(y)) == 0;
}

static bool same4(const char *a, const char *known)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, a, 4);
    memcpy(&y, known, 4);
    return ((x ^ y) & ~(uint32_t)case_bits(y)) == 0;
}

static bool same2(const char *a, const char *known)
{
    uint16_t x;
    uint16_t y;
    memcpy(&x, a, 2);
    memcpy(&y, known, 2);
    return ((x ^ y) & ~(uint16_t)case_bits(y)) == 0;
}

// Both of `len` bytes, `known` without regard to case. Words that overlap cover any length.
static bool same_name(const char *a, const char *known, size_t len)
{
    if (len >= 8) {
        return same8(a, known) && same8(a + len - 8, known + len - 8) &&
               (len <= 16 || same8(a + 8, known + 8));
    }
    if (len >= 4) {
        return same4(a, known) && same4(a + len - 4, known + len - 4);
    }
    return len >= 2 && same2(a, known) && same2(a + len - 2, known + len - 2);
}

enum http_name http_name_of(struct slice name)
{
    if (name.len - 1 >= NAME_BYTES_MAX) {
        return HTTP_OTHER;
    }
    uint32_t first = (unsigned char)name.ptr[0] | 0x20u;
    uint32_t last = (unsigned char)name.ptr[name.len - 1] | 0x20u;
    uint32_t key = first | last << 8 | (uint32_t)name.len << 16;
    uint8_t id = name_slots[key * NAME_HASH_MULTIPLIER >> (32 - NAME_SLOT_BITS)];
    const struct name *known = &names[id];
    return known->len == name.len && same_name(name.ptr, known->text, name.len) ? (enum http_name)id
                                                                                : HTTP_OTHER;
}

struct slice http_name_text(enum http_name id)
{
    ensure(id > HTTP_OTHER && id < HTTP_NAME_COUNT);
    return slice_of(names[id].text, names[id].len);
}
