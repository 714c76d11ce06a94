// SPDX-License-Identifier: Apache-2.0
//
// Mirrors: copies of requests for a second upstream, whose answers are thrown away. A copy has no
// client, so nothing waits for it: neither its exchange, nor a reload, nor a drain. It gets the head
// as the origin gets it and the body as it streams, by reference. When it falls behind by more than a
// bound, or there are too many of them, it is cut or left out, and counted; the real exchange never
// notices.

#pragma once

#include <stdint.h>

#include "base/list.h"
#include "base/slab.h"
#include "conf/doc.h"
#include "loop/loop.h"

struct core;
struct exchange;
struct upstream;

enum {
    MIRROR_COPIES_MAX = 256,        // at once, on a core
    MIRROR_BODY_LIMIT = 256 * 1024, // that the mirror may be behind
    MIRROR_ANSWER_MAX = 64 << 20,   // that is read of an answer, and for how long at most
    MIRROR_LIFE_MS = 5 * 60 * 1000,
};

/** Of a route; on the snapshot's arena. */
struct mirror {
    struct upstream *to;
    uint32_t percent; // of the requests
};

/** A core's copies. */
struct mirrors {
    struct slab slab;
    struct list live;
    struct list finished; // in this turn
    struct task reap;
    uint32_t count;
};

void mirrors_init(struct mirrors *m);
/** Ends those that live. Before the sessions' core goes. */
void mirrors_end(struct core *c);
void mirrors_fini(struct core *c);
/** The head of x is as the origin will get it and its body has not been read: copies the request, if
 * its turn has come. */
void mirror_request(struct exchange *x);
