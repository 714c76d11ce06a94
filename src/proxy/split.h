// SPDX-License-Identifier: Apache-2.0
//
// A split: one of several upstreams serves a request, the first whose conditions hold, or by share.
// So a new version gets a few of the requests, or those of the people who try it.
//
// It is an upstream whose choose() gives another one; nothing is ever asked of itself. Shares are
// drawn anew for each request, unless `by` names what they go by: then a client stays where it is, also
// when its share grows, in every process and after every restart.

#pragma once

#include "base/arena.h"
#include "conf/doc.h"
#include "conf/schema.h"
#include "proxy/upstream.h"

struct conf_diags;

extern const struct conf_directive split_rows[]; // of `proxy: {split: ..., by: ...}`

/** Who gives the upstreams of the parts. */
struct split_sources {
    struct arena *arena; // the snapshot's
    struct conf_diags *diags;
    void *arg;
    int (*find)(void *arg, struct conf_node to, struct upstream **out);
};

/** `proxy`: a checked node with `split`. `name` is for logs. E_CONFIG (reported), E_NO_MEMORY. Helper
 * thread. */
int split_compile(const struct split_sources *from, struct conf_node proxy, struct slice name,
                  struct upstream **out) must_check;
