// SPDX-License-Identifier: Apache-2.0
//
// A server: one origin address and, per core, the connections to it. Servers are shared by all
// snapshots that name the same address and settings, so a reload that does not change one keeps its
// warm connections. What a core keeps here only that core touches; the count of references, taken by
// snapshots and by open connections, is guarded by the registry's lock, which the request path never
// takes (only opening and closing a connection does).
//
// A connection that is being opened is not tied to the request that asked for it: requests wait in
// order, and whichever connection becomes ready first serves the first of them that it can. A
// connection may carry many requests at once (h2); which protocol a server speaks is learned from its
// first connection, and until then only one is opened however many wait.
//
// Requests that want to switch protocols (WebSocket) have a lane of their own where the protocol is
// open to choice: there HTTP/1.1 is asked for, which every origin can switch from.

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "http/session.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "upstream/dial.h"

struct resolver;

enum {
    SERVER_ADDRS_MAX = 16,
    SERVER_TEXT_MAX = 300,
    SERVER_PENALTY_MS = 1000,
    SERVER_TELL_MS = 10000
};

/** What a core brings: set once, before its loop runs. */
struct upstream_core {
    struct loop *loop;
    struct counters *counters;
    struct dialer *dialer;
    const struct up_protocol *protocols; // ended by one without a name
    struct resolver *resolver;           // NULL: names do not resolve
};

/** One per process. */
struct upstream_registry {
    pthread_mutex_t lock;
    struct list servers;
    uint32_t core_count;
    struct upstream_core cores[SNAPSHOT_CORES_MAX];
};

/** What is spoken to a server. */
enum server_protocol {
    SERVER_AUTO, // over TLS what it prefers, in clear HTTP/1.1
    SERVER_H1,
    SERVER_H2, // in clear by prior knowledge
};

/** Servers with equal settings share their connections. */
struct server_settings {
    uint32_t connections_max; // per core
    uint32_t idle_max;        // per core
    uint32_t idle_ms;
    uint32_t streams_max;      // at once on one connection
    uint32_t protocol;         // enum server_protocol
    uint64_t tls_hash;         // of all that `tls` was made from; 0: in clear
    struct tls_origin *tls;    // borrowed by server_get(), which takes references
    struct tls_origin *tls_h1; // the same, offering HTTP/1.1 alone; with SERVER_AUTO only
};

enum lane_kind { LANE_ANY, LANE_UPGRADE, LANE_COUNT };

/** The connections of a core to a server that serve one kind of requests. */
struct lane {
    struct list ready;   // up_session with room, most recently used first
    struct list opening; // dials
    struct list waiting; // upstream_request, oldest first
    bool no_upgrade;     // its sessions are known not to carry a switch of protocols
    uint32_t dialing;
    uint32_t waiting_count;
    uint32_t per_session; // requests that one connection carries at once; 0: not known yet
    struct server_core *core;
};

/** One core's share of a server. */
struct server_core {
    struct lane lanes[LANE_COUNT];
    uint32_t idle_count; // sessions that carry nothing
    uint32_t open_count; // sessions and dials
    uint64_t told_ms;    // when a refused certificate was last logged
    uint32_t addr_count;
    uint32_t addr_next;
    bool resolving;          // the name has been asked for and nothing was heard yet
    uint64_t avoid_until_ms; // a connect failed: others are tried first
    struct os_addr addrs[SERVER_ADDRS_MAX];
    struct server *server;
    struct resolver_watch *watch;
    struct mail retire; // ends the watch, on its core
};

struct server {
    uint32_t magic;
    uint32_t refs; // under the registry's lock
    struct upstream_registry *registry;
    struct list link;
    atomic_uint watched; // cores that still have to end their watch of a server without references
    struct server_settings settings;
    bool is_name;
    uint16_t port;
    char text[SERVER_TEXT_MAX]; // "10.0.0.1:80", "name:80", "unix:/path"
    uint32_t text_len;
    char host[SERVER_TEXT_MAX]; // of a name
    struct server_core cores[];
};

void upstream_registry_init(struct upstream_registry *r, uint32_t cores);
/** Every server must be gone. */
void upstream_registry_fini(struct upstream_registry *r);
void upstream_registry_attach(struct upstream_registry *r, uint32_t core,
                              const struct upstream_core *what);

/** Finds or makes; a reference for the caller. `text` is a checked address. NULL: out of memory. */
struct server *server_get(struct upstream_registry *r, struct slice text,
                          const struct server_settings *settings) must_check;
/** Any thread. */
void server_unref(struct server *s);

static inline struct slice server_text(const struct server *s)
{
    return slice_of(s->text, s->text_len);
}

/** Gives a stream to rq now or later (rq->on_ready, rq->on_failed); E_UPSTREAM_FULL when this core
 * may not open another connection: nothing was begun then. */
int server_acquire(struct server *s, uint32_t core, struct upstream_request *rq) must_check;
void server_cancel(struct server *s, uint32_t core, struct upstream_request *rq);
/** The core ends: closes its idle connections to every server. */
void upstream_registry_close(struct upstream_registry *r, uint32_t core);
