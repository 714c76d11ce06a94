// SPDX-License-Identifier: Apache-2.0
//
// The store from the inside: what all cores share and never change, and beside it, for each core, what
// that core makes when it first needs it. Nobody but a core touches its own part; it is freed with the
// store, by whoever lets it go last.

#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/hash.h"
#include "tls/credentials.h"
#include "tls/store.h"

enum {
    TLS_HOST_CERTS_MAX = 8,
    TLS_CURVES_MAX = 8,
    TLS_TICKET_KEYS_MAX = 8,
    TLS_ALPN_BYTES_MAX = 32,
    TLS_NAME_MAX = 255, // of a host (RFC 1035 2.3.4)
};

struct store_credential {
    struct credential c; // in the store's own copy of the block
    uint32_t index;      // among certificates
    X509_STORE *trusted; // authorities, once an origin has asked for them
    struct store_credential *next_trusted;
    struct store_credential *more; // another of the same id, with another kind of key
};

enum tls_client_mode { TLS_CLIENT_OFF, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

/** What two names must share for a connection made for one to serve the other. */
struct tls_policy {
    uint32_t index;
    int min_version; // TLS1_2_VERSION, TLS1_3_VERSION
    char *ciphers;
    int curves[TLS_CURVES_MAX];
    size_t curve_count;
    uint8_t client; // enum tls_client_mode
    bool tickets;
    bool ocsp;
    uint8_t alpn_len;
    unsigned char alpn[TLS_ALPN_BYTES_MAX]; // as on the wire: each name behind its length
    X509_STORE *authorities;                // of clients; NULL: none
    STACK_OF(X509_NAME) * authority_names;
    unsigned char id[SSL_MAX_SID_CTX_LENGTH]; // sessions are resumed only under the same
};

struct store_host {
    struct slice name; // "example.com", "*.example.com", "default"
    struct tls_policy *policy;
    bool on_demand;
    bool off;    // no TLS here
    bool agents; // agents of tunnels call here: they may show certificates of their own
    uint32_t cert_count;
    const struct store_credential *certs[TLS_HOST_CERTS_MAX];
};

/** A certificate as a core uses it. */
struct store_cert {
    X509 *leaf;
    STACK_OF(X509) * chain; // without the leaf
    EVP_PKEY *key;
    struct slice ocsp;
    bool broken;
    bool rsa;
    struct slice *names; // what it covers; NULL: not asked for yet
    uint32_t name_count;
};

struct store_core {
    SSL_CTX **contexts; // one per policy; NULL: not made yet
    struct store_cert *certs;
};

struct tls_store {
    uint32_t magic;
    atomic_uint refs;
    uint32_t cores;
    bool in_use;
    struct arena arena;
    char *block; // of the credentials
    size_t block_len;
    struct slice_map credentials;     // struct store_credential by id
    struct slice_map http_01;         // by token
    struct slice_map challenges;      // TLS-ALPN-01, by host name
    struct store_credential *trusted; // those that were parsed
    uint32_t cert_count;
    struct slice ticket_keys[TLS_TICKET_KEYS_MAX];
    uint32_t ticket_key_count;
    unsigned char spare_ticket_key[CREDENTIAL_TICKET_KEY_BYTES];
    struct slice_map hosts;      // exact names
    struct slice_map wildcards;  // by ".rest"
    struct store_host *fallback; // of the default site
    struct store_host *first;    // for clients that name nobody, when there is no default site
    struct tls_policy **policies;
    uint32_t policy_count;
    struct store_core *per_core;
};

enum { TLS_STORE_MAGIC = 0x74735374 };

/** The host a name is served as: exact, longest wildcard, default; NULL: none. An empty name is that of
 * a client that sent none. */
struct store_host *store_find(const struct tls_store *s, struct slice name);
struct store_credential *store_credential(const struct tls_store *s, enum credential_kind kind,
                                          struct slice id);
/** That of a host for `name`, which on_demand needs; NULL: there is none yet. */
const struct store_credential *store_host_cert(const struct tls_store *s,
                                               const struct store_host *h, struct slice name,
                                               uint32_t i);
/** The core's own copy, parsed at its first use; NULL: it cannot be used. */
struct store_cert *store_cert(struct tls_store *s, uint32_t core,
                              const struct store_credential *credential);
/** The same for who keeps it himself. 0, E_TLS_... or E_NO_MEMORY. */
int store_parse_cert(struct store_cert *cert, const struct credential *c) must_check;
void store_free_cert(struct store_cert *cert);
/** The authorities of a file, parsed once and kept with the store; `c` NULL: nobody. A reference for
 * the caller. Steward's thread. 0 or E_NO_MEMORY. */
int store_trusted(struct tls_store *s, struct store_credential *c, X509_STORE **out) must_check;
/** True when it names `host`. */
bool store_cert_covers(struct store_cert *cert, struct slice host);

/** The core's context of a policy; NULL: out of memory. What is called back finds its connection
 * through SSL_get_app_data(). */
SSL_CTX *policy_context(struct tls_store *s, uint32_t core, const struct tls_policy *p);
/** What a context gives to no connection that was begun under another one. */
bool policy_apply(SSL *ssl, SSL_CTX *ctx, const struct tls_policy *p);
/** The policy of a site, shared with equal ones. NULL with *error. */
struct tls_policy *policy_of_site(struct tls_store *s, struct conf_node root, struct conf_node site,
                                  struct conf_diags *diags, int *error);
void policy_free(struct tls_policy *p);

/** Callbacks of contexts, in handshake.c. */
int handshake_on_hello(SSL *ssl, int *alert, void *arg);
int handshake_on_cert(SSL *ssl, void *arg);
int handshake_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                      const unsigned char *in, unsigned in_len, void *arg);
int handshake_on_status(SSL *ssl, void *arg);
int handshake_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                        EVP_MAC_CTX *mac, int encrypt);

/** What contexts of both sides have in common. 0 or E_NO_MEMORY. */
int context_defaults(SSL_CTX *ctx) must_check;
