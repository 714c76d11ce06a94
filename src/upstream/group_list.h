// SPDX-License-Identifier: Apache-2.0
//
// The list of a group's servers, before any of them is one: what the configuration says, what its
// names and services (SRV) mean just now, what watched files hold and what commands have changed.
// All of it on the group's home core. Private to src/upstream.

#pragma once

#include "conf/address.h"
#include "upstream/group.h"

struct draft_row {
    struct server *server; // that it is; NULL: whichever fits, or a new one
    struct os_addr addr;
    struct slice host;   // as it was written; of the spec, a name or the book: until the next fill
    struct slice origin; // the entry that it came from: "app.internal:80"
    struct server_kind kind; // TLS is borrowed of the spec
    struct server_limits limits;
    uint32_t weight;
    uint32_t tier;
    uint32_t bits;
};

struct draft {
    bool pending; // a name has not been answered yet
    bool cut;     // there were more
    int error;    // why a name means nothing; 0: none failed
    uint32_t count;
    struct draft_row rows[BALANCE_SERVERS_MAX];
};

/** What an address stands for; its scheme is taken off. */
enum group_entry_type list_take_type(struct slice *at, enum conf_scheme *scheme);
/** Of a checked entry, wherever it stands. */
uint32_t list_tier(struct conf_node server);
/** "ready", "drain", "maintenance". */
uint32_t list_bits(struct slice state);
/** Follows what the group's entries name, and nothing else; nothing when it has no spec. `changed` is
 * called on the home core whenever a name has come to mean something else. */
void list_follow(struct group *g, void (*changed)(struct group *g));
/** What the list is now. The group has a spec. */
void list_fill(struct group *g, struct draft *d);
