// SPDX-License-Identifier: Apache-2.0
//
// What is spoken to an origin, compiled from the configuration: the scheme of its address, `protocol`
// and `tls` of its upstream. Equal origins hash alike, so that servers which differ in nothing share
// their connections across snapshots.

#pragma once

#include "conf/doc.h"
#include "upstream/server.h"

struct tls_store;

struct origin_sources {
    struct tls_store *tls;    // NULL: no TLS
    struct slice credentials; // of the same edition
    uint32_t cores;
};

/** Fills `kind` for an address of the upstream `n`, and takes the
 * scheme off: *address is what is left of `at`. 0, E_NO_MEMORY, E_INVALID, E_TLS_... (a certificate
 * that cannot be used). On success origin_release() gives the TLS settings back. */
int origin_compile(const struct origin_sources *from, struct conf_node n, struct slice at,
                   struct server_kind *kind, struct slice *address) must_check;
void origin_release(struct server_kind *kind);
