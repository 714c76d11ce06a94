// SPDX-License-Identifier: Apache-2.0
//
// One connection's TLS, from the inside. handshake.c brings it up, stream.c carries bytes through it,
// security.c tells who is at the other end, tls.c has what the core's connections share.
//
// OpenSSL reaches the socket through one BIO per core: before each of its calls `current` says whose
// turn it is. Ciphertext that the socket does not take at once waits in `out`; what was read beyond the
// library's own buffer waits in `ahead`. Both are given back as soon as they are empty.

#pragma once

#include <openssl/ssl.h>

#include "tls/store_int.h"
#include "tls/tls.h"

enum tls_state { TLS_HANDSHAKING, TLS_OPEN, TLS_FAILED };

enum {
    TLS_KEY_WORK_MAX = 8, // private-key operations of a turn, in units of an ECDSA signature
    TLS_KEY_WORK_RSA = 4,
    TLS_WRITE_BATCH = 65536, // plaintext that is encrypted before the socket is asked to take it
    TLS_AHEAD_CHUNKS = 4,    // at most, behind the library's buffer, for one read of the socket
    TLS_RECORD_MAX = 16384,  // RFC 8446 5.1
    TLS_RECORD_SMALL = 1300, // one packet, with all heads, on any path
    TLS_SMALL_BYTES = 65536, // so many in small records after a pause
    TLS_PAUSE_MS = 1000,
    TLS_GATHER_BYTES = 4096, // pieces from this size on are not copied together
    TLS_DEMANDS_MAX = 128,   // messages of the protocol's own between two pieces of plaintext
    TLS_LINGER_MS = 10000,   // for a peer to take what was written before the close
};

struct tls_core {
    uint32_t magic;
    uint32_t key_work; // of the turn `key_turn`
    uint64_t key_turn;
    struct loop *loop;
    struct counters *counters;
    struct tls_store *store;
    struct tls_wanted *wanted;
    struct slab slab;      // struct tls
    struct slab queues;    // struct bufq
    struct slab lingerers; // struct lingerer
    struct slab names;     // names that clients sent and no site has
    struct list waiting;   // struct tls: handshakes that wait for a turn
    struct list lingering;
    struct task work;
    BIO *bio;
    BIO_METHOD *bio_method;
    struct tls *current; // whose call into the library it is
    EVP_CIPHER *ticket_cipher;
    char gather[TLS_RECORD_MAX]; // small pieces of one write
};

/** A connection's end of TLS: the layer of a transport. */
struct tls {
    uint32_t magic;
    uint8_t state; // enum tls_state
    bool server;
    bool socket_readable; // there may be ciphertext
    bool socket_ended;    // FIN
    uint8_t ahead_wish;   // chunks behind the library's buffer that the next read is to have
    bool last_record;     // of this write: goes out with what is queued
    bool more;            // further bytes follow this write at once
    bool half_closed;     // close_notify was sent ...
    bool fin_due;         // ... and FIN follows it
    bool hello_seen;
    bool first_byte_seen;
    unsigned char first_byte; // tells TLS from HTTP
    bool challenge;           // a CA's (RFC 8737), not a client
    bool agent;               // server: the client may be an agent, and show any certificate
    bool client_shown;        // ... which it does
    int16_t error;            // why nothing goes any more; 0: it does
    int16_t cause;            // what a callback of the handshake found wrong
    int16_t socket_error;
    uint32_t small_bytes; // sent since the last pause
    uint32_t last_write_ms;
    uint32_t demands; // of the peer since its last plaintext
    uint32_t ahead_off;
    struct transport *t;
    struct tls_core *core;
    SSL *ssl;
    struct chunk *ahead; // the first of a chain
    struct bufq *out;
    struct list link; // waiting
    void (*done)(struct transport *t, const struct tls_done *d, void *arg);
    void *done_arg;
    struct tls_store *store;                   // server: held
    const struct store_host *host;             // that the client asked for
    const struct tls_policy *policy;           // of that host
    struct store_cert *cert;                   // shown; NULL: resumed, or come from another core
    const struct store_credential *credential; // of `cert`
    struct tls_origin *origin;                 // client: held
    char *name;                                // SNI when it is no host's own; of the slab
    char *identity;                            // texts about the client's certificate
    struct http_security security;
};

enum { TLS_MAGIC = 0x746c736c, TLS_CORE_MAGIC = 0x746c7363 };

static inline struct tls *tls_of(const struct transport *t)
{
    struct tls *s = t->layer;
    ensure_magic(s, TLS_MAGIC);
    ensure(s->t == t);
    return s;
}
static inline void tls_enter(struct tls *s)
{
    s->core->current = s;
}

typedef void tls_done_fn(struct transport *t, const struct tls_done *d, void *arg);

/** tls.c */
struct tls *tls_new(struct tls_core *c, struct transport *t, tls_done_fn *done, void *arg)
    must_check;
void tls_destroy(struct tls *s);

/** stream.c */
extern const struct transport_ops tls_ops;
BIO *stream_bio_new(struct tls_core *c) must_check;
/** Ciphertext that is to go out later. False: out of memory. */
bool stream_queue(struct tls *s, const char *bytes, size_t len) must_check;
void stream_drop_queue(struct tls *s);
/** Ciphertext that was read and is not the library's yet: how much, a copy of it, its memory. */
size_t stream_ahead_bytes(const struct tls *s);
void stream_ahead_copy(const struct tls *s, char *to);
void stream_drop_ahead(struct tls *s);
/** What was copied, on another core. False: out of memory. */
bool stream_ahead_restore(struct tls *s, const char *bytes, size_t len) must_check;
/** Writes what waits; true when nothing waits any more. */
bool stream_flush(struct tls *s);
/** What the library says of a call that failed: 0 for "not now". Leaves its queue of errors empty. */
int stream_error(struct tls *s, int result);
/** Ciphertext that was not read, or plaintext that was not taken. */
bool stream_pending(struct tls *s);
/** A transport's close while bytes are on their way: who waits for the peer to take them. */
void stream_linger(struct tls *s);
void stream_abort_lingerers(struct tls_core *c);
enum { STREAM_LINGERER_BYTES = 192 };

/** handshake.c */
void handshake_on_io(struct tls *s);
/** Runs when it is its turn. */
void handshake_begin(struct tls *s);
/** The transport is closed before it ended. */
void handshake_given_up(struct tls *s);
void handshake_run_waiting(struct task *task);
/** An error code for what is first in the library's queue of errors; the queue is empty afterwards. */
int handshake_error(const struct tls *s);

/** move.c */
int move_pack(struct transport *t, void **packed) must_check;
int move_unpack(struct transport *t, void *packed) must_check;
void move_drop(void *packed);

/** security.c */
void security_fill(struct tls *s);
/** Notes what the client asked for. False: out of memory. */
bool security_set_name(struct tls *s, struct slice name) must_check;

/** origin.c */
/** The code for a certificate of the origin's that was not taken. */
int origin_verify_error(SSL *ssl);
