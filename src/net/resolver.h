// SPDX-License-Identifier: Apache-2.0
//
// Names to addresses, asynchronously, by c-ares on one core's loop. A watched name is looked up again
// when the shortest TTL of its answer has passed; when a lookup fails, the last addresses stay and the
// failure is told.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

struct loop;
struct resolver;
struct resolver_watch;

/** `addrs` (with the port given to resolver_watch) is valid during the call; count 0 with a code in
 * `error` when the lookup failed. Called on the core, later than resolver_watch(), each time the set
 * changes and each time a lookup fails. */
typedef void resolver_fn(void *arg, const struct os_addr *addrs, unsigned count, int error);

struct resolver_config {
    struct slice servers;     // "127.0.0.1:53, [::1]:53"; empty: from resolv_conf
    struct slice resolv_conf; // text of /etc/resolv.conf, read before the sandbox closes
    struct slice hosts;       // text of /etc/hosts
};

/** 0, E_NO_MEMORY, E_INVALID (servers). Before the sandbox closes (c-ares seeds itself from a file); the
 * texts may go afterwards. Without servers only literals, localhost and names of `hosts` resolve. */
int resolver_new(struct loop *l, const struct resolver_config *config, struct resolver **out)
    must_check;
/** All watches end without a call. Not from inside a resolver_fn. */
void resolver_free(struct resolver *r);
/** The servers of a new configuration, as in struct resolver_config; empty: those of resolv_conf.
 * Lookups that are on their way are repeated. 0, E_NO_MEMORY, E_INVALID (nothing changes). */
int resolver_set_servers(struct resolver *r, struct slice servers) must_check;
/** Follows a name (or IP literal). 0 or E_NO_MEMORY. */
int resolver_watch(struct resolver *r, struct slice name, uint16_t port, resolver_fn *fn, void *arg,
                   struct resolver_watch **out) must_check;
void resolver_unwatch(struct resolver *r, struct resolver_watch *w);
