// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of the resolver share: the channel to the name servers (resolver.c) and what is
// followed (resolver_watch.c).

#pragma once

#include "loop/loop.h"
#include "net/dns_answer.h"
#include "net/resolver.h"
#include "net/resolver_text.h"

enum {
    RESOLVER_MAGIC = 0x4e501001,
    RESOLVER_SOCKETS_MAX = 32, // c-ares opens two per server; lookups beyond fail and are repeated
};

struct resolver_socket {
    struct io io;
    struct resolver *resolver;
    bool stream;
};

/** Where answers are taken apart; used within one call. */
struct resolver_scratch {
    struct dns_addrs addrs;
    struct dns_services services;
    struct resolver_entry entries[RESOLVER_ENTRIES_MAX];
};

struct resolver {
    uint32_t magic;
    struct loop *loop;
    void *channel;                   // c-ares'
    struct resolver_text text;       // of resolv.conf
    struct resolver_servers servers; // in use; none: only what needs no server resolves
    struct slice configured;         // servers of the configuration, ours; empty: those of `text`
    struct slice hosts;              // ours
    struct wheel_timer timer;
    struct list watches;
    struct resolver_scratch *scratch;
    struct resolver_socket sockets[RESOLVER_SOCKETS_MAX];
};

/** `status` is one of c-ares'; the bytes are there with ARES_SUCCESS. May come during the call. */
typedef void resolver_answer_fn(void *arg, int status, int timeouts, unsigned char *bytes, int len);

void resolver_ask(struct resolver *r, const struct dns_name *name, unsigned type,
                  resolver_answer_fn *fn, void *arg);
/** Ends the watch that has this link. */
void resolver_watch_end(struct list *link);
/** The texts or the servers are others: looks everything up again soon. */
void resolver_watch_all_again(struct resolver *r);
