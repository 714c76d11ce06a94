// SPDX-License-Identifier: Apache-2.0
//
// The ClientHello (l4/client_hello.h). Two passes: the records are joined to one message, in place when
// there is only one of them, which is the rule; then the message is read with a cursor that no length
// can lead out of its part.
//
// Only what routes is looked at. Of the extensions every length is checked, their contents only where
// they are a name or protocols (RFC 6066 3, RFC 7301 3.1).

#include "l4/client_hello.h"

#include "base/error.h"

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_HEAD = 5,
    RECORD_BYTES_MAX = 1 << 14,
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_HEAD = 4,
    RANDOM_BYTES = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
    NAME_HOST = 0,
};

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/** A big-endian number of `width` bytes; false when they are not there. */
static bool take_number(struct cursor *c, size_t width, uint32_t *out)
{
    if (left(c) < width) {
        return false;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < width; i++) {
        n = n << 8 | c->at[i];
    }
    c->at += width;
    *out = n;
    return true;
}

static bool take_bytes(struct cursor *c, size_t n, struct cursor *out)
{
    if (left(c) < n) {
        return false;
    }
    *out = (struct cursor){c->at, c->at + n};
    c->at += n;
    return true;
}

/** A vector: a length of `width` bytes and as many bytes, between `least` and `most`. */
static bool take_vector(struct cursor *c, size_t width, size_t least, size_t most,
                        struct cursor *out)
{
    uint32_t n = 0;
    return take_number(c, width, &n) && n >= least && n <= most && take_bytes(c, n, out);
}

// ---- records --------------------------------------------------------------------------------------

struct message {
    size_t bytes; // that have come
    size_t size;  // of all, its head included; 0: not known yet
    uint8_t head[MESSAGE_HEAD];
    uint32_t records;
    bool whole;
};

/** Notes a record's bytes. 0, or the rule that is broken. */
static int note_fragment(struct message *m, struct cursor fragment)
{
    size_t n = left(&fragment);
    for (size_t i = 0; i < n && m->bytes + i < MESSAGE_HEAD; i++) {
        m->head[m->bytes + i] = fragment.at[i];
    }
    if (m->bytes == 0 && n > 0 && m->head[0] != MESSAGE_CLIENT_HELLO) {
        return E_TLS_HANDSHAKE;
    }
    m->bytes += n;
    if (m->size == 0 && m->bytes >= MESSAGE_HEAD) {
        m->size = MESSAGE_HEAD + ((size_t)m->head[1] << 16 | (size_t)m->head[2] << 8 | m->head[3]);
        if (m->size > CLIENT_HELLO_BYTES_MAX) {
            return E_TOO_LARGE;
        }
    }
    return m->size != 0 && m->bytes > m->size ? E_TLS_HANDSHAKE : 0;
}

/** The head of the next record, as far as it has come. */
static int take_record(struct cursor *c, size_t *size)
{
    const uint8_t *p = c->at;
    size_t n = left(c);
    if ((n > 0 && p[0] != RECORD_HANDSHAKE) || (n > 1 && p[1] != 3) || (n > 2 && p[2] > 4)) {
        return E_TLS_NOT_TLS;
    }
    if (n < RECORD_HEAD) {
        return E_AGAIN;
    }
    *size = (size_t)p[3] << 8 | p[4];
    if (*size == 0 || *size > RECORD_BYTES_MAX) {
        return E_TLS_NOT_TLS;
    }
    c->at += RECORD_HEAD;
    return 0;
}

/** Walks the records of the message, and joins them in `joined` unless that is NULL. */
static int walk_records(struct slice bytes, struct message *m, uint8_t *joined)
{
    const uint8_t *from = (const uint8_t *)bytes.ptr;
    struct cursor c = {from, from + bytes.len};
    *m = (struct message){0};
    while (!m->whole) {
        size_t size = 0;
        int e = take_record(&c, &size);
        if (e < 0) {
            return e == E_TLS_NOT_TLS && m->records > 0 ? E_TLS_HANDSHAKE : e;
        }
        if (++m->records > CLIENT_HELLO_RECORDS_MAX) {
            return E_TOO_LARGE;
        }
        size_t here = size < left(&c) ? size : left(&c);
        struct cursor fragment = {c.at, c.at + here};
        if (joined != NULL) {
            memcpy(joined + m->bytes, fragment.at, here);
        }
        e = note_fragment(m, fragment);
        if (e < 0) {
            return e;
        }
        if (here < size) {
            return E_AGAIN;
        }
        c.at += here;
        m->whole = m->size != 0 && m->bytes == m->size;
    }
    return 0;
}

// ---- the message ----------------------------------------------------------------------------------

static bool is_name_byte(uint8_t b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '-' ||
           b == '.' || b == '_';
}

/** RFC 6066 3: one name of the one type there is. */
static bool read_name(struct cursor c, struct client_hello *out)
{
    struct cursor list;
    struct cursor name;
    uint32_t type = 0;
    if (!take_vector(&c, 2, 1, UINT16_MAX, &list) || left(&c) != 0 ||
        !take_number(&list, 1, &type) || type != NAME_HOST ||
        !take_vector(&list, 2, 1, CLIENT_HELLO_NAME_MAX, &name) || left(&list) != 0) {
        return false;
    }
    out->name_len = (uint8_t)left(&name);
    for (uint8_t i = 0; i < out->name_len; i++) {
        uint8_t b = name.at[i];
        if (!is_name_byte(b)) {
            return false;
        }
        out->name[i] = (char)(b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b);
    }
    return true;
}

/** RFC 7301 3.1. A list that is longer than anybody's is cut after its last whole protocol. */
static bool read_alpn(struct cursor c, struct client_hello *out)
{
    struct cursor list;
    if (!take_vector(&c, 2, 2, UINT16_MAX, &list) || left(&c) != 0) {
        return false;
    }
    out->has_alpn = true;
    while (left(&list) > 0) {
        const uint8_t *from = list.at;
        struct cursor protocol;
        if (!take_vector(&list, 1, 1, UINT8_MAX, &protocol)) {
            return false;
        }
        size_t n = 1 + left(&protocol);
        if (n <= sizeof(out->alpn) - out->alpn_len) {
            memcpy(out->alpn + out->alpn_len, from, n);
            out->alpn_len = (uint16_t)(out->alpn_len + n);
        }
    }
    return true;
}

static bool read_extensions(struct cursor c, struct client_hello *out)
{
    bool named = false;
    while (left(&c) > 0) {
        uint32_t type = 0;
        struct cursor value;
        if (!take_number(&c, 2, &type) || !take_vector(&c, 2, 0, UINT16_MAX, &value)) {
            return false;
        }
        // No extension may come twice (RFC 8446 4.2).
        if (type == EXTENSION_SERVER_NAME) {
            if (named || !read_name(value, out)) {
                return false;
            }
            named = true;
        } else if (type == EXTENSION_ALPN && (out->has_alpn || !read_alpn(value, out))) {
            return false;
        }
    }
    return true;
}

static bool read_message(struct cursor c, struct client_hello *out)
{
    uint32_t version = 0;
    struct cursor part;
    if (!take_number(&c, 2, &version) || version >> 8 != 3 ||
        !take_bytes(&c, RANDOM_BYTES, &part) || !take_vector(&c, 1, 0, SESSION_ID_MAX, &part) ||
        !take_vector(&c, 2, 2, UINT16_MAX, &part) || left(&part) % 2 != 0 ||
        !take_vector(&c, 1, 1, UINT8_MAX, &part)) {
        return false;
    }
    if (left(&c) == 0) {
        return true; // TLS 1.2 without extensions
    }
    return take_vector(&c, 2, 0, UINT16_MAX, &part) && left(&c) == 0 && read_extensions(part, out);
}

int client_hello_parse(struct slice bytes, struct client_hello *out)
{
    struct message m;
    out->name_len = 0;
    out->has_alpn = false;
    out->alpn_len = 0;
    int e = walk_records(bytes, &m, NULL);
    if (e < 0) {
        return e == E_AGAIN && bytes.len >= CLIENT_HELLO_BYTES_MAX ? E_TOO_LARGE : e;
    }
    ensure(m.size <= CLIENT_HELLO_BYTES_MAX);
    uint8_t joined[CLIENT_HELLO_BYTES_MAX];
    const uint8_t *message = (const uint8_t *)bytes.ptr + RECORD_HEAD;
    if (m.records > 1) {
        e = walk_records(bytes, &m, joined);
        ensure(e == 0);
        message = joined;
    }
    struct cursor c = {message + MESSAGE_HEAD, message + m.size};
    return read_message(c, out) ? 0 : E_TLS_HANDSHAKE;
}

bool client_hello_offers(const struct client_hello *h, struct slice protocol)
{
    size_t at = 0;
    while (at < h->alpn_len) {
        size_t n = h->alpn[at];
        if (n == protocol.len && memcmp(h->alpn + at + 1, protocol.ptr, n) == 0) {
            return true;
        }
        at += 1 + n;
    }
    return false;
}
