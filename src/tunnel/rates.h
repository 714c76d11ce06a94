// SPDX-License-Identifier: Apache-2.0
//
// Rates: how many requests in a second the holder of a token may be sent, all its tunnels together, on
// whatever cores these are. A token has one place here for as long as a tunnel holds it, whatever tables
// of tokens come and go meanwhile; a tunnel knows its place by number.
//
// A place is used again when nobody holds it and it would let in a whole second's worth, so that who ends
// its tunnels and makes them anew gets no more than who keeps them.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    RATES_NONE = 0,    // the place of who has no limit
    RATES_ID_MAX = 32, // of a grant, with the NUL
};

struct rates;

/** `most` places at once. NULL: out of memory. */
struct rates *rates_new(uint32_t most) must_check;
/** NULL is nothing. */
void rates_free(struct rates *r);

/** The place of a grant, held once more; from now on its rate is this, per second and not 0. RATES_NONE:
 * all places are taken. Any core. */
uint32_t rates_hold(struct rates *r, struct slice grant, uint32_t rate, uint64_t now_ns) must_check;
/** RATES_NONE is nothing. Any core. */
void rates_let_go(struct rates *r, uint32_t place);
/** Counts a request; false: it is one too many. Always true of RATES_NONE. Any core; a place that was let
 * go meanwhile may count for its next holder. */
bool rates_may_ask(struct rates *r, uint32_t place, uint64_t now_ns);
