// SPDX-License-Identifier: Apache-2.0
//
// The PROXY protocol's header, versions 1 and 2: read and written. Pure functions over bytes.
//
// A header stands before everything else on a connection and says on whose behalf it was opened. Where
// it ends is known only while it is read, and what follows belongs to somebody else, so a reader asks
// proxy_header_need() how many bytes it may take: never more than the header is sure to have. No byte
// has to be given back, and nothing else knows that there was a header.
//
// "The specification" is The PROXY protocol, Versions 1 & 2, of 2020/03/05 (proxy-protocol.txt of
// HAProxy's documentation).

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "os/addr.h"

struct text;

enum {
    PROXY_HEADER_LINE_MAX = 107,      // of version 1, CRLF included (section 2.1)
    PROXY_HEADER_MAX = 4096,          // of version 2: addresses need 232 bytes, the rest are TLVs
    PROXY_HEADER_UNIQUE_ID_MAX = 128, // (section 2.2.5)
    PROXY_HEADER_NAME_MAX = 255,      // authority, protocol, common name: names that have a limit
};

/** What a header says. Views point into the bytes that were parsed, or to what is to be written. */
struct proxy_header {
    uint8_t version; // 1, 2
    /** The connection is the sender's own (a health check), or of a kind that has no addresses: the
     * real ones stand, and nothing else is set. */
    bool local;
    bool datagram;       // to write: of version 2, and in front of a datagram
    struct os_addr from; // the client; of a Unix socket only the kind
    struct os_addr to;   // where it connected to
    struct slice alpn;   // empty: not said, as for all that follow
    struct slice authority;
    struct slice unique_id;
    bool secure;              // the client speaks TLS with the sender, or with one before it
    bool client_verified;     // with a certificate that was verified
    struct slice version_tls; // "TLSv1.3"
    struct slice cipher;
    struct slice client_name; // common name of the client's certificate
};

/** How many bytes to take next, at most; 0: the header is complete. `bytes` are all that were taken so
 * far. E_PROXY_MISSING (something else came), E_PROXY_MALFORMED, E_PROXY_UNSUPPORTED (version, command
 * or family unknown, or too long): known as early as possible. */
int proxy_header_need(struct slice bytes, size_t *need) must_check;
/** Parses a complete one. E_PROXY_MALFORMED, E_PROXY_CHECKSUM. */
int proxy_header_parse(struct slice bytes, struct proxy_header *out) must_check;

/** Appends a header of h->version. Addresses of two families become IPv6 ones; without addresses it
 * says that there are none (UNKNOWN, UNSPEC). Names that are too long are left out. 0 or E_TOO_LARGE
 * (out->overflow). */
int proxy_header_write(const struct proxy_header *h, struct text *out) must_check;
