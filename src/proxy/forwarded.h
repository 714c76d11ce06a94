// SPDX-License-Identifier: Apache-2.0
//
// Who the client is and what adit tells the origin of it: Forwarded (RFC 7239), X-Forwarded-For,
// -Proto and -Host, X-Request-Id, and Via both ways (RFC 9110 7.6.3).
//
// Only trusted proxies are believed. The chain of addresses is walked from the right, over addresses
// that are trusted themselves; the first that is not is the client. What an untrusted peer sent in
// these fields is dropped before anything looks at it, whatever is written later; what a stage sets
// stays.

#pragma once

#include "base/slice.h"
#include "os/addr.h"

struct exchange;
struct snapshot;
struct text;

enum {
    FORWARDED_HOPS_MAX = 64, // addresses of a chain that are looked at
    FORWARDED_LOOPS_MAX = 8, // times a request may have come through an adit
};

/** What an edge tells an agent of a request's client, and an agent believes: no other field, for the rest
 * are the site's to forward, to change and to leave out. The agent does not pass it on. */
#define FORWARDED_VISITOR "adit-visitor"

/** Sets x->client and x->client_secure, from the peer and, when the peer is trusted, from its fields;
 * drops the fields that must not be believed or are not carried on. Call once the request head is
 * complete, before routing. */
void forwarded_client(struct exchange *x);

/** Makes x->request say who asked, in the fields the snapshot is configured to write, and adds Via
 * and X-Request-Id. Call once, after forwarded_client() and the stages, before the request goes to an origin. E_LOOP (it came through here too
 * often), E_HEAD_TOO_LARGE, E_TOO_MANY_FIELDS, E_NO_MEMORY. */
int forwarded_request(struct exchange *x) must_check;

/** Cuts off what nobody trusted has vouched for: the chains that came begin with x->client. For an origin
 * that takes the first address of a chain for the client's. Call after forwarded_client(), before
 * forwarded_request(). Errors of fields_add(). */
int forwarded_begin_at_client(struct exchange *x) must_check;

/** For an agent: who x->client is, in FORWARDED_VISITOR, whatever the client or the configuration has put
 * there and whether anything is forwarded otherwise. After the stages. Errors of fields_set(). */
int forwarded_tell_visitor(struct exchange *x) must_check;

/** Adds Via to x->response. `protocol`: of the up stream ("1.1"). Errors of fields_add(). */
int forwarded_response(struct exchange *x, const char *protocol) must_check;

// The parsers, for tests and fuzzing.

struct forwarded_hop {
    struct slice node; // of `for`, unquoted: "192.0.2.1:80", "[2001:db8::1]", "unknown", "_x"
    struct slice proto;
};

/** Takes the last element off a Forwarded list, quoted strings respected. False at the end. A broken
 * element gives an empty node. */
bool forwarded_last_hop(struct slice *rest, struct forwarded_hop *hop);
/** A node of Forwarded or X-Forwarded-For: an IP with or without brackets and port. E_INVALID for
 * "unknown", names and anything else. */
int forwarded_node_addr(struct slice node, struct os_addr *out) must_check;
