// SPDX-License-Identifier: Apache-2.0
//
// What a checked document needs of certificates: files and authorities to read, names for the local CA
// and for ACME, and how ACME is to be spoken. Worked out once per load, by the keeper and by
// `adit check` alike; nothing in it points into the document, but for the places that messages name.

#pragma once

#include <stdint.h>

#include "acme/acme.h"
#include "base/arena.h"
#include "base/hash.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "conf/source.h"

enum need_kind {
    NEED_FILES,     // a certificate and its key
    NEED_AUTHORITY, // certificates that may stand for others
    NEED_LOCAL,     // of the local CA
    NEED_ACME,
};

enum { NEEDS_ISSUERS_MAX = 8, NEEDS_FILE_MAX = 1 << 20 };

struct need {
    struct need *next;
    enum need_kind kind;
    struct slice id; // of the credential (tls/credentials.h); of a second one for a name with more
    struct slice name; // local and ACME: the host name
    struct slice cert; // files: paths. Of an authority only this one
    struct slice key;
    struct slice hook;   // ACME: the DNS-01 command; empty: none
    struct conf_node at; // where it is said; only while the document is there
    struct conf_node key_at;
    struct slice chain; // PEM, once it was read
    struct slice secret;
    bool rsa;  // ACME: the kind of key
    bool ocsp; // an answer is stapled where the certificate names a responder
};

struct needs {
    unsigned refs;
    struct arena arena;
    struct slice_map by_id;
    struct need *first;
    struct need **last;
    uint32_t count;
    bool out_of_memory;
    bool listens;   // there is a TLS listener
    bool on_demand; // some site takes names as they are asked for
    struct slice on_demand_hook;
    struct acme_issuer issuers[NEEDS_ISSUERS_MAX];
    struct slice issuer_ca[NEEDS_ISSUERS_MAX]; // paths; empty: the system's
    struct conf_node issuer_at[NEEDS_ISSUERS_MAX];
    uint32_t issuer_count;
    unsigned challenges; // enum acme_challenge_kind
    enum acme_challenge_kind order[3];
    bool keys[2]; // ECDSA, RSA
    struct slice ask;
    uint32_t limit; // new names on demand, in
    uint64_t limit_ms;
};

/** What the document needs; NULL when out of memory. Not thread-safe, but for the reading of what is
 * there. */
struct needs *needs_new(const struct conf_doc *doc) must_check;
struct needs *needs_ref(struct needs *n);
/** The last one frees; what was secret is overwritten. */
void needs_unref(struct needs *n);
struct need *needs_get(const struct needs *n, struct slice id);
/** Reads the files and checks them; `now`: seconds since 1970. What cannot be used is reported to `d`,
 * with the file and the reason. 0, E_CONFIG when errors were reported, E_NO_MEMORY. */
int needs_read(struct needs *n, struct conf_source *source, uint64_t now, struct conf_diags *d)
    must_check;
/** The same for who only wants to know. */
int needs_check(const struct conf_doc *doc, struct conf_source *source, struct conf_diags *d)
    must_check;
