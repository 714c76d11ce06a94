// SPDX-License-Identifier: Apache-2.0
//
// Names and services to addresses, asynchronously, by c-ares on one core's loop. What is watched is
// looked up again when the shortest TTL of its answers has passed; when a lookup fails, the last
// addresses stay and the failure is told.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

struct loop;
struct resolver;
struct resolver_watch;

enum { RESOLVER_ENTRIES_MAX = 256 }; // of one watch; further ones are left out

enum resolver_kind {
    RESOLVER_HOST,    // A and AAAA records, the hosts text, or an IP literal
    RESOLVER_SERVICE, // SRV records (RFC 2782) and the addresses of their targets
};

struct resolver_question {
    enum resolver_kind kind;
    struct slice name; // "app.internal", "_http._tcp.app.internal"
    uint16_t port;     // of a host's addresses; a service has its own
};

struct resolver_entry {
    struct os_addr addr;
    uint16_t priority;   // lower ones first; 0 for a host
    uint16_t weight;     // among those of one priority; 0: hardly any (RFC 2782). 1 for a host
    struct slice target; // the host's name
};

struct resolver_list {
    const struct resolver_entry *entries; // valid during the call, sorted, each address once
    unsigned count;                       // not 0 without an error
    int error;                            // 0, or why the last lookup failed: the entries are old
};

/** Called on the core, later than resolver_follow(): when the list has changed, and when a lookup
 * failed or succeeded after one that failed. May call resolver_unwatch(). */
typedef void resolver_list_fn(void *arg, const struct resolver_list *list);

/** As resolver_list_fn of a host; count 0 with a code in `error` when a lookup failed. */
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
/** All watches end without a call. Not from inside a callback. */
void resolver_free(struct resolver *r);
/** The servers of a new configuration, as in struct resolver_config; empty: those of resolv_conf.
 * Lookups that are on their way are repeated. 0, E_NO_MEMORY, E_INVALID (nothing changes). */
int resolver_set_servers(struct resolver *r, struct slice servers) must_check;
/** The files have changed: everything is looked up again, little by little. Whether servers are used
 * in turn (`options rotate`) stays as it was. 0 or E_NO_MEMORY (nothing changes). */
int resolver_set_texts(struct resolver *r, struct slice resolv_conf, struct slice hosts) must_check;
/** Follows what a question asks for. 0 or E_NO_MEMORY. */
int resolver_follow(struct resolver *r, const struct resolver_question *q, resolver_list_fn *fn,
                    void *arg, struct resolver_watch **out) must_check;
/** Follows a name (or IP literal). 0 or E_NO_MEMORY. */
int resolver_watch(struct resolver *r, struct slice name, uint16_t port, resolver_fn *fn, void *arg,
                   struct resolver_watch **out) must_check;
void resolver_unwatch(struct resolver *r, struct resolver_watch *w);
