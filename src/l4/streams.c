// SPDX-License-Identifier: Apache-2.0
//
// From `streams` of a checked document to what a core looks at (l4/streams.h).

#include "l4/streams.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/diag.h"
#include "l4/plan.h"

enum {
    CONNECT_MS = 5000,
    IDLE_MS = 600 * 1000,
    IDLE_DATAGRAM_MS = 30 * 1000,
    HELLO_MS = 5000,
    SESSIONS_MAX = 16384,
    DRAIN_MS = 30 * 1000,
};

struct compile {
    struct snapshot *s;
    struct upstream_factory *factory;
    struct conf_diags *diags;
};

// ---- upstreams ------------------------------------------------------------------------------------

/** A stream's own upstream is called by where the stream listens and by what its route takes, so that a
 * reload knows it again. */
static int compile_proxy(struct compile *c, const struct l4_stream *stream, struct conf_node at,
                         struct upstream **out)
{
    enum { MORE = 8 + 16 };
    size_t size = stream->text.len + MORE;
    char *bytes = arena_bytes(&c->s->arena, size);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text own = text_on(bytes, size);
    text_str(&own, "stream:");
    text_put(&own, stream->text);
    struct conf_node sni = conf_get(at, "sni");
    struct conf_node alpn = conf_get(at, "alpn");
    if (conf_exists(sni) || conf_exists(alpn)) {
        text_char(&own, '/');
        text_hex(&own, conf_hash(sni) ^ conf_hash(alpn) * 3);
    }
    return snapshot_find_upstream(c->s, c->factory, conf_get(at, "proxy"), text_slice(&own), out);
}

// ---- routes ---------------------------------------------------------------------------------------

static int compile_names(struct compile *c, struct l4_route *r, struct conf_node sni)
{
    if (!conf_exists(sni)) {
        return 0;
    }
    r->names = arena_zalloc(&c->s->arena, (conf_count(sni) + 1) * sizeof(*r->names));
    if (r->names == NULL) {
        return E_NO_MEMORY;
    }
    conf_each(at, sni)
    {
        struct slice text = conf_text(at);
        bool wildcard = slice_starts(text, SLICE("*."));
        r->names[r->name_count++] =
            (struct l4_name){wildcard ? slice_from(text, 1) : text, wildcard};
    }
    return 0;
}

static int compile_protocols(struct compile *c, struct l4_route *r, struct conf_node alpn)
{
    if (!conf_exists(alpn)) {
        return 0;
    }
    r->protocols = arena_zalloc(&c->s->arena, (conf_count(alpn) + 1) * sizeof(*r->protocols));
    if (r->protocols == NULL) {
        return E_NO_MEMORY;
    }
    conf_each(at, alpn)
    {
        r->protocols[r->protocol_count++] = conf_text(at);
    }
    return 0;
}

static int compile_route(struct compile *c, struct l4_stream *stream, struct conf_node at)
{
    struct l4_route *r = &stream->routes[stream->route_count++];
    int e = compile_names(c, r, conf_get(at, "sni"));
    e = e < 0 ? e : compile_protocols(c, r, conf_get(at, "alpn"));
    stream->peeks = stream->peeks || r->name_count > 0 || r->protocol_count > 0;
    if (e < 0) {
        return e;
    }
    if (conf_bool(conf_get(at, "sites"), false)) {
        stream->peeks = true; // with TLS or without
        return 0;
    }
    return compile_proxy(c, stream, at, &r->upstream);
}

static int compile_routes(struct compile *c, struct l4_stream *stream, struct conf_node at)
{
    struct conf_node list = conf_get(at, "routes");
    uint32_t count = conf_exists(list) ? conf_count(list) : 1;
    stream->routes = arena_zalloc(&c->s->arena, (count + 1) * sizeof(*stream->routes));
    if (stream->routes == NULL) {
        return E_NO_MEMORY;
    }
    if (!conf_exists(list)) {
        return compile_route(c, stream, at);
    }
    conf_each(route, list)
    {
        int e = compile_route(c, stream, route);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

static int compile_networks(struct compile *c, struct conf_node list, struct network_list **out)
{
    if (!conf_exists(list) || conf_is_off(list)) {
        return 0;
    }
    *out = arena_zalloc(&c->s->arena, sizeof(**out));
    return *out == NULL ? E_NO_MEMORY : network_list_compile(*out, list, &c->s->arena, c->diags);
}

static uint32_t milliseconds(struct conf_node n, uint64_t fallback)
{
    return (uint32_t)num_min_u64(conf_duration_ms(n, fallback), UINT32_MAX);
}

static int compile_stream(struct compile *c, struct l4_stream *s, const struct l4_plan_listener *l)
{
    struct conf_node timeouts = conf_get(l->stream, "timeouts");
    struct conf_node responses = conf_get(l->stream, "responses");
    bool counts = conf_exists(responses) && !conf_is_off(responses);
    *s = (struct l4_stream){
        .key = l->key,
        .text = conf_text(l->at),
        .datagram = l->datagram,
        .access_log = conf_bool(conf_get(l->stream, "access_log"), true),
        .connect_ms = milliseconds(conf_get(timeouts, "connect"), CONNECT_MS),
        .idle_ms = conf_duration_ms(conf_get(timeouts, "idle"),
                                    l->datagram ? (uint64_t)IDLE_DATAGRAM_MS : (uint64_t)IDLE_MS),
        .total_ms = conf_duration_ms(conf_get(timeouts, "total"), 0),
        .hello_ms = milliseconds(conf_get(timeouts, "hello"), HELLO_MS),
        .responses = counts ? (uint32_t)conf_int(responses, 0) : 0,
        .sessions_max = (uint32_t)conf_int(conf_get(l->stream, "sessions"), SESSIONS_MAX),
    };
    int e = compile_networks(c, conf_get(l->stream, "allow"), &s->allow);
    e = e < 0 ? e : compile_networks(c, conf_get(l->stream, "deny"), &s->deny);
    return e < 0 ? e : compile_routes(c, s, l->stream);
}

int l4_streams_compile(struct snapshot *s, const struct conf_doc *doc, struct upstream_factory *f,
                       struct conf_diags *diags)
{
    struct l4_plan_listener listeners[L4_PLAN_LISTENERS_MAX];
    struct compile c = {s, f, diags};
    struct conf_node root = conf_root(doc);
    uint32_t count = l4_plan_listeners(root, listeners);
    if (count == 0) {
        return 0;
    }
    struct l4_streams *streams = arena_zalloc(&s->arena, sizeof(*streams));
    if (streams == NULL) {
        return E_NO_MEMORY;
    }
    streams->drain_ms = milliseconds(conf_get(root, "drain"), DRAIN_MS);
    streams->list = arena_zalloc(&s->arena, count * sizeof(*streams->list));
    if (streams->list == NULL) {
        return E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        int e = compile_stream(&c, &streams->list[streams->count++], &listeners[i]);
        if (e < 0) {
            return e;
        }
    }
    s->streams = streams;
    return 0;
}

const struct l4_stream *l4_streams_find(const struct snapshot *s, uint64_t key)
{
    for (uint32_t i = 0; s->streams != NULL && i < s->streams->count; i++) {
        if (s->streams->list[i].key == key) {
            return &s->streams->list[i];
        }
    }
    return NULL;
}

struct slice l4_asked_at(const struct l4_stream *s, uint16_t port, struct arena *arena)
{
    enum { PORT = 6 };
    char *bytes = s->host.len > 0 ? arena_bytes(arena, s->host.len + PORT) : NULL;
    if (bytes == NULL) {
        return SLICE("");
    }
    struct text t = text_on(bytes, s->host.len + PORT);
    text_put(&t, s->host);
    text_char(&t, ':');
    text_u64(&t, port);
    return text_slice(&t);
}

bool l4_stream_admits(const struct l4_stream *s, const struct os_addr *client)
{
    if (s->allow == NULL && s->deny == NULL) {
        return true;
    }
    return client->kind != OS_ADDR_NONE &&
           (s->allow == NULL || network_list_has(s->allow, client)) &&
           (s->deny == NULL || !network_list_has(s->deny, client));
}

// ---- routing --------------------------------------------------------------------------------------

static bool takes_name(const struct l4_route *r, struct slice name)
{
    for (uint32_t i = 0; i < r->name_count; i++) {
        const struct l4_name *n = &r->names[i];
        bool fits = n->wildcard ? name.len > n->text.len && slice_ends(name, n->text)
                                : slice_eq(name, n->text);
        if (fits) {
            return true;
        }
    }
    return r->name_count == 0;
}

static bool takes_protocol(const struct l4_route *r, const struct client_hello *hello)
{
    for (uint32_t i = 0; i < r->protocol_count; i++) {
        if (client_hello_offers(hello, r->protocols[i])) {
            return true;
        }
    }
    return r->protocol_count == 0;
}

const struct l4_route *l4_stream_route(const struct l4_stream *s, const struct client_hello *hello)
{
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct l4_route *r = &s->routes[i];
        bool any = r->name_count == 0 && r->protocol_count == 0;
        if (any || (hello != NULL && takes_name(r, client_hello_name(hello)) &&
                    takes_protocol(r, hello))) {
            return r;
        }
    }
    return NULL;
}
