// SPDX-License-Identifier: Apache-2.0
//
// The way out where only a proxy leads there: HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928, 1929),
// and which proxy it is, by the environment variables that curl and others read:
//
//   https_proxy, HTTPS_PROXY   the proxy for targets with TLS
//   http_proxy                 for those in clear (in lower case only: as HTTP_PROXY a CGI's client
//                              could set it)
//   all_proxy, ALL_PROXY       where none of these is set
//   no_proxy, NO_PROXY         targets to connect to directly: names, with all names below them; IP
//                              addresses and networks; each with a port behind it, or without; `*`
//
// A variable in lower case goes before the one in upper case, and an empty one is as good as none. The
// name of a target is resolved by the proxy, never here.
//
// Nothing here reads the environment or a socket: outbound_step.h walks the way on a transport.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"

enum { OUTBOUND_HOST_MAX = 253, OUTBOUND_LOGIN_MAX = 255 };

enum outbound_kind { OUTBOUND_DIRECT, OUTBOUND_CONNECT, OUTBOUND_SOCKS5 };

/** A proxy. Refers to nothing outside. */
struct outbound {
    uint8_t kind; // enum outbound_kind
    bool login;   // there is a user (its name or password may be empty)
    uint8_t host_len;
    uint8_t user_len;
    uint8_t password_len;
    uint16_t port;
    char host[OUTBOUND_HOST_MAX]; // a name or an IP address, without brackets
    char user[OUTBOUND_LOGIN_MAX];
    char password[OUTBOUND_LOGIN_MAX];
};

static inline struct slice outbound_host(const struct outbound *o)
{
    return slice_of(o->host, o->host_len);
}

/** Values of the variables; NULL: not set. */
struct outbound_env {
    const char *https_proxy, *HTTPS_PROXY, *http_proxy, *all_proxy, *ALL_PROXY, *no_proxy,
        *NO_PROXY;
};

/** Reads "[http://|socks5://|socks5h://][USER[:PASSWORD]@]HOST[:PORT][/]"; the port is 1080 where none is
 * written, as with curl. E_INVALID, or E_UNSUPPORTED for other schemes; *why is a clause for a message. */
int outbound_parse(struct slice url, struct outbound *out, const char **why) must_check;
/** True when `list` (no_proxy) says that the target is connected to directly. `host` is a name or an IP
 * address, brackets or not. */
bool outbound_is_exempt(struct slice list, struct slice host, uint16_t port);
/** The way to a target: out->kind is OUTBOUND_DIRECT, or out is the proxy to connect to. `secure`: TLS
 * will be spoken with the target. Errors as outbound_parse(). */
int outbound_choose(const struct outbound_env *env, bool secure, struct slice host, uint16_t port,
                    struct outbound *out, const char **why) must_check;
/** "http://HOST:PORT" or "socks5://HOST:PORT", without the login; "directly". */
void outbound_text(const struct outbound *o, struct text *out);
