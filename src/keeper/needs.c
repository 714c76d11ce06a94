// SPDX-License-Identifier: Apache-2.0
//
// From a document to its needs (keeper/needs.h), and reading the files among them.
//
// A pair of files that several sites name is one need, found by the credential's id. Files are looked
// for under every `tls` of the document, so that sites and upstreams are no different here.

#include "keeper/needs.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "ipc/messages.h"
#include "os/clock.h"
#include "tls/cert.h"
#include "tls/wants.h"

enum { NEEDS_BYTES_MAX = 256 << 20, NEEDS_EXPECTED = 64, NEED_ID_MAX = 2200 };

// ---- collecting ---------------------------------------------------------------------------------

static struct slice keep(struct needs *n, struct slice s)
{
    struct slice kept = arena_dup(&n->arena, s);
    n->out_of_memory = n->out_of_memory || kept.ptr == NULL;
    return kept.ptr != NULL ? kept : SLICE("");
}

// A need of that id, new or the one that is there already.
static struct need *add(struct needs *n, enum need_kind kind, const struct text *id)
{
    struct need *one = id->overflow ? NULL : slice_map_get(&n->by_id, text_slice(id));
    if (one != NULL || id->overflow) {
        return one;
    }
    one = arena_zalloc(&n->arena, sizeof *one);
    if (one == NULL) {
        n->out_of_memory = true;
        return NULL;
    }
    one->kind = kind;
    one->id = keep(n, text_slice(id));
    if (n->out_of_memory || slice_map_put(&n->by_id, one->id, one) != 0) {
        n->out_of_memory = true;
        return NULL;
    }
    *n->last = one;
    n->last = &one->next;
    n->count++;
    return one;
}

struct collecting {
    struct needs *needs;
    struct conf_node root;
};

static bool wants_ocsp(const struct collecting *c, struct conf_node site)
{
    return conf_bool(tls_plan_get(c->root, site, "ocsp"), true);
}

static void add_acme(const struct collecting *c, const struct tls_want *w, bool rsa)
{
    struct needs *n = c->needs;
    char buffer[NEED_ID_MAX];
    struct text id = text_on(buffer, sizeof buffer);
    tls_want_id(w, &id);
    text_str(&id, rsa && n->keys[0] ? "#rsa" : "");
    struct need *one = add(n, NEED_ACME, &id);
    if (one == NULL || one->name.len > 0) {
        return;
    }
    one->name = keep(n, w->name);
    one->hook = keep(n, tls_plan_dns(c->root, w->site));
    one->at = tls_plan_get(c->root, w->site, "dns");
    if (!conf_exists(one->at)) {
        one->at = conf_get(conf_get(c->root, "acme"), "dns");
    }
    one->rsa = rsa;
    one->ocsp = wants_ocsp(c, w->site);
}

static void collect(void *arg, const struct tls_want *w)
{
    static const enum need_kind kinds[] = {
        [TLS_WANT_FILES] = NEED_FILES,         [TLS_WANT_LOCAL] = NEED_LOCAL,
        [TLS_WANT_AUTHORITY] = NEED_AUTHORITY, [TLS_WANT_SYSTEM] = NEED_AUTHORITY,
        [TLS_WANT_ACME] = NEED_ACME,
    };
    const struct collecting *c = arg;
    struct needs *n = c->needs;
    if (w->kind == TLS_WANT_ACME) {
        for (int i = 0; i < 2; i++) {
            if (n->keys[i]) {
                add_acme(c, w, i == 1);
            }
        }
        return;
    }
    char buffer[NEED_ID_MAX];
    struct text id = text_on(buffer, sizeof buffer);
    tls_want_id(w, &id);
    struct need *one = add(n, kinds[w->kind], &id);
    if (one == NULL) {
        return;
    }
    if (!conf_exists(one->at)) {
        one->name = keep(n, w->name);
        one->cert = keep(n, w->cert);
        one->key = keep(n, w->key);
        one->at = w->at;
        one->key_at = w->key_at;
    }
    // What we show to an origin is never stapled.
    bool site = w->kind == TLS_WANT_FILES && conf_exists(w->site);
    one->ocsp = one->ocsp || (site && wants_ocsp(c, w->site));
}

static void note_demand(void *arg, const struct tls_plan_name *name)
{
    struct needs *n = arg;
    n->on_demand = n->on_demand || name->source == TLS_SOURCE_ON_DEMAND;
}

// ---- how ACME is spoken -------------------------------------------------------------------------

static struct slice directory_of(struct slice said)
{
    static const char *const known[][2] = {
        {"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
        {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
        {"zerossl", "https://acme.zerossl.com/v2/DV90"},
        {"google", "https://dv.acme-v02.api.pki.goog/directory"},
    };
    for (size_t i = 0; i < array_len(known); i++) {
        if (slice_eq(said, slice_str(known[i][0]))) {
            return slice_str(known[i][1]);
        }
    }
    return said;
}

// "letsencrypt", or of a URL the host with its port.
static struct slice issuer_name(struct slice said)
{
    if (!slice_starts(said, SLICE("https://"))) {
        return said;
    }
    struct slice rest = slice_from(said, strlen("https://"));
    ptrdiff_t end = slice_find_char(rest, '/');
    return end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
}

static void add_issuer(struct needs *n, struct conf_node one, struct slice email)
{
    if (n->issuer_count == NEEDS_ISSUERS_MAX) {
        return;
    }
    struct slice said = conf_string(conf_get(one, "directory"), "letsencrypt");
    struct conf_node eab = conf_get(one, "eab");
    n->issuer_at[n->issuer_count] = conf_get(one, "ca");
    n->issuer_ca[n->issuer_count] = keep(n, conf_string(n->issuer_at[n->issuer_count], ""));
    n->issuers[n->issuer_count++] = (struct acme_issuer){
        .name = keep(n, issuer_name(said)),
        .directory = keep(n, directory_of(said)),
        .email = keep(n, email),
        .eab_kid = keep(n, conf_string(conf_get(eab, "kid"), "")),
        .eab_key = keep(n, conf_string(conf_get(eab, "key"), "")),
        .profile = keep(n, conf_string(conf_get(one, "profile"), "")),
    };
}

static void collect_challenges(struct needs *n, struct conf_node list)
{
    uint32_t count = 0;
    conf_each(one, list)
    {
        bool http = slice_eq(conf_text(one), SLICE("http-01"));
        if (count < 2) {
            n->order[count++] = http ? ACME_HTTP_01 : ACME_TLS_ALPN_01;
        }
    }
    if (count == 0) {
        n->order[count++] = ACME_TLS_ALPN_01;
        n->order[count++] = ACME_HTTP_01;
    }
    for (uint32_t i = 0; i < count; i++) {
        n->challenges |= (unsigned)n->order[i];
    }
}

static void collect_acme(struct needs *n, struct conf_node acme)
{
    struct slice key = conf_string(conf_get(acme, "key"), "ecdsa");
    struct slice email = conf_string(conf_get(acme, "email"), "");
    bool both = slice_eq(key, SLICE("both"));
    n->keys[0] = both || slice_eq(key, SLICE("ecdsa"));
    n->keys[1] = both || slice_eq(key, SLICE("rsa"));
    n->ask = keep(n, conf_string(conf_get(acme, "ask"), ""));
    n->on_demand_hook = keep(n, conf_string(conf_get(acme, "dns"), ""));
    struct slice limit = conf_string(conf_get(acme, "on_demand_limit"), "10/1m");
    if (tls_plan_rate(limit, &n->limit, &n->limit_ms) != 0) {
        n->limit = 0; // the check has refused it
        n->limit_ms = 1;
    }
    conf_each(one, conf_get(acme, "issuers"))
    {
        add_issuer(n, one, email);
    }
    if (n->issuer_count == 0) {
        add_issuer(n, (struct conf_node){acme.doc, 0}, email);
    }
    collect_challenges(n, conf_get(acme, "challenges"));
}

// ---- life ---------------------------------------------------------------------------------------

struct needs *needs_new(const struct conf_doc *doc)
{
    struct conf_node root = conf_root(doc);
    struct needs *n = mem_zalloc(sizeof *n);
    if (n == NULL) {
        return NULL;
    }
    n->refs = 1;
    n->last = &n->first;
    arena_init(&n->arena, NULL, 0, NULL, NEEDS_BYTES_MAX);
    n->out_of_memory = slice_map_init(&n->by_id, &n->arena, NEEDS_EXPECTED) != 0;
    if (n->out_of_memory) {
        needs_unref(n);
        return NULL;
    }
    n->listens = tls_plan_listens(root);
    collect_acme(n, conf_get(root, "acme"));
    struct collecting c = {n, root};
    tls_wants(root, collect, &c);
    if (n->listens) {
        tls_plan_names(root, note_demand, n);
    }
    if (n->out_of_memory) {
        needs_unref(n);
        return NULL;
    }
    return n;
}

struct needs *needs_ref(struct needs *n)
{
    n->refs++;
    return n;
}

static void wipe(struct slice secret)
{
    if (secret.len > 0) {
        explicit_bzero((void *)(uintptr_t)secret.ptr, secret.len);
    }
}

void needs_unref(struct needs *n)
{
    if (n == NULL || --n->refs > 0) {
        return;
    }
    for (struct need *one = n->first; one != NULL; one = one->next) {
        wipe(one->secret);
    }
    for (uint32_t i = 0; i < n->issuer_count; i++) {
        wipe(n->issuers[i].eab_key);
    }
    arena_fini(&n->arena);
    mem_free(n);
}

struct need *needs_get(const struct needs *n, struct slice id)
{
    return slice_map_get(&n->by_id, id);
}

// ---- reading ------------------------------------------------------------------------------------

struct reading {
    struct needs *needs;
    struct conf_source *source;
    uint64_t now;
    struct conf_diags *diags;
    bool failed;
};

static bool read_file(struct reading *r, struct slice path, struct conf_node at, struct slice *out)
{
    const char *name = arena_strdup(&r->needs->arena, path);
    int error = name == NULL
                    ? E_NO_MEMORY
                    : r->source->read(r->source, name, NEEDS_FILE_MAX, &r->needs->arena, out);
    if (error == E_NO_MEMORY) {
        r->needs->out_of_memory = true;
    } else if (error != 0) {
        conf_error(r->diags, at, "%.*s: cannot be read: %s", SLICE_ARG(path),
                   error == E_INVALID ? "not a regular file" : error_text(error));
        r->failed = true;
    }
    return error == 0;
}

static void check_pair(struct reading *r, struct need *one)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    int error = cert_check(one->chain, one->secret, r->now, &why);
    bool key = error == E_TLS_KEY;
    struct slice path = key ? one->key : one->cert;
    struct conf_node at = key ? one->key_at : one->at;
    if (error == E_NO_MEMORY) {
        r->needs->out_of_memory = true;
    } else if (error != 0) {
        if (why.len == 0) {
            text_str(&why, error_text(error));
        }
        conf_error(r->diags, at, "%.*s: %.*s", SLICE_ARG(path), (int)why.len, why.ptr);
        r->failed = true;
    } else if (why.len > 0) {
        conf_warning(r->diags, at, "%.*s: %.*s", SLICE_ARG(path), (int)why.len, why.ptr);
    }
}

// Where distributions keep the authorities that the whole system trusts.
static void read_system_authorities(struct reading *r, struct need *one)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    };
    const char *chosen = r->source->env(r->source, "SSL_CERT_FILE");
    if (chosen != NULL && chosen[0] == '/' &&
        r->source->read(r->source, chosen, NEEDS_FILE_MAX, &r->needs->arena, &one->chain) == 0) {
        return;
    }
    for (size_t i = 0; i < array_len(places); i++) {
        if (r->source->read(r->source, places[i], NEEDS_FILE_MAX, &r->needs->arena, &one->chain) ==
            0) {
            return;
        }
    }
    one->chain = SLICE("");
}

static void check_authorities(struct reading *r, struct slice path, struct slice pem,
                              struct conf_node at)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    int error = cert_check_authorities(pem, &why);
    if (error != 0) {
        if (why.len == 0) {
            text_str(&why, error_text(error));
        }
        conf_error(r->diags, at, "%.*s: %.*s", SLICE_ARG(path), (int)why.len, why.ptr);
        r->failed = true;
    }
}

static void read_need(struct reading *r, struct need *one)
{
    if (one->kind == NEED_AUTHORITY && one->cert.len == 0) {
        read_system_authorities(r, one);
    } else if (one->kind == NEED_AUTHORITY) {
        if (read_file(r, one->cert, one->at, &one->chain)) {
            check_authorities(r, one->cert, one->chain, one->at);
        }
    } else if (one->kind == NEED_FILES) {
        bool cert = read_file(r, one->cert, one->at, &one->chain);
        bool key = read_file(r, one->key, one->key_at, &one->secret);
        if (cert && key) {
            check_pair(r, one);
        }
    }
}

int needs_read(struct needs *n, struct conf_source *source, uint64_t now, struct conf_diags *d)
{
    struct reading r = {.needs = n, .source = source, .now = now, .diags = d};
    for (struct need *one = n->first; one != NULL; one = one->next) {
        read_need(&r, one);
    }
    for (uint32_t i = 0; i < n->issuer_count; i++) {
        struct conf_node at = n->issuer_at[i];
        if (n->issuer_ca[i].len > 0 && read_file(&r, n->issuer_ca[i], at, &n->issuers[i].ca)) {
            check_authorities(&r, n->issuer_ca[i], n->issuers[i].ca, at);
        }
    }
    if (n->out_of_memory) {
        return E_NO_MEMORY;
    }
    return r.failed ? E_CONFIG : 0;
}

/** A hook that cannot be run is found out when a certificate is wanted, which may be weeks later. */
static void check_hook(const struct need *one, struct conf_diags *d)
{
    char path[IPC_PATH_MAX];
    struct text t = text_on(path, sizeof path - 1);
    text_put(&t, one->hook);
    if (one->hook.len == 0 || t.overflow || !conf_exists(one->at)) {
        return;
    }
    path[t.len] = '\0';
    if (access(path, F_OK) != 0) {
        conf_warning(d, one->at, "there is no such program");
        conf_hint(d, "it puts the TXT record of DNS-01 into your DNS: examples/dns-hook.sh is one");
    } else if (access(path, X_OK) != 0) {
        conf_warning(d, one->at, "it cannot be executed");
        conf_hint(d, "chmod 755 %s", path);
    }
}

int needs_check(const struct conf_doc *doc, struct conf_source *source, struct conf_diags *d)
{
    struct needs *n = needs_new(doc);
    if (n == NULL) {
        return E_NO_MEMORY;
    }
    int error = needs_read(n, source, os_clock_wall_ms() / 1000, d);
    struct slice last = SLICE(""); // many sites may have the same
    for (const struct need *one = n->first; d != NULL && one != NULL; one = one->next) {
        if (!slice_eq(one->hook, last)) {
            check_hook(one, d);
            last = one->hook;
        }
    }
    needs_unref(n);
    return error;
}
