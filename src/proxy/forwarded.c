// SPDX-License-Identifier: Apache-2.0
//
// Forwarding fields, read and written. This runs for every request: with nothing trusted, reading is
// one copy of the peer's address, and writing is a handful of bit tests and three short appends.
//
// Chains are read from the right, element by element, because only the right end was written by
// somebody who is trusted. For Forwarded that matters twice: a quote that a client left open on the
// left must not swallow what a trusted proxy appended (so quotes are paired from the right as well).

#include "proxy/forwarded.h"

#include "base/error.h"
#include "base/text.h"
#include "http/head.h"
#include "proxy/exchange.h"

static const struct slice PSEUDONYM = SLICE_INIT("adit"); // in Via

// ---- reading --------------------------------------------------------------------------------------

static bool is_trusted(const struct snapshot *s, const struct os_addr *a)
{
    for (uint32_t i = 0; i < s->trusted_count; i++) {
        if (os_cidr_contains(&s->trusted[i], a)) {
            return true;
        }
    }
    return false;
}

// The start of the last element: after the last comma that is in no quoted string, or 0.
static size_t last_element_start(struct slice s)
{
    bool quoted = false;
    for (size_t i = s.len; i > 0; i--) {
        char c = s.ptr[i - 1];
        if (c == '"') {
            size_t slashes = 0;
            while (quoted && slashes + 1 < i && s.ptr[i - 2 - slashes] == '\\') {
                slashes++;
            }
            quoted = slashes % 2 != 0 ? quoted : !quoted;
        } else if (c == ',' && !quoted) {
            return i;
        }
    }
    return 0;
}

// Empty elements do not count (RFC 9110 5.6.1).
static bool take_last(struct slice *rest, struct slice *element)
{
    for (*rest = slice_trim(*rest); rest->len > 0; *rest = slice_trim(*rest)) {
        size_t start = last_element_start(*rest);
        *element = slice_trim(slice_from(*rest, start));
        *rest = slice_sub(*rest, 0, start > 0 ? start - 1 : 0);
        if (element->len > 0) {
            return true;
        }
    }
    return false;
}

// Without its quotes; empty when it is broken or holds escapes, which no address does.
static struct slice unquote(struct slice s)
{
    if (s.len == 0 || s.ptr[0] != '"') {
        return slice_find_char(s, '"') < 0 ? s : slice_of("", 0);
    }
    if (s.len < 2 || s.ptr[s.len - 1] != '"') {
        return slice_of("", 0);
    }
    s = slice_sub(s, 1, s.len - 2);
    bool plain = slice_find_char(s, '"') < 0 && slice_find_char(s, '\\') < 0;
    return plain ? s : slice_of("", 0);
}

bool forwarded_last_hop(struct slice *rest, struct forwarded_hop *hop)
{
    struct slice element;
    *hop = (struct forwarded_hop){slice_of("", 0), slice_of("", 0)};
    if (!take_last(rest, &element)) {
        return false;
    }
    while (element.len > 0) {
        ptrdiff_t end = slice_find_char(element, ';');
        struct slice pair = slice_trim(end < 0 ? element : slice_sub(element, 0, (size_t)end));
        element = end < 0 ? slice_from(element, element.len) : slice_from(element, (size_t)end + 1);
        ptrdiff_t equals = slice_find_char(pair, '=');
        if (equals < 0) {
            continue;
        }
        struct slice name = slice_sub(pair, 0, (size_t)equals);
        struct slice value = unquote(slice_from(pair, (size_t)equals + 1));
        if (slice_eq_nocase(name, SLICE("for"))) {
            hop->node = value;
        } else if (slice_eq_nocase(name, SLICE("proto"))) {
            hop->proto = value;
        }
    }
    return true;
}

int forwarded_node_addr(struct slice node, struct os_addr *out)
{
    if (node.len == 0 || node.len > 64) {
        return E_INVALID;
    }
    if (os_addr_parse_ip(node, 0, out) == 0) {
        return 0;
    }
    return slice_starts(node, SLICE("unix:")) ? E_INVALID : os_addr_parse(node, out);
}

// The fields of one name, as one list read from its end.
struct chain {
    const struct fields *fields;
    enum http_name id;
    uint16_t entry; // entries at and above were read
    struct slice rest;
};

static struct chain chain_of(const struct fields *f, enum http_name id)
{
    return (struct chain){f, id, f->count, slice_of("", 0)};
}

static bool chain_next(struct chain *c, struct slice *element, struct forwarded_hop *hop)
{
    for (;;) {
        bool more = hop != NULL ? forwarded_last_hop(&c->rest, hop) : take_last(&c->rest, element);
        if (more) {
            return true;
        }
        do {
            if (c->entry == 0) {
                return false;
            }
            c->entry--;
        } while (c->fields->entries[c->entry].id != c->id);
        c->rest = field_value(c->fields, &c->fields->entries[c->entry]);
    }
}

static bool proto_is_secure(struct slice proto, bool otherwise)
{
    if (slice_eq_nocase(proto, SLICE("https")) || slice_eq_nocase(proto, SLICE("wss"))) {
        return true;
    }
    if (slice_eq_nocase(proto, SLICE("http")) || slice_eq_nocase(proto, SLICE("ws"))) {
        return false;
    }
    return otherwise;
}

static void client_from_rfc7239(struct exchange *x)
{
    struct chain chain = chain_of(&x->request.fields, HTTP_FORWARDED);
    struct forwarded_hop hop;
    for (unsigned n = 0; n < FORWARDED_HOPS_MAX && is_trusted(x->snapshot, &x->client); n++) {
        struct os_addr addr;
        if (!chain_next(&chain, NULL, &hop)) {
            return;
        }
        x->client_secure = proto_is_secure(hop.proto, x->client_secure);
        if (forwarded_node_addr(hop.node, &addr) != 0) {
            return; // hidden on purpose or broken: the last known address stands
        }
        x->client = addr;
    }
}

static void client_from_x(struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    struct chain chain = chain_of(f, HTTP_X_FORWARDED_FOR);
    struct chain protos = chain_of(f, HTTP_X_FORWARDED_PROTO);
    struct slice element;
    struct slice proto;
    bool more = chain_next(&protos, &proto, NULL);
    if (more) {
        x->client_secure = proto_is_secure(proto, x->client_secure);
    }
    for (unsigned n = 0; n < FORWARDED_HOPS_MAX && is_trusted(x->snapshot, &x->client); n++) {
        struct os_addr addr;
        if (!chain_next(&chain, &element, NULL) || forwarded_node_addr(element, &addr) != 0) {
            return;
        }
        x->client = addr;
        // The n-th proto from the right belongs to the n-th address; most chains have only one.
        more = more && (n == 0 || chain_next(&protos, &proto, NULL));
        if (more) {
            x->client_secure = proto_is_secure(proto, x->client_secure);
        }
    }
}

/** At a tunnel's end. Not known is nobody's address, which no list of networks lets in. Of a CONNECT, which
 * no visitor's request has become, the edge says it in Forwarded, with the port. */
static void client_of_tunnel(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    struct os_addr visitor = x->client;
    bool known = visitor.kind != OS_ADDR_UNIX;
    if (x->request.method != HTTP_METHOD_CONNECT || x->down->peer->stream == 0) {
        known = forwarded_node_addr(fields_get(f, SLICE(FORWARDED_VISITOR)), &visitor) == 0;
    }
    x->client = known ? visitor : (struct os_addr){.kind = OS_ADDR_NONE};
    (void)fields_remove(f, SLICE(FORWARDED_VISITOR));
}

// ---- dropping -------------------------------------------------------------------------------------

static bool is_x_forwarded(struct slice name)
{
    static const struct slice prefix = SLICE_INIT("x-forwarded-");
    return name.len > prefix.len && slice_eq_nocase(slice_sub(name, 0, prefix.len), prefix);
}

// Port, Prefix, Server and whatever else some framework believes: not known by id.
static void drop_other_x(struct fields *f)
{
    for (uint16_t i = f->count; i > 0; i--) {
        const struct field *e = &f->entries[i - 1];
        if (e->id == HTTP_OTHER && e->name_len > 12 && is_x_forwarded(field_name(f, e))) {
            fields_remove_at(f, (uint16_t)(i - 1));
        }
    }
}

static void drop_id(struct fields *f, enum http_name id)
{
    if (fields_has(f, id)) {
        (void)fields_remove_id(f, id);
    }
}

static void drop_x(struct fields *f)
{
    drop_id(f, HTTP_X_FORWARDED_FOR);
    drop_id(f, HTTP_X_FORWARDED_PROTO);
    drop_id(f, HTTP_X_FORWARDED_HOST);
}

static bool request_id_ok(struct slice id)
{
    return id.len > 0 && id.len <= 128 && http_is_token(id);
}

static void drop_untrusted(struct fields *f)
{
    drop_x(f);
    drop_id(f, HTTP_FORWARDED);
    drop_id(f, HTTP_X_REAL_IP);
    drop_id(f, HTTP_X_REQUEST_ID);
    drop_other_x(f);
}

// What is not carried on would reach the origin as a chain that ends too early.
static void drop_unwritten(struct fields *f, unsigned mode)
{
    if (mode != FORWARDED_OFF && (mode & FORWARDED_X) == 0) {
        drop_x(f);
    }
    if (mode != FORWARDED_OFF && (mode & FORWARDED_RFC7239) == 0) {
        drop_id(f, HTTP_FORWARDED);
    }
    if (fields_has(f, HTTP_X_REQUEST_ID) && !request_id_ok(fields_get_id(f, HTTP_X_REQUEST_ID))) {
        drop_id(f, HTTP_X_REQUEST_ID);
    }
}

void forwarded_client(struct exchange *x)
{
    const struct http_peer *peer = x->down->peer;
    const struct snapshot *s = x->snapshot;
    struct fields *f = &x->request.fields;
    x->client = os_peer_addr(&peer->addr);
    x->client_secure = http_peer_secure(peer);
    x->passed_on = fields_has(f, HTTP_X_FORWARDED_FOR) || fields_has(f, HTTP_FORWARDED) ||
                   fields_has(f, HTTP_X_REAL_IP) || fields_has(f, HTTP_VIA);
    if (s->trusted_count == 0 || !is_trusted(s, &x->client)) {
        drop_untrusted(f);
        return;
    }
    bool has_x = fields_has(f, HTTP_X_FORWARDED_FOR) || fields_has(f, HTTP_X_FORWARDED_PROTO);
    bool has_rfc = fields_has(f, HTTP_FORWARDED);
    // A proxy that writes one kind passes the other through, so what is there in both is read from
    // the kind that is in use here.
    if (has_rfc && (!has_x || s->forwarded == FORWARDED_RFC7239)) {
        client_from_rfc7239(x);
    } else if (has_x) {
        client_from_x(x);
    }
    drop_unwritten(f, s->forwarded);
    if (peer->site.len > 0) {
        client_of_tunnel(x);
    }
}

// ---- writing --------------------------------------------------------------------------------------

// Everything that was sent under the name as one list, then `last`.
static int append_to_list(struct exchange *x, enum http_name id, struct slice last)
{
    struct fields *f = &x->request.fields;
    if (!fields_has(f, id)) {
        return fields_add_id(f, id, last);
    }
    size_t len = last.len;
    for (unsigned i = 0; i < f->count; i++) {
        len += f->entries[i].id == id ? f->entries[i].value_len + 2 : 0;
    }
    char *bytes = arena_bytes(&x->arena, len);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, len);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->entries[i].id == id && f->entries[i].value_len > 0) {
            text_put(&t, field_value(f, &f->entries[i]));
            text_put(&t, SLICE(", "));
        }
    }
    text_put(&t, last);
    return fields_set_id(f, id, text_slice(&t));
}

static struct slice scheme_text(bool secure)
{
    return secure ? SLICE("https") : SLICE("http");
}

static int write_x(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    const struct http_peer *peer = x->down->peer;
    int rc = 0;
    if (peer->ip_text_len > 0) {
        rc = append_to_list(x, HTTP_X_FORWARDED_FOR, http_peer_ip(peer));
    }
    if (rc == 0 && !fields_has(f, HTTP_X_FORWARDED_PROTO)) {
        rc = fields_add_id(f, HTTP_X_FORWARDED_PROTO, scheme_text(http_peer_secure(peer)));
    }
    if (rc == 0 && !fields_has(f, HTTP_X_FORWARDED_HOST) && x->request.authority.len > 0) {
        rc = fields_add_id(f, HTTP_X_FORWARDED_HOST, x->request.authority);
    }
    return rc;
}

// RFC 7239 4: a value with a colon or brackets is quoted.
static void put_node(struct text *t, const struct os_addr *a)
{
    if (a->kind == OS_ADDR_V4) {
        os_addr_ip_text(a, t);
    } else if (a->kind == OS_ADDR_V6) {
        text_put(t, SLICE("\"["));
        os_addr_ip_text(a, t);
        text_put(t, SLICE("]\""));
    } else {
        text_put(t, SLICE("unknown"));
    }
}

static int write_rfc7239(struct exchange *x)
{
    const struct http_peer *peer = x->down->peer;
    struct slice host = x->request.authority;
    size_t room = OS_ADDR_TEXT_MAX + host.len + 40;
    char *bytes = arena_bytes(&x->arena, room);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, room);
    const struct os_addr client = os_peer_addr(&peer->addr);
    text_put(&t, SLICE("for="));
    put_node(&t, &client);
    if (host.len > 0) {
        bool quoted = !http_is_token(host);
        text_put(&t, quoted ? SLICE(";host=\"") : SLICE(";host="));
        text_put(&t, host); // checked when it was parsed: neither quote nor backslash
        text_put(&t, quoted ? SLICE("\"") : SLICE(""));
    }
    text_put(&t, SLICE(";proto="));
    text_put(&t, scheme_text(http_peer_secure(peer)));
    ensure(!t.overflow);
    return append_to_list(x, HTTP_FORWARDED, text_slice(&t));
}

/** Empty: the field goes. */
static int put_only(struct fields *f, enum http_name id, struct slice value)
{
    drop_id(f, id);
    return value.len > 0 ? fields_add_id(f, id, value) : 0;
}

int forwarded_begin_at_client(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    unsigned mode = x->snapshot->forwarded;
    const struct os_addr peer = os_peer_addr(&x->down->peer->addr);
    char ip[OS_ADDR_TEXT_MAX];
    char node[OS_ADDR_TEXT_MAX + 32];
    struct text address = text_on(ip, sizeof(ip));
    struct text element = text_on(node, sizeof(node));
    bool scheme = x->client_secure != http_peer_secure(x->down->peer);
    bool other = scheme || !os_addr_eq(&x->client, &peer); // than who is written anyway
    bool as_x = mode == FORWARDED_OFF ? fields_has(f, HTTP_X_FORWARDED_FOR)
                                      : other && (mode & FORWARDED_X) != 0;
    bool as_rfc = mode == FORWARDED_OFF ? fields_has(f, HTTP_FORWARDED)
                                        : other && (mode & FORWARDED_RFC7239) != 0;
    if (as_x && (x->client.kind == OS_ADDR_V4 || x->client.kind == OS_ADDR_V6)) {
        os_addr_ip_text(&x->client, &address);
    }
    if (as_rfc) {
        text_put(&element, SLICE("for="));
        put_node(&element, &x->client);
        text_put(&element, SLICE(";proto="));
        text_put(&element, scheme_text(x->client_secure));
    }
    ensure(!address.overflow && !element.overflow);
    int rc = put_only(f, HTTP_X_FORWARDED_FOR, text_slice(&address));
    if (rc == 0) {
        rc = put_only(f, HTTP_FORWARDED, text_slice(&element));
    }
    if (rc == 0 && (as_x || fields_has(f, HTTP_X_FORWARDED_PROTO))) {
        rc = put_only(f, HTTP_X_FORWARDED_PROTO, scheme_text(x->client_secure));
    }
    return rc;
}

int forwarded_tell_visitor(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    const struct http_peer *peer = x->down->peer;
    const struct os_addr here = os_peer_addr(&peer->addr);
    char ip[OS_ADDR_TEXT_MAX];
    struct text t = text_on(ip, sizeof(ip));
    struct slice address = http_peer_ip(peer);
    if (!os_addr_same_ip(&x->client, &here)) {
        os_addr_ip_text(&x->client, &t);
        address = text_slice(&t);
    }
    return fields_set(f, SLICE(FORWARDED_VISITOR), address.len > 0 ? address : SLICE("unknown"));
}

// How often the request came through an adit: "1.1 adit", with or without a comment.
static unsigned count_loops(const struct fields *f)
{
    unsigned loops = 0;
    for (unsigned i = 0; i < f->count && loops < FORWARDED_LOOPS_MAX; i++) {
        if (f->entries[i].id != HTTP_VIA) {
            continue;
        }
        struct slice rest = field_value(f, &f->entries[i]);
        struct slice hop;
        while (slice_next_element(&rest, &hop)) {
            ptrdiff_t blank = slice_find_char(hop, ' ');
            struct slice by =
                blank < 0 ? slice_of("", 0) : slice_trim(slice_from(hop, (size_t)blank));
            ptrdiff_t end = slice_find_char(by, ' ');
            by = end < 0 ? by : slice_sub(by, 0, (size_t)end);
            loops += slice_eq_nocase(by, PSEUDONYM);
        }
    }
    return loops;
}

static int write_via(struct fields *f, const char *protocol, uint8_t version_minor)
{
    if (version_minor == 0) {
        return fields_add_id(f, HTTP_VIA, SLICE("1.0 adit"));
    }
    if (strcmp(protocol, "1.1") == 0) {
        return fields_add_id(f, HTTP_VIA, SLICE("1.1 adit"));
    }
    char bytes[32];
    struct text t = text_on(bytes, sizeof(bytes));
    text_str(&t, protocol);
    text_char(&t, ' ');
    text_put(&t, PSEUDONYM);
    ensure(!t.overflow);
    return fields_add_id(f, HTTP_VIA, text_slice(&t));
}

int forwarded_request(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    const struct snapshot *s = x->snapshot;
    int rc = 0;
    if (!fields_has(f, HTTP_X_REQUEST_ID)) {
        rc = fields_add_id(f, HTTP_X_REQUEST_ID, slice_of(x->id, sizeof(x->id)));
    }
    if (rc == 0 && (s->forwarded & FORWARDED_X) != 0) {
        rc = write_x(x);
    }
    if (rc == 0 && (s->forwarded & FORWARDED_RFC7239) != 0) {
        rc = write_rfc7239(x);
    }
    if (rc == 0 && s->via) {
        if (fields_has(f, HTTP_VIA) && count_loops(f) >= FORWARDED_LOOPS_MAX) {
            return E_LOOP;
        }
        rc = write_via(f, x->down->ops->protocol, x->request.version_minor);
    }
    return rc;
}

int forwarded_response(struct exchange *x, const char *protocol)
{
    if (!x->snapshot->via) {
        return 0;
    }
    return write_via(&x->response.fields, protocol, x->response.version_minor);
}
