// SPDX-License-Identifier: Apache-2.0
//
// Callers: how often agents of an address call, and how many of their connections it has. One table for
// all cores, bounded, in parts with a lock each that is held for a few comparisons. An IPv6 address
// counts with all of its /64, which is what one customer has.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "os/addr.h"

enum {
    CALLERS_PER_SECOND = 10, // handshakes of one address, kept up
    CALLERS_BURST = 200,     // and at once: all connections of 50 tunnels, after the edge restarted
};

struct callers;

/** Whether two addresses count as one. Pure. */
bool callers_same(const struct os_addr *a, const struct os_addr *b);
/** NULL: out of memory. */
struct callers *callers_new(void) must_check;
/** Who is still counted is forgotten. NULL is nothing. */
void callers_free(struct callers *c);

/** A handshake of that address; false: there were too many. Any core. */
bool callers_knock(struct callers *c, const struct os_addr *a, uint64_t now_ms);
/** One more connection; false: it has `most` (0: no limit), or the table is full. Any core. */
bool callers_enter(struct callers *c, const struct os_addr *a, uint32_t most, uint64_t now_ms);
/** It is over, once for each callers_enter(). Any core. */
void callers_leave(struct callers *c, const struct os_addr *a);
