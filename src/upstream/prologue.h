// SPDX-License-Identifier: Apache-2.0
//
// What a connection to an origin begins with where the origin wants to know for whom it is: a PROXY
// header (net/proxy_header.h). Such a connection speaks for one client's connection and for no other.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"

struct http_peer;
struct text;

enum {
    PROLOGUE_MAX = 2048, // addresses, and all TLVs at their longest
    DATAGRAM_PROLOGUE_MAX = 256,
};

/** Appends the header. `version`: 1 or 2; `peer`: the client's connection, which must be there still
 * (where it connected to may be asked of the kernel); NULL: a connection of our own, such as a health
 * check. `asked`: the name that the client asked for where its TLS is passed on unopened; or empty.
 * 0 or E_TOO_LARGE. Core of the peer. */
int prologue_write_for(unsigned version, const struct http_peer *peer, struct slice asked,
                       struct text *out) must_check;
/** Appends what stands in front of each datagram of a client's: version 2, addresses alone. */
int prologue_write_datagram(const struct http_peer *peer, struct text *out) must_check;
static inline int prologue_write(unsigned version, const struct http_peer *peer, struct text *out)
{
    return prologue_write_for(version, peer, SLICE(""), out);
}
