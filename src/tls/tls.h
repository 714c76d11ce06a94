// SPDX-License-Identifier: Apache-2.0
//
// TLS on a transport, both sides: the handshake, then a filter that the session above does not notice.
//
// Ciphertext is read with one call for many records and written with one for many; a connection that
// has nothing to say holds no buffer. Records begin small, so that a client can use the first bytes
// after one round trip, and grow when bytes keep flowing. Private-key operations of a turn are
// counted: above a bound the rest of the handshakes wait for the next turn, so that a storm of
// newcomers does not stall who is there.

#pragma once

#include <stdint.h>

#include "http/stream.h"
#include "loop/transport.h"
#include "obs/counters.h"

struct tls_store;
struct tls_core;
struct tls_origin;

/** One per core. */
int tls_core_new(struct loop *l, struct counters *counters, uint32_t connections_max,
                 struct tls_core **out) must_check;
void tls_core_free(struct tls_core *c);
/** New handshakes use this store from now on; takes a reference. Between two turns. */
void tls_core_set_store(struct tls_core *c, struct tls_store *s);
struct tls_store *tls_core_store(const struct tls_core *c);
/** Who is told of names that lack a certificate (may be NULL). */
struct tls_wanted;
void tls_core_set_wanted(struct tls_core *c, struct tls_wanted *w);
/** Nothing that was written before a close is still on its way out. */
bool tls_core_is_idle(const struct tls_core *c);

/** Connections that move to this core (transport_unpack()) find `c` by it. */
void tls_core_serve(struct tls_core *c, struct transport_core *transports);

/** What a handshake ended with. */
struct tls_done {
    int error;         // 0, or why it failed (E_TLS_...); the transport is the caller's to close
    struct slice alpn; // what was agreed on; empty: nothing
};

/** Runs the server's side of a handshake on a transport; it becomes TLS, and `done` is called once,
 * never from inside this call. Until then the transport is the handshake's; afterwards its owner must
 * be set anew. The caller bounds the time: transport_close() ends it at any moment. */
int tls_accept(struct tls_core *c, struct transport *t,
               void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
    must_check;

/** An origin's TLS, compiled from a server's settings. Shared by all cores; sessions for resumption
 * are kept per core, by address and name. */
struct tls_origin_settings {
    bool verify; // on unless the user says otherwise
    struct slice
        server_name; // SNI and the name that is verified; empty: none is sent (an IP address)
    struct slice ca; // credential id of the authorities; empty: those of the system
    bool
        system_places; // the library finds the system's authorities by itself, each when it is needed:
                       // for a process that may open files, and is to be small
    struct slice certificate; // credential id of ours; empty: none
    struct slice alpn;        // protocols to offer, comma-separated: "h2,http/1.1"
    struct slice min_version; // "1.2" or "1.3"; empty: 1.2
};
/** NULL: out of memory, or (E_TLS_...) what cannot be used. Steward's thread. */
int tls_origin_new(const struct tls_origin_settings *settings, struct tls_store *store,
                   uint32_t cores, struct tls_origin **out) must_check;
struct tls_origin *tls_origin_ref(struct tls_origin *o);
void tls_origin_unref(struct tls_origin *o);

/** The client's side, on a connected transport; otherwise as tls_accept(). */
int tls_connect(struct tls_core *c, struct transport *t, struct tls_origin *o,
                void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
    must_check;

/** After the handshake: what to put into http_peer.security. Lives as long as the transport. */
const struct http_security *tls_security(const struct transport *t);
/** Exports `len` bytes that only the two ends of this connection can know (RFC 8446 7.5, RFC 5705),
 * without a context. E_UNSUPPORTED: it is not TLS, or TLS 1.2 without an extended master secret (RFC
 * 7627), where somebody in the middle could know them as well. */
int tls_export(const struct transport *t, struct slice label, uint8_t *out, size_t len) must_check;
/** Of a failed verification, for the log: "certificate has expired", ...; empty: none. */
struct slice tls_verify_reason(const struct transport *t);
