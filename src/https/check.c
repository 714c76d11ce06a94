// SPDX-License-Identifier: Apache-2.0
//
// What holds between the directives that make https: names that can get no certificate, listeners
// that nobody can speak TLS with, settings without effect. Runs on a document in which nothing else
// is wrong.

#include "base/error.h"
#include "conf/address.h"
#include "conf/diag.h"
#include "tls/plan.h"
#include "tls/wants.h"

#include "https/https.h"

struct check {
    struct conf_diags *d;
    struct conf_node root;
    bool listens;
    bool used; // some name has TLS
};

static struct slice mode_of(const struct check *c, struct conf_node site)
{
    return conf_string(tls_plan_get(c->root, site, "mode"), "auto");
}

// ---- names --------------------------------------------------------------------------------------

// A wildcard that ACME cannot have, because nobody can prove it without the DNS.
static void check_wildcard(struct check *c, const struct tls_plan_name *n, bool said)
{
    // Without `listen` there are no TLS listeners just because this name has no certificate.
    bool heard = c->listens || !conf_exists(conf_get(c->root, "listen"));
    bool reachable = heard && !conf_is_off(conf_get(n->site, "tls")) &&
                     !(conf_is_off(conf_get(c->root, "tls")) && !said);
    if (n->source != TLS_SOURCE_NONE || !reachable || !slice_starts(n->name, SLICE("*."))) {
        return;
    }
    if (said) {
        conf_error(c->d, n->at, "a certificate for `%.*s` needs a DNS hook, or files",
                   SLICE_ARG(n->name));
    } else {
        conf_warning(c->d, n->at, "`%.*s` has no TLS: its certificate needs a DNS hook, or files",
                     SLICE_ARG(n->name));
    }
    conf_hint(c->d, "tls: {dns: /etc/adit/dns-hook}, tls: {cert: ..., key: ...}, tls: local, or "
                    "tls: off");
}

static bool only_public_issuers(struct conf_node root)
{
    struct conf_node list = conf_get(conf_get(root, "acme"), "issuers");
    conf_each(one, list)
    {
        if (slice_starts(conf_text(conf_get(one, "directory")), SLICE("https://"))) {
            return false;
        }
    }
    return true;
}

static void check_acme(struct check *c, const struct tls_plan_name *n)
{
    bool none = slice_eq(n->name, SLICE("default"));
    bool acme = slice_eq(mode_of(c, n->site), SLICE("acme"));
    bool own = conf_exists(conf_get(conf_get(n->site, "tls"), "mode"));
    if (none && own && acme && n->source == TLS_SOURCE_NONE) {
        conf_error(c->d, n->at, "`default` has no name that a CA could certify");
        conf_hint(c->d,
                  "tls: {on_demand: on} gets certificates for the names that clients ask for");
    } else if (n->source == TLS_SOURCE_ACME && !tls_name_is_public(n->name) &&
               only_public_issuers(c->root)) {
        conf_error(c->d, n->at, "no public CA gives a certificate for `%.*s`", SLICE_ARG(n->name));
        conf_hint(c->d, "tls: local, or an ACME server of your own in `acme: {issuers: ...}`");
    }
}

static void check_on_demand(struct check *c, const struct tls_plan_name *n)
{
    struct conf_node at = conf_get(conf_get(n->site, "tls"), "on_demand");
    bool many = slice_eq(n->name, SLICE("default")) || slice_starts(n->name, SLICE("*."));
    if (n->source != TLS_SOURCE_ON_DEMAND) {
        return;
    }
    if (!conf_exists(conf_get(conf_get(c->root, "acme"), "ask"))) {
        conf_error(c->d, at, "`on_demand` needs `ask`: else anybody could have certificates made");
        conf_hint(c->d, "acme: {ask: http://127.0.0.1:9000/may}");
    } else if (!many && slice_eq(n->name, conf_key(n->site))) {
        conf_warning(c->d, at, "`on_demand` for a single name only delays its certificate");
        conf_hint(c->d, "leave it out, or put it on `default`");
    }
}

static void check_one(void *arg, const struct tls_plan_name *n)
{
    struct check *c = arg;
    struct conf_node tls = conf_get(n->site, "tls");
    bool said = conf_exists(tls) && !conf_is_off(tls);
    c->used = c->used || n->source != TLS_SOURCE_NONE;
    check_wildcard(c, n, said);
    check_acme(c, n);
    check_on_demand(c, n);
}

// ---- listeners and sites ------------------------------------------------------------------------

static void check_listeners(const struct check *c)
{
    struct tls_plan_listener l[TLS_PLAN_LISTENERS_MAX];
    uint32_t count = tls_plan_listeners(c->root, l);
    if (c->used || conf_count(conf_get(c->root, "sites")) == 0 || conf_diags_errors(c->d) > 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (l[i].tls && conf_exists(l[i].at)) {
            conf_error(c->d, conf_get(l[i].at, "at"), "a TLS listener, but no site has TLS");
            conf_hint(c->d, "take `tls: off` from a site, or say {at: ..., tls: off} here");
            return;
        }
    }
}

// What was asked for explicitly and can have no effect.
static void check_unheard(const struct check *c, struct conf_node site)
{
    struct conf_node tls = conf_get(site, "tls");
    bool said = conf_exists(tls) && !conf_is_off(tls);
    bool listener = c->listens || !conf_exists(conf_get(c->root, "listen"));
    if (said && !listener && conf_diags_errors(c->d) == 0) {
        conf_warning(c->d, tls, "there is no TLS listener, so `tls` has no effect");
        conf_hint(c->d, "listen: [\":80\", \":443\"], or {at: \":8443\", tls: on}");
    }
}

// ---- upstreams ----------------------------------------------------------------------------------

static void check_upstream(void *arg, struct conf_node upstream)
{
    const struct check *c = arg;
    if (!conf_exists(upstream) || conf_kind_of(upstream) != CONF_MAP) {
        return; // a name
    }
    struct conf_node tls = conf_get(upstream, "tls");
    struct conf_node protocol = conf_get(upstream, "protocol");
    bool http1 = slice_eq(conf_string(protocol, "auto"), SLICE("http/1.1"));
    bool secure = false;
    conf_each(server, conf_get(upstream, "servers"))
    {
        if (conf_exists(conf_get(server, "file"))) {
            secure = true; // what is in it may be, now or later
            continue;
        }
        struct slice at = conf_text(conf_get(server, "at"));
        enum conf_scheme scheme = conf_address_take_scheme(&at);
        secure = secure || scheme == CONF_SCHEME_HTTPS || scheme == CONF_SCHEME_TLS;
        if (scheme == CONF_SCHEME_H2C && http1) {
            conf_error(c->d, conf_get(server, "at"),
                       "h2c:// is HTTP/2, and `protocol` is http/1.1");
            conf_hint(c->d, "write http:// or leave `protocol` out");
        } else if (scheme == CONF_SCHEME_HTTP && slice_ends(at, SLICE(":443"))) {
            conf_warning(c->d, conf_get(server, "at"), "no TLS is spoken with this server");
            conf_hint(c->d, "if it expects TLS on port 443, write https:// in front");
        }
    }
    if (conf_exists(tls) && !secure) {
        conf_error(c->d, tls, "`tls` without a server that is written with https://");
        conf_hint(c->d, "servers: https://10.0.0.1:8443");
    }
}

void https_check(struct conf_diags *d, struct conf_node root)
{
    struct check c = {d, root, tls_plan_listens(root), false};
    tls_plan_names(root, check_one, &c);
    check_listeners(&c);
    tls_each_upstream(root, check_upstream, &c);
    conf_each(site, conf_get(root, "sites"))
    {
        check_unheard(&c, site);
    }
}
