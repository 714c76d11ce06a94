// SPDX-License-Identifier: Apache-2.0
//
// A pool: the upstream made of servers that we connect to, as a snapshot says it. What it is at run
// time is its group (group.h).

#pragma once

#include "proxy/snapshot.h"
#include "upstream/group.h"

enum { POOL_ENTRIES_MAX = 1024 }; // lines of its list

/** Makes pools of checked nodes for snapshot_compile(); one per process. */
struct pool_factory {
    struct upstream_factory base;
    struct upstream_registry *registry;
    struct tls_store *tls; // during a compile, as is the next
    struct slice credentials;
};

void pool_factory_init(struct pool_factory *f, struct upstream_registry *r);
/** What origins with TLS are made from in the next compile; both are borrowed until it is over. */
void pool_factory_use(struct pool_factory *f, struct tls_store *tls, struct slice credentials);
/** What the settings of an upstream say of all its servers: fills `base`, whose name is set, and `spec`
 * but for its servers. Every value has a default, so a node without any will do. 0, E_NO_MEMORY. */
int pool_settings_compile(const struct pool_factory *f, struct snapshot *snapshot,
                          struct conf_node n, struct upstream *base, struct group_spec *spec)
    must_check;
