// SPDX-License-Identifier: Apache-2.0
//
// See wants.h. An upstream stands by its name under `upstreams`, or in place of a name in `proxy` of a
// site or a route; all three have the same rows. Only one with a server behind https:// needs anything:
// authorities unless it is not verified, and what it wants to show of its own.

#include "tls/wants.h"

#include "base/text.h"

struct walk {
    struct conf_node root;
    void (*each)(void *arg, const struct tls_want *w);
    void *arg;
};

static void tell(const struct walk *w, const struct tls_want *want)
{
    w->each(w->arg, want);
}

void tls_file_id(struct slice cert, struct slice key, struct text *out)
{
    text_str(out, "file:");
    text_put(out, cert);
    text_char(out, '|');
    text_put(out, key);
}

void tls_authority_id(struct slice path, struct text *out)
{
    text_str(out, "ca:");
    text_put(out, path.len > 0 ? path : SLICE("system"));
}

void tls_want_id(const struct tls_want *w, struct text *out)
{
    if (w->kind == TLS_WANT_FILES) {
        tls_file_id(w->cert, w->key, out);
    } else if (w->kind == TLS_WANT_AUTHORITY || w->kind == TLS_WANT_SYSTEM) {
        tls_authority_id(w->cert, out);
    } else {
        text_str(out, w->kind == TLS_WANT_ACME ? "acme:" : "local:");
        text_put(out, w->name);
    }
}

// ---- sites -----------------------------------------------------------------------------------------

static void want_name(void *arg, const struct tls_plan_name *n)
{
    const struct walk *w = arg;
    struct tls_want want = {.name = n->name, .at = n->at, .site = n->site};
    if (n->source == TLS_SOURCE_ACME) {
        want.kind = TLS_WANT_ACME;
        tell(w, &want);
    } else if (n->source == TLS_SOURCE_LOCAL) {
        want.kind = TLS_WANT_LOCAL;
        want.name = slice_eq(n->name, SLICE("default")) ? SLICE("localhost") : n->name;
        tell(w, &want);
    }
}

static void want_files(const struct walk *w, struct conf_node site)
{
    struct tls_plan_file files[TLS_PLAN_FILES_MAX];
    uint32_t count = tls_plan_files(site, files);
    for (uint32_t i = 0; i < count; i++) {
        const struct tls_want want = {
            .kind = TLS_WANT_FILES,
            .cert = files[i].cert,
            .key = files[i].key,
            .at = files[i].at,
            .key_at = files[i].key_at,
            .site = site,
        };
        tell(w, &want);
    }
}

static void want_authority(const struct walk *w, struct conf_node path)
{
    if (conf_exists(path)) {
        const struct tls_want want = {
            .kind = TLS_WANT_AUTHORITY, .cert = conf_text(path), .at = path};
        tell(w, &want);
    }
}

static void want_of_sites(const struct walk *w)
{
    if (!tls_plan_listens(w->root)) {
        return;
    }
    tls_plan_names(w->root, want_name, (void *)(uintptr_t)w);
    conf_each(site, conf_get(w->root, "sites"))
    {
        if (tls_plan_source(w->root, site, conf_key(site)) == TLS_SOURCE_FILES) {
            want_files(w, site);
        }
        struct conf_node client = tls_plan_get(w->root, site, "client");
        if (conf_exists(client) && conf_kind_of(client) == CONF_MAP) {
            want_authority(w, conf_get(client, "ca"));
        }
    }
}

// ---- origins ---------------------------------------------------------------------------------------

static bool is_https(struct conf_node server)
{
    bool map = conf_kind_of(server) == CONF_MAP;
    struct slice address = conf_string(map ? conf_get(server, "at") : server, "");
    return slice_starts(address, SLICE("https://")) || slice_starts(address, SLICE("srvs://")) ||
           slice_starts(address, SLICE("tls://"));
}

static bool has_file(struct conf_node server)
{
    return conf_kind_of(server) == CONF_MAP && conf_exists(conf_get(server, "file"));
}

static void want_of_upstream(void *arg, struct conf_node up)
{
    const struct walk *w = arg;
    if (!conf_exists(up) || conf_kind_of(up) != CONF_MAP) {
        return; // a name
    }
    struct conf_node servers = conf_get(up, "servers");
    servers = conf_exists(servers) ? servers : conf_get(up, "to");
    if (!conf_exists(servers) || conf_kind_of(servers) != CONF_LIST) {
        return;
    }
    struct conf_node tls = conf_get(up, "tls");
    struct conf_node secure = {up.doc, 0};
    conf_each(server, servers)
    {
        // What a watched file names is not known yet; `tls` says that it may be secure.
        bool wants = is_https(server) || (conf_exists(tls) && has_file(server));
        secure = wants && !conf_exists(secure) ? server : secure;
    }
    if (!conf_exists(secure)) {
        return;
    }
    struct conf_node cert = conf_get(tls, "cert");
    struct conf_node key = conf_get(tls, "key");
    struct conf_node ca = conf_get(tls, "ca");
    if (conf_exists(cert) && conf_exists(key)) {
        const struct tls_want want = {.kind = TLS_WANT_FILES,
                                      .cert = conf_text(cert),
                                      .key = conf_text(key),
                                      .at = cert,
                                      .key_at = key};
        tell(w, &want);
    }
    want_authority(w, ca);
    if (!conf_exists(ca) && conf_bool(conf_get(tls, "verify"), true)) {
        const struct tls_want want = {.kind = TLS_WANT_SYSTEM, .at = secure};
        tell(w, &want);
    }
}

// A route's or a site's: what `proxy` and `mirror` name by themselves. Of a split, its parts.
static void each_of_route(struct conf_node at, void (*each)(void *arg, struct conf_node up),
                          void *arg)
{
    struct conf_node proxy = conf_get(at, "proxy");
    struct conf_node split = conf_get(proxy, "split");
    each(arg, proxy);
    conf_each(part, split)
    {
        each(arg, conf_get(part, "to"));
    }
    each(arg, conf_get(conf_get(at, "mirror"), "to"));
}

void tls_each_upstream(struct conf_node root, void (*each)(void *arg, struct conf_node up),
                       void *arg)
{
    conf_each(up, conf_get(root, "upstreams"))
    {
        each(arg, up);
    }
    conf_each(site, conf_get(root, "sites"))
    {
        each_of_route(site, each, arg);
        conf_each(route, conf_get(site, "routes"))
        {
            each_of_route(route, each, arg);
        }
    }
    conf_each(stream, conf_get(root, "streams"))
    {
        each_of_route(stream, each, arg);
        conf_each(route, conf_get(stream, "routes"))
        {
            each_of_route(route, each, arg);
        }
    }
}

void tls_wants(struct conf_node root, void (*each)(void *arg, const struct tls_want *w), void *arg)
{
    struct walk w = {root, each, arg};
    want_of_sites(&w);
    tls_each_upstream(root, want_of_upstream, &w);
}
