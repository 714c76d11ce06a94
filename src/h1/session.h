// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 sessions: the state machines over the codec, one per connection, on both sides of the
// proxy. What is common to both (reading, bodies, writing, deadlines) is h1/conn.c; what differs is
// h1/down.c (receives requests) and h1/up.c (sends them). Everything of one core hangs on a struct
// h1_core; nothing is shared between cores.
//
// Objects die at the end of a turn: a connection that is closed inside a callback stays readable
// memory until the loop's deferred work runs, so no caller up the stack holds a dangling pointer.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "obs/counters.h"

#include "h1/codec.h"

struct h1_conn;

struct h1_settings {
    struct h1_limits limits;
    uint32_t header_ms;        // request head, from its first byte
    uint32_t idle_ms;          // keep-alive wait of a client
    struct http_timeouts down; // until a route sets its own
    uint64_t requests_per_connection;
};

struct h1_core {
    uint32_t magic;
    bool draining; // answers say Connection: close
    struct loop *loop;
    struct counters *counters;
    struct http_handler *handler; // of requests
    struct h1_settings settings;  // of the current snapshot
    struct slab conns;
    struct list idle; // down connections between two requests, idlest first
    struct list down; // the other down connections
    struct list dead; // closed in this turn
    struct task reap;
    uint32_t down_count;
    uint64_t next_id;
    uint64_t date_second;
    char date[29];
};

/** `connections_max` counts both sides of this core. */
int h1_core_init(struct h1_core *h, struct loop *l, struct counters *counters,
                 struct http_handler *handler, uint32_t connections_max) must_check;
/** Closes what is left. The loop must run no more. */
void h1_core_fini(struct h1_core *h);

/** Takes an accepted descriptor. On an error the descriptor is closed. */
int h1_down_open(struct h1_core *h, int fd, const struct http_peer *peer) must_check;
/** There is no place for an accepted descriptor: says 503, as far as that goes without waiting, closes
 * and counts. */
void h1_down_turn_away(struct h1_core *h, int fd);
/** Closes the idlest client connection; false when none is idle. */
bool h1_down_close_idlest(struct h1_core *h);
/** Closes all idle ones now, the others after their answer. Tunnels live on. */
void h1_core_drain(struct h1_core *h);
/** Ends every connection at once, tunnels included. */
void h1_core_abort(struct h1_core *h);

/** Who owns an up connection: a pool. */
struct h1_up_owner {
    /** The connection is established and idle (first time, and after each exchange that ended so
     * that it can carry another). */
    void (*on_idle)(struct h1_conn *c, void *owner);
    /** It is closed and about to go; `error` says why (E_EOF: the origin closed an idle one). Before
     * the first on_idle: the connect failed. */
    void (*on_gone)(struct h1_conn *c, void *owner, int error);
};

/** Begins to connect. The connection, or NULL with *error set. `owner_arg` is given back to the
 * owner's callbacks. */
struct h1_conn *h1_up_open(struct h1_core *h, const struct sys_connect *to, uint32_t connect_ms,
                           const struct h1_up_owner *owner, void *owner_arg, int *error) must_check;
/** The stream of an idle up connection: the caller sets events and user and may then send. */
struct http_stream *h1_up_stream(struct h1_conn *c);
/** For the owner's lists; a member it may use as it likes. */
struct list *h1_up_link(struct h1_conn *c);
struct h1_conn *h1_up_of_link(struct list *link);
/** Closes an idle or connecting one; on_gone is not called. */
void h1_up_close(struct h1_conn *c);
/** True once the connect has succeeded. */
bool h1_up_connected(const struct h1_conn *c);
/** True when no exchange is on it. In on_gone: when none was at the end. */
bool h1_up_is_idle(const struct h1_conn *c);
/** How long an idle one is kept. */
void h1_up_set_idle(struct h1_conn *c, uint32_t idle_ms);
/** Nanoseconds that the connect took. */
uint64_t h1_up_connect_ns(const struct h1_conn *c);
/** Exchanges that it has carried. */
uint64_t h1_up_exchanges(const struct h1_conn *c);
