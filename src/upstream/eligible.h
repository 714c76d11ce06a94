// SPDX-License-Identifier: Apache-2.0
//
// Eligible: which servers of a group may be asked at this moment, from their state, tier and number.
// Computed when something changed, not per request.
//
// Candidates are all servers that neither a person nor the list has taken out (drain, maintenance, gone)
// and whose weight is above 0. Tiers are walked from 0 upwards, and the usable candidates of each are
// taken until a tier holds: until at least `panic` percent of its candidates are usable. So when a tier
// is half gone the next one helps it, and when it is all gone the next one replaces it. Backups are the
// last tier and help nobody: they are asked when nobody else can be. The tiers behind the one that holds
// follow in the list, for requests that find no room at, or have failed at, all those before.
//
// When no tier holds, health is not believed any more (panic): all candidates of the first tier that has
// any are asked, with the usable ones of the others. If most servers are really down, most requests fail
// either way; but if it is the checks that are wrong, or the few that are left would be crushed by the
// load of all, ignoring them is what keeps the site up.

#pragma once

#include <stdbool.h>

#include "upstream/balance.h"

enum { ELIGIBLE_TIER_BACKUP = 255 };

struct eligible {
    uint16_t
        *list; // room for all servers; indexes, ascending among the first and in each tier after
    uint32_t count;  // of the list
    uint32_t first;  // of these, those that are asked first, of one tier or several
    uint32_t usable; // candidates of all tiers that are well
    uint32_t candidates;
    bool panic;
};

/** `tiers[i]` is of servers[i]: 0 first, ELIGIBLE_TIER_BACKUP last. `panic_percent` 0: never. Fills
 * everything but e->list. Any thread. */
void eligible_fill(struct eligible *e, const struct balance_server *servers, const uint8_t *tiers,
                   uint32_t n, uint32_t panic_percent);
