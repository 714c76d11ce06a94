// SPDX-License-Identifier: Apache-2.0
//
// Called: a connection to a server that calls in. An agent has dialled us, the roles have turned
// round, and from here on it is a session of HTTP/2 like any other: its lane gives its streams to
// requests of its core, and a bridge (bridge/bridge.h) to those of the others, opened where a server
// that is dialled would be dialled.
//
// A server without such a connection is away (VITALS_AWAY): requests wait for it in the group's queue.

#pragma once

#include "upstream/server.h"

enum { CALLED_BUSY = 24 };

/** One connection; embedded by who took it in, whose memory it is until on_gone. */
struct called {
    struct list link;      // of the core's share of the server
    struct list port_link; // of the server, under the registry's lock
    struct server *server;
    struct up_session *session;
    struct lane *lane;
    struct bridge_port *port; // for the other cores; NULL: they do without
    uint32_t core;
    bool greeted; // on_greeted was told
    /** The agent has spoken HTTP/2, so it has read that it was let in. On its core, once at most; may be
     * NULL. */
    void (*on_greeted)(struct called *c);
    /** It carries nothing new any more (GOAWAY of the agent, or ours). On its core; may be NULL. */
    void (*on_closing)(struct called *c);
    /** It carries CALLED_BUSY requests, or as many more: another connection would help. On its core;
     * may be NULL. */
    void (*on_busy)(struct called *c);
    /** It is gone, the memory is the caller's again. On its core, once; possibly from inside
     * called_open(), which then returns 0 all the same. */
    void (*on_gone)(struct called *c, int error);
};

/** Takes a transport whose other end speaks HTTP/2 as its server; closed on an error. The server is one
 * that calls in, and its group lives. The caller sets on_closing and on_gone before. On the core. 0 or
 * why not; after 0 the caller does not touch it again unless it is told to. */
int called_open(struct called *c, struct server *s, uint32_t core, struct transport *t,
                const struct http_peer *peer) must_check;
/** The same of one that comes too late, also when the group has ended: it carries nothing, and the agent
 * is told `text` by the GOAWAY that is the first thing it hears. */
int called_refuse(struct called *c, struct server *s, uint32_t core, struct transport *t,
                  const struct http_peer *peer, struct slice text) must_check;
/** A stream over one of the connections that a server has to this core. NULL with E_AGAIN: there is none
 * that has room; or E_NO_MEMORY. On the core. */
struct http_stream *called_take(struct server *s, uint32_t core, int *error) must_check;
/** How many connections its server has. Any core. */
unsigned called_count(struct called *c);
/** The agent is told this text by a GOAWAY that ends nothing: it gets streams as before. On its core. */
void called_announce(struct called *c, struct slice text);
/** The agent is to go: it gets no new stream, and GOAWAY with this text; on_gone comes when the last
 * stream has ended. On its core. */
void called_leave(struct called *c, struct slice text);
