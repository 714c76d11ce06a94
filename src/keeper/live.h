// SPDX-License-Identifier: Apache-2.0
//
// Tunnels that live, as the keeper sees and keeps them. It has the rows of the worker in force mapped
// (obs/tunnel_rows.h); the supervisor sends them when a worker is ready. With a state directory it looks
// once a second whether rows have changed, and writes those that have become another tunnel's, or
// nobody's, into the state, all of one look in one change. So an edge that was stopped, killed or
// lost its power knows at its next start whose names are to be kept free: the keeper makes rows of them,
// and its first worker parks these as any worker does with those of the worker before.
//
// How long the edge was away does not matter. Its agents call for as long, at least every twenty seconds,
// and a name whose agent does not come back is free when its time in the park is over. A clock that was
// set wrong at the start of the machine changes nothing.

#pragma once

#include <stdint.h>

#include "base/ensure.h"

struct keeper;
struct live_seen;
struct tunnel_rows;

struct keeper_live {
    const struct tunnel_rows *rows; // mapped; NULL: no worker was ready so far
    struct live_seen *seen; // by row: what of it is in the state; NULL: not asked for so far
    uint32_t changes;       // of the rows, when they were looked at
    bool fresh;             // nothing of these rows was looked at yet
    bool failed;            // which was said
    bool sent;              // what was kept, at the start
    uint64_t look_at_ms;
};

void live_init(struct keeper_live *l);
void live_fini(struct keeper_live *l);
/** The rows of the worker in force; the descriptor stays the caller's. */
void live_take_rows(struct keeper *k, int fd);
/** What was kept goes to the supervisor, for the first worker of an edge. Before each plan; does so
 * once. */
void live_send_kept(struct keeper *k);
/** Looks, when it is time. */
void live_tick(struct keeper *k);
/** Milliseconds until then, -1: nothing is kept. */
int live_wait_ms(const struct keeper *k);
