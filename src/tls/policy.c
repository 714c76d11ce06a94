// SPDX-License-Identifier: Apache-2.0
//
// Policies: what a site says of versions, ciphers, curves, client certificates and protocols, and the
// OpenSSL contexts made of them.
//
// The defaults are those of Mozilla's "intermediate" profile: TLS 1.3, and TLS 1.2 with an ephemeral
// key and an authenticated cipher. Our order counts, AES-128 first; a client that prefers ChaCha20
// (it has no AES in hardware) gets that.
//
// A connection begins in the context of the first policy and changes when its ClientHello asks for a
// site of another one. The change brings ciphers, trusted CAs and callbacks; the rest a connection has
// copied from its first context, and policy_apply() sets it anew. Sessions carry the policy's id, so
// that none is resumed under a policy it was not made for.

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/diag.h"
#include "tls/known.h"
#include "tls/plan.h"
#include "tls/store_int.h"
#include "tls/wants.h"
#include "tls/x509_int.h"

enum {
    POLICY_TEXT_MAX = 16384,
    SECURITY_LEVEL = 2,           // 112 bits: RSA 2048, SHA-256
    SESSION_S = 8 * 3600,         // how long a ticket is good for
    SESSION_WITH_CLIENT_S = 3600, // a client's certificate is looked at again after that
    CLIENT_CHAIN_DEPTH = 6,
};

static const char default_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                      "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char suites_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

// ---- contexts --------------------------------------------------------------------------------------

int context_defaults(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN);
    // The library reads what there is, rather than a record's head and then its body.
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_quiet_shutdown(ctx, 0);
    bool ok = SSL_CTX_set_ciphersuites(ctx, suites_1_3) == 1 &&
              SSL_CTX_set_cipher_list(ctx, default_ciphers) == 1;
    return ok ? 0 : E_NO_MEMORY;
}

static bool set_clients(SSL_CTX *ctx, const struct tls_policy *p)
{
    if (p->client == TLS_CLIENT_OFF) {
        return true;
    }
    int mode = SSL_VERIFY_PEER;
    mode |= p->client == TLS_CLIENT_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_verify_depth(ctx, CLIENT_CHAIN_DEPTH);
    STACK_OF(X509_NAME) *names =
        sk_X509_NAME_deep_copy(p->authority_names, X509_NAME_dup, X509_NAME_free);
    if (names == NULL) {
        return false;
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set1_cert_store(ctx, p->authorities);
    return true;
}

static bool set_policy(SSL_CTX *ctx, const struct tls_policy *p)
{
    bool ok = SSL_CTX_set_min_proto_version(ctx, p->min_version) == 1 &&
              SSL_CTX_set1_groups(ctx, (int *)(uintptr_t)p->curves, (long)p->curve_count) == 1 &&
              SSL_CTX_set_cipher_list(ctx, p->ciphers) == 1 &&
              SSL_CTX_set_session_id_context(ctx, p->id, sizeof(p->id)) == 1 &&
              SSL_CTX_set_num_tickets(ctx, p->tickets ? 1 : 0) == 1;
    if (!p->tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, p->client == TLS_CLIENT_OFF ? SESSION_S : SESSION_WITH_CLIENT_S);
    return ok && set_clients(ctx, p);
}

static SSL_CTX *new_context(const struct tls_policy *p)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || context_defaults(ctx) != 0 || !set_policy(ctx, p)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_client_hello_cb(ctx, handshake_on_hello, NULL);
    SSL_CTX_set_cert_cb(ctx, handshake_on_cert, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, handshake_on_alpn, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, handshake_on_status);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, handshake_on_ticket);
    return ctx;
}

SSL_CTX *policy_context(struct tls_store *s, uint32_t core, const struct tls_policy *p)
{
    ensure(core < s->cores);
    ensure(p->index < s->policy_count);
    SSL_CTX **own = &s->per_core[core].contexts[p->index];
    if (*own == NULL) {
        *own = new_context(p);
        ERR_clear_error();
    }
    return *own;
}

bool policy_apply(SSL *ssl, SSL_CTX *ctx, const struct tls_policy *p)
{
    if (SSL_set_SSL_CTX(ssl, ctx) != ctx) {
        return false;
    }
    SSL_clear_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), NULL);
    SSL_set_verify_depth(ssl, CLIENT_CHAIN_DEPTH);
    return SSL_set_min_proto_version(ssl, p->min_version) == 1 &&
           SSL_set1_groups(ssl, (int *)(uintptr_t)p->curves, (long)p->curve_count) == 1 &&
           SSL_set_session_id_context(ssl, p->id, sizeof(p->id)) == 1 &&
           SSL_set_num_tickets(ssl, p->tickets ? 1 : 0) == 1;
}

// ---- from the document -----------------------------------------------------------------------------

struct reading {
    struct tls_store *s;
    struct conf_node root;
    struct conf_node site;
    struct conf_diags *diags;
    struct text text; // everything that makes the policy what it is
};

static struct conf_node get(const struct reading *r, const char *key)
{
    return tls_plan_get(r->root, r->site, key);
}

// A list of ciphers that has none is reported, and the default is used.
static int take_ciphers(struct reading *r, struct tls_policy *p)
{
    struct conf_node at = get(r, "ciphers");
    struct slice list = conf_string(at, default_ciphers);
    p->ciphers = mem_alloc(list.len + 1);
    if (p->ciphers == NULL) {
        return E_NO_MEMORY;
    }
    memcpy(p->ciphers, list.ptr, list.len);
    p->ciphers[list.len] = 0;
    if (conf_exists(at) && !tls_knows_ciphers(list)) {
        conf_error(r->diags, at, "no cipher of this list is known");
        return E_CONFIG;
    }
    text_put(&r->text, list);
    return 0;
}

static int take_curves(struct reading *r, struct tls_policy *p)
{
    static const int defaults[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};
    conf_each(at, get(r, "curves"))
    {
        int nid = tls_curve(conf_text(at));
        if (nid == 0) {
            conf_error(r->diags, at, "`%.*s` is no curve that is known", SLICE_ARG(conf_text(at)));
            conf_hint(r->diags, "curves: [X25519, P-256, P-384]");
            return E_CONFIG;
        }
        if (p->curve_count < TLS_CURVES_MAX) {
            p->curves[p->curve_count++] = nid;
        }
    }
    if (p->curve_count == 0) {
        memcpy(p->curves, defaults, sizeof(defaults));
        p->curve_count = array_len(defaults);
    }
    for (size_t i = 0; i < p->curve_count; i++) {
        text_char(&r->text, ' ');
        text_u64(&r->text, (uint64_t)p->curves[i]);
    }
    return 0;
}

static void add_protocol(struct tls_policy *p, struct slice name)
{
    if (name.len > 0 && (size_t)p->alpn_len + 1 + name.len <= sizeof(p->alpn)) {
        p->alpn[p->alpn_len] = (unsigned char)name.len;
        memcpy(p->alpn + p->alpn_len + 1, name.ptr, name.len);
        p->alpn_len = (uint8_t)(p->alpn_len + 1 + name.len);
    }
}

static void take_protocols(struct reading *r, struct tls_policy *p)
{
    conf_each(at, get(r, "protocols"))
    {
        add_protocol(p, conf_text(at));
    }
    if (p->alpn_len == 0) {
        add_protocol(p, SLICE("h2"));
        add_protocol(p, SLICE("http/1.1"));
    }
    text_char(&r->text, ' ');
    text_put(&r->text, slice_of((const char *)p->alpn, p->alpn_len));
}

static int trust(struct tls_policy *p, STACK_OF(X509) * all)
{
    p->authorities = X509_STORE_new();
    p->authority_names = sk_X509_NAME_new_null();
    if (p->authorities == NULL || p->authority_names == NULL) {
        return E_NO_MEMORY;
    }
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *x = sk_X509_value(all, i);
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));
        if (name == NULL || sk_X509_NAME_push(p->authority_names, name) == 0) {
            X509_NAME_free(name);
            return E_NO_MEMORY;
        }
        if (X509_STORE_add_cert(p->authorities, x) != 1) {
            return E_NO_MEMORY;
        }
    }
    return 0;
}

// Without its CA a policy that wants certificates takes none: closed, not open.
static int take_clients(struct reading *r, struct tls_policy *p)
{
    struct conf_node client = get(r, "client");
    if (!conf_exists(client) || conf_kind_of(client) != CONF_MAP) {
        return 0;
    }
    bool optional = slice_eq(conf_string(conf_get(client, "mode"), "required"), SLICE("optional"));
    p->client = optional ? TLS_CLIENT_OPTIONAL : TLS_CLIENT_REQUIRED;
    char buffer[4200];
    char reason[256];
    struct text id = text_on(buffer, sizeof(buffer));
    struct text why = text_on(reason, sizeof(reason));
    tls_authority_id(conf_string(conf_get(client, "ca"), ""), &id);
    const struct store_credential *ca =
        store_credential(r->s, CREDENTIAL_AUTHORITY, text_slice(&id));
    STACK_OF(X509) *all = NULL;
    int rc = ca == NULL ? 0 : x509_read_chain(ca->c.chain, X509_AUTHORITIES_MAX, &all, &why);
    if (rc == E_NO_MEMORY) {
        return rc;
    }
    if (all == NULL) {
        conf_warning(r->diags, conf_get(client, "ca"),
                     "these authorities cannot be used, so no client's certificate is taken: %.*s",
                     SLICE_ARG(why.len > 0 ? text_slice(&why) : SLICE("they are not there")));
    }
    rc = trust(p, all);
    sk_X509_pop_free(all, X509_free);
    const struct hash_key key = {{p->client, 1}};
    text_char(&r->text, ' ');
    text_hex(&r->text, hash_bytes(&key, ca == NULL ? SLICE("") : ca->c.chain));
    return rc;
}

static int take_all(struct reading *r, struct tls_policy *p)
{
    bool only_1_3 = slice_eq(conf_string(get(r, "min_version"), "1.2"), SLICE("1.3"));
    p->min_version = only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    p->tickets = conf_bool(get(r, "tickets"), true);
    p->ocsp = conf_bool(get(r, "ocsp"), true);
    int rc = take_ciphers(r, p);
    rc = rc != 0 ? rc : take_curves(r, p);
    rc = rc != 0 ? rc : take_clients(r, p);
    take_protocols(r, p);
    text_printf(&r->text, " %d %d %d %d", p->min_version, p->tickets, p->ocsp, p->client);
    return rc != 0 ? rc : r->text.overflow ? E_TOO_LARGE : 0;
}

// The same settings give the same id in every process and after every restart, or tickets would be
// worth nothing after a reload.
static void make_id(struct tls_policy *p, struct slice text)
{
    for (uint64_t i = 0; i < sizeof(p->id) / sizeof(uint64_t); i++) {
        const struct hash_key key = {{i, 0x61646974}};
        uint64_t hash = hash_bytes(&key, text);
        memcpy(p->id + i * sizeof(hash), &hash, sizeof(hash));
    }
}

void policy_free(struct tls_policy *p)
{
    if (p != NULL) {
        X509_STORE_free(p->authorities);
        sk_X509_NAME_pop_free(p->authority_names, X509_NAME_free);
        mem_free(p->ciphers);
        mem_free(p);
    }
}

struct tls_policy *policy_of_site(struct tls_store *s, struct conf_node root, struct conf_node site,
                                  struct conf_diags *diags, int *error)
{
    char *buffer = mem_alloc(POLICY_TEXT_MAX);
    struct tls_policy *p = mem_zalloc(sizeof(*p));
    *error = buffer == NULL || p == NULL ? E_NO_MEMORY : 0;
    if (*error == 0) {
        struct reading r = {s, root, site, diags, text_on(buffer, POLICY_TEXT_MAX)};
        *error = take_all(&r, p);
        make_id(p, text_slice(&r.text));
    }
    mem_free(buffer);
    ERR_clear_error();
    if (*error != 0) {
        policy_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < s->policy_count; i++) {
        if (memcmp(s->policies[i]->id, p->id, sizeof(p->id)) == 0) {
            policy_free(p);
            return s->policies[i];
        }
    }
    p->index = s->policy_count;
    s->policies[s->policy_count++] = p;
    return p;
}
