// SPDX-License-Identifier: Apache-2.0
//
// A relay: two transports joined, each direction by itself. Small pieces are read and written at once;
// a direction that fills its buffer goes through a kernel pipe, if both ends are plain sockets, and
// comes back when it carries little. What cannot be written yet waits in one chunk or in the pipe, and
// as long as it does nothing more is read: that is the back-pressure. A direction that is idle holds
// neither.
//
// The end of input is passed on as an end (half-close); a reset is for the owner to pass on. One turn
// moves a bounded number of bytes, so that one transfer cannot keep the core to itself.

#pragma once

#include <stdint.h>

#include "loop/kernel_pipe.h"
#include "loop/transport.h"

struct chunk;

enum {
    RELAY_TURN_BYTES = 1024 * 1024, // of one direction in one turn
    RELAY_BULK_AFTER = 2,           // so many full reads, one after the other, are a bulk transfer
    RELAY_SMALL_BYTES = 8 * 1024,   // a splice of less was not worth it
    RELAY_SMALL_AFTER = 16,         // so many of these in a row end the bulk transfer
};

/** One direction: what comes from `end[i]` of the relay is flow[i]. */
struct relay_flow {
    uint64_t bytes; // that were written to the other end
    struct chunk *held;
    struct kernel_pipe *pipe;
    uint32_t held_at;
    uint32_t piped;
    bool ended; // the end of input was read
    bool shut;  // and passed on
    bool bulk;
    uint8_t run; // full reads, or small splices, in a row
};

struct relay {
    struct loop *loop;
    struct transport *end[2];
    struct relay_flow flow[2];
    int error;     // RELAY_FAILED: why
    uint8_t where; // and on which end
};

enum relay_state {
    RELAY_WAITS, // for events of the ends
    RELAY_MORE,  // the turn's share is used up: pump again, soon
    RELAY_ENDED, // both directions have
    RELAY_FAILED,
};

void relay_init(struct relay *r, struct loop *l, struct transport *a, struct transport *b);
/** Moves what can be moved. `moved`: whether anything was. */
enum relay_state relay_pump(struct relay *r, bool *moved);
/** Gives back what it holds; the transports stay the owner's. */
void relay_fini(struct relay *r);
