// SPDX-License-Identifier: Apache-2.0
//
// The ACME client (RFC 8555, RFC 8737, RFC 8738, RFC 9773): from names to a certificate. It runs on a
// thread of the keeper and is written as it reads: each step waits for the one before. It knows
// neither files nor processes; its host, the keeper, stores accounts, shows challenges and takes the
// certificate.
//
// What can go wrong has a place: acme_result says in plain words why, whether the CA asked to wait and
// for how long, and whether another issuer should be tried.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

struct acme_issuer {
    struct slice name;      // for logs and directories: "letsencrypt", or the host of its URL
    struct slice directory; // https URL
    struct slice ca;    // PEM of the authorities that its web server is trusted by; empty: system's
    struct slice email; // empty: none
    struct slice eab_kid; // external account binding; empty: none
    struct slice eab_key; // base64url
    struct slice profile; // empty: the CA's default
};

enum acme_challenge_kind { ACME_HTTP_01 = 1, ACME_TLS_ALPN_01 = 2, ACME_DNS_01 = 4 };

struct acme_challenge {
    enum acme_challenge_kind kind;
    struct slice name;  // the host name, without "*."
    struct slice token; // HTTP-01
    /** HTTP-01: the key authorisation. DNS-01: the value of the TXT record at _acme-challenge.NAME.
     * TLS-ALPN-01: empty, see chain and key. */
    struct slice value;
    struct slice chain; // TLS-ALPN-01: PEM of the self-signed certificate with the acmeIdentifier
    struct slice key;   // and its key
};

/** What the keeper does for a run. Called on the thread that runs acme_obtain(). */
struct acme_host {
    /** Shows a challenge's answer and returns when it is served everywhere. 0 or an error with `why`. */
    int (*present)(struct acme_host *h, const struct acme_challenge *c, struct text *why);
    void (*withdraw)(struct acme_host *h, const struct acme_challenge *c);
    /** The account at an issuer as it was saved: PEM key and its URL; false: none yet. */
    bool (*load_account)(struct acme_host *h, const struct acme_issuer *i, struct arena *a,
                         struct slice *key, struct slice *url);
    int (*save_account)(struct acme_host *h, const struct acme_issuer *i, struct slice key,
                        struct slice url);
    atomic_bool *cancel; // the run is not wanted any more: it ends soon with E_DRAINING
};

enum acme_key { ACME_KEY_ECDSA, ACME_KEY_RSA };

struct acme_request {
    const struct acme_issuer *issuer;
    const struct slice *names; // at most 100; "*.x" needs ACME_DNS_01
    uint32_t name_count;
    unsigned challenges; // which kinds may be used, in the order of `order`
    enum acme_challenge_kind order[3];
    enum acme_key key;
    struct slice replaces; // PEM of the certificate that this one renews (ARI, RFC 9773 5); empty
};

struct acme_result {
    int error;          // 0: chain and key are there
    struct slice chain; // PEM, leaf first
    struct slice key;   // PEM
    struct slice why;   // in plain words, with the CA's own problem detail; empty when error is 0
    uint64_t retry_after_ms; // the CA asked to wait; 0: it did not
    bool permanent;          // another attempt with the same request cannot succeed (bad name, CAA)
};

/** Once per process, before the sandbox closes (libcurl reads what it needs). */
int acme_global_init(void) must_check;
/** For the end of the process: whatever asks somebody, here and from now on, ends within a second with
 * E_DRAINING. Any thread. */
void acme_stop(void);
/** Gets a certificate; takes seconds to minutes. Everything in *out is on `a`. */
void acme_obtain(const struct acme_request *r, struct acme_host *h, struct arena *a,
                 struct acme_result *out);

/** When to renew (ARI): asks the issuer; 0 with the suggested window (seconds since 1970) and when to
 * ask again, E_UNSUPPORTED when it has no renewalInfo. */
struct acme_window {
    uint64_t start;
    uint64_t end;
    uint64_t ask_again; // seconds since 1970
};
int acme_renewal_window(const struct acme_issuer *i, struct slice chain_pem,
                        struct acme_window *out, struct text *why) must_check;
/** A fresh OCSP answer for the chain's leaf, verified; DER on `a`. E_UNSUPPORTED: it names no
 * responder. *next_update: seconds since 1970. */
int acme_ocsp(struct slice chain_pem, struct arena *a, struct slice *der, uint64_t *next_update,
              struct text *why) must_check;
/** GET url?domain=NAME: 0 when it answers 200, E_DENIED when it answers otherwise, or why it could
 * not be asked. */
int acme_ask(struct slice url, struct slice name, struct text *why) must_check;

// When (schedule.c): pure functions of times in seconds since 1970.

/** When a certificate is to be renewed: within the window of its issuer (0, 0: none), else when a third
 * of its life is left (half for one of less than ten days), moved by `spread` (0..1) so that many do
 * not renew at once. */
uint64_t acme_renew_at(uint64_t not_before, uint64_t not_after, const struct acme_window *window,
                       double spread);
/** Pause before the next attempt after `failures` in a row: doubling from a minute to a day, never
 * less than what the CA asked for; shorter when the certificate is about to expire, within the CA's
 * published limits. */
uint64_t acme_backoff_s(uint32_t failures, uint64_t retry_after_ms, uint64_t left_s);
