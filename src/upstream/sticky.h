// SPDX-License-Identifier: Apache-2.0
//
// Sticky sessions: a cookie that names the server which a client met first, so that it meets it again.
//
// The cookie's value is a token: the SipHash-2-4 tag of the server's id under a secret key, as 16
// hexadecimal digits. Nobody can make one for a server without the key, and nobody can read an address
// out of it. 64 bits are enough: a guess is tried only against a live edge and hits with n servers once
// in 2^64 / n attempts, and all it wins is a server that a client without a cookie may get by chance.
//
// A value that belongs to no server of the list (forged, or its server is gone) is as good as none: a
// server is chosen and the cookie replaced. It is sent only when it changes.
//
// Each upstream has a cookie name of its own unless one is given, so that two upstreams of one host do
// not take each other's clients. Over TLS the name begins with __Host-: then no other host and no page
// without TLS can set it (RFC 6265bis 4.1.3).

#pragma once

#include "base/hash.h"
#include "proxy/key.h"
#include "upstream/balance.h"

enum {
    STICKY_TOKEN_CHARS = 16,
    STICKY_KEY_BYTES = 16,
    STICKY_SECRET_MIN = 16, // characters of a key in the configuration
};

struct sticky_name {
    uint8_t len;
    char text[KEY_NAME_MAX];
};

/** Refers to nothing outside. */
struct sticky_plan {
    bool on;
    bool keyed; // without a key there are no tokens and no cookies
    struct hash_key key;
    struct sticky_name secure; // to clients that came by TLS
    struct sticky_name clear;
};

/** "cookie" or "cookie NAME". False: neither. Without a name it comes from the upstream's. */
bool sticky_parse(struct slice text, struct slice upstream, struct sticky_plan *out);
/** A key of exactly STICKY_KEY_BYTES. */
void sticky_set_key(struct sticky_plan *p, struct slice bytes);
/** A key from a text of the configuration. */
void sticky_set_secret(struct sticky_plan *p, struct slice text);

/** A server's token, never 0; 0 when the plan is not on or has no key. */
uint64_t sticky_token(const struct sticky_plan *p, uint64_t server_id);
/** Index of the server that the request's cookie names; -1: none. */
int sticky_find(const struct sticky_plan *p, const struct balance_server *servers, uint32_t n,
                const struct upstream_subject *s);
/** The value of a Set-Cookie field for that token, on the subject's arena. E_NO_MEMORY. */
int sticky_cookie(const struct sticky_plan *p, uint64_t token, const struct upstream_subject *s,
                  struct slice *out) must_check;
