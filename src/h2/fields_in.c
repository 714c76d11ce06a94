// SPDX-License-Identifier: Apache-2.0
//
// Heads and trailers on their way in: fields as the decoder hands them out become a struct http_head.
//
// Pseudo-fields are judged one by one and together at the end; regular ones by the same rules as in
// src/h1, with what RFC 9113 8.2 adds. A section that has broken a rule is decoded to its end, for
// the sake of the tables, but nothing more of it is stored.

#include "base/error.h"
#include "http/hop.h"

#include "h2/fields.h"

enum pseudo {
    PSEUDO_METHOD = 1,
    PSEUDO_SCHEME = 2,
    PSEUDO_AUTHORITY = 4,
    PSEUDO_PATH = 8,
    PSEUDO_PROTOCOL = 16,
    PSEUDO_STATUS = 32,
};

enum { METHOD_BYTES_MAX = 64 };

// What HTTP/2 has no use for, and what in HTTP/1.1 would decide about framing (RFC 9113 8.2.2).
static const uint64_t refused_ids = HTTP_BIT(CONNECTION) | HTTP_BIT(KEEP_ALIVE) |
                                    HTTP_BIT(PROXY_CONNECTION) | HTTP_BIT(TRANSFER_ENCODING) |
                                    HTTP_BIT(UPGRADE) | HTTP_BIT(HTTP2_SETTINGS);

void h2_in_begin(struct h2_in *in, enum h2_section section, struct http_head *head,
                 struct fields *fields, const struct h2_limits *limits)
{
    *in = (struct h2_in){
        .head = head,
        .fields = fields,
        .limits = *limits,
        .section = (uint8_t)section,
        .urgency = 3,
    };
}

/** A copy that lives as long as the field block. */
static struct slice keep(struct h2_in *in, struct slice s)
{
    struct fields *f = in->fields;
    bool fits = f->used <= f->bytes_max && s.len <= f->bytes_max - f->used;
    if (s.len == 0 || !fits) {
        in->error = fits ? in->error : E_HEAD_TOO_LARGE;
        return slice_of("", 0);
    }
    char *p = fields_reserve(f, (uint32_t)s.len);
    if (p == NULL) {
        in->error = E_NO_MEMORY;
        return slice_of("", 0);
    }
    memcpy(p, s.ptr, s.len);
    return slice_of(p, s.len);
}

/** Bytes of the store that `kept` lies in; it was made by keep(). */
static char *writable(struct slice kept)
{
    return (char *)(uintptr_t)kept.ptr;
}

// ---- pseudo-fields ---------------------------------------------------------------------------------

static void take_method(struct h2_in *in, struct slice value)
{
    struct http_head *h = in->head;
    if (!http_is_token(value)) {
        in->error = E_BAD_METHOD;
    } else if (value.len > METHOD_BYTES_MAX) {
        in->error = E_METHOD_UNKNOWN;
    } else {
        h->method = (uint8_t)http_method_of(value);
        h->method_text = h->method != HTTP_METHOD_OTHER
                             ? http_method_text((enum http_method)h->method)
                             : keep(in, value);
    }
}

static void take_scheme(struct h2_in *in, struct slice value)
{
    if (slice_eq(value, SLICE("https"))) {
        in->head->scheme = SLICE("https");
    } else if (slice_eq(value, SLICE("http"))) {
        in->head->scheme = SLICE("http");
    } else {
        in->error = E_BAD_PSEUDO;
    }
}

static void take_status(struct h2_in *in, struct slice value)
{
    unsigned status = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        status = digit > 9 || value.len != 3 ? 0 : status * 10 + digit;
        if (status == 0) {
            break;
        }
    }
    if (status < 100 || status > 599) {
        in->error = E_BAD_STATUS_LINE;
        return;
    }
    in->head->status = (uint16_t)status;
}

struct pseudo_name {
    struct slice name;
    uint8_t bit;
    uint8_t section;
};

static const struct pseudo_name pseudo_names[] = {
    {SLICE_INIT(":method"), PSEUDO_METHOD, H2_SECTION_REQUEST},
    {SLICE_INIT(":path"), PSEUDO_PATH, H2_SECTION_REQUEST},
    {SLICE_INIT(":scheme"), PSEUDO_SCHEME, H2_SECTION_REQUEST},
    {SLICE_INIT(":authority"), PSEUDO_AUTHORITY, H2_SECTION_REQUEST},
    {SLICE_INIT(":protocol"), PSEUDO_PROTOCOL, H2_SECTION_REQUEST},
    {SLICE_INIT(":status"), PSEUDO_STATUS, H2_SECTION_RESPONSE},
};

/** The bit of a pseudo-field that may stand in this section; 0: none. */
static unsigned pseudo_bit(enum h2_section section, struct slice name)
{
    for (size_t i = 0; i < array_len(pseudo_names); i++) {
        if (pseudo_names[i].section == section && slice_eq(pseudo_names[i].name, name)) {
            return pseudo_names[i].bit;
        }
    }
    return 0;
}

// RFC 9113 8.3: each at most once, before all others, none but those that are defined.
static void take_pseudo(struct h2_in *in, struct slice name, struct slice value)
{
    unsigned bit = pseudo_bit((enum h2_section)in->section, name);
    if (bit == 0 || in->regular || (in->seen & bit) != 0) {
        in->error = E_BAD_PSEUDO;
        return;
    }
    in->seen |= (uint8_t)bit;
    switch ((enum pseudo)bit) {
    case PSEUDO_METHOD:
        take_method(in, value);
        break;
    case PSEUDO_SCHEME:
        take_scheme(in, value);
        break;
    case PSEUDO_AUTHORITY:
        in->authority = keep(in, value);
        break;
    case PSEUDO_PATH:
        if (value.len > in->limits.target_bytes) {
            in->error = E_TARGET_TOO_LONG;
        } else {
            in->head->target = keep(in, value);
        }
        break;
    case PSEUDO_PROTOCOL:
        in->protocol = keep(in, value);
        break;
    case PSEUDO_STATUS:
        take_status(in, value);
        break;
    }
}

// ---- regular fields --------------------------------------------------------------------------------

static void take_length(struct h2_in *in, struct slice value)
{
    uint64_t length = 0;
    bool bad = value.len == 0 || value.len > 19;
    for (size_t i = 0; i < value.len && !bad; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        bad = digit > 9;
        length = length * 10 + digit;
    }
    if (in->head->has_length || (bad && slice_find_char(value, ',') >= 0)) {
        in->error = E_REPEATED_LENGTH;
    } else if (bad || length > INT64_MAX) {
        in->error = E_BAD_LENGTH;
    } else {
        in->head->has_length = true;
        in->head->content_length = (int64_t)length;
    }
}

static void take_host(struct h2_in *in, struct slice value)
{
    if (in->has_host) {
        in->error = E_REPEATED_HOST;
        return;
    }
    in->has_host = true;
    in->host = keep(in, value);
}

/** A field of the connection in a head. */
static void take_hop(struct h2_in *in, enum http_name id, struct slice value)
{
    bool request = in->section == H2_SECTION_REQUEST;
    if (http_id_in(refused_ids, id)) {
        in->error = E_CONNECTION_FIELD;
    } else if (id == HTTP_CONTENT_LENGTH) {
        take_length(in, value);
    } else if (!request) {
        return; // Host, TE and Expect mean nothing in a response
    } else if (id == HTTP_HOST) {
        take_host(in, value);
    } else if (id == HTTP_TE) {
        in->error = slice_eq_nocase(value, SLICE("trailers")) ? 0 : E_CONNECTION_FIELD;
        in->head->te_trailers = true;
    } else if (id == HTTP_EXPECT) {
        in->error = slice_eq_nocase(value, SLICE("100-continue")) ? 0 : E_BAD_EXPECT;
        in->head->expect_continue = true;
    }
}

/** A name that is not known: a token without upper case (RFC 9113 8.2.1). */
static bool is_good_name(struct slice name, bool *odd)
{
    bool bad = name.len == 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bad |= (http_byte_class[c] & HTTP_BYTE_TOKEN) == 0 || (c >= 'A' && c <= 'Z');
        *odd |= (http_byte_class[c] & HTTP_BYTE_HOST) == 0;
    }
    return !bad;
}

static void add(struct h2_in *in, struct slice name, struct slice value, bool secret)
{
    int e = fields_add(in->fields, name, value);
    if (e < 0) {
        in->error = e;
        return;
    }
    if (secret) {
        in->fields->entries[in->fields->count - 1].secret = true;
    }
}

static void take_priority(struct h2_in *in, struct slice name, struct slice value)
{
    if (in->section == H2_SECTION_REQUEST && slice_eq(name, SLICE("priority"))) {
        in->priority = true;
        h2_priority_parse(value, &in->urgency, &in->incremental);
    }
}

static void take_regular(struct h2_in *in, struct slice name, struct slice value, bool secret)
{
    enum http_name id = http_name_of(name);
    bool odd = false;
    in->regular = true;
    if (id != HTTP_OTHER ? !slice_eq(name, h2_name_text(id)) : !is_good_name(name, &odd)) {
        in->error = E_BAD_FIELD_NAME;
        return;
    }
    if (!http_value_ok(value)) {
        in->error = E_BAD_FIELD_VALUE;
        return;
    }
    bool imitates = odd && http_name_imitates(name);
    if (in->section == H2_SECTION_TRAILERS) {
        if (http_id_in(refused_ids, id)) {
            in->error = E_CONNECTION_FIELD;
        } else if (!imitates && !http_id_in(HTTP_NOT_IN_TRAILERS, id)) {
            add(in, name, value, secret);
        }
        return;
    }
    if (imitates) {
        // Those of an origin are dropped: no client reads them so.
        in->error = in->section == H2_SECTION_REQUEST ? E_FIELD_NAME_LOOKALIKE : 0;
        return;
    }
    if (http_id_in(HTTP_HOP_IDS, id)) {
        take_hop(in, id, value);
        return;
    }
    in->cookies += id == HTTP_COOKIE ? 1 : 0;
    take_priority(in, name, value);
    add(in, name, value, secret);
}

void h2_in_field(struct h2_in *in, struct slice name, struct slice value, bool secret)
{
    in->bytes += (uint64_t)name.len + value.len + H2_FIELD_COST;
    bool pseudo = name.len > 0 && name.ptr[0] == ':';
    in->count += pseudo ? 0 : 1;
    if (in->error != 0 || in->section == H2_SECTION_IGNORED) {
        return;
    }
    if (in->bytes > in->limits.head_bytes) {
        in->error = E_HEAD_TOO_LARGE;
    } else if (in->count > in->limits.fields) {
        in->error = E_TOO_MANY_FIELDS;
    } else if (pseudo) {
        take_pseudo(in, name, value);
    } else {
        take_regular(in, name, value, secret);
    }
}

// ---- a request as a whole --------------------------------------------------------------------------

// 1: may stand in a path, 2: in a query. Printable ASCII without what src/h1 refuses as well.
static const uint8_t target_bytes[256] = {
    ['!'] = 3,         ['$' ... ';'] = 3, ['='] = 3,  ['?'] = 2,
    ['@' ... '['] = 3, [']' ... '~'] = 3, ['\\'] = 2,
};

/** Origin-form, or "*" of OPTIONS (RFC 9113 8.3.1). */
static int cut_target(struct http_head *h)
{
    struct slice t = h->target;
    if (t.len == 0) {
        return E_BAD_PSEUDO;
    }
    ptrdiff_t mark = slice_find_char(t, '?');
    size_t path_len = mark < 0 ? t.len : (size_t)mark;
    uint8_t good = 3;
    for (size_t i = 0; i < path_len; i++) {
        good &= target_bytes[(unsigned char)t.ptr[i]];
    }
    bool bad = (good & 1) == 0;
    for (size_t i = path_len; i < t.len; i++) {
        bad |= (target_bytes[(unsigned char)t.ptr[i]] & 2) == 0;
    }
    bool asterisk = t.len == 1 && t.ptr[0] == '*' && h->method == HTTP_METHOD_OPTIONS;
    if (bad || (t.ptr[0] != '/' && !asterisk)) {
        return E_BAD_TARGET;
    }
    h->path = slice_sub(t, 0, path_len);
    h->query = mark < 0 ? (struct slice){NULL, 0} : slice_from(t, path_len + 1);
    return 0;
}

/** :authority and Host: one of them at least, and they agree (RFC 9113 8.3.1). */
static int take_authority(struct h2_in *in)
{
    struct http_head *h = in->head;
    bool given = (in->seen & PSEUDO_AUTHORITY) != 0;
    if (!given && !in->has_host) {
        return E_NO_HOST;
    }
    if (given) {
        int e =
            http_authority_parse(in->authority, writable(in->authority), &h->authority, &h->host);
        if (e < 0) {
            return e;
        }
    }
    if (!in->has_host) {
        return 0;
    }
    struct slice authority;
    struct slice host;
    int e = http_authority_parse(in->host, writable(in->host), &authority, &host);
    if (e < 0) {
        return e;
    }
    if (given) {
        return slice_eq(authority, h->authority) ? 0 : E_BAD_HOST;
    }
    h->authority = authority;
    h->host = host;
    return 0;
}

/** CONNECT without a protocol, which is refused later: what it names is for the log. */
static int take_connect(struct h2_in *in)
{
    struct http_head *h = in->head;
    if ((in->seen & (PSEUDO_SCHEME | PSEUDO_PATH)) != 0 || (in->seen & PSEUDO_AUTHORITY) == 0) {
        return E_BAD_PSEUDO; // RFC 9113 8.5
    }
    int e = take_authority(in);
    bool port = e == 0 && h->authority.len > h->host.len + 1;
    h->target = h->authority;
    return e == 0 && !port ? E_BAD_TARGET : e;
}

/** Extended CONNECT for WebSocket becomes a GET that asks for a switch (RFC 8441 5). */
static int take_protocol(struct h2_in *in)
{
    struct http_head *h = in->head;
    if (h->method != HTTP_METHOD_CONNECT) {
        return E_BAD_PSEUDO;
    }
    if (!slice_eq_nocase(in->protocol, SLICE("websocket"))) {
        h->upgrade = in->protocol; // it stays a CONNECT: nothing in HTTP/1.1 looks the same
        return in->limits.switches && in->protocol.len > 0 ? 0 : E_METHOD_UNKNOWN;
    }
    h->method = HTTP_METHOD_GET;
    h->method_text = http_method_text(HTTP_METHOD_GET);
    h->upgrade = SLICE("websocket");
    return 0;
}

/** Crumbs of Cookie become one field (RFC 9113 8.2.3). */
static int join_cookies(struct h2_in *in)
{
    struct fields *f = in->fields;
    if (in->cookies < 2) {
        return 0;
    }
    size_t len = 0;
    for (uint16_t i = 0; i < f->count; i++) {
        len += f->entries[i].id == HTTP_COOKIE ? f->entries[i].value_len + 2u : 0;
    }
    char *joined = arena_bytes(f->arena, len);
    if (joined == NULL) {
        return E_NO_MEMORY;
    }
    size_t at = 0;
    bool secret = false;
    for (uint16_t i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (e->id != HTTP_COOKIE) {
            continue;
        }
        if (at > 0) {
            memcpy(joined + at, "; ", 2);
            at += 2;
        }
        memcpy(joined + at, f->store + e->value_off, e->value_len);
        at += e->value_len;
        secret = secret || e->secret;
    }
    int e = fields_set_id(f, HTTP_COOKIE, slice_of(joined, at));
    if (e == 0) {
        for (uint16_t i = 0; i < f->count; i++) {
            f->entries[i].secret |= secret && f->entries[i].id == HTTP_COOKIE;
        }
    }
    return e;
}

/** Whether and how a body follows; what a length that was given says about it. */
static int decide_body(struct http_head *h, bool ended)
{
    if (ended && h->content_length > 0) {
        return E_LENGTH_MISMATCH;
    }
    h->body = HTTP_BODY_NONE;
    if (!ended && !h->has_length) {
        h->body = HTTP_BODY_STREAM;
    } else if (!ended && h->content_length > 0) {
        h->body = HTTP_BODY_LENGTH;
    }
    return 0;
}

/** A method whose content has a meaning: origins want to be told that there is none (RFC 9110 8.6). */
static bool expects_content(unsigned method)
{
    return method == HTTP_METHOD_POST || method == HTTP_METHOD_PUT || method == HTTP_METHOD_PATCH;
}

static int judge_target(struct h2_in *in)
{
    struct http_head *h = in->head;
    if ((in->seen & PSEUDO_METHOD) == 0) {
        return E_BAD_PSEUDO;
    }
    if ((in->seen & PSEUDO_PROTOCOL) != 0) {
        int e = take_protocol(in);
        if (e < 0) {
            return e;
        }
    } else if (h->method == HTTP_METHOD_CONNECT) {
        return take_connect(in);
    }
    if ((in->seen & PSEUDO_SCHEME) == 0 || (in->seen & PSEUDO_PATH) == 0) {
        return E_BAD_PSEUDO;
    }
    int e = cut_target(h);
    return e < 0 ? e : take_authority(in);
}

int h2_in_request(struct h2_in *in, bool ended)
{
    struct http_head *h = in->head;
    h->version_minor = 1;
    h->keep_alive = true;
    if (in->error != 0) {
        return in->error;
    }
    int e = judge_target(in);
    if (e == 0) {
        e = join_cookies(in);
    }
    if (e < 0) {
        return e;
    }
    if (h->upgrade.len > 0 || h->method == HTTP_METHOD_CONNECT) {
        h->body = HTTP_BODY_NONE; // what follows is another protocol
        h->has_length = false;
        h->content_length = 0;
        h->expect_continue = false;
        return 0;
    }
    e = decide_body(h, ended);
    h->expect_continue = h->expect_continue && h->body != HTTP_BODY_NONE;
    h->has_length |= ended && expects_content(h->method);
    return e;
}

// ---- a response, trailers --------------------------------------------------------------------------

int h2_in_response(struct h2_in *in, bool ended, bool head_only, bool switching)
{
    struct http_head *h = in->head;
    h->version_minor = 1;
    h->keep_alive = true;
    if (in->error != 0) {
        return in->error;
    }
    if ((in->seen & PSEUDO_STATUS) == 0) {
        return E_BAD_PSEUDO;
    }
    if (h->status == 101 || (h->status < 200 && ended)) {
        return E_BAD_INTERIM; // RFC 9113 8.6, 8.1
    }
    if (switching && h->status / 100 == 2) {
        h->status = 101;
        h->upgrade = SLICE("websocket");
        h->body = HTTP_BODY_TUNNEL;
        h->has_length = false;
        return 0;
    }
    if (head_only || h->status < 200 || h->status == 204 || h->status == 304) {
        h->body = HTTP_BODY_NONE;
        h->has_length = h->has_length && h->status >= 200 && h->status != 204;
        return 0;
    }
    int e = decide_body(h, ended);
    h->has_length |= ended; // in HTTP/1.1 no length would mean: until the connection closes
    return e;
}

int h2_in_trailers(const struct h2_in *in)
{
    return in->error;
}
