// SPDX-License-Identifier: Apache-2.0
//
// Compiles a checked document into a snapshot and counts who uses it.
//
// Everything lies in the snapshot's arena; what cannot (compiled patterns, the upstreams' shared
// servers) is given back by the arena's clean-up hooks, the modules' dispose and the factory. The
// document is canonical (conf/doc.h), so a value that is missing here is a default and a value of a
// wrong kind is an assert in conf; what only compiling finds is reported through the diagnostics.
//
// Every site ends with a route that takes everything: the site's own action, or nothing, and then the
// exchange answers 404 with the site's settings (its error pages, headers and log).

#include "proxy/snapshot.h"

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/diag.h"
#include "tls/plan.h"

#include "proxy/access_log.h"
#include "proxy/error_page.h"
#include "proxy/match.h"
#include "proxy/mirror.h"
#include "proxy/split.h"

enum {
    SNAPSHOT_MAGIC = 0x534e4150,
    // Far above any configuration people write; a runaway include ends here, not in the OOM killer.
    SNAPSHOT_BYTES_MAX = 256 << 20,
};

struct compile {
    struct snapshot *s;
    struct upstream_factory *factory;
    struct conf_diags *diags;
    struct conf_node top;
    uint32_t wildcards_max;
};

// ---- settings -------------------------------------------------------------------------------------

static uint32_t milliseconds(const struct conf_scope *scope, const char *path, uint32_t fallback)
{
    uint64_t ms = conf_duration_ms(conf_scope_get(scope, path), fallback);
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static uint32_t bytes_32(const struct conf_scope *scope, const char *path, uint32_t fallback)
{
    uint64_t bytes = conf_size(conf_scope_get(scope, path), fallback);
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

static struct http_timeouts down_timeouts(const struct conf_scope *scope)
{
    return (struct http_timeouts){
        .head_ms = milliseconds(scope, "timeouts.header", 10 * 1000),
        .read_ms = milliseconds(scope, "timeouts.body", 30 * 1000),
        .write_ms = milliseconds(scope, "timeouts.write", 30 * 1000),
        .tunnel_ms = milliseconds(scope, "timeouts.tunnel", 3600 * 1000),
        .rate_bytes = bytes_32(scope, "timeouts.body_rate", 512),
    };
}

static struct http_timeouts up_timeouts(const struct conf_scope *scope)
{
    return (struct http_timeouts){
        .head_ms = milliseconds(scope, "timeouts.response", 60 * 1000),
        .read_ms = milliseconds(scope, "timeouts.read", 60 * 1000),
        .write_ms = milliseconds(scope, "timeouts.write", 30 * 1000),
        .tunnel_ms = milliseconds(scope, "timeouts.tunnel", 3600 * 1000),
    };
}

static uint8_t forwarded_mode(struct conf_node n)
{
    struct slice text = conf_string(n, "x-forwarded");
    if (slice_eq(text, SLICE("rfc7239"))) {
        return FORWARDED_RFC7239;
    }
    if (slice_eq(text, SLICE("both"))) {
        return FORWARDED_X | FORWARDED_RFC7239;
    }
    return conf_exists(n) && conf_is_off(n) ? FORWARDED_OFF : FORWARDED_X;
}

static int compile_trusted(struct compile *c)
{
    struct conf_node list = conf_get(c->top, "trusted_proxies");
    if (!conf_exists(list) || (conf_kind_of(list) == CONF_SCALAR && conf_is_off(list))) {
        return 0;
    }
    bool single = conf_kind_of(list) == CONF_SCALAR;
    uint32_t count = single ? 1 : conf_count(list);
    struct os_cidr *nets = arena_zalloc(&c->s->arena, (count + 1) * sizeof(*nets));
    if (nets == NULL) {
        return E_NO_MEMORY;
    }
    uint32_t n = 0;
    for (struct conf_node at = single ? list : conf_first(list); conf_exists(at);
         at = single ? (struct conf_node){list.doc, 0} : conf_next(at)) {
        if (os_cidr_parse(conf_text(at), &nets[n++]) != 0) {
            conf_error(c->diags, at, "not a network");
            return E_CONFIG;
        }
    }
    c->s->trusted = nets;
    c->s->trusted_count = n;
    return 0;
}

// The list as one text, as the resolver reads it.
static int compile_resolver(struct compile *c)
{
    struct conf_node list = conf_get(c->top, "resolver");
    size_t bytes = 0;
    conf_each(at, list)
    {
        bytes += conf_text(at).len + 1;
    }
    if (bytes == 0) {
        return 0;
    }
    char *buffer = arena_bytes(&c->s->arena, bytes);
    if (buffer == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(buffer, bytes);
    conf_each(at, list)
    {
        text_put(&t, conf_text(at));
        text_char(&t, ' ');
    }
    c->s->resolver = text_slice(&t);
    return 0;
}

static int compile_top(struct compile *c)
{
    struct snapshot *s = c->s;
    const struct conf_scope scope = {.level = {c->top}};
    s->forwarded = forwarded_mode(conf_get(c->top, "forwarded"));
    s->via = conf_bool(conf_get(c->top, "via"), true);
    s->head_bytes = bytes_32(&scope, "limits.header_size", 32 * 1024);
    s->target_bytes = bytes_32(&scope, "limits.target_size", 8 * 1024);
    s->head_fields = (uint16_t)conf_int(conf_scope_get(&scope, "limits.header_count"), 100);
    s->header_ms = milliseconds(&scope, "timeouts.header", 10 * 1000);
    s->idle_ms = milliseconds(&scope, "timeouts.idle", 60 * 1000);
    s->handshake_ms = milliseconds(&scope, "timeouts.handshake", 10 * 1000);
    s->streams_max = (uint32_t)conf_int(conf_scope_get(&scope, "limits.streams"), 128);
    s->connection_bytes = bytes_32(&scope, "limits.connection_size", 4 << 20);
    s->window_bytes = bytes_32(&scope, "limits.window_size", 16 << 20);
    s->upstream_idle_ms = milliseconds(&scope, "timeouts.upstream_idle", 50 * 1000);
    struct conf_node per = conf_scope_get(&scope, "limits.requests_per_connection");
    s->requests_per_connection =
        conf_exists(per) && !conf_is_off(per) ? (uint64_t)conf_int(per, INT64_MAX) : UINT64_MAX;
    s->down_timeouts = down_timeouts(&scope);
    s->access_format = (uint8_t)access_log_format_of(conf_get(c->top, "access_log"));
    int rc = compile_resolver(c);
    return rc != 0 ? rc : compile_trusted(c);
}

// ---- upstreams ------------------------------------------------------------------------------------

int snapshot_add_upstream(struct snapshot *s, struct upstream_factory *f, struct conf_node node,
                          struct slice name, struct upstream **out)
{
    int rc = f->make(f, s, node, name, out);
    if (rc == 0) {
        (*out)->next = s->all_upstreams;
        s->all_upstreams = *out;
    }
    return rc;
}

void snapshot_enter(struct snapshot *s, struct loop *l)
{
    for (struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        if (u->ops->enter != NULL) {
            u->ops->enter(u, l);
        }
    }
}

void snapshot_leave(struct snapshot *s, struct loop *l)
{
    for (struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        if (u->ops->leave != NULL) {
            u->ops->leave(u, l);
        }
    }
}

static int compile_upstreams(struct compile *c)
{
    struct conf_node map = conf_get(c->top, "upstreams");
    struct snapshot *s = c->s;
    s->upstreams = arena_zalloc(&s->arena, (conf_count(map) + 1) * sizeof(struct upstream *));
    if (s->upstreams == NULL) {
        return E_NO_MEMORY;
    }
    conf_each(at, map)
    {
        struct upstream **out = &s->upstreams[s->upstream_count];
        int rc = snapshot_add_upstream(s, c->factory, at, conf_key(at), out);
        if (rc != 0) {
            return rc;
        }
        s->upstream_count++;
    }
    return 0;
}

static struct upstream *named_upstream(const struct snapshot *s, struct slice name)
{
    for (uint32_t i = 0; i < s->upstream_count; i++) {
        if (slice_eq(s->upstreams[i]->name, name)) {
            return s->upstreams[i];
        }
    }
    return NULL;
}

static bool is_taken(const struct snapshot *s, struct slice name)
{
    for (const struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        if (slice_eq(u->name, name)) {
            return true;
        }
    }
    return false;
}

/** Makes a name one that no upstream of the snapshot has, on its arena. */
static int make_unique(struct snapshot *s, struct slice name, struct slice *out)
{
    enum { MORE = 1 + NUM_U64_DIGITS };
    char *bytes = arena_bytes(&s->arena, name.len + MORE);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, name.len + MORE);
    text_put(&t, name);
    for (uint32_t n = 2; is_taken(s, text_slice(&t)); n++) { // others of the same kind
        t.len = name.len;
        text_char(&t, '+');
        text_u64(&t, n);
    }
    ensure(!t.overflow); // two with one name would be one group
    *out = text_slice(&t);
    return 0;
}

int snapshot_find_upstream(struct snapshot *s, struct upstream_factory *f, struct conf_node n,
                           struct slice own, struct upstream **out)
{
    // A word names an upstream, alone or as the only thing the list says.
    struct conf_node list = conf_kind_of(n) == CONF_MAP ? conf_get(n, "to") : n;
    struct conf_node to = conf_exists(list) ? list : conf_get(n, "servers");
    if (conf_exists(to) && conf_kind_of(to) == CONF_LIST && conf_count(to) == 1) {
        to = conf_first(to);
    }
    *out = NULL;
    if (conf_exists(to) && conf_kind_of(to) == CONF_SCALAR) {
        *out = named_upstream(s, conf_text(to));
    }
    if (*out != NULL) {
        return 0;
    }
    struct slice name;
    int rc = make_unique(s, own, &name);
    return rc != 0 ? rc : snapshot_add_upstream(s, f, n, name, out);
}

/** Of which route an upstream is looked for. */
struct finding {
    struct compile *c;
    const struct route *route;
    struct conf_node own;
};

/** A route's own upstream is called by its site and by what the route matches, so that a reload knows
 * it again when routes were added before it or its list has changed. */
static int find_upstream(void *arg, struct conf_node n, struct upstream **out)
{
    enum { HASH_DIGITS = 16 };
    const struct finding *f = arg;
    const struct route *r = f->route;
    size_t site = r->text.len; // "site/2", with the slash
    while (site > 0 && r->text.ptr[site - 1] != '/') {
        site--;
    }
    char *bytes = arena_bytes(&f->c->s->arena, site + HASH_DIGITS);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text own = text_on(bytes, site + HASH_DIGITS);
    text_put(&own, slice_of(r->text.ptr, site));
    if (r->match != NULL) {
        text_hex(&own, match_hash(f->own));
    }
    return snapshot_find_upstream(f->c->s, f->c->factory, n, text_slice(&own), out);
}

static int compile_mirror(const struct finding *f, const struct conf_scope *scope, struct route *r)
{
    struct conf_node n = conf_scope_get(scope, "mirror");
    if (!conf_exists(n) || conf_is_off(n) || r->upstream == NULL) {
        return 0;
    }
    struct mirror *m = arena_zalloc(&f->c->s->arena, sizeof(*m));
    if (m == NULL) {
        return E_NO_MEMORY;
    }
    m->percent = conf_percent(conf_get(n, "share"), 100);
    r->mirror = m;
    return find_upstream((void *)(uintptr_t)f, conf_get(n, "to"), &m->to);
}

/** One upstream for each site and such action: a route that has it says no more than that. */
static int compile_action(struct compile *c, struct route *r, const struct conf_scope *scope,
                          struct upstream_factory *f)
{
    bool in_route = conf_exists(scope->level[2]);
    struct conf_node site = scope->level[in_route ? 1 : 0];
    struct conf_node own = conf_get(scope->level[0], f->action);
    struct conf_node settings = conf_get(site, f->action);
    if (!conf_exists(own) || conf_is_off(own)) {
        return 0;
    }
    struct slice name = conf_key(site);
    for (struct upstream *u = c->s->all_upstreams; u != NULL; u = u->next) {
        if (u->factory == f && slice_eq(u->name, name)) {
            r->upstream = u;
            return 0;
        }
    }
    int rc =
        snapshot_add_upstream(c->s, f, conf_exists(settings) ? settings : own, name, &r->upstream);
    if (rc == 0) {
        r->upstream->factory = f;
    }
    return rc;
}

static int compile_actions(struct compile *c, struct route *r, const struct conf_scope *scope)
{
    int rc = 0;
    for (struct upstream_factory *f = c->factory->next; rc == 0 && f != NULL; f = f->next) {
        rc = compile_action(c, r, scope, f);
    }
    return rc;
}

static int compile_proxy(struct compile *c, struct route *r, const struct conf_scope *scope)
{
    struct finding f = {c, r, scope->level[0]};
    struct conf_node proxy = conf_get(f.own, "proxy");
    int rc = 0;
    if (!conf_exists(proxy)) {
        rc = compile_actions(c, r, scope);
        return rc != 0 ? rc : compile_mirror(&f, scope, r);
    }
    if (conf_kind_of(proxy) == CONF_MAP && conf_exists(conf_get(proxy, "split"))) {
        const struct split_sources from = {&c->s->arena, c->diags, &f, find_upstream};
        rc = split_compile(&from, proxy, r->text, &r->upstream);
    } else {
        rc = find_upstream(&f, proxy, &r->upstream);
    }
    return rc != 0 ? rc : compile_mirror(&f, scope, r);
}

// ---- routes and sites -----------------------------------------------------------------------------

static int compile_modules(struct compile *c, struct route *r, const struct conf_scope *scope)
{
    const struct module_compile mc = {&c->s->arena, c->s, scope, c->diags};
    for (unsigned i = 0; modules[i] != NULL; i++) {
        ensure(i < MODULES_MAX);
        if (modules[i]->compile == NULL) {
            continue;
        }
        int rc = modules[i]->compile(&mc, &r->conf[i]);
        if (rc != 0) {
            return rc;
        }
        if (r->conf[i] != NULL) {
            r->stages |= (uint16_t)(1U << i);
        }
    }
    return 0;
}

static bool logs_access(const struct conf_scope *scope)
{
    for (size_t i = 0; i < array_len(scope->level); i++) {
        struct conf_node n = conf_get(scope->level[i], "access_log");
        if (conf_exists(n)) {
            struct conf_node to = conf_kind_of(n) == CONF_MAP ? conf_get(n, "to") : n;
            return !(conf_exists(to) && conf_kind_of(to) == CONF_SCALAR && conf_is_off(to));
        }
    }
    return true;
}

/** `own`: where matches and the action stand; may not exist. */
static int compile_route(struct compile *c, struct route *r, const struct conf_scope *scope)
{
    r->down_timeouts = down_timeouts(scope);
    r->up_timeouts = up_timeouts(scope);
    r->connect_ms = milliseconds(scope, "timeouts.connect", 5 * 1000);
    r->limits.body_bytes = conf_size(conf_scope_get(scope, "limits.body_size"), UINT64_MAX);
    r->access_log = logs_access(scope);
    int rc = error_pages_compile(scope, &c->s->arena, c->diags, &r->errors);
    if (rc == 0) {
        rc = compile_modules(c, r, scope);
    }
    return rc != 0 ? rc : compile_proxy(c, r, scope);
}

static int name_route(struct compile *c, struct route *r, struct slice site)
{
    char *bytes = arena_bytes(&c->s->arena, site.len + 1 + NUM_U64_DIGITS);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, site.len + 1 + NUM_U64_DIGITS);
    text_put(&t, site);
    text_char(&t, '/');
    text_u64(&t, r->index + 1);
    r->text = text_slice(&t);
    return 0;
}

static int compile_routes(struct compile *c, struct site *site, struct conf_node node)
{
    struct conf_node list = conf_get(node, "routes");
    uint32_t count = conf_count(list) + 1;
    site->routes = arena_zalloc(&c->s->arena, count * sizeof(*site->routes));
    if (site->routes == NULL) {
        return E_NO_MEMORY;
    }
    int rc = 0;
    conf_each(at, list)
    {
        struct route *r = &site->routes[site->route_count];
        const struct conf_scope scope = {.level = {at, node, c->top}};
        r->index = site->route_count++;
        rc = name_route(c, r, site->name);
        rc = rc != 0 ? rc : match_compile(at, &c->s->arena, c->diags, &r->match);
        rc = rc != 0 ? rc : compile_route(c, r, &scope);
        if (rc != 0) {
            return rc;
        }
    }
    struct route *last = &site->routes[site->route_count];
    const struct conf_scope scope = {.level = {node, c->top}};
    last->index = site->route_count++;
    rc = name_route(c, last, site->name);
    return rc != 0 ? rc : compile_route(c, last, &scope);
}

static int lower_name(struct compile *c, struct slice name, struct slice *out)
{
    char *bytes = arena_bytes(&c->s->arena, name.len + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    for (size_t i = 0; i < name.len; i++) {
        char b = name.ptr[i];
        bytes[i] = b >= 'A' && b <= 'Z' ? (char)(b - 'A' + 'a') : b;
    }
    *out = slice_of(bytes, name.len);
    return 0;
}

// Files a site under a name: exact, wildcard or `default`. `at` is where to report.
static int add_name(struct compile *c, struct conf_node at, struct slice name, struct site *site)
{
    struct snapshot *s = c->s;
    int rc = lower_name(c, name, &name);
    if (rc != 0) {
        return rc;
    }
    bool taken = false;
    if (slice_eq(name, SLICE("default"))) {
        taken = s->fallback != NULL;
        s->fallback = site;
    } else if (name.len > 2 && name.ptr[0] == '*') {
        struct slice suffix = slice_from(name, 1);
        uint32_t i = s->wildcard_count;
        ensure(i < c->wildcards_max);
        for (uint32_t j = 0; j < i; j++) {
            taken = taken || slice_eq(s->wildcards[j].suffix, suffix);
        }
        for (; i > 0 && s->wildcards[i - 1].suffix.len < suffix.len; i--) {
            s->wildcards[i] = s->wildcards[i - 1];
        }
        s->wildcards[i] = (struct site_wildcard){suffix, site};
        s->wildcard_count++;
    } else {
        rc = slice_map_put(&s->hosts, name, site);
        taken = rc == E_EXISTS;
    }
    if (taken) {
        conf_error(c->diags, at, "the host name %.*s is given to two sites", SLICE_ARG(name));
        return E_CONFIG;
    }
    return rc;
}

/** A site as its names see it: all of it is shared but where a name is redirected to. */
struct faces {
    struct conf_node node;
    struct site *secure; // sends clients without TLS to https
    struct site *plain;
};

// Whether requests without TLS that name this host go to https: only if it can be had there.
static bool to_https(const struct compile *c, struct conf_node site, struct slice name)
{
    enum tls_source source = tls_plan_source(c->top, site, name);
    // Nobody trusts the local CA's certificate for whatever name comes to `default`.
    bool likely = !(source == TLS_SOURCE_LOCAL && slice_eq(name, SLICE("default")));
    return source != TLS_SOURCE_NONE && conf_bool(tls_plan_get(c->top, site, "redirect"), likely);
}

static struct site *face_of(const struct compile *c, const struct faces *f, struct slice name)
{
    return to_https(c, f->node, name) ? f->secure : f->plain;
}

// `names` and `aliases`: one or a list of them.
static int add_names(struct compile *c, struct conf_node names, const struct faces *f)
{
    if (!conf_exists(names)) {
        return 0;
    }
    if (conf_kind_of(names) == CONF_SCALAR) {
        return add_name(c, names, conf_text(names), face_of(c, f, conf_text(names)));
    }
    conf_each(at, names)
    {
        int rc = add_name(c, at, conf_text(at), face_of(c, f, conf_text(at)));
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int compile_site(struct compile *c, struct conf_node node)
{
    struct site *all = arena_zalloc(&c->s->arena, 4 * sizeof(*all));
    if (all == NULL) {
        return E_NO_MEMORY;
    }
    struct site *site = &all[0];
    c->s->sites[c->s->site_count++] = site; // from here on what its routes hold is given back
    int rc = lower_name(c, conf_key(node), &site->name);
    rc = rc != 0 ? rc : compile_routes(c, site, node);
    if (rc != 0) {
        return rc;
    }
    const struct faces faces = {node, &all[1], &all[0]};
    all[1] = *site;
    all[1].to_https = true;
    rc = add_name(c, node, site->name, face_of(c, &faces, site->name));
    rc = rc != 0 ? rc : add_names(c, conf_get(node, "aliases"), &faces);
    struct conf_node names = conf_get(node, "names");
    if (rc != 0 || !conf_exists(names)) {
        return rc;
    }
    if (site->name.ptr[0] == '*' || slice_eq(site->name, SLICE("default"))) {
        conf_error(c->diags, names, "only a site with one name of its own can be redirected to");
        return E_CONFIG;
    }
    // A redirecting name has the site's routes too, for the settings that its answer needs.
    const struct faces redirecting = {node, &all[3], &all[2]};
    for (unsigned i = 0; i < 2; i++) {
        all[2 + i] = all[i];
        all[2 + i].redirect_to = site->name;
    }
    return add_names(c, names, &redirecting);
}

static uint32_t names_of(struct conf_node node)
{
    if (!conf_exists(node)) {
        return 0;
    }
    return conf_kind_of(node) == CONF_SCALAR ? 1 : conf_count(node);
}

static int compile_sites(struct compile *c)
{
    struct conf_node map = conf_get(c->top, "sites");
    struct snapshot *s = c->s;
    uint32_t names = 0;
    conf_each(site, map)
    {
        names += 1 + names_of(conf_get(site, "names")) + names_of(conf_get(site, "aliases"));
    }
    int rc = slice_map_init(&s->hosts, &s->arena, names + 1);
    if (rc != 0) {
        return rc;
    }
    s->wildcards = arena_zalloc(&s->arena, (names + 1) * sizeof(*s->wildcards));
    if (s->wildcards == NULL) {
        return E_NO_MEMORY;
    }
    s->sites = arena_zalloc(&s->arena, (conf_count(map) + 1) * sizeof(struct site *));
    if (s->sites == NULL) {
        return E_NO_MEMORY;
    }
    c->wildcards_max = names;
    conf_each(site, map)
    {
        rc = compile_site(c, site);
        if (rc != 0) {
            return rc;
        }
    }
    const struct conf_scope scope = {.level = {c->top}};
    s->fallback_route.text = SLICE("-");
    return compile_route(c, &s->fallback_route, &scope);
}

// ---- life -----------------------------------------------------------------------------------------

static void dispose_route(struct route *r)
{
    for (unsigned i = 0; modules[i] != NULL; i++) {
        if (r->conf[i] != NULL && modules[i]->dispose != NULL) {
            modules[i]->dispose(r->conf[i]);
        }
        r->conf[i] = NULL;
    }
}

static void free_snapshot(struct snapshot *s)
{
    ensure_magic(s, SNAPSHOT_MAGIC);
    for (uint32_t i = 0; i < s->site_count; i++) {
        for (uint32_t j = 0; j < s->sites[i]->route_count; j++) {
            dispose_route(&s->sites[i]->routes[j]);
        }
    }
    dispose_route(&s->fallback_route);
    if (s->dispose != NULL) {
        s->dispose(s);
    }
    s->magic = 0;
    arena_fini(&s->arena);
    mem_free(s);
}

void snapshot_discard(struct snapshot *s)
{
    free_snapshot(s);
}

int snapshot_compile(const struct conf_doc *doc, struct upstream_factory *factory,
                     struct conf_diags *diags, struct snapshot **out)
{
    struct snapshot *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    s->magic = SNAPSHOT_MAGIC;
    arena_init(&s->arena, NULL, 0, NULL, SNAPSHOT_BYTES_MAX);
    struct compile c = {s, factory, diags, conf_root(doc), 0};
    int rc = compile_top(&c);
    rc = rc != 0 ? rc : compile_upstreams(&c);
    rc = rc != 0 ? rc : compile_sites(&c);
    if (rc != 0) {
        free_snapshot(s);
        return rc;
    }
    *out = s;
    return 0;
}

void snapshot_publish(struct snapshot *s, uint32_t cores)
{
    ensure_magic(s, SNAPSHOT_MAGIC);
    ensure(cores > 0);
    ensure(cores <= SNAPSHOT_CORES_MAX);
    for (uint32_t i = 0; i < cores; i++) {
        ensure(s->core_refs[i].refs == 0);
        s->core_refs[i].refs = 1;
    }
    atomic_store_explicit(&s->cores, cores, memory_order_release);
}

void snapshot_unref(struct snapshot *s, uint32_t core)
{
    ensure_magic(s, SNAPSHOT_MAGIC);
    ensure(s->core_refs[core].refs > 0);
    if (--s->core_refs[core].refs > 0) {
        return;
    }
    // A core that is done never comes back: its publish reference was the first and is gone.
    if (atomic_fetch_sub_explicit(&s->cores, 1, memory_order_acq_rel) == 1) {
        free_snapshot(s);
    }
}

struct site *snapshot_site(const struct snapshot *s, struct slice host)
{
    struct site *site = slice_map_get(&s->hosts, host);
    if (site != NULL) {
        return site;
    }
    for (uint32_t i = 0; i < s->wildcard_count; i++) {
        struct slice suffix = s->wildcards[i].suffix;
        if (host.len > suffix.len && slice_ends(host, suffix)) {
            return s->wildcards[i].site;
        }
    }
    return s->fallback;
}
