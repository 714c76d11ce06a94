// SPDX-License-Identifier: Apache-2.0
//
// The short forms of addresses and host names, brought into the one form that the rest of the
// program reads. Pure functions; on failure `problem` says what is wrong and `hint` what to write.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"

struct text;

struct conf_problem {
    const char *what;
    const char *hint; // "" when there is none
};

/** An origin: 3000 and :3000 (this machine), IP:PORT, [v6]:PORT, NAME:PORT, unix:/path,
 * SCHEME://HOST[:PORT] with http, https, h2c or (with a port) tls, and SCHEME://SERVICE with srv or
 * srvs (with TLS). Writes IP:PORT, [v6]:PORT, NAME:PORT or unix:/path, with https://, h2c:// or
 * tls:// in front where that was, or srv://SERVICE or srvs://SERVICE. 0 or E_INVALID. */
int conf_address_origin(struct slice s, struct text *out, struct conf_problem *problem) must_check;
/** A listener: 8080 and :8080 (every address, written [::]:8080), IP:PORT, [v6]:PORT, unix:/path. */
int conf_address_listen(struct slice s, struct text *out, struct conf_problem *problem) must_check;
/** A listener of a stream: the same, with udp:// (kept) or tcp:// (taken off) in front. */
int conf_address_stream(struct slice s, struct text *out, struct conf_problem *problem) must_check;
/** A host of a site: NAME, *.NAME, an IP address, default. Writes it in lower case. */
int conf_address_host(struct slice s, struct text *out, struct conf_problem *problem) must_check;
enum conf_scheme { CONF_SCHEME_HTTP, CONF_SCHEME_HTTPS, CONF_SCHEME_H2C, CONF_SCHEME_TLS };
/** Takes the scheme off an origin as the check wrote it; srvs:// is HTTPS, srv:// is HTTP. */
enum conf_scheme conf_address_take_scheme(struct slice *address);
/** Is an origin as the check wrote it a service (srv://, srvs://)? */
bool conf_address_is_service(struct slice address);
/** True for a word that names an upstream rather than an address. */
bool conf_address_is_name(struct slice s);
