// SPDX-License-Identifier: Apache-2.0
//
// A small world for the tests of TLS: one core on the simulated kernel with a store from a document and
// credentials, a server on it that echoes, and peers that are OpenSSL itself on the other end of
// simulated connections, as clients or as origins.
//
// A peer's ciphertext can be dripped byte by byte; the network's faults come from the seed.

#pragma once

#include <openssl/ssl.h>

#include "../../sim/kernel.h"
#include "pki.h"
#include "tls/tls_int.h"

enum { WORLD_BYTES_MAX = 1 << 20, WORLD_PEERS_MAX = 64, WORLD_CREDENTIALS_MAX = 64 };

/** The other end. */
struct peer {
    struct sim_end *end;
    SSL *ssl;
    BIO *in;
    BIO *out;
    bool drip;        // one byte at a time
    bool deaf;        // reads nothing
    bool keep;        // sends no close_notify by itself
    bool connected;   // the handshake is over
    bool ended;       // close_notify was read
    bool cut;         // FIN without it, or a reset
    bool quiet;       // says nothing more
    int failed;       // the library's reason, 0: none
    const char *send; // plaintext
    size_t send_len;
    size_t sent;
    char *got;
    size_t got_len;
    char raw[4096]; // what a clear-text peer got
    size_t raw_len;
    uint32_t record_sizes[64]; // of the records that came
    uint32_t records;
    bool timer_set;
    SSL_SESSION *session; // the newest ticket
};

/** Our end. */
struct side {
    bool used;
    bool is_done;
    int error;
    char alpn[32];
    struct transport *t; // NULL: closed
    bool echoes;
    bool stalls; // reads nothing
    struct bufq q;
    int read_error;
    bool eof;
    size_t got_len;
    char first[64]; // bytes that came first
    char reason[128];
    uint64_t done_turn;
};

struct world {
    struct sim *sim;
    struct loop loop;
    struct transport_core transports;
    struct counters counters;
    struct tls_core *core;
    struct io listener;
    struct peer peers[WORLD_PEERS_MAX];
    uint32_t peer_count;
    struct side sides[WORLD_PEERS_MAX];
    uint32_t side_count;
    struct credential credentials[WORLD_CREDENTIALS_MAX];
    uint32_t credential_count;
    SSL_CTX *client; // trusts everything
};

extern struct world world;
/** What the last store had to say. */
extern char world_report[16384];

void world_begin(uint64_t seed, const struct sim_faults *faults);
/** The same with one site, a.test, whose certificate this is. */
void world_begin_site(uint64_t seed, const struct sim_faults *faults, const struct pki_cert *c);
/** Everything is closed and given back; what is left is an ensure. */
void world_end(void);
/** Credentials for the next store. */
void world_credential(enum credential_kind kind, const char *id, struct slice chain,
                      struct slice key);
void world_certificate(const char *id, const struct pki_cert *c);
void world_staple(const char *id, const struct pki_cert *c, struct slice ocsp);
void world_ticket_key(char fill);
/** Makes a store of a document and of what was added since the last one, and hands it to the core. What
 * was reported is in report_text of conf_help.h. NULL when it is refused. */
struct tls_store *world_store(const char *document);

/** A client that begins at once. `name` NULL: no SNI. */
struct peer *world_client(SSL_CTX *ctx, const char *name);
/** One that speaks clear text. */
struct peer *world_raw(struct slice bytes);
/** An origin behind `server`, and our connection to it. */
struct side *world_origin(SSL_CTX *server, struct tls_origin *o, struct peer **peer);
/** WORLD_BYTES_MAX bytes to send; the caller frees them. */
char *world_pattern(void);
void peer_send(struct peer *p, const char *bytes, size_t len);
void peer_close_notify(struct peer *p);
void peer_fin(struct peer *p);
/** Sets it going after something in it was changed. */
void peer_wake(struct peer *p);
/** The side of the newest client. */
struct side *world_side(void);

/** Until nothing happens any more, or `seconds` of virtual time are over. */
void world_run(uint32_t seconds);
void world_run_ms(uint32_t ms);
uint64_t world_count(enum counter id);

SSL_CTX *world_client_context(void);
SSL_CTX *world_server_context(const struct pki_cert *c);
