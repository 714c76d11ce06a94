// SPDX-License-Identifier: Apache-2.0
//
// Clients as actors: each sends its planned requests over one connection after another, pipelined or
// not, reads what comes back with a strict reader, and writes the outcome into the plans.

#pragma once

#include "plan.h"

struct client_habits {
    uint32_t depth;          // requests sent ahead of their answers, at least 1
    uint32_t piece_max;      // bytes sent at once
    uint64_t pause_max_ns;   // between pieces, and before each request
    uint32_t read_max;       // bytes read at once
    uint64_t read_pause_ns;  // between reads; 0: reads all at once
    uint64_t abort_after_ns; // leaves in the middle; 0: stays
    bool abort_by_reset;
};

/** Requests plans[first .. first + count). Begins after a delay. */
void client_open(struct world *w, const struct os_addr *to, uint32_t first, uint32_t count,
                 const struct client_habits *habits, uint64_t delay_ns);
/** Tells of clients that have not come to an end. */
void client_tell_hanging(void);
void client_free_all(void);
