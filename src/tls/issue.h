// SPDX-License-Identifier: Apache-2.0
//
// What a certificate authority's client needs of OpenSSL: new keys, signing requests, the self-signed
// certificate of a TLS-ALPN-01 challenge (RFC 8737), and a hard look at what the authority sent back.
// Any thread; nothing is kept between calls. Keys and certificates are PEM, on the caller's arena.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

enum issue_key { ISSUE_KEY_P256, ISSUE_KEY_RSA_2048 };

enum { ISSUE_NAMES_MAX = 100, ISSUE_NAME_BYTES_MAX = 253 };

/** A new private key. 0 or E_NO_MEMORY. */
int issue_key_new(enum issue_key kind, struct arena *a, struct slice *key_pem) must_check;
/** True when `name` is an IP address: it goes into requests as such (RFC 8738). */
bool issue_is_ip(struct slice name);
/** The name by which an authority asks for an IP address in TLS-ALPN-01: "4.3.2.1.in-addr.arpa" (RFC
 * 8738 6). Room for 80 bytes. E_INVALID when it is none. */
int issue_ip_sni(struct slice ip, struct text *out) must_check;
/** A signing request (DER) for these names, host names and IP addresses, without a subject. E_TLS_KEY,
 * E_INVALID (a name) or E_NO_MEMORY. */
int issue_request(struct slice key_pem, const struct slice *names, uint32_t count, struct arena *a,
                  struct slice *der) must_check;
/** The certificate that answers a TLS-ALPN-01 challenge for `name`, with a key of its own. */
int issue_tls_alpn_01(struct slice name, struct slice key_authorization, struct arena *a,
                      struct slice *chain_pem, struct slice *key_pem) must_check;
/** Takes what an authority sent: it must be certificates and nothing else (RFC 8555 9.1), at most ten,
 * the first one for our key, for each of the names and not expired at `now` (seconds since 1970).
 * *chain_pem is written anew. 0, E_NO_MEMORY or E_TLS_CERTIFICATE with `why`. */
struct issue_expected {
    struct slice key_pem;
    const struct slice *names;
    uint32_t count;
    uint64_t now;
};
int issue_accept(struct slice sent, const struct issue_expected *expected, struct arena *a,
                 struct slice *chain_pem, struct text *why) must_check;
/** How renewal information names the first certificate of a chain (RFC 9773 4.1). E_TLS_CERTIFICATE
 * when it has no authority key identifier. */
int issue_renewal_id(struct slice chain_pem, struct arena *a, struct slice *id) must_check;
