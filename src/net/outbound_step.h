// SPDX-License-Identifier: Apache-2.0
//
// Walks the way out on a transport that is connected to the proxy: a step between connecting and TLS.
// When it is open, the transport is one to the target.

#pragma once

#include "loop/transport.h"
#include "net/outbound_talk.h"

/** Embedded in its owner. */
struct outbound_step {
    uint32_t magic;
    struct transport *t; // NULL: none is on its way
    /** Once, never from inside outbound_step_begin(). 0, or why there is no way (E_OUTBOUND_..., or an
     * error of the socket); the transport is the caller's again, and its owner to be set anew. */
    void (*done)(struct outbound_step *s, int error);
    void *owner;
    struct task first; // says the first word
    struct outbound_talk talk;
};

/** Begins on a connected transport of which nothing was read; s->talk has begun. The step is its owner
 * until `done` or outbound_step_stop(). Time is the caller's business. */
void outbound_step_begin(struct outbound_step *s, struct transport *t,
                         void (*done)(struct outbound_step *s, int error));
/** Gives up without a call; nothing when none is on its way. The transport stays the caller's. */
void outbound_step_stop(struct outbound_step *s);
