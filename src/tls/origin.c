// SPDX-License-Identifier: Apache-2.0
//
// TLS to origins: whom to trust, whose name to ask for, what to show, and the sessions to resume.
//
// An origin is verified unless the user says otherwise: its chain must end at an authority of the
// machine's, or of the user's file; its certificate must name the host (or the IP address) that was
// meant. Authorities that are not there are an empty set, so nothing is trusted, rather than everything.
//
// Contexts and sessions are per core. A TLS 1.3 ticket is used once (RFC 8446 C.4), a TLS 1.2 session
// over and over; the newest come first, and only a few are kept.

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "base/slab.h"
#include "os/addr.h"
#include "tls/tls_int.h"
#include "tls/wants.h"
#include "tls/x509_int.h"

enum {
    ORIGIN_MAGIC = 0x746c736f,
    ORIGIN_SESSIONS_MAX = 8, // of a core
    ORIGIN_NAME_MAX = 255,
    ORIGIN_CHAIN_DEPTH = 10,
};

struct origin_core {
    SSL_CTX *context;
    SSL_SESSION *sessions[ORIGIN_SESSIONS_MAX]; // oldest first
    uint32_t session_count;
};

struct tls_origin {
    uint32_t magic;
    atomic_uint refs;
    uint32_t cores;
    bool verify;
    bool is_ip; // the name is an address: verified, not sent
    bool lacks_certificate;
    int min_version;
    uint8_t alpn_len;
    unsigned char alpn[TLS_ALPN_BYTES_MAX];
    char name[ORIGIN_NAME_MAX + 1];
    X509_STORE *trusted;
    struct store_cert shown; // ours; leaf NULL: none
    struct origin_core per_core[];
};

// ---- settings --------------------------------------------------------------------------------------

static int take_name(struct tls_origin *o, struct slice name)
{
    struct os_addr ip;
    if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = slice_sub(name, 1, name.len - 2);
    }
    if (name.len > ORIGIN_NAME_MAX || slice_find_char(name, 0) >= 0 ||
        (name.len == 0 && o->verify)) {
        return E_INVALID;
    }
    o->is_ip = os_addr_parse_ip(name, 1, &ip) == 0;
    if (name.len > 0) {
        memcpy(o->name, name.ptr, name.len);
    }
    return 0;
}

static int take_alpn(struct tls_origin *o, struct slice list)
{
    struct slice name;
    while (slice_next_element(&list, &name)) {
        if ((size_t)o->alpn_len + 1 + name.len > sizeof(o->alpn)) {
            return E_INVALID;
        }
        o->alpn[o->alpn_len] = (unsigned char)name.len;
        memcpy(o->alpn + o->alpn_len + 1, name.ptr, name.len);
        o->alpn_len = (uint8_t)(o->alpn_len + 1 + name.len);
    }
    return 0;
}

static int take_system_places(struct tls_origin *o)
{
    o->trusted = X509_STORE_new();
    return o->trusted != NULL && X509_STORE_set_default_paths(o->trusted) == 1 ? 0 : E_NO_MEMORY;
}

// Kept in the store: the system's authorities are more than a hundred, and most origins share them.
static int take_authorities(struct tls_origin *o, struct tls_store *s, struct slice id)
{
    struct store_credential *c =
        store_credential(s, CREDENTIAL_AUTHORITY, id.len > 0 ? id : SLICE("ca:system"));
    return store_trusted(s, c, &o->trusted);
}

static int take_certificate(struct tls_origin *o, struct tls_store *s, struct slice id)
{
    if (id.len == 0) {
        return 0;
    }
    const struct store_credential *c = store_credential(s, CREDENTIAL_CERTIFICATE, id);
    int rc = c != NULL ? store_parse_cert(&o->shown, &c->c) : E_TLS_CERTIFICATE;
    o->lacks_certificate = rc != 0;
    return rc == E_NO_MEMORY ? rc : 0;
}

int tls_origin_new(const struct tls_origin_settings *settings, struct tls_store *store,
                   uint32_t cores, struct tls_origin **out)
{
    x509_library_init();
    *out = NULL;
    struct tls_origin *o = mem_zalloc(sizeof(*o) + cores * sizeof(o->per_core[0]));
    if (o == NULL) {
        return E_NO_MEMORY;
    }
    o->magic = ORIGIN_MAGIC;
    o->cores = cores;
    atomic_init(&o->refs, 1);
    o->verify = settings->verify;
    o->min_version =
        slice_eq(settings->min_version, SLICE("1.3")) ? TLS1_3_VERSION : TLS1_2_VERSION;
    int rc = take_name(o, settings->server_name);
    rc = rc != 0 ? rc : take_alpn(o, settings->alpn);
    rc = rc != 0 ? rc : take_certificate(o, store, settings->certificate);
    if (rc == 0 && o->verify) {
        rc = settings->system_places ? take_system_places(o)
                                     : take_authorities(o, store, settings->ca);
    }
    ERR_clear_error();
    if (rc != 0) {
        tls_origin_unref(o);
        return rc;
    }
    *out = o;
    return 0;
}

struct tls_origin *tls_origin_ref(struct tls_origin *o)
{
    ensure_magic(o, ORIGIN_MAGIC);
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void tls_origin_unref(struct tls_origin *o)
{
    if (o == NULL) {
        return;
    }
    ensure_magic(o, ORIGIN_MAGIC);
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < o->cores; i++) {
        struct origin_core *c = &o->per_core[i];
        while (c->session_count > 0) {
            SSL_SESSION_free(c->sessions[--c->session_count]);
        }
        SSL_CTX_free(c->context);
    }
    store_free_cert(&o->shown);
    X509_STORE_free(o->trusted);
    o->magic = 0;
    mem_free(o);
}

// ---- sessions --------------------------------------------------------------------------------------

static void drop_session(struct origin_core *c, uint32_t at)
{
    c->session_count--;
    for (uint32_t i = at; i < c->session_count; i++) {
        c->sessions[i] = c->sessions[i + 1];
    }
}

// Called by the library when the origin gave a ticket, also long after the handshake.
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *s = SSL_get_app_data(ssl);
    ensure_magic(s, TLS_MAGIC);
    struct tls_origin *o = s->origin;
    ensure_magic(o, ORIGIN_MAGIC);
    struct origin_core *c = &o->per_core[s->core->loop->core];
    if (c->session_count == ORIGIN_SESSIONS_MAX) {
        SSL_SESSION_free(c->sessions[0]);
        drop_session(c, 0);
    }
    c->sessions[c->session_count++] = session;
    return 1; // the reference is ours
}

static void resume(SSL *ssl, struct origin_core *c)
{
    while (c->session_count > 0) {
        SSL_SESSION *session = c->sessions[c->session_count - 1];
        bool usable = SSL_SESSION_is_resumable(session) == 1;
        bool once = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
        if (usable) {
            (void)SSL_set_session(ssl, session);
        }
        if (!usable || once) {
            c->session_count--;
            SSL_SESSION_free(session);
        }
        if (usable) {
            break;
        }
    }
}

// ---- connecting ------------------------------------------------------------------------------------

static SSL_CTX *new_context(struct tls_origin *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        return NULL;
    }
    // Origins are what they are: any cipher that the library deems safe will do.
    bool ok = context_defaults(ctx) == 0 && SSL_CTX_set_cipher_list(ctx, "DEFAULT") == 1 &&
              SSL_CTX_set_min_proto_version(ctx, o->min_version) == 1 &&
              (o->alpn_len == 0 || SSL_CTX_set_alpn_protos(ctx, o->alpn, o->alpn_len) == 0) &&
              (o->shown.leaf == NULL ||
               SSL_CTX_use_cert_and_key(ctx, o->shown.leaf, o->shown.key, o->shown.chain, 1) == 1);
    if (!ok) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (o->verify) {
        SSL_CTX_set1_cert_store(ctx, o->trusted);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_verify_depth(ctx, ORIGIN_CHAIN_DEPTH);
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return ctx;
}

static bool set_name(SSL *ssl, const struct tls_origin *o)
{
    if (o->name[0] == 0) {
        return true;
    }
    if (!o->is_ip && SSL_set_tlsext_host_name(ssl, (void *)(uintptr_t)o->name) != 1) {
        return false;
    }
    if (!o->verify) {
        return true;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return o->is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), o->name) == 1
                    : SSL_set1_host(ssl, o->name) == 1;
}

static bool begin_client(struct tls *s, struct tls_origin *o)
{
    struct origin_core *c = &o->per_core[s->core->loop->core];
    if (c->context == NULL) {
        c->context = new_context(o);
    }
    s->ssl = c->context != NULL ? SSL_new(c->context) : NULL;
    if (s->ssl == NULL || !set_name(s->ssl, o)) {
        ERR_clear_error();
        return false;
    }
    SSL_set_connect_state(s->ssl);
    SSL_set_app_data(s->ssl, s);
    BIO_up_ref(s->core->bio);
    SSL_set_bio(s->ssl, s->core->bio, s->core->bio);
    resume(s->ssl, c);
    return true;
}

int tls_connect(struct tls_core *c, struct transport *t, struct tls_origin *o,
                void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
{
    ensure_magic(o, ORIGIN_MAGIC);
    ensure(c->loop->core < o->cores);
    if (o->lacks_certificate) {
        return E_TLS_CERTIFICATE; // the origin wants to know who we are, and we cannot tell
    }
    struct tls *s = tls_new(c, t, done, arg);
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    if (!begin_client(s, o)) {
        tls_destroy(s);
        return E_NO_MEMORY;
    }
    s->origin = tls_origin_ref(o);
    s->security.server_name = o->is_ip ? SLICE("") : slice_str(o->name);
    transport_set_filter(t, &tls_ops, s);
    handshake_begin(s);
    return 0;
}

// ---- what was wrong --------------------------------------------------------------------------------

int origin_verify_error(SSL *ssl)
{
    switch (SSL_get_verify_result(ssl)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return E_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return E_TLS_WRONG_NAME;
    default:
        return E_TLS_UNTRUSTED;
    }
}

struct slice tls_verify_reason(const struct transport *t)
{
    const struct tls *s = tls_of(t);
    long result = s->ssl != NULL ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    return result == X509_V_OK ? SLICE("") : slice_str(X509_verify_cert_error_string(result));
}
