// SPDX-License-Identifier: Apache-2.0
//
// What a checked document says of TLS, worked out in one place for everybody who asks: which names are
// served with which kind of certificate, what a site's settings are, which listeners speak TLS. Pure
// functions over the document; any thread.
//
// A name is what a site answers to: its key, one of its `names` or `aliases`, and where the agents of its
// tunnels call (`at`, else what the wildcard is below) unless another site has that name. What it is served with:
//
//     tls: off                       nothing
//     tls: {cert, key} or {certs}    files, for all names of the site
//     tls: local                     the local CA
//     tls: acme                      ACME, whatever the name looks like
//     tls: {on_demand: on}           ACME, one certificate for each name that a client asks for
//     tls: auto, or nothing said     ACME for a name that a public CA could certify, else the local CA;
//                                    a wildcard without a DNS hook: nothing
//
// The site called `default` has no name of its own: by `auto` it gets the local CA's certificate for
// localhost, 127.0.0.1 and ::1.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/doc.h"

struct text;

enum {
    TLS_PLAN_LISTENERS_MAX = 64,
    TLS_PLAN_FILES_MAX = 8, // pairs of certificate and key on one site
};

enum tls_source {
    TLS_SOURCE_NONE,
    TLS_SOURCE_FILES,
    TLS_SOURCE_LOCAL,
    TLS_SOURCE_ACME,
    TLS_SOURCE_ON_DEMAND,
};

struct tls_plan_name {
    struct slice name; // canonical: lower case, "*.x", an IPv6 address in brackets, or "default"
    enum tls_source source;
    struct conf_node site; // of `sites`; its key is the site's name
    struct conf_node at;   // where the name stands, for messages
};

/** What a name of a site is served with. */
enum tls_source tls_plan_source(struct conf_node root, struct conf_node site, struct slice name);
/** Every name of every site, in the order of the document; those with TLS_SOURCE_NONE as well. */
void tls_plan_names(struct conf_node root,
                    void (*each)(void *arg, const struct tls_plan_name *name), void *arg);
/** True when a name has TLS at all. */
bool tls_plan_in_use(struct conf_node root);
/** Every name at which agents of tunnels call, also one that is a site's own. */
void tls_plan_calls(struct conf_node root, void (*each)(void *arg, struct slice name), void *arg);
/** The id of a name's credential (tls/credentials.h): "acme:NAME", "local:NAME" (of `default`:
 * "local:localhost"); nothing for the other sources. */
void tls_plan_credential(const struct tls_plan_name *name, struct text *out);

/** The nearest level that has a key of `tls`: the site's, else the top's. May not exist. For keys that
 * stand at both levels; a value is taken as a whole. */
struct conf_node tls_plan_get(struct conf_node root, struct conf_node site, const char *key);
/** The DNS hook of a site: its own, else that of `acme`; empty: none. */
struct slice tls_plan_dns(struct conf_node root, struct conf_node site);

struct tls_plan_file {
    struct slice cert; // paths; the credential's id is "file:CERT|KEY"
    struct slice key;
    struct conf_node at; // of the certificate's path, for messages
    struct conf_node key_at;
};
/** The files of a site; how many. */
uint32_t tls_plan_files(struct conf_node site, struct tls_plan_file out[TLS_PLAN_FILES_MAX]);

struct tls_plan_listener {
    struct slice address; // IP:PORT, [v6]:PORT or unix:/path; "[::]:PORT" is every address
    uint32_t backlog;
    bool tls;
    struct conf_node at; // may not exist: a default
};
/** What is listened on for sites; how many, at least one unless there are streams and no sites. */
uint32_t tls_plan_listeners(struct conf_node root,
                            struct tls_plan_listener out[TLS_PLAN_LISTENERS_MAX]);
/** True when there is a TLS listener, or a stream that hands connections to the sites. */
bool tls_plan_listens(struct conf_node root);

/** True for a name that a public CA could certify: neither an address nor one of the names that belong
 * to no registry (RFC 2606, 6761, 6762, 8375 and what is in use beside them). */
bool tls_name_is_public(struct slice name);
/** "10/1m": so many in that time. 0 or E_INVALID. */
int tls_plan_rate(struct slice text, uint32_t *count, uint64_t *per_ms) must_check;
