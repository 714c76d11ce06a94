// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing PROXY headers (net/proxy_header.h).
//
// Version 1 is a line of text whose end must be found without reading past it: from what is there
// follows how much at least is still to come (two addresses, two ports, the blanks between them), so a
// whole line takes some eight reads. Version 2 says its length in its first 16 bytes and takes three.

#include "net/proxy_header.h"

#include "base/error.h"
#include "base/text.h"

enum {
    FIRST = 15,     // "PROXY UNKNOWN\r\n", the shortest header there is
    HEAD = 16,      // of version 2, up to its length
    SIGNATURE = 12, // of version 2
    TOKENS = 6,     // of a line: PROXY, protocol, two addresses, two ports
    BLOCK_V4 = 12,  // address blocks of version 2
    BLOCK_V6 = 36,
    BLOCK_UNIX = 216,
    SSL_FIXED = 5, // client, verify
};

enum command { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum family { FAMILY_NONE = 0, FAMILY_V4 = 1, FAMILY_V6 = 2, FAMILY_UNIX = 3 };
enum kind { KIND_NONE = 0, KIND_STREAM = 1, KIND_DATAGRAM = 2 };

enum tlv {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
};

enum client_flags { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4 };

static const char signature[SIGNATURE + 1] = "\r\n\r\n\0\r\nQUIT\n";
static const struct slice line_start = SLICE_INIT("PROXY ");
static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned byte_at(struct slice s, size_t i)
{
    ensure(i < s.len);
    return (unsigned char)s.ptr[i];
}

static unsigned u16_at(struct slice s, size_t i)
{
    return byte_at(s, i) << 8 | byte_at(s, i + 1);
}

// ---- how much more: version 1 -----------------------------------------------------------------------

static bool is_v4_line(struct slice s)
{
    return slice_starts(s, SLICE("PROXY TCP4 "));
}

static bool is_unknown_line(struct slice s)
{
    struct slice word = SLICE("PROXY UNKNOWN");
    return slice_starts(s, word) &&
           (s.len == word.len || s.ptr[word.len] == ' ' || s.ptr[word.len] == '\r');
}

// The least that can end a line with addresses.
static size_t least_rest(struct slice s)
{
    const size_t address = is_v4_line(s) ? 7 : 2; // 1.1.1.1, ::
    const size_t least[TOKENS] = {5, 4, address, address, 1, 1};
    size_t token = 0;
    size_t len = 0; // of the token that is not over yet
    for (size_t i = 0; i < s.len; i++) {
        bool blank = s.ptr[i] == ' ';
        token += blank;
        len = blank ? 0 : len + 1;
        if (token >= TOKENS) {
            return 0; // too many
        }
    }
    size_t rest = len < least[token] ? least[token] - len : 0;
    for (token++; token < TOKENS; token++) {
        rest += 1 + least[token];
    }
    return rest + 2;
}

static int line_need(struct slice s, size_t *need)
{
    bool unknown = is_unknown_line(s);
    if (!unknown && !is_v4_line(s) && !slice_starts(s, SLICE("PROXY TCP6 "))) {
        return E_PROXY_MALFORMED;
    }
    for (size_t i = 0; i < s.len; i++) {
        bool cr = s.ptr[i] == '\r';
        if (s.ptr[i] == '\n' || (cr && i + 2 < s.len) ||
            (cr && i + 2 == s.len && s.ptr[i + 1] != '\n')) {
            return E_PROXY_MALFORMED; // one without the other, or something after them
        }
        if (cr && i + 2 == s.len) {
            *need = 0;
            return 0;
        }
    }
    bool ending = s.ptr[s.len - 1] == '\r';
    *need = ending ? 1 : unknown ? 2 : least_rest(s);
    return *need == 0 || s.len + *need > PROXY_HEADER_LINE_MAX ? E_PROXY_MALFORMED : 0;
}

// ---- how much more: version 2 -----------------------------------------------------------------------

static size_t block_bytes(unsigned family)
{
    switch ((enum family)family) {
    case FAMILY_V4:
        return BLOCK_V4;
    case FAMILY_V6:
        return BLOCK_V6;
    case FAMILY_UNIX:
        return BLOCK_UNIX;
    case FAMILY_NONE:
        break;
    }
    return 0;
}

// The two bytes after the signature. What a LOCAL header says of families is not looked at.
static int check_command(unsigned command, unsigned family)
{
    if (command >> 4 != 2 || (command & 15) > COMMAND_PROXY) {
        return E_PROXY_UNSUPPORTED;
    }
    bool known = family >> 4 <= FAMILY_UNIX && (family & 15) <= KIND_DATAGRAM;
    return known || (command & 15) == COMMAND_LOCAL ? 0 : E_PROXY_UNSUPPORTED;
}

static int block_need(struct slice s, size_t *need)
{
    int e = check_command(byte_at(s, SIGNATURE), byte_at(s, SIGNATURE + 1));
    if (e < 0) {
        return e;
    }
    bool proxied = (byte_at(s, SIGNATURE) & 15) == COMMAND_PROXY;
    size_t block = proxied ? block_bytes(byte_at(s, SIGNATURE + 1) >> 4) : 0;
    if (s.len < HEAD) {
        *need = HEAD - s.len + block;
        return 0;
    }
    size_t len = u16_at(s, HEAD - 2);
    if (len < block) {
        return E_PROXY_MALFORMED;
    }
    if (HEAD + len > PROXY_HEADER_MAX) {
        return E_PROXY_UNSUPPORTED;
    }
    ensure(s.len <= HEAD + len);
    *need = HEAD + len - s.len;
    return 0;
}

static bool begins_like(struct slice s, const char *with, size_t len)
{
    return memcmp(s.ptr, with, s.len < len ? s.len : len) == 0;
}

int proxy_header_need(struct slice bytes, size_t *need)
{
    *need = FIRST;
    if (bytes.len == 0) {
        return 0;
    }
    bool line = begins_like(bytes, line_start.ptr, line_start.len);
    if (!line && !begins_like(bytes, signature, SIGNATURE)) {
        return E_PROXY_MISSING;
    }
    if (bytes.len < FIRST) {
        *need = FIRST - bytes.len;
        return 0;
    }
    return line ? line_need(bytes, need) : block_need(bytes, need);
}

// ---- parsing ----------------------------------------------------------------------------------------

// What came to an IPv6 socket from an IPv4 client is an IPv4 client.
static void unmap(struct os_addr *a)
{
    if (a->kind == OS_ADDR_V6 && memcmp(a->u.ip, v4_mapped, sizeof(v4_mapped)) == 0) {
        uint8_t v4[4];
        memcpy(v4, a->u.ip + sizeof(v4_mapped), sizeof(v4));
        *a = (struct os_addr){.kind = OS_ADDR_V4, .port = a->port};
        memcpy(a->u.ip, v4, sizeof(v4));
    }
}

static bool all_of(struct slice s, const char *set)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\0' || strchr(set, s.ptr[i]) == NULL) {
            return false;
        }
    }
    return s.len > 0;
}

static bool parse_port(struct slice s, uint16_t *out)
{
    if (!all_of(s, "0123456789") || s.len > 5 || (s.len > 1 && s.ptr[0] == '0')) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < s.len; i++) {
        value = value * 10 + (unsigned)(s.ptr[i] - '0');
    }
    *out = (uint16_t)value;
    return value <= UINT16_MAX;
}

// Up to the next blank, which is taken off too.
static struct slice take_token(struct slice *rest)
{
    ptrdiff_t blank = slice_find_char(*rest, ' ');
    struct slice token = blank < 0 ? *rest : slice_sub(*rest, 0, (size_t)blank);
    *rest = slice_from(*rest, blank < 0 ? rest->len : (size_t)blank + 1);
    return token;
}

static bool parse_address(struct slice s, bool v4, struct os_addr *out)
{
    return all_of(s, v4 ? "0123456789." : "0123456789abcdefABCDEF:.") &&
           os_addr_parse_ip(s, 0, out) == 0 && out->kind == (v4 ? OS_ADDR_V4 : OS_ADDR_V6);
}

static int parse_line(struct slice s, struct proxy_header *out)
{
    out->version = 1;
    if (is_unknown_line(s)) {
        out->local = true;
        return 0;
    }
    bool v4 = is_v4_line(s);
    struct slice rest = slice_sub(s, 11, s.len - 13); // between "PROXY TCPx " and CRLF
    struct slice from = take_token(&rest);
    struct slice to = take_token(&rest);
    struct slice from_port = take_token(&rest);
    // What is left is the last port: a further blank would be in it.
    if (!parse_address(from, v4, &out->from) || !parse_address(to, v4, &out->to) ||
        !parse_port(from_port, &out->from.port) || !parse_port(rest, &out->to.port)) {
        return E_PROXY_MALFORMED;
    }
    unmap(&out->from);
    unmap(&out->to);
    return 0;
}

static void take_addresses(struct slice block, unsigned family, struct proxy_header *out)
{
    size_t ip = family == FAMILY_V4 ? 4 : 16;
    if (family == FAMILY_UNIX) {
        out->from.kind = OS_ADDR_UNIX;
        out->to.kind = OS_ADDR_UNIX;
        return;
    }
    out->from.kind = family == FAMILY_V4 ? OS_ADDR_V4 : OS_ADDR_V6;
    out->to.kind = out->from.kind;
    memcpy(out->from.u.ip, block.ptr, ip);
    memcpy(out->to.u.ip, block.ptr + ip, ip);
    out->from.port = (uint16_t)u16_at(block, 2 * ip);
    out->to.port = (uint16_t)u16_at(block, 2 * ip + 2);
    unmap(&out->from);
    unmap(&out->to);
}

struct tlv_view {
    unsigned type;
    struct slice value;
};

// False at the end. One that runs over the end is E_PROXY_MALFORMED in *error.
static bool next_tlv(struct slice *rest, struct tlv_view *tlv, int *error)
{
    if (rest->len == 0) {
        return false;
    }
    size_t len = rest->len >= 3 ? u16_at(*rest, 1) : 0;
    if (rest->len < 3 + len) {
        *error = E_PROXY_MALFORMED;
        return false;
    }
    *tlv = (struct tlv_view){byte_at(*rest, 0), slice_sub(*rest, 3, len)};
    *rest = slice_from(*rest, 3 + len);
    return true;
}

// One that is there twice would mean what its reader likes.
static int set_once(struct slice *field, struct slice value, size_t max)
{
    if (field->ptr != NULL || value.len > max) {
        return E_PROXY_MALFORMED;
    }
    *field = value;
    return 0;
}

static int parse_ssl(struct slice value, struct proxy_header *out)
{
    if (value.len < SSL_FIXED || out->secure) {
        return E_PROXY_MALFORMED;
    }
    unsigned client = byte_at(value, 0);
    bool verified = u16_at(value, 1) == 0 && u16_at(value, 3) == 0;
    out->secure = (client & CLIENT_SSL) != 0;
    out->client_verified =
        out->secure && verified && (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0;
    struct slice rest = slice_from(value, SSL_FIXED);
    struct tlv_view sub;
    int e = 0;
    while (e == 0 && next_tlv(&rest, &sub, &e)) {
        if (sub.type == TLV_SSL_VERSION) {
            e = set_once(&out->version_tls, sub.value, PROXY_HEADER_NAME_MAX);
        } else if (sub.type == TLV_SSL_CN) {
            e = set_once(&out->client_name, sub.value, PROXY_HEADER_NAME_MAX);
        } else if (sub.type == TLV_SSL_CIPHER) {
            e = set_once(&out->cipher, sub.value, PROXY_HEADER_NAME_MAX);
        }
    }
    return e;
}

static uint32_t crc32c(uint32_t crc, struct slice s)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (size_t i = 0; i < s.len; i++) {
        crc ^= byte_at(s, i);
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return crc;
}

// Of the whole header, with zeros in place of the sum itself (section 2.2.3).
static int check_sum(struct slice header, struct slice sum)
{
    static const char zeros[4];
    size_t at = (size_t)(sum.ptr - header.ptr);
    uint32_t crc = crc32c(UINT32_MAX, slice_sub(header, 0, at));
    crc = crc32c(crc, slice_of(zeros, sizeof(zeros)));
    crc = ~crc32c(crc, slice_from(header, at + sizeof(zeros)));
    uint32_t said = (uint32_t)u16_at(sum, 0) << 16 | u16_at(sum, 2);
    return crc == said ? 0 : E_PROXY_CHECKSUM;
}

static int parse_tlvs(struct slice header, struct slice rest, struct proxy_header *out)
{
    struct tlv_view tlv;
    struct slice sum = {NULL, 0};
    int e = 0;
    while (e == 0 && next_tlv(&rest, &tlv, &e)) {
        switch (tlv.type) {
        case TLV_ALPN:
            e = set_once(&out->alpn, tlv.value, PROXY_HEADER_NAME_MAX);
            break;
        case TLV_AUTHORITY:
            e = set_once(&out->authority, tlv.value, PROXY_HEADER_NAME_MAX);
            break;
        case TLV_UNIQUE_ID:
            e = set_once(&out->unique_id, tlv.value, PROXY_HEADER_UNIQUE_ID_MAX);
            break;
        case TLV_CRC32C:
            e = tlv.value.len == 4 ? set_once(&sum, tlv.value, 4) : E_PROXY_MALFORMED;
            break;
        case TLV_SSL:
            e = parse_ssl(tlv.value, out);
            break;
        default:
            break; // NOOP, and whatever else there may be
        }
    }
    return e == 0 && sum.ptr != NULL ? check_sum(header, sum) : e;
}

static int parse_block(struct slice s, struct proxy_header *out)
{
    unsigned family = byte_at(s, SIGNATURE + 1) >> 4;
    unsigned kind = byte_at(s, SIGNATURE + 1) & 15;
    out->version = 2;
    // Of datagrams nothing comes over a stream: as for a kind that was not said, the real addresses
    // stand (section 2.2, "automatically falls back to the UNSPEC mode").
    if ((byte_at(s, SIGNATURE) & 15) == COMMAND_LOCAL || family == FAMILY_NONE ||
        kind != KIND_STREAM) {
        out->local = true;
        return 0;
    }
    size_t block = block_bytes(family);
    take_addresses(slice_sub(s, HEAD, block), family, out);
    return parse_tlvs(s, slice_from(s, HEAD + block), out);
}

int proxy_header_parse(struct slice bytes, struct proxy_header *out)
{
    size_t need = 0;
    int e = proxy_header_need(bytes, &need);
    ensure(e < 0 || need == 0);
    *out = (struct proxy_header){.version = 0};
    if (e == 0) {
        e = bytes.ptr[0] == 'P' ? parse_line(bytes, out) : parse_block(bytes, out);
    }
    return e;
}

// ---- writing ----------------------------------------------------------------------------------------

static bool is_ip(const struct os_addr *a)
{
    return a->kind == OS_ADDR_V4 || a->kind == OS_ADDR_V6;
}

// The address as IPv6, and as text of a line.
static struct os_addr widen(const struct os_addr *a)
{
    if (a->kind != OS_ADDR_V4) {
        return *a;
    }
    struct os_addr v6 = {.kind = OS_ADDR_V6, .port = a->port};
    memcpy(v6.u.ip, v4_mapped, sizeof(v4_mapped));
    memcpy(v6.u.ip + sizeof(v4_mapped), a->u.ip, 4);
    return v6;
}

static void put_u16(struct text *out, size_t value)
{
    text_char(out, (char)(value >> 8 & 255));
    text_char(out, (char)(value & 255));
}

static void write_line(const struct os_addr *from, const struct os_addr *to, struct text *out)
{
    text_str(out, from->kind == OS_ADDR_V4 ? "PROXY TCP4 " : "PROXY TCP6 ");
    struct os_addr plain = *from;
    plain.scope = 0; // means nothing elsewhere
    os_addr_ip_text(&plain, out);
    text_char(out, ' ');
    plain = *to;
    plain.scope = 0;
    os_addr_ip_text(&plain, out);
    text_printf(out, " %u %u\r\n", from->port, to->port);
}

static void put_tlv(struct text *out, enum tlv type, struct slice value, size_t max)
{
    if (value.len > 0 && value.len <= max) {
        text_char(out, (char)type);
        put_u16(out, value.len);
        text_put(out, value);
    }
}

static void put_ssl(struct text *out, const struct proxy_header *h)
{
    char sub_bytes[3 * (3 + PROXY_HEADER_NAME_MAX)];
    struct text sub = text_on(sub_bytes, sizeof(sub_bytes));
    put_tlv(&sub, TLV_SSL_VERSION, h->version_tls, PROXY_HEADER_NAME_MAX);
    put_tlv(&sub, TLV_SSL_CIPHER, h->cipher, PROXY_HEADER_NAME_MAX);
    put_tlv(&sub, TLV_SSL_CN, h->client_name, PROXY_HEADER_NAME_MAX);
    text_char(out, TLV_SSL);
    put_u16(out, SSL_FIXED + sub.len);
    text_char(out,
              (char)(CLIENT_SSL | (h->client_verified ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0)));
    put_u16(out, 0);
    put_u16(out, h->client_verified ? 0 : 1);
    text_put(out, text_slice(&sub));
}

static void put_addresses(struct text *out, const struct os_addr *from, const struct os_addr *to)
{
    static const char no_path[BLOCK_UNIX];
    if (from->kind == OS_ADDR_UNIX) {
        text_put(out, slice_of(no_path, sizeof(no_path)));
        return;
    }
    size_t ip = from->kind == OS_ADDR_V4 ? 4 : 16;
    text_put(out, slice_of((const char *)from->u.ip, ip));
    text_put(out, slice_of((const char *)to->u.ip, ip));
    put_u16(out, from->port);
    put_u16(out, to->port);
}

static void write_block(const struct proxy_header *h, const struct os_addr *from,
                        const struct os_addr *to, struct text *out)
{
    unsigned family = from->kind == OS_ADDR_V4   ? FAMILY_V4
                      : from->kind == OS_ADDR_V6 ? FAMILY_V6
                                                 : FAMILY_UNIX;
    text_put(out, slice_of(signature, SIGNATURE));
    text_char(out, (char)(2 << 4 | COMMAND_PROXY));
    text_char(out, (char)(family << 4 | (h->datagram ? KIND_DATAGRAM : KIND_STREAM)));
    size_t at = out->len;
    put_u16(out, 0);
    size_t start = out->len;
    put_addresses(out, from, to);
    put_tlv(out, TLV_ALPN, h->alpn, PROXY_HEADER_NAME_MAX);
    put_tlv(out, TLV_AUTHORITY, h->authority, PROXY_HEADER_NAME_MAX);
    put_tlv(out, TLV_UNIQUE_ID, h->unique_id, PROXY_HEADER_UNIQUE_ID_MAX);
    if (h->secure) {
        put_ssl(out, h);
    }
    if (!out->overflow) {
        out->ptr[at] = (char)((out->len - start) >> 8);
        out->ptr[at + 1] = (char)((out->len - start) & 255);
    }
}

int proxy_header_write(const struct proxy_header *h, struct text *out)
{
    ensure(h->version == 2 || (h->version == 1 && !h->datagram));
    struct os_addr from = h->from;
    struct os_addr to = h->to;
    bool both_ip = is_ip(&from) && is_ip(&to);
    if (both_ip && from.kind != to.kind) {
        from = widen(&from);
        to = widen(&to);
    }
    bool known =
        !h->local &&
        (both_ip || (h->version == 2 && from.kind == OS_ADDR_UNIX && to.kind == OS_ADDR_UNIX));
    if (h->version == 1 && known) {
        write_line(&from, &to, out);
    } else if (h->version == 1) {
        text_str(out, "PROXY UNKNOWN\r\n");
    } else if (known) {
        write_block(h, &from, &to, out);
    } else {
        text_put(out, slice_of(signature, SIGNATURE));
        text_char(out, (char)(2 << 4 | (h->local ? COMMAND_LOCAL : COMMAND_PROXY)));
        text_put(out, SLICE("\0\0\0"));
    }
    return out->overflow ? E_TOO_LARGE : 0;
}
