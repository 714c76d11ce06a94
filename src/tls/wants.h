// SPDX-License-Identifier: Apache-2.0
//
// Which credentials a document needs: for its sites, for the CAs that stand for clients, and for the
// origins that are reached by TLS. The keeper builds the block of credentials from this list, and the
// store and the origins look up by the same ids, so that the two cannot drift. Pure; any thread.

#pragma once

#include "base/slice.h"
#include "conf/doc.h"
#include "tls/plan.h"

enum tls_want_kind {
    TLS_WANT_FILES,     // certificate and key, from `cert` and `key`: "file:CERT|KEY"
    TLS_WANT_ACME,      // for `name`: "acme:NAME"
    TLS_WANT_LOCAL,     // for `name` ("localhost": with 127.0.0.1 and ::1): "local:NAME"
    TLS_WANT_AUTHORITY, // certificates of `cert`: "ca:PATH"
    TLS_WANT_SYSTEM,    // those that the machine trusts: "ca:system"
};

struct tls_want {
    enum tls_want_kind kind;
    struct slice name;
    struct slice cert; // paths, as the document has them
    struct slice key;
    struct conf_node at;     // where it is asked for, for messages
    struct conf_node key_at; // FILES
    struct conf_node site;   // ACME and LOCAL; the hook: tls_plan_dns()
};

/** Every credential that a checked document needs, in its order; one that two need comes twice. Names
 * that are got on demand are not among them. Nothing for sites when no listener speaks TLS. */
void tls_wants(struct conf_node root, void (*each)(void *arg, const struct tls_want *w), void *arg);
/** Its id in the credentials. */
void tls_want_id(const struct tls_want *w, struct text *out);
/** The id of a pair of files. */
void tls_file_id(struct slice cert, struct slice key, struct text *out);
/** Every node that may describe an upstream: those of `upstreams`, and what proxies, parts of splits
 * and mirrors say in place (a name, or nothing at all, as well). */
void tls_each_upstream(struct conf_node root, void (*each)(void *arg, struct conf_node up),
                       void *arg);
/** The id of a file of authorities; an empty path: those of the system. */
void tls_authority_id(struct slice path, struct text *out);
