// SPDX-License-Identifier: Apache-2.0
//
// Which requests a route takes. The matches of a checked route (path, method, host, header, query,
// client, match: any/all/not) become a short list of tests in the snapshot's arena, cheapest first,
// all of which must hold. Paths are compared with the normalised path, hosts in lower case.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "conf/doc.h"

struct conf_diags;
struct exchange;
struct route;
struct site;

enum { MATCH_DEPTH_MAX = 8 }; // of match: any/all/not within each other

struct match;

/** Of what a route matches, the same in every process; other keys of the route do not count. */
uint64_t match_hash(struct conf_node route);
/** `route` is a checked node with route context. *out is NULL when it has no match and so takes
 * everything. E_CONFIG (reported to diags), E_NO_MEMORY. Helper thread. */
int match_compile(struct conf_node route, struct arena *arena, struct conf_diags *diags,
                  const struct match **out) must_check;
/** True when all tests hold; the captures of a path match are then in x->captures (0: the whole
 * path), and they are empty otherwise. Reads x->request, normal_path, client; core only. */
bool match_eval(const struct match *m, struct exchange *x);
/** The first route of the site that takes the request, as written; NULL when none does. */
const struct route *match_route(const struct site *site, struct exchange *x);
