// SPDX-License-Identifier: Apache-2.0
//
// Makes the store: a copy of the block of credentials, indexed, and the hosts of the document with
// their policies and the credentials they are served with.
//
// A host whose certificate is not there is kept: a client that asks for it is told so (or starts an
// order), rather than shown somebody else's certificate. Certificates are parsed by the cores when a
// client first asks for them; only those from files are looked at here, since the keeper has checked
// what it got itself, and ten thousand of them would take seconds.

#include "tls/store.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/diag.h"
#include "tls/cert.h"
#include "tls/plan.h"
#include "tls/store_int.h"
#include "tls/wants.h"
#include "tls/x509_int.h"

enum {
    STORE_BYTES_MAX = 256 << 20,  // as a snapshot
    STORE_ID_MAX = 2 * 4096 + 16, // two paths
};

// ---- credentials -----------------------------------------------------------------------------------

// Ids of different kinds may be equal (a token, a name), so each kind that is looked up has a map.
static struct slice_map *map_of(struct tls_store *s, uint32_t kind)
{
    if (kind == CREDENTIAL_CERTIFICATE || kind == CREDENTIAL_AUTHORITY) {
        return &s->credentials;
    }
    if (kind == CREDENTIAL_HTTP_01) {
        return &s->http_01;
    }
    return kind == CREDENTIAL_TLS_ALPN_01 ? &s->challenges : NULL;
}

// A name has few certificates; what comes beyond that is left out.
static void append_credential(struct store_credential *first, struct store_credential *own)
{
    for (int i = 1; i < TLS_HOST_CERTS_MAX; i++) {
        if (first->more == NULL) {
            first->more = own;
            return;
        }
        first = first->more;
    }
}

static int add_credential(struct tls_store *s, const struct credential *c)
{
    if (c->kind == CREDENTIAL_TICKET_KEY) {
        if (s->ticket_key_count < TLS_TICKET_KEYS_MAX) {
            s->ticket_keys[s->ticket_key_count++] = c->key;
        }
        return 0;
    }
    if (c->kind == CREDENTIAL_STICKY_KEY) {
        return 0; // of upstreams
    }
    struct store_credential *own = arena_zalloc(&s->arena, sizeof(*own));
    if (own == NULL) {
        return E_NO_MEMORY;
    }
    own->c = *c;
    own->index = s->cert_count;
    s->cert_count += c->kind == CREDENTIAL_CERTIFICATE || c->kind == CREDENTIAL_TLS_ALPN_01;
    int rc = slice_map_put(map_of(s, c->kind), c->id, own);
    if (rc == E_EXISTS && c->kind == CREDENTIAL_CERTIFICATE) {
        append_credential(slice_map_get(&s->credentials, c->id), own);
    }
    return rc == E_EXISTS ? 0 : rc; // of the others the first one counts
}

static int add_credentials(struct tls_store *s, struct slice bytes)
{
    struct credential_reader r = {SLICE(""), 0};
    if (bytes.len > 0) {
        s->block = mem_alloc(bytes.len);
        if (s->block == NULL) {
            return E_NO_MEMORY;
        }
        memcpy(s->block, bytes.ptr, bytes.len);
        s->block_len = bytes.len;
        int rc = credentials_open(slice_of(s->block, bytes.len), &r);
        if (rc != 0) {
            return rc;
        }
    }
    struct credential c;
    int rc = 0;
    while (rc == 0 && credentials_next(&r, &c)) {
        rc = add_credential(s, &c);
    }
    // Without a key of the keeper's, tickets are good for as long as this store.
    if (rc == 0 && s->ticket_key_count == 0) {
        if (RAND_bytes(s->spare_ticket_key, sizeof(s->spare_ticket_key)) != 1) {
            return E_NO_MEMORY;
        }
        s->ticket_keys[s->ticket_key_count++] =
            slice_of((const char *)s->spare_ticket_key, sizeof(s->spare_ticket_key));
    }
    return rc;
}

struct store_credential *store_credential(const struct tls_store *s, enum credential_kind kind,
                                          struct slice id)
{
    const struct slice_map *map = kind == CREDENTIAL_TLS_ALPN_01 ? &s->challenges : &s->credentials;
    struct store_credential *c = slice_map_get(map, id);
    return c != NULL && c->c.kind == kind ? c : NULL;
}

// ---- hosts -----------------------------------------------------------------------------------------

struct compile {
    struct tls_store *s;
    struct conf_node root;
    struct conf_diags *diags;
    struct conf_node site; // the last one that was seen
    struct tls_policy *policy;
    const struct store_credential *files[TLS_HOST_CERTS_MAX];
    uint32_t file_count;
    int error;
};

static void check_file(struct compile *c, const struct tls_plan_file *f,
                       const struct store_credential *own)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof(buffer));
    if (own == NULL) {
        conf_warning(c->diags, f->at, "this certificate is not there: its site is served without");
        return;
    }
    uint64_t now = (uint64_t)time(NULL);
    int rc = cert_check(own->c.chain, own->c.key, now, &why);
    if (rc != 0 && rc != E_TLS_EXPIRED) {
        conf_warning(c->diags, f->at, "this certificate cannot be served: %.*s",
                     SLICE_ARG(text_slice(&why)));
    }
}

static void take_files(struct compile *c, struct conf_node site)
{
    struct tls_plan_file files[TLS_PLAN_FILES_MAX];
    uint32_t count = tls_plan_files(site, files);
    char buffer[STORE_ID_MAX];
    c->file_count = 0;
    for (uint32_t i = 0; i < count && c->file_count < TLS_HOST_CERTS_MAX; i++) {
        struct text id = text_on(buffer, sizeof(buffer));
        tls_file_id(files[i].cert, files[i].key, &id);
        const struct store_credential *own =
            store_credential(c->s, CREDENTIAL_CERTIFICATE, text_slice(&id));
        check_file(c, &files[i], own);
        if (own != NULL) {
            c->files[c->file_count++] = own;
        }
    }
}

static void take_site(struct compile *c, struct conf_node site, bool files)
{
    if (c->site.index == site.index && c->policy != NULL) {
        return;
    }
    c->site = site;
    c->policy = policy_of_site(c->s, c->root, site, c->diags, &c->error);
    c->file_count = 0;
    if (files) {
        take_files(c, site);
    }
}

static void file_host(struct compile *c, struct store_host *h)
{
    struct tls_store *s = c->s;
    int rc = 0;
    if (slice_eq(h->name, SLICE("default"))) {
        s->fallback = h;
    } else if (slice_starts(h->name, SLICE("*."))) {
        rc = slice_map_put(&s->wildcards, slice_from(h->name, 1), h);
    } else {
        rc = slice_map_put(&s->hosts, h->name, h);
    }
    if (s->first == NULL && !h->off) {
        s->first = h;
    }
    c->error = rc == E_EXISTS ? 0 : rc;
}

static void take_certs(struct compile *c, struct store_host *h, const struct tls_plan_name *n)
{
    char buffer[STORE_ID_MAX];
    struct text id = text_on(buffer, sizeof(buffer));
    if (n->source == TLS_SOURCE_FILES) {
        h->cert_count = c->file_count;
        memcpy(h->certs, c->files, sizeof(h->certs));
        return;
    }
    tls_plan_credential(n, &id);
    const struct store_credential *own =
        store_credential(c->s, CREDENTIAL_CERTIFICATE, text_slice(&id));
    for (; own != NULL && h->cert_count < TLS_HOST_CERTS_MAX; own = own->more) {
        h->certs[h->cert_count++] = own;
    }
}

// A name of a site without TLS is known as such: a connection for another name does not cover it.
static void on_name(void *arg, const struct tls_plan_name *n)
{
    struct compile *c = arg;
    if (c->error != 0) {
        return;
    }
    struct store_host *h = arena_zalloc(&c->s->arena, sizeof(*h));
    if (h == NULL) {
        c->error = E_NO_MEMORY;
        return;
    }
    h->name = arena_dup(&c->s->arena, n->name);
    h->off = n->source == TLS_SOURCE_NONE;
    h->on_demand = n->source == TLS_SOURCE_ON_DEMAND;
    if (h->name.ptr == NULL) {
        c->error = E_NO_MEMORY;
        return;
    }
    if (!h->off) {
        take_site(c, n->site, n->source == TLS_SOURCE_FILES);
        h->policy = c->policy;
    }
    if (c->error == 0) {
        take_certs(c, h, n);
        c->s->in_use = c->s->in_use || !h->off;
        file_host(c, h);
    }
}

static void on_call(void *arg, struct slice name)
{
    struct compile *c = arg;
    struct store_host *h = slice_map_get(&c->s->hosts, name);
    if (h != NULL) {
        h->agents = true;
    }
}

struct store_host *store_find(const struct tls_store *s, struct slice name)
{
    struct store_host *h = name.len > 0 ? slice_map_get(&s->hosts, name) : NULL;
    for (size_t i = 1; h == NULL && i < name.len; i++) {
        if (name.ptr[i] == '.') {
            h = slice_map_get(&s->wildcards, slice_from(name, i));
        }
    }
    if (h != NULL) {
        return h;
    }
    return s->fallback == NULL && name.len == 0 ? s->first : s->fallback;
}

const struct store_credential *store_host_cert(const struct tls_store *s,
                                               const struct store_host *h, struct slice name,
                                               uint32_t i)
{
    if (!h->on_demand) {
        return i < h->cert_count ? h->certs[i] : NULL;
    }
    char buffer[TLS_NAME_MAX + 8];
    struct text id = text_on(buffer, sizeof(buffer));
    text_str(&id, "acme:");
    text_put(&id, name);
    bool asked = name.len > 0 && !id.overflow;
    const struct store_credential *own =
        asked ? store_credential(s, CREDENTIAL_CERTIFICATE, text_slice(&id)) : NULL;
    for (; own != NULL && i > 0; i--) {
        own = own->more;
    }
    return own;
}

// ---- certificates of a core ------------------------------------------------------------------------

int store_parse_cert(struct store_cert *cert, const struct credential *c)
{
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    STACK_OF(X509) *chain = NULL;
    cert->ocsp = c->ocsp;
    int rc = x509_read_chain(c->chain, X509_CHAIN_MAX, &chain, &why);
    rc = rc != 0 ? rc : x509_read_key(c->key, &cert->key, &why);
    if (rc == 0) {
        cert->leaf = sk_X509_shift(chain);
        cert->chain = chain;
        cert->rsa = EVP_PKEY_get_base_id(cert->key) == EVP_PKEY_RSA;
    } else {
        sk_X509_pop_free(chain, X509_free);
    }
    // Out of memory may pass: the next handshake tries again.
    cert->broken = rc != 0 && rc != E_NO_MEMORY;
    return rc;
}

void store_free_cert(struct store_cert *cert)
{
    X509_free(cert->leaf);
    sk_X509_pop_free(cert->chain, X509_free);
    EVP_PKEY_free(cert->key);
    mem_free(cert->names);
}

struct store_cert *store_cert(struct tls_store *s, uint32_t core,
                              const struct store_credential *credential)
{
    ensure(core < s->cores);
    struct store_core *own = &s->per_core[core];
    if (own->certs == NULL) {
        own->certs = mem_zalloc(s->cert_count * sizeof(*own->certs));
        if (own->certs == NULL) {
            return NULL;
        }
    }
    ensure(credential->index < s->cert_count);
    struct store_cert *cert = &own->certs[credential->index];
    bool parsed = cert->leaf != NULL;
    if (!parsed && !cert->broken) {
        parsed = store_parse_cert(cert, &credential->c) == 0;
    }
    return parsed ? cert : NULL;
}

static int add_authorities(X509_STORE *to, struct slice pem)
{
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    STACK_OF(X509) *all = NULL;
    int rc = x509_read_chain(pem, X509_AUTHORITIES_MAX, &all, &why);
    for (int i = 0; rc == 0 && i < sk_X509_num(all); i++) {
        rc = X509_STORE_add_cert(to, sk_X509_value(all, i)) == 1 ? 0 : E_NO_MEMORY;
    }
    sk_X509_pop_free(all, X509_free);
    return rc == E_NO_MEMORY ? rc : 0; // what cannot be read stands for nobody
}

int store_trusted(struct tls_store *s, struct store_credential *c, X509_STORE **out)
{
    if (c != NULL && c->trusted != NULL) {
        X509_STORE_up_ref(c->trusted);
        *out = c->trusted;
        return 0;
    }
    *out = X509_STORE_new();
    int rc = *out == NULL ? E_NO_MEMORY : c == NULL ? 0 : add_authorities(*out, c->c.chain);
    if (rc != 0) {
        X509_STORE_free(*out);
        return rc;
    }
    if (c != NULL) {
        X509_STORE_up_ref(*out);
        c->trusted = *out;
        c->next_trusted = s->trusted;
        s->trusted = c;
    }
    return 0;
}

// All names in one block: the slices, then their bytes.
static void take_names(struct store_cert *cert)
{
    struct slice names[CERT_NAMES_MAX];
    char first[4096];
    struct arena a;
    arena_init(&a, first, sizeof(first), NULL, 1 << 20);
    int count = x509_names(cert->leaf, &a, names, CERT_NAMES_MAX);
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        bytes += names[i].len;
    }
    struct slice *own = count < 0 ? NULL : mem_alloc((size_t)count * sizeof(*own) + bytes + 1);
    if (own != NULL) {
        char *to = (char *)(own + count);
        for (int i = 0; i < count; i++) {
            memcpy(to, names[i].ptr, names[i].len);
            own[i] = slice_of(to, names[i].len);
            to += names[i].len;
        }
        cert->names = own;
        cert->name_count = (uint32_t)count;
    }
    arena_fini(&a);
}

bool store_cert_covers(struct store_cert *cert, struct slice host)
{
    if (cert->names == NULL) {
        take_names(cert);
    }
    return x509_names_cover(cert->names, cert->name_count, host);
}

// ---- the whole -------------------------------------------------------------------------------------

static int init_maps(struct tls_store *s, struct conf_node root, uint32_t records)
{
    uint32_t names = 16;
    conf_each(site, conf_get(root, "sites"))
    {
        names += 1 + conf_count(conf_get(site, "names")) + conf_count(conf_get(site, "aliases"));
    }
    int rc = slice_map_init(&s->credentials, &s->arena, records);
    rc = rc != 0 ? rc : slice_map_init(&s->http_01, &s->arena, 16);
    rc = rc != 0 ? rc : slice_map_init(&s->challenges, &s->arena, 16);
    rc = rc != 0 ? rc : slice_map_init(&s->hosts, &s->arena, names);
    rc = rc != 0 ? rc : slice_map_init(&s->wildcards, &s->arena, 16);
    if (rc != 0) {
        return rc;
    }
    // Clients choose what is looked up.
    struct hash_key key;
    if (RAND_bytes((unsigned char *)&key, sizeof(key)) != 1) {
        return E_NO_MEMORY;
    }
    s->credentials.key = s->http_01.key = s->challenges.key = key;
    s->hosts.key = s->wildcards.key = key;
    s->policies = arena_zalloc(&s->arena, (names + 1) * sizeof(*s->policies));
    return s->policies != NULL ? 0 : E_NO_MEMORY;
}

static int compile(struct tls_store *s, const struct conf_doc *doc, struct slice credentials,
                   struct conf_diags *diags)
{
    struct credential_reader r = {SLICE(""), 0};
    struct conf_node root = conf_root(doc);
    int rc = credentials.len > 0 ? credentials_open(credentials, &r) : 0;
    rc = rc != 0 ? rc : init_maps(s, root, r.left);
    rc = rc != 0 ? rc : add_credentials(s, credentials);
    if (rc != 0) {
        return rc;
    }
    struct compile c = {.s = s, .root = root, .diags = diags};
    tls_plan_names(root, on_name, &c);
    tls_plan_calls(root, on_call, &c);
    if (c.error != 0) {
        return c.error;
    }
    for (uint32_t i = 0; i < s->cores; i++) {
        s->per_core[i].contexts = mem_zalloc((s->policy_count + 1) * sizeof(SSL_CTX *));
        if (s->per_core[i].contexts == NULL) {
            return E_NO_MEMORY;
        }
    }
    return 0;
}

int tls_store_new(const struct conf_doc *doc, struct slice credentials, uint32_t cores,
                  struct conf_diags *diags, struct tls_store **out)
{
    ensure(cores > 0);
    x509_library_init();
    *out = NULL;
    struct tls_store *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    s->magic = TLS_STORE_MAGIC;
    s->cores = cores;
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL, 0, NULL, STORE_BYTES_MAX);
    s->per_core = mem_zalloc(cores * sizeof(*s->per_core));
    int rc = s->per_core == NULL ? E_NO_MEMORY : compile(s, doc, credentials, diags);
    ERR_clear_error();
    if (rc != 0) {
        tls_store_unref(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void free_core(struct tls_store *s, struct store_core *own)
{
    for (uint32_t i = 0; own->contexts != NULL && i < s->policy_count; i++) {
        SSL_CTX_free(own->contexts[i]);
    }
    for (uint32_t i = 0; own->certs != NULL && i < s->cert_count; i++) {
        store_free_cert(&own->certs[i]);
    }
    mem_free(own->contexts);
    mem_free(own->certs);
}

static void free_store(struct tls_store *s)
{
    for (uint32_t i = 0; s->per_core != NULL && i < s->cores; i++) {
        free_core(s, &s->per_core[i]);
    }
    for (uint32_t i = 0; i < s->policy_count; i++) {
        policy_free(s->policies[i]);
    }
    for (struct store_credential *c = s->trusted; c != NULL; c = c->next_trusted) {
        X509_STORE_free(c->trusted);
    }
    mem_free(s->per_core);
    if (s->block != NULL) {
        OPENSSL_cleanse(s->block, s->block_len);
    }
    OPENSSL_cleanse(s->spare_ticket_key, sizeof(s->spare_ticket_key));
    mem_free(s->block);
    arena_fini(&s->arena);
    s->magic = 0;
    mem_free(s);
}

struct tls_store *tls_store_ref(struct tls_store *s)
{
    ensure_magic(s, TLS_STORE_MAGIC);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void tls_store_unref(struct tls_store *s)
{
    if (s == NULL) {
        return;
    }
    ensure_magic(s, TLS_STORE_MAGIC);
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
        free_store(s);
    }
}

bool tls_store_in_use(const struct tls_store *s)
{
    return s->in_use;
}

bool tls_store_serves(const struct tls_store *s, struct slice name)
{
    const struct store_host *h = store_find(s, name);
    return h != NULL && !h->off && store_host_cert(s, h, name, 0) != NULL;
}

struct slice tls_store_http_01(const struct tls_store *s, struct slice token)
{
    const struct store_credential *c = slice_map_get(&s->http_01, token);
    return c != NULL ? c->c.key : SLICE("");
}
