// SPDX-License-Identifier: Apache-2.0
//
// A roster: the servers of a group as all cores see them until the next one, with the method that
// chooses among them. Made on the group's home core, never changed; each core enters it between two
// turns and leaves the one before. What a core needs for itself (the method's state, the list of
// those that may be asked now) is allocated with it, so that entering cannot fail.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "loop/loop.h"
#include "upstream/balance.h"
#include "upstream/eligible.h"
#include "upstream/server.h"

struct group;
struct roster;

enum { ROSTER_BACKUP_TIER = ELIGIBLE_TIER_BACKUP };

struct roster_entry {
    struct server *server;
    uint32_t tier; // the lowest that can is asked; ROSTER_BACKUP_TIER: backups
    struct server_limits limits;
};

/** What one core keeps with a roster. */
struct roster_core {
    struct roster *roster;
    struct mail mail; // brings it
    uint32_t epoch;   // of the group when the list was made
    bool listed;
    uint16_t *list; // indexes: those that are asked first, then tier by tier
    uint32_t list_count;
    uint32_t list_first; // of these, those that are asked first, whatever their tiers
    void *state;         // the method's
};

struct roster {
    uint32_t magic;
    atomic_uint cores; // that have not left it yet
    struct group *group;
    const struct balance_method *method;
    struct balance_settings balance;
    void *table; // the method's
    int error;   // without servers: why; 0: not known yet, requests wait
    bool last;   // nothing follows: the group ends
    uint32_t panic_percent;
    uint32_t count;
    struct roster_entry *entries;
    struct balance_server *servers; // the same as the method sees them
    uint8_t *tiers;                 // the same again
    struct list link;               // of the group, under the registry's lock
    struct roster_core at[];
};

struct roster_order {
    struct group *group;
    const struct balance_method *method;
    struct balance_settings balance;
    int error;
    uint32_t panic_percent; // upstream/eligible.h
    uint32_t cores;
    uint32_t count;
};

/** Room for `count` entries, which the caller fills: server, tier, limits, and weight and id in
 * servers[]. NULL: out of memory. Home core. */
struct roster *roster_new(const struct roster_order *o) must_check;
/** Makes the method's table, when all entries are there. 0 or E_NO_MEMORY. */
int roster_build(struct roster *r) must_check;
/** No core uses it. */
void roster_free(struct roster *r);

/** The servers that a request of this core may be given to (upstream/eligible.h); made anew when the
 * group's epoch is another. */
void roster_list(struct roster *r, uint32_t core, uint32_t epoch);
