// SPDX-License-Identifier: Apache-2.0
//
// What the texts say that a resolver works by: resolv.conf(5), hosts(5), lists of servers. Lines that
// make no sense are passed over, as every resolver does. Pure functions.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

enum {
    RESOLVER_SERVERS_MAX = 8, // the first ones are enough
    RESOLVER_DOMAINS_MAX = 6, // as resolv.conf(5) has it
    RESOLVER_NAME_MAX = 255,  // RFC 1035 section 2.3.4
};

struct resolver_servers {
    struct os_addr at[RESOLVER_SERVERS_MAX];
    uint32_t count;
};

struct resolver_text {
    struct resolver_servers servers;
    char domains[RESOLVER_DOMAINS_MAX][RESOLVER_NAME_MAX + 1];
    uint32_t domain_count;
    uint32_t ndots;
    bool rotate;
};

void resolver_text_read(struct resolver_text *t, struct slice resolv_conf);
/** A list as the configuration has it: ADDRESS or ADDRESS:PORT, parted by blanks or commas. 0 or
 * E_INVALID. */
int resolver_text_servers(struct resolver_servers *s, struct slice list) must_check;
bool resolver_text_same_servers(const struct resolver_servers *a, const struct resolver_servers *b);
/** Addresses that need no server: an IP literal, a name in the hosts text, or localhost, which is the
 * loopback wherever it is asked (RFC 6761 section 6.3). Returns how many, at most `max`. */
uint32_t resolver_text_addrs(struct slice hosts, struct slice name, uint16_t port,
                             struct os_addr *out, uint32_t max);
/** The n-th name to ask for, by the search list: 0 and the name, or E_NOT_FOUND after the last. */
int resolver_text_candidate(const struct resolver_text *t, struct slice name, uint32_t n,
                            char out[RESOLVER_NAME_MAX + 1]) must_check;
