// SPDX-License-Identifier: Apache-2.0
//
// Reading an agent's request (tunnel/hello.h). A field that is known comes once and says exactly what
// it may; one with an unknown name is left alone, so that a later agent can say more than this edge
// understands. A token is looked for in all other places, for it would end up in logs.

#include "tunnel/hello.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/num.h"
#include "http/websocket.h"
#include "tunnel/access.h"

static_assert((int)HELLO_KEY_BYTES == (int)ACCESS_PROOF_BYTES, "a key is its own proof");

/** Text of exactly `len` bytes in base64url. */
static bool read_bytes(struct slice text, uint8_t *out, size_t len)
{
    size_t got = 0;
    return text.len <= BASE64_MAX(len) && base64_read(text, BASE64_URL, out, len, &got) == 0 &&
           got == len;
}

/** RFC 9651 3.3.6. */
static bool read_flag(struct slice text, bool *out)
{
    *out = slice_eq(text, SLICE("?1"));
    return *out || slice_eq(text, SLICE("?0"));
}

// ---- the fields -------------------------------------------------------------------------------------

static const char *take_instance(struct hello *h, struct slice v)
{
    return read_bytes(v, h->instance, sizeof(h->instance))
               ? NULL
               : "Adit-Instance is not 16 bytes in base64url.";
}

/** "slot=0, sequence=1", in either order. */
static const char *take_connection(struct hello *h, struct slice v)
{
    static const char wrong[] = "Adit-Connection is not of the form slot=0, sequence=1.";
    bool slot = false;
    bool sequence = false;
    struct slice element;
    while (slice_next_element(&v, &element)) {
        uint64_t n = 0;
        if (!slot && slice_starts(element, SLICE("slot="))) {
            slot = num_parse_u64(slice_from(element, 5), TUNNEL_SLOTS - 1, &n) == 0;
            h->slot = (uint8_t)n;
        } else if (!sequence && slice_starts(element, SLICE("sequence="))) {
            sequence = num_parse_u64(slice_from(element, 9), INT64_MAX, &n) == 0 && n > 0;
            h->sequence = n;
        } else {
            return wrong;
        }
    }
    return slot && sequence ? NULL : wrong;
}

static const char *take_secret(struct hello *h, struct slice v)
{
    h->has_secret = read_bytes(v, h->secret, sizeof(h->secret));
    return h->has_secret ? NULL : "Adit-Secret is not 32 bytes in base64url.";
}

static const char *take_ticket(struct hello *h, struct slice v)
{
    h->ticket = v;
    return v.len > 0 && v.len <= HELLO_TICKET_MAX ? NULL : "Adit-Ticket is empty or too long.";
}

static const char *take_name(struct hello *h, struct slice v)
{
    if (v.len == 0 || v.len >= sizeof(h->name)) {
        return "Adit-Name is empty or too long.";
    }
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        h->name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    h->name_len = (uint32_t)v.len;
    return NULL;
}

static const char *take_kind(struct hello *h, struct slice v)
{
    static const struct slice kinds[] = {[TUNNEL_HTTP] = SLICE_INIT("http"),
                                         [TUNNEL_TCP] = SLICE_INIT("tcp"),
                                         [TUNNEL_UDP] = SLICE_INIT("udp")};
    for (size_t i = 0; i < array_len(kinds); i++) {
        if (slice_eq(v, kinds[i])) {
            h->kind = (enum tunnel_kind)i;
            return NULL;
        }
    }
    return "Adit-Kind is none of http, tcp and udp.";
}

static const char *take_port(struct hello *h, struct slice v)
{
    uint64_t n = 0;
    bool good = num_parse_u64(v, UINT16_MAX, &n) == 0 && n > 0;
    h->port = (uint16_t)n;
    return good ? NULL : "Adit-Port is not a port.";
}

static const char *take_join(struct hello *h, struct slice v)
{
    return read_flag(v, &h->join) ? NULL : "Adit-Join is neither ?1 nor ?0.";
}

static const char *take_wildcard(struct hello *h, struct slice v)
{
    return read_flag(v, &h->wildcard) ? NULL : "Adit-Wildcard is neither ?1 nor ?0.";
}

static const char *take_agent(struct hello *h, struct slice v)
{
    bool good = v.len > 0 && v.len <= HELLO_AGENT_MAX;
    for (size_t i = 0; i < v.len && good; i++) {
        good = v.ptr[i] >= ' ' && v.ptr[i] <= '~';
    }
    h->agent = v;
    return good ? NULL : "Adit-Agent is empty, too long, or not printable.";
}

// ---- who it is --------------------------------------------------------------------------------------

static const char *take_token(struct hello *h, struct slice v)
{
    h->proof = HELLO_TOKEN;
    h->token = v;
    bool good = v.len > 0 && v.len <= HELLO_TOKEN_MAX;
    for (size_t i = 0; i < v.len && good; i++) {
        good = v.ptr[i] > ' ' && v.ptr[i] <= '~';
    }
    return good ? NULL : "Authorization holds no token behind Bearer.";
}

/** name="value", without escapes. */
static bool cut_parameter(struct slice element, struct slice *name, struct slice *value)
{
    ptrdiff_t equals = slice_find_char(element, '=');
    if (equals < 0) {
        return false;
    }
    *name = slice_sub(element, 0, (size_t)equals);
    *value = slice_from(element, (size_t)equals + 1);
    if (value->len < 2 || value->ptr[0] != '"' || value->ptr[value->len - 1] != '"') {
        return false;
    }
    *value = slice_sub(*value, 1, value->len - 2);
    return slice_find_char(*value, '"') < 0 && slice_find_char(*value, '\\') < 0;
}

static bool take_parameter(struct hello *h, struct slice name, struct slice value, unsigned *seen)
{
    unsigned bit = 0;
    bool good = false;
    if (slice_eq_nocase(name, SLICE("key"))) {
        bit = 1;
        good = read_bytes(value, h->key, sizeof(h->key));
    } else if (slice_eq_nocase(name, SLICE("nonce"))) {
        bit = 2;
        h->nonce = value;
        good = value.len > 0 && value.len <= HELLO_NONCE_MAX;
    } else if (slice_eq_nocase(name, SLICE("signature"))) {
        bit = 4;
        good = read_bytes(value, h->signature, sizeof(h->signature));
    }
    bool first = (*seen & bit) == 0;
    *seen |= bit;
    return good && first;
}

static const char *take_key(struct hello *h, struct slice v)
{
    static const char wrong[] =
        "Authorization is not of the form Adit-Key key=\"...\", nonce=\"...\", signature=\"...\".";
    unsigned seen = 0;
    struct slice element;
    struct slice name;
    struct slice value;
    h->proof = HELLO_KEY;
    while (slice_next_element(&v, &element)) {
        if (!cut_parameter(element, &name, &value) || !take_parameter(h, name, value, &seen)) {
            return wrong;
        }
    }
    return seen == 7 ? NULL : wrong;
}

static const char *take_authorization(struct hello *h, struct slice v)
{
    ptrdiff_t blank = slice_find_char(v, ' ');
    struct slice scheme = blank < 0 ? v : slice_sub(v, 0, (size_t)blank);
    struct slice rest = slice_trim(blank < 0 ? slice_of(NULL, 0) : slice_from(v, (size_t)blank));
    if (slice_eq_nocase(scheme, SLICE("Bearer"))) {
        return take_token(h, rest);
    }
    if (slice_eq_nocase(scheme, SLICE("Adit-Key"))) {
        return take_key(h, rest);
    }
    return "Authorization is neither Bearer nor Adit-Key.";
}

// ---- the request ------------------------------------------------------------------------------------

struct row {
    struct slice name;
    const char *(*take)(struct hello *h, struct slice value);
    bool required;
    const char *again; // what is wrong when it comes twice, or not at all
};

static const struct row rows[] = {
    {SLICE_INIT("Authorization"), take_authorization, false, "Authorization comes twice."},
    {SLICE_INIT("Adit-Instance"), take_instance, true, "Adit-Instance must come once."},
    {SLICE_INIT("Adit-Connection"), take_connection, true, "Adit-Connection must come once."},
    {SLICE_INIT("Adit-Secret"), take_secret, false, "Adit-Secret comes twice."},
    {SLICE_INIT("Adit-Ticket"), take_ticket, false, "Adit-Ticket comes twice."},
    {SLICE_INIT("Adit-Name"), take_name, false, "Adit-Name comes twice."},
    {SLICE_INIT("Adit-Kind"), take_kind, false, "Adit-Kind comes twice."},
    {SLICE_INIT("Adit-Port"), take_port, false, "Adit-Port comes twice."},
    {SLICE_INIT("Adit-Join"), take_join, false, "Adit-Join comes twice."},
    {SLICE_INIT("Adit-Wildcard"), take_wildcard, false, "Adit-Wildcard comes twice."},
    {SLICE_INIT("Adit-Agent"), take_agent, false, "Adit-Agent comes twice."},
};

static const struct row *row_of(struct slice name)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        if (slice_eq_nocase(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static const char *read_fields(const struct fields *f, struct hello *out)
{
    uint32_t seen = 0;
    for (uint16_t i = 0; i < f->count; i++) {
        struct slice value = field_value(f, &f->entries[i]);
        const struct row *row = row_of(field_name(f, &f->entries[i]));
        if (row != &rows[0] && slice_find(value, SLICE(ACCESS_TOKEN_PREFIX)) >= 0) {
            return "A token stands in Authorization and nowhere else.";
        }
        if (row == NULL) {
            continue;
        }
        uint32_t bit = 1u << (row - rows);
        if ((seen & bit) != 0) {
            return row->again;
        }
        seen |= bit;
        const char *wrong = row->take(out, value);
        if (wrong != NULL) {
            return wrong;
        }
    }
    for (size_t i = 0; i < array_len(rows); i++) {
        if (rows[i].required && (seen >> i & 1) == 0) {
            return rows[i].again;
        }
    }
    return NULL;
}

/** What belongs to one kind of tunnel alone. */
static const char *check_kind(const struct hello *h)
{
    if (h->kind == TUNNEL_HTTP) {
        return h->port != 0 ? "Adit-Port is for tcp and udp." : NULL;
    }
    if (h->name_len > 0 || h->wildcard) {
        return "Adit-Name and Adit-Wildcard are for http.";
    }
    return NULL;
}

static bool offers(const struct http_head *head, struct slice wanted)
{
    struct slice offered = head->upgrade;
    struct slice protocol;
    while (slice_next_element(&offered, &protocol)) {
        if (slice_eq_nocase(protocol, wanted)) {
            return true;
        }
    }
    return false;
}

bool hello_in_websocket(const struct http_head *head)
{
    const struct fields *f = &head->fields;
    uint8_t key[16];
    size_t len = 0;
    struct slice protocols = fields_get(f, SLICE("Sec-WebSocket-Protocol"));
    struct slice protocol;
    bool named = false;
    while (slice_next_element(&protocols, &protocol)) {
        named = named || slice_eq(protocol, SLICE(HELLO_SUBPROTOCOL));
    }
    return named && !offers(head, SLICE(HELLO_PROTOCOL)) && offers(head, SLICE("websocket")) &&
           slice_eq(fields_get(f, WEBSOCKET_VERSION), SLICE("13")) &&
           base64_read(fields_get(f, WEBSOCKET_KEY), BASE64_PADDED, key, sizeof(key), &len) == 0 &&
           len == sizeof(key);
}

bool hello_is_asked_for(const struct http_head *head)
{
    struct slice offered = head->upgrade;
    struct slice protocol;
    if (hello_in_websocket(head)) {
        return true;
    }
    while (slice_next_element(&offered, &protocol)) {
        ptrdiff_t slash = slice_find_char(protocol, '/');
        struct slice name = slash < 0 ? protocol : slice_sub(protocol, 0, (size_t)slash);
        if (slice_eq_nocase(name, SLICE("adit-tunnel"))) {
            return true;
        }
    }
    return false;
}

bool hello_is_spoken(const struct http_head *head)
{
    return offers(head, SLICE(HELLO_PROTOCOL)) || hello_in_websocket(head);
}

const char *hello_read(const struct http_head *head, struct hello *out)
{
    *out = (struct hello){.kind = TUNNEL_HTTP};
    if (head->method != HTTP_METHOD_GET) {
        return "The method is not GET.";
    }
    if (head->body != HTTP_BODY_NONE) {
        return "The request has a body.";
    }
    if (head->query.ptr != NULL) {
        return "The target has a query. A token stands in Authorization and nowhere else.";
    }
    const char *wrong = read_fields(&head->fields, out);
    return wrong != NULL ? wrong : check_kind(out);
}
