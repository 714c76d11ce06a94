// SPDX-License-Identifier: Apache-2.0
//
// A bridge: an up_session on one core (near) whose streams are carried by an up_session that lives on
// another (far). To an exchange its streams are like any other's; whoever owns the near session opens it
// in place of a dial.
//
// The session's own core makes a port for it, which the other cores may hold and look at. Through a port
// come the streams of any number of near sessions; the session itself stays with its owner, who may use
// it at the same time, and who gives a stream when the bridge asks for one.
//
// All bridges between two cores share one channel per direction: what a turn has to say goes in one
// mail. Heads are copied once, bodies go by reference, and no more than BRIDGE_WINDOW bytes per stream
// and direction are on their way (docs/design/bridge.md).

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "http/session.h"
#include "obs/counters.h"

struct bridges;
struct bridge_core;
struct bridge_port;

enum {
    BRIDGE_WINDOW = 128 * 1024, // bytes of a body that are on their way, per stream and direction
    BRIDGE_WAITING_MAX = 1024,  // streams that wait for room in one far session
};

struct bridge_limits {
    uint32_t streams_max;  // of a core: those it has begun, and as many that others have
    uint32_t sessions_max; // near ones of a core
};

/** What all cores share. 0 or E_NO_MEMORY. Before any core. */
int bridges_new(uint32_t cores, struct bridges **out) must_check;
/** When every core was closed and no loop runs any more. */
void bridges_free(struct bridges *b);
/** Core number l->core. Before any loop runs. `counters` outlive it. NULL: out of memory. */
struct bridge_core *bridge_core_new(struct bridges *b, struct loop *l, struct counters *counters,
                                    const struct bridge_limits *limits) must_check;
/** On the core's thread, when it ends: its near sessions and ports are closed (their owners have let
 * them go, or hear of it), and turns of the loop are taken until no other core has anything of its
 * own. The memory goes with bridges_free(). Twice is once. */
void bridge_core_close(struct bridge_core *c);

// ---- the far end: the core of the session ----------------------------------------------------------

struct bridge_port_order {
    struct up_session
        *session; // read by the bridge, on its core: streams, streams_max, can_upgrade
    /** Gives a stream of it, as up_session_ops.take() does. NULL with *error: E_AGAIN, there is no room
     * (bridge_port_room() will be called); any other code fails the one that asks for it. */
    struct http_stream *(*take)(void *arg, int *error);
    void *arg;
};

/** Opens the session to other cores. One reference, the caller's. 0 or E_NO_MEMORY. */
int bridge_port_new(struct bridge_core *c, const struct bridge_port_order *o,
                    struct bridge_port **out) must_check;
/** The session may have room, or says other things of itself than before: those that wait get their
 * streams, the near sessions hear of it. From the owner's on_room. May take streams inside. */
void bridge_port_room(struct bridge_port *p);
/** The session takes no further streams; those that live go on (up_session_owner.on_closing). */
void bridge_port_closing(struct bridge_port *p);
/** The session is gone, or is not to be used from here any more: near sessions are gone once the
 * streams that they have are. What waits fails with E_NOT_PROCESSED. The session and `arg` are not
 * touched after this. Twice is once; the reference stays the caller's. */
void bridge_port_close(struct bridge_port *p, int error);

/** Any thread. */
struct bridge_port *bridge_port_ref(struct bridge_port *p);
void bridge_port_unref(struct bridge_port *p);

/** What a port looked like a moment ago. */
struct bridge_port_state {
    uint32_t core;        // where the session lives
    uint32_t streams;     // that it carries, of all cores, and that wait for it
    uint32_t streams_max; // as its peer allows
    uint32_t rtt_us;      // as up_session has it
    bool can_upgrade;
    bool open; // further streams may be asked for
};
/** Any thread. */
struct bridge_port_state bridge_port_look(const struct bridge_port *p);

// ---- the near end ----------------------------------------------------------------------------------

/** A near session over `port`, which may be one of this core as well; takes a reference of it. It looks
 * like the far one: protocol, streams_max, can_upgrade. It lives until it is closed or the port is;
 * terms->idle_ms is not for it. No callback comes before this returns. A far session without room lets
 * streams wait, in order. NULL with *error: E_DRAINING (the port is closed, or its core ends),
 * E_NO_MEMORY, E_UPSTREAM_FULL (sessions_max). */
struct up_session *bridge_open(struct bridge_core *c, struct bridge_port *port,
                               const struct up_session_terms *terms, int *error) must_check;
