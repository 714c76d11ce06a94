// SPDX-License-Identifier: Apache-2.0
//
// The module `tunnels`: keeps the tenants of a zone apart. A browser lets tunnel.example.com's
// neighbours set cookies for all of it; what a tunnel says of a domain wider than its own name would
// reach the other tunnels, and the edge. Such a Set-Cookie is dropped (RFC 6265 5.3). Chains of addresses
// begin with the visitor's, for agents judge by the first. It counts what passes as well.
//
// `Clear-Site-Data: "cookies"` (and "*") of one name empties the jar of its whole registrable domain, which
// is that of all tenants and the edge's: what is left of such a field is what stays with its origin.

#pragma once

#include "proxy/module.h"

struct fields;

extern const struct module tunnel_module;

/** Whether a Set-Cookie of `host` (lower case, without port) stays with that host and what is below it. */
bool tunnel_cookie_ok(struct slice set_cookie, struct slice host);
/** Leaves of Clear-Site-Data what is known to reach its own origin alone: "*" becomes "cache", "storage". */
void tunnel_narrow_clear_site_data(struct fields *f);
