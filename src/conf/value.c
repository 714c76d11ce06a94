// SPDX-License-Identifier: Apache-2.0
//
// Typed values out of text (conf/value.h). No state, any thread.

#include "conf/value.h"

#include "base/error.h"
#include "base/num.h"

int conf_value_bool(struct slice s, bool *out)
{
    if (slice_eq(s, SLICE("on")) || slice_eq(s, SLICE("true"))) {
        *out = true;
        return 0;
    }
    if (slice_eq(s, SLICE("off")) || slice_eq(s, SLICE("false"))) {
        *out = false;
        return 0;
    }
    return E_INVALID;
}

int conf_value_int(struct slice s, int64_t *out)
{
    uint64_t value = 0;
    if (s.len > 1 && s.ptr[0] == '0') {
        return E_INVALID; // 010 is eight to some and ten to others
    }
    int rc = num_parse_u64(s, INT64_MAX, &value);
    if (rc == 0) {
        *out = (int64_t)value;
    }
    return rc;
}

struct unit {
    struct slice name;
    uint64_t factor;
};

// Takes the digits and then the letters off the front of *rest.
static int take_number(struct slice *rest, uint64_t *value, struct slice *unit)
{
    size_t digits = 0;
    while (digits < rest->len && rest->ptr[digits] >= '0' && rest->ptr[digits] <= '9') {
        digits++;
    }
    size_t end = digits;
    while (end < rest->len && (rest->ptr[end] < '0' || rest->ptr[end] > '9')) {
        end++;
    }
    if (digits > 1 && rest->ptr[0] == '0') {
        return E_INVALID;
    }
    *unit = slice_sub(*rest, digits, end - digits);
    int rc = num_parse_u64(slice_sub(*rest, 0, digits), UINT64_MAX - 1, value);
    *rest = slice_from(*rest, end);
    return rc;
}

static int unit_index(const struct unit *units, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(units[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

int conf_value_duration(struct slice s, uint64_t *ms)
{
    static const struct unit units[] = {
        {SLICE_INIT("d"), 86400000}, {SLICE_INIT("h"), 3600000}, {SLICE_INIT("m"), 60000},
        {SLICE_INIT("s"), 1000},     {SLICE_INIT("ms"), 1},
    };
    uint64_t total = 0;
    int before = -1;
    if (slice_eq(s, SLICE("0"))) {
        *ms = 0;
        return 0;
    }
    do {
        uint64_t value = 0;
        struct slice name;
        int rc = take_number(&s, &value, &name);
        if (rc != 0) {
            return rc;
        }
        int unit = unit_index(units, array_len(units), name);
        if (unit <= before) { // unknown, or not from large to small
            return E_INVALID;
        }
        before = unit;
        uint64_t part = 0;
        if (__builtin_mul_overflow(value, units[unit].factor, &part) ||
            __builtin_add_overflow(total, part, &total)) {
            return E_RANGE;
        }
    } while (s.len > 0);
    *ms = total;
    return 0;
}

int conf_value_size(struct slice s, uint64_t *bytes)
{
    static const struct unit units[] = {
        {SLICE_INIT(""), 1},
        {SLICE_INIT("B"), 1},
        {SLICE_INIT("KB"), 1000},
        {SLICE_INIT("MB"), 1000000},
        {SLICE_INIT("GB"), 1000000000},
        {SLICE_INIT("TB"), 1000000000000},
        {SLICE_INIT("KiB"), UINT64_C(1) << 10},
        {SLICE_INIT("MiB"), UINT64_C(1) << 20},
        {SLICE_INIT("GiB"), UINT64_C(1) << 30},
        {SLICE_INIT("TiB"), UINT64_C(1) << 40},
    };
    uint64_t value = 0;
    struct slice name;
    int rc = take_number(&s, &value, &name);
    if (rc != 0) {
        return rc;
    }
    int unit = unit_index(units, array_len(units), name);
    if (unit < 0 || s.len > 0) {
        return E_INVALID;
    }
    return __builtin_mul_overflow(value, units[unit].factor, bytes) ? E_RANGE : 0;
}

int conf_value_percent(struct slice s, uint64_t *percent)
{
    struct slice unit;
    uint64_t value = 0;
    int rc = take_number(&s, &value, &unit);
    if (rc == E_INVALID || s.len > 0 || !slice_eq(unit, SLICE("%"))) {
        return E_INVALID;
    }
    *percent = value;
    return rc;
}

int conf_value_status(struct slice s, bool classes, unsigned *out)
{
    uint64_t value = 0;
    if (classes && s.len == 3 && s.ptr[0] >= '1' && s.ptr[0] <= '5' && s.ptr[1] == 'x' &&
        s.ptr[2] == 'x') {
        *out = (unsigned)(s.ptr[0] - '0');
        return 0;
    }
    if (s.len != 3 || num_parse_u64(s, 999, &value) != 0) {
        return E_INVALID;
    }
    if (value < 100 || value > 599) {
        return E_RANGE;
    }
    *out = (unsigned)value;
    return 0;
}

bool conf_is_token(struct slice s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return s.len > 0;
}

size_t conf_utf8_take(struct slice s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)s.ptr[0];
    size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (len == 1) {
        *code = c;
        return 1;
    }
    if (c < 0xc2 || c > 0xf4 || s.len < len) {
        return 0;
    }
    uint32_t value = c & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)s.ptr[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    *code = value;
    return value < least[len] || value > 0x10ffff || surrogate ? 0 : len;
}

// Bidirectional controls (Boucher & Anderson 2021) and the separators of Unicode.
bool conf_is_deceptive(uint32_t code)
{
    return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0x2028 || code == 0x2029;
}
