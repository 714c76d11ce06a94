// SPDX-License-Identifier: Apache-2.0
//
// A gate: where a core takes in what other cores send it, until it ends. A mail that is posted to a
// loop which runs no more is never opened, and what it carries is lost. So each one through a gate is
// counted first, and a core that closes its gate goes on until all that were counted have come; who
// asks later is told, and keeps what he has.

#pragma once

#include <stdatomic.h>

#include "loop/loop.h"

/** Outlives every core's loop. Other cores write here: not beside what a core uses often. */
struct gate {
    uint32_t magic;
    uint32_t inbound_max;
    _Alignas(64) atomic_bool open;
    atomic_uint inbound; // counted, and not opened yet
    struct loop *loop;
};

/** What goes through a gate. Embedded in the sender's object; the receiver's from gate_post() on. */
struct gate_mail {
    struct mail mail;
    struct gate *gate;
    /** On the gate's core, in its next turn. The mail may be freed inside. */
    void (*fn)(struct gate_mail *m);
};

/** Closed. `inbound_max`: more at once are refused. Before the loop runs, as is gate_open(). */
void gate_init(struct gate *g, struct loop *l, uint32_t inbound_max);
void gate_open(struct gate *g);
/** Nothing is let in from here on; takes turns of the loop until what was on its way has come. On the
 * gate's core. */
void gate_close(struct gate *g);

/** Any thread. Counts one more: 0, and gate_post() or gate_leave() is due; E_DRAINING when the core is
 * ending; E_OVERLOADED when it is behind. */
int gate_enter(struct gate *g) must_check;
void gate_leave(struct gate *g);
/** Any thread, after gate_enter(): m->fn runs on the gate's core. */
void gate_post(struct gate *g, struct gate_mail *m);
static inline uint32_t gate_inbound(struct gate *g)
{
    return atomic_load_explicit(&g->inbound, memory_order_relaxed);
}
