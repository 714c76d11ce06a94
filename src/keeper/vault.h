// SPDX-License-Identifier: Apache-2.0
//
// What the keeper holds: certificates with their keys, staples and what is known of their life, the
// challenges that are being answered, the keys of session tickets, the root of the local CA. The main
// thread and the issuer's threads share it under one lock; every function here is called with the lock
// held unless it says otherwise.
//
// `version` grows whenever something changed that workers should see; the main thread then writes new
// credentials and notes in `served` which version is in force everywhere.

#pragma once

#include <pthread.h>
#include <stdint.h>

#include "acme/acme.h"
#include "base/ensure.h"
#include "base/hash.h"
#include "base/slice.h"
#include "keeper/needs.h"
#include "keeper/tickets.h"

enum {
    VAULT_BUCKETS = 4096,
    VAULT_HOLDINGS_MAX = 60000, // CREDENTIALS_RECORDS_MAX, less what is no certificate
    HOLDING_ERROR_MAX = 512,
    HOLDING_ISSUER_MAX = 128,
};

struct holding {
    struct holding *next;
    enum need_kind kind; // NEED_FILES: only its staple is kept here
    struct slice id;     // its own
    struct slice name;
    bool wanted;    // by the document that is in force
    bool on_demand; // wanted because a client asked for it
    bool rsa;
    bool ocsp;
    bool looked; // on disk, whether it is there
    struct slice hook;
    struct slice chain; // PEM; empty: none yet
    struct slice key;
    struct slice staple; // DER
    uint64_t not_before; // all times: seconds since 1970
    uint64_t not_after;
    char issuer[HOLDING_ISSUER_MAX]; // who signed it, for people
    char via[HOLDING_ISSUER_MAX];    // the issuer of the configuration that it was got from
    // The work of the issuer's threads.
    bool busy;     // one of them is at it: it is not freed
    bool renew;    // somebody wants it renewed now
    bool allowed;  // on demand: `ask` has said yes
    bool responds; // its certificate names an OCSP responder
    uint32_t failures;
    char error[HOLDING_ERROR_MAX]; // of the last attempt; empty: it went well
    uint64_t renew_at;
    uint64_t next_attempt; // not before
    struct acme_window window;
    uint64_t staple_at; // when to ask again
    uint64_t staple_until;
    uint32_t staple_failures; // in a row
};

struct challenge {
    struct challenge *next;
    enum acme_challenge_kind kind;
    struct slice id; // token or host name
    struct slice chain;
    struct slice key;
};

struct vault {
    int wake; // eventfd of the main thread, -1: none
    pthread_mutex_t lock;
    pthread_cond_t changed; // anything that a thread may wait for
    struct hash_key seed;
    struct holding *bucket[VAULT_BUCKETS];
    uint32_t count;
    struct challenge *challenges;
    struct tickets tickets;
    char sticky_key[CREDENTIAL_STICKY_KEY_BYTES]; // keeper/sticky_key.h
    bool has_sticky_key;
    bool sticky_key_kept; // as well as it can be
    struct slice root;    // of the local CA: PEM
    struct slice root_key;
    uint64_t version;
    uint64_t served;
    uint64_t failed; // a version that the workers could not take
};

/** Start-up; one thread. */
void vault_init(struct vault *v);
/** Forgets everything. For tests. */
void vault_fini(struct vault *v);
void vault_lock(struct vault *v);
void vault_unlock(struct vault *v);
/** Something changed that workers should see. */
void vault_touch(struct vault *v);
/** Calls the main thread. */
void vault_wake(struct vault *v);

struct holding *vault_get(const struct vault *v, struct slice id);
/** The one of that id, made when it is not there. NULL: no memory, or there are too many. */
struct holding *vault_add(struct vault *v, enum need_kind kind, struct slice id, struct slice name);
/** Calls `each` for all; it may not add or drop. */
void vault_each(struct vault *v, void (*each)(void *arg, struct holding *h), void *arg);
/** Frees those that nobody wants and no thread works at. */
void vault_sweep(struct vault *v);
void vault_drop(struct vault *v, struct holding *h);

/** Gives a holding a certificate and its key (copied); its staple is forgotten when the certificate is
 * another one. 0, E_TLS_CERTIFICATE, E_NO_MEMORY. */
int holding_set(struct holding *h, struct slice chain, struct slice key) must_check;
/** Its staple. Empty: none. */
int holding_staple(struct holding *h, struct slice der, uint64_t until) must_check;
/** True when it has a certificate that is valid at `now`. */
bool holding_valid(const struct holding *h, uint64_t now);

/** 0 or E_NO_MEMORY. A challenge of the same kind and id is replaced. */
int vault_challenge(struct vault *v, enum acme_challenge_kind kind, struct slice id,
                    struct slice chain, struct slice key) must_check;
void vault_withdraw(struct vault *v, enum acme_challenge_kind kind, struct slice id);

/** A copy on the heap; .ptr NULL when out of memory. secret_free() overwrites. */
struct slice secret_dup(struct slice s);
void secret_free(struct slice *s);
