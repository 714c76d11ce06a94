// SPDX-License-Identifier: Apache-2.0
//
// Between the files of a server: server.c (lanes, dials, requests), called.c (connections that come
// from outside). Private to src/upstream. Everything on the lane's core.

#pragma once

#include "upstream/called.h"

struct called;

/** What the owner of a session notes in its owner_flags. */
enum { SESSION_READY = 1, SESSION_IDLE = 2, SESSION_GONE = 4, SESSION_CALLED = 8 };

struct upstream_core *server_core_what(const struct server_core *sc);
/** Takes a connection of those that all cores may open; false: there are as many. */
bool server_reserve(struct server_core *sc);
/** One connection fewer. The server may be freed by this. */
void server_connection_ended(struct server_core *sc);

/** An open session joins: it serves those that wait. It was reserved and holds the server once. */
void lane_join(struct lane *lane, struct up_session *s);
bool lane_has_room(const struct server_core *sc, const struct up_session *s);
/** Puts a session where it belongs after its load or its will has changed. */
void lane_place(struct lane *lane, struct up_session *s);
/** Of struct up_session_owner. */
void lane_on_room(struct lane *lane, struct up_session *s);
/** It is gone: it leaves the lane, and its connection is ended. */
void lane_on_gone(struct lane *lane, struct up_session *s);

/** Of called_raw.c: layer 4 gets a stream of the session as its connection. Ends in rq->on_transport or
 * the owner's on_failed, or in called_cancel_raw(). */
void called_give_raw(struct lane *lane, struct up_session *s, struct upstream_request *rq);
void called_cancel_raw(struct server_core *sc, struct upstream_request *rq);

/** Of called.c: its session was closed by the lane. */
void called_closed(struct called *c);
void called_busy(struct called *c);
/** After a stream was taken. */
static inline void called_look(const struct up_session *s)
{
    if ((s->owner_flags & SESSION_CALLED) != 0 && s->streams > 0 && s->streams % CALLED_BUSY == 0) {
        called_busy(s->owner_arg);
    }
}
/** A session to one of the server's connections on another core; NULL: there is none. */
struct up_session *called_reach(struct lane *lane, const struct up_session_owner *owner);
