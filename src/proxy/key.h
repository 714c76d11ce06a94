// SPDX-License-Identifier: Apache-2.0
//
// Keys: what a request is placed by when the same client, user or path is always to meet the same
// server. A key is 64 bits, the same in every process, on every machine and after every restart, so
// that several edges with one configuration agree. Who can choose keys can choose among servers; that
// is what bounded load is for, so the hash has no secret.
//
// A client is its IPv4 address, or the /64 of its IPv6 address: the lower half changes by itself
// (RFC 8981), the upper one is what a home or a phone is given.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "http/head.h"
#include "proxy/upstream.h"

enum key_kind { KEY_NONE, KEY_CLIENT, KEY_HEADER, KEY_COOKIE, KEY_PATH, KEY_QUERY };

enum { KEY_NAME_MAX = 128 };

/** Which part of a request. Refers to nothing outside. */
struct key_plan {
    uint8_t kind; // enum key_kind
    uint8_t name_len;
    char name[KEY_NAME_MAX];
};

/** "client", "path", "header NAME", "cookie NAME", "query NAME". False: none of these. */
bool key_parse(struct slice text, struct key_plan *out);
/** The key of a request. False: it has none (no such field, an empty value, no IP address). */
bool key_of(const struct key_plan *p, const struct upstream_subject *s, uint64_t *key);

/** Goes through the cookies of a name, as sent (RFC 6265 5.4: names as they are written, quotes off).
 * Start with a zeroed place; false at the end. */
struct key_cookies {
    uint16_t field; // that is looked at next
    struct slice rest;
};
bool key_next_cookie(const struct fields *f, struct slice name, struct key_cookies *at,
                     struct slice *value);
