// SPDX-License-Identifier: Apache-2.0
//
// What a document says of TLS (tls/plan.h). The document is checked, so values are of their kind; what
// contradicts itself was an error in https/check.c and is not looked for here.

#include "tls/plan.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/value.h"
#include "os/addr.h"

enum { DEFAULT_BACKLOG = 4096, HTTPS_PORT = 443 };

// ---- names --------------------------------------------------------------------------------------

static bool is_ip(struct slice name)
{
    struct os_addr ignored;
    return os_addr_parse_ip(name, 1, &ignored) == 0;
}

static bool is_wildcard(struct slice name)
{
    return slice_starts(name, SLICE("*."));
}

bool tls_name_is_public(struct slice name)
{
    static const char *const private_tops[] = {
        "localhost", "local", "internal",    "test",     "example", "invalid", "onion", "alt",
        "home.arpa", "lan",   "localdomain", "intranet", "private", "corp",    "home",
    };
    struct slice base = is_wildcard(name) ? slice_from(name, 2) : name;
    if (is_ip(name) || slice_find_char(base, '.') < 0 || slice_eq(name, SLICE("default"))) {
        return false;
    }
    for (size_t i = 0; i < array_len(private_tops); i++) {
        struct slice top = slice_str(private_tops[i]);
        if (slice_eq(base, top) || (slice_ends(base, top) && base.len > top.len &&
                                    base.ptr[base.len - top.len - 1] == '.')) {
            return false;
        }
    }
    return slice_find_char(base, '_') < 0; // names of hosts have none (RFC 5280 4.2.1.6)
}

// A map, or nothing.
static struct conf_node tls_map(struct conf_node level)
{
    struct conf_node tls = conf_exists(level) ? conf_get(level, "tls") : level;
    bool map = conf_exists(tls) && conf_kind_of(tls) == CONF_MAP;
    return map ? tls : (struct conf_node){tls.doc, 0};
}

static bool tls_is_off(struct conf_node level)
{
    return conf_exists(level) && conf_is_off(conf_get(level, "tls"));
}

struct conf_node tls_plan_get(struct conf_node root, struct conf_node site, const char *key)
{
    struct conf_node own = conf_get(tls_map(site), key);
    return conf_exists(own) ? own : conf_get(tls_map(root), key);
}

struct slice tls_plan_dns(struct conf_node root, struct conf_node site)
{
    struct conf_node own = conf_get(tls_map(site), "dns");
    return conf_string(conf_exists(own) ? own : conf_get(conf_get(root, "acme"), "dns"), "");
}

static enum tls_source source_of_mode(struct slice mode, struct slice name, bool hook)
{
    bool none = slice_eq(name, SLICE("default"));
    if (slice_eq(mode, SLICE("local"))) {
        return TLS_SOURCE_LOCAL;
    }
    if (slice_eq(mode, SLICE("acme"))) {
        return none || (is_wildcard(name) && !hook) ? TLS_SOURCE_NONE : TLS_SOURCE_ACME;
    }
    if (!tls_name_is_public(name)) {
        return TLS_SOURCE_LOCAL;
    }
    return is_wildcard(name) && !hook ? TLS_SOURCE_NONE : TLS_SOURCE_ACME;
}

enum tls_source tls_plan_source(struct conf_node root, struct conf_node site, struct slice name)
{
    struct conf_node own = tls_map(site);
    if (tls_is_off(site) || (!conf_exists(own) && tls_is_off(root))) {
        return TLS_SOURCE_NONE;
    }
    struct tls_plan_file files[TLS_PLAN_FILES_MAX];
    if (tls_plan_files(site, files) > 0) {
        return TLS_SOURCE_FILES;
    }
    if (conf_bool(conf_get(own, "on_demand"), false)) {
        return TLS_SOURCE_ON_DEMAND;
    }
    struct slice mode = conf_string(tls_plan_get(root, site, "mode"), "auto");
    return source_of_mode(mode, name, tls_plan_dns(root, site).len > 0);
}

static const char *const lists[] = {"names", "aliases"}; // of a site

struct walk {
    struct conf_node root;
    void (*each)(void *arg, const struct tls_plan_name *name);
    void *arg;
};

static void walk_name(const struct walk *w, struct conf_node site, struct conf_node at,
                      struct slice name)
{
    const struct tls_plan_name one = {name, tls_plan_source(w->root, site, name), site, at};
    w->each(w->arg, &one);
}

static struct conf_node tunnels_of(struct conf_node site)
{
    struct conf_node own = conf_get(site, "tunnels");
    conf_each(route, conf_get(site, "routes"))
    {
        own = conf_exists(own) ? own : conf_get(route, "tunnels");
    }
    return own;
}

static bool is_named(struct conf_node root, struct slice name)
{
    conf_each(site, conf_get(root, "sites"))
    {
        bool found = slice_eq(conf_key(site), name);
        for (size_t i = 0; i < array_len(lists) && !found; i++) {
            conf_each(at, conf_get(site, lists[i]))
            {
                found = found || slice_eq(conf_text(at), name);
            }
        }
        if (found) {
            return true;
        }
    }
    return false;
}

/** Where agents of a site's tunnels call; empty: it has none. */
static struct slice call_of(struct conf_node site, struct conf_node tunnels)
{
    if (!conf_exists(tunnels) || conf_is_off(tunnels)) {
        return SLICE("");
    }
    bool map = conf_kind_of(tunnels) == CONF_MAP;
    struct slice name = map ? conf_string(conf_get(tunnels, "at"), "") : SLICE("");
    return name.len == 0 && is_wildcard(conf_key(site)) ? slice_from(conf_key(site), 2) : name;
}

/** Where agents call is a name that the site with the tunnels answers to, unless another site does. */
static void walk_call(const struct walk *w, struct conf_node site)
{
    struct conf_node tunnels = tunnels_of(site);
    struct slice name = call_of(site, tunnels);
    if (name.len > 0 && !is_named(w->root, name)) {
        walk_name(w, site, tunnels, name);
    }
}

void tls_plan_calls(struct conf_node root, void (*each)(void *arg, struct slice name), void *arg)
{
    conf_each(site, conf_get(root, "sites"))
    {
        struct slice name = call_of(site, tunnels_of(site));
        if (name.len > 0) {
            each(arg, name);
        }
    }
}

void tls_plan_names(struct conf_node root,
                    void (*each)(void *arg, const struct tls_plan_name *name), void *arg)
{
    const struct walk w = {root, each, arg};
    conf_each(site, conf_get(root, "sites"))
    {
        walk_name(&w, site, site, conf_key(site));
        for (size_t i = 0; i < array_len(lists); i++) {
            conf_each(at, conf_get(site, lists[i]))
            {
                walk_name(&w, site, at, conf_text(at));
            }
        }
        walk_call(&w, site);
    }
}

static void note_use(void *arg, const struct tls_plan_name *name)
{
    bool *used = arg;
    *used = *used || name->source != TLS_SOURCE_NONE;
}

bool tls_plan_in_use(struct conf_node root)
{
    bool used = false;
    tls_plan_names(root, note_use, &used);
    return used;
}

void tls_plan_credential(const struct tls_plan_name *name, struct text *out)
{
    bool local = name->source == TLS_SOURCE_LOCAL;
    if (local || name->source == TLS_SOURCE_ACME) {
        bool none = slice_eq(name->name, SLICE("default"));
        text_str(out, local ? "local:" : "acme:");
        text_put(out, none ? SLICE("localhost") : name->name);
    }
}

// ---- files --------------------------------------------------------------------------------------

static void add_file(struct tls_plan_file *out, uint32_t *count, struct conf_node pair)
{
    struct conf_node cert = conf_get(pair, "cert");
    struct conf_node key = conf_get(pair, "key");
    if (conf_exists(cert) && conf_exists(key) && *count < TLS_PLAN_FILES_MAX) {
        out[(*count)++] = (struct tls_plan_file){conf_text(cert), conf_text(key), cert, key};
    }
}

uint32_t tls_plan_files(struct conf_node site, struct tls_plan_file out[TLS_PLAN_FILES_MAX])
{
    struct conf_node tls = tls_map(site);
    uint32_t count = 0;
    add_file(out, &count, tls);
    conf_each(pair, conf_get(tls, "certs"))
    {
        add_file(out, &count, pair);
    }
    return count;
}

// ---- listeners ----------------------------------------------------------------------------------

static uint16_t port_of(struct slice address)
{
    size_t colon = address.len;
    uint64_t port = 0;
    while (colon > 0 && address.ptr[colon - 1] != ':') {
        colon--;
    }
    if (slice_starts(address, SLICE("unix:")) || colon == 0 ||
        num_parse_u64(slice_from(address, colon), UINT16_MAX, &port) != 0) {
        return 0;
    }
    return (uint16_t)port;
}

static struct tls_plan_listener listener_of(struct conf_node at)
{
    struct tls_plan_listener l = {.at = at};
    l.address = conf_text(conf_get(at, "at"));
    l.backlog = (uint32_t)conf_int(conf_get(at, "backlog"), DEFAULT_BACKLOG);
    l.tls = conf_bool(conf_get(at, "tls"), port_of(l.address) == HTTPS_PORT);
    return l;
}

// A site that only catches what no other takes, with nothing said of TLS, is no reason to listen on
// ports that need privileges.
static void note_wish(void *arg, const struct tls_plan_name *name)
{
    bool *wished = arg;
    struct conf_node root = conf_root(name->site.doc);
    bool said = conf_exists(conf_get(name->site, "tls")) || conf_exists(conf_get(root, "tls"));
    if (name->source != TLS_SOURCE_NONE && (said || !slice_eq(name->name, SLICE("default")))) {
        *wished = true;
    }
}

/** A stream that hands connections to the sites stands in for a listener that nobody asked for. */
static bool a_stream_has(struct conf_node root, struct slice address)
{
    conf_each(stream, conf_get(root, "streams"))
    {
        struct conf_node at = conf_get(conf_get(stream, "listen"), "at");
        if (conf_exists(at) && slice_eq(conf_text(at), address)) {
            return true;
        }
    }
    return false;
}

static void add_default(struct conf_node root, struct slice address, bool tls,
                        struct tls_plan_listener *out, uint32_t *count)
{
    struct conf_node none = {root.doc, 0};
    if (!a_stream_has(root, address)) {
        out[(*count)++] = (struct tls_plan_listener){address, DEFAULT_BACKLOG, tls, none};
    }
}

uint32_t tls_plan_listeners(struct conf_node root,
                            struct tls_plan_listener out[TLS_PLAN_LISTENERS_MAX])
{
    struct conf_node list = conf_get(root, "listen");
    uint32_t count = 0;
    conf_each(at, list)
    {
        if (count < TLS_PLAN_LISTENERS_MAX) {
            out[count++] = listener_of(at);
        }
    }
    if (count > 0) {
        return count;
    }
    if (conf_count(conf_get(root, "sites")) == 0 && conf_count(conf_get(root, "streams")) > 0) {
        return 0; // layer 4 alone
    }
    bool wished = false;
    tls_plan_names(root, note_wish, &wished);
    if (!wished) {
        add_default(root, SLICE("[::]:8080"), false, out, &count);
        return count;
    }
    add_default(root, SLICE("[::]:80"), false, out, &count);
    add_default(root, SLICE("[::]:443"), true, out, &count);
    return count;
}

bool tls_plan_listens(struct conf_node root)
{
    struct tls_plan_listener l[TLS_PLAN_LISTENERS_MAX];
    uint32_t count = tls_plan_listeners(root, l);
    bool listens = false;
    for (uint32_t i = 0; i < count; i++) {
        listens = listens || l[i].tls;
    }
    conf_each(stream, conf_get(root, "streams"))
    {
        conf_each(route, conf_get(stream, "routes"))
        {
            listens = listens || conf_bool(conf_get(route, "sites"), false);
        }
    }
    return listens;
}

// ---- rates --------------------------------------------------------------------------------------

int tls_plan_rate(struct slice text, uint32_t *count, uint64_t *per_ms)
{
    ptrdiff_t slash = slice_find_char(text, '/');
    uint64_t n = 0;
    if (slash <= 0 || num_parse_u64(slice_sub(text, 0, (size_t)slash), UINT32_MAX, &n) != 0 ||
        n == 0 || conf_value_duration(slice_from(text, (size_t)slash + 1), per_ms) != 0 ||
        *per_ms == 0) {
        return E_INVALID;
    }
    *count = (uint32_t)n;
    return 0;
}
