// SPDX-License-Identifier: Apache-2.0
//
// conn_move: an idle connection changes its core. What is under it, down to the TLS object, goes along;
// the session that was above it does not: whoever had the connection has let it go, and the callback on
// the other core puts a new session on it. Bytes that were read from the socket but not from the
// transport are not lost.
//
// A core has a door for those that come. One that is ending closes it, and takes in first what was on
// its way.

#pragma once

#include "loop/gate.h"
#include "loop/transport.h"

#include "http/stream.h"

enum { CONN_DOOR_INBOUND_MAX = 1024 };

/** One per core; outlives every core's loop. */
struct conn_door {
    struct gate gate;
    struct transport_core *transports;
};

/** A connection on its way. The caller's memory (mem_alloc(): it ends on another core), often in
 * something larger; his again in `arrived`. */
struct conn_move {
    struct gate_mail mail;
    struct conn_door *to;
    struct transport_parcel parcel;
    struct http_peer peer; // of the connection: transport and security are those of the new core
    /** On the other core, once. `t` is the callee's, its owner to be set at once. NULL: `error` says
     * why, and the connection is closed. */
    void (*arrived)(struct conn_move *m, struct transport *t, int error);
};

/** Open. Before the loop runs. */
void conn_door_init(struct conn_door *d, struct loop *l, struct transport_core *transports);
/** On its core, when that ends: what is on its way arrives inside; nothing comes after it. */
void conn_door_close(struct conn_door *d);

/** Moves `t`, which nobody uses any more, to the core of `to` (its own one will do). m->arrived must be
 * set. 0: it is gone from here. An error: nothing has changed, and `arrived` is not called. E_DRAINING,
 * E_OVERLOADED: see gate_enter(); E_UNSUPPORTED, E_NO_MEMORY: see transport_pack(). */
int conn_move(struct conn_move *m, struct conn_door *to, struct transport *t,
              const struct http_peer *peer) must_check;
