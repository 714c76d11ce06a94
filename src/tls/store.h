// SPDX-License-Identifier: Apache-2.0
//
// The TLS store: what the configuration says of TLS joined with the credentials that are there, in
// the form that handshakes use. Immutable, shared by all cores, made anew by the steward whenever
// either changes; connections and their contexts keep the one they began with.
//
// A *policy* is everything that two names must share for a connection made for one to serve the other:
// versions, ciphers, client certificates. Sites with equal settings share one. A policy has one
// OpenSSL context per core, so that cores do not meet on its locks; parsed certificates are per core
// as well and made at their first use, so that ten thousand names cost no more than those that are
// asked for.
//
// Which certificate: by SNI, an exact name before the longest wildcard before the default site's; of
// several for one name the first whose key type the client takes, ECDSA before RSA.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "conf/doc.h"
#include "loop/loop.h"

struct conf_diags;
struct tls_store;

/** Asked for on a core when a name has no certificate yet but may get one (`tls: {on_demand: ...}`).
 * Bounded and rate-limited by who implements it. */
struct tls_wanted {
    void (*want)(struct tls_wanted *w, struct slice name);
};

/** Makes a store. `doc` and `credentials` (may be empty: no TLS) are read only until this returns.
 * A certificate that cannot be used is reported and left out; the rest serves. 0 or E_NO_MEMORY.
 * Steward's thread. */
int tls_store_new(const struct conf_doc *doc, struct slice credentials, uint32_t cores,
                  struct conf_diags *diags, struct tls_store **out) must_check;
/** Any thread. */
struct tls_store *tls_store_ref(struct tls_store *s);
void tls_store_unref(struct tls_store *s);

/** True when some site has TLS. */
bool tls_store_in_use(const struct tls_store *s);
/** Whether there is a certificate to show to who asks for that name (lower case). */
bool tls_store_serves(const struct tls_store *s, struct slice name);
/** The answer to an HTTP-01 challenge for that token; empty: not ours. Lives as long as the store. */
struct slice tls_store_http_01(const struct tls_store *s, struct slice token);
