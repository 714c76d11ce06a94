// SPDX-License-Identifier: Apache-2.0
//
// A server: one address in one group (group.h) and the connections to it, per core. Its vitals are
// for all cores; the rest of a core's share only that core touches. A core holds a server while it is
// in the core's list of servers and while a connection to it lives, by a plain count; the last core
// to let go frees it. So no lock is taken with a request or a connection.
//
// A connection that is being opened is not tied to the request that asked for it: requests wait in
// order, and whichever connection becomes ready first serves the first of them that it can. A
// connection may carry many requests at once (h2); which protocol a server speaks is learned from its
// first connection, and until then only one is opened however many wait.
//
// Requests that want to switch protocols (WebSocket) have a lane of their own where the protocol is
// open to choice: there HTTP/1.1 is asked for, which every origin can switch from. Those of layer 4
// have one too: they get the connection as it is.
//
// Where each connection begins with a PROXY header, it speaks for one client's connection: requests of
// others never get it, and none waits for a dial but its own. What a client leaves idle goes as all
// idle ones do, by time, by number, or for want of room.
//
// A server may also be one that calls in (an agent's tunnel): nothing is dialled then, its connections
// come from outside and are taken in (upstream/called.h).

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "http/session.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "upstream/concurrency.h"
#include "upstream/dial.h"
#include "upstream/eject.h"
#include "upstream/vitals.h"

struct bridge_core;
struct group;
struct resolver;
struct server_rows;
struct stream_transports;

enum {
    SERVER_TEXT_MAX = 300,
    SERVER_PENALTY_MS = 1000,
    SERVER_TELL_MS = 10000,
    SERVER_SOURCES_MAX = 16,
};

/** What a core brings: set once, before its loop runs. */
struct upstream_core {
    struct loop *loop;
    struct counters *counters;
    struct dialer *dialer;
    const struct up_protocol *protocols; // ended by one without a name
    struct bridge_core *bridge;          // NULL: none
    struct resolver *resolver;           // NULL: names do not resolve
    struct stream_transports *streams;   // for layer 4 to servers that call in
    uint32_t checks;                     // of health that are on their way
};

struct conf_doc;

/** One per process. The lock guards the lists; it is taken when servers come and go. */
struct upstream_registry {
    pthread_mutex_t lock;
    struct list servers;
    struct list groups;
    atomic_bool closing; // cores are ending: what is left is freed by upstream_registry_fini()
    uint32_t core_count;
    struct server_rows *rows; // where the state of each server is told; NULL: nowhere
    struct upstream_core cores[SNAPSHOT_CORES_MAX];
    const struct conf_doc *books[SNAPSHOT_CORES_MAX]; // groups_set_book(); NULL: none yet
};

/** What is spoken to a server. */
enum server_protocol {
    SERVER_AUTO, // over TLS what it prefers, in clear HTTP/1.1
    SERVER_H1,
    SERVER_H2,     // in clear by prior knowledge
    SERVER_RAW,    // TLS without a word of what is in it: layer 4
    SERVER_CALLED, // h2, on connections that come from outside
};

/** What makes it another server when it changes: connections of the one are no use to the other. */
struct server_kind {
    uint32_t protocol;         // enum server_protocol
    uint64_t tls_hash;         // of all that `tls` was made from; 0: in clear
    struct tls_origin *tls;    // borrowed by server_new(), which takes references
    struct tls_origin *tls_h1; // the same, offering HTTP/1.1 alone; with SERVER_AUTO only
    uint8_t proxy_header;      // 1, 2: each connection begins with a PROXY header; 0: none does
    uint8_t source_count;      // 0: the kernel chooses
    uint64_t caller;           // SERVER_CALLED: which one, of this process; 0: the others
    struct os_peer sources[SERVER_SOURCES_MAX]; // addresses to connect from, in turn
};

/** Whether connections of the one can serve the other. */
bool server_kind_eq(const struct server_kind *a, const struct server_kind *b);

/** What may change while it lives. */
struct server_limits {
    uint32_t connections_max; // of all cores
    uint32_t requests_max;    // at once, of all cores; 0: no limit
    uint32_t idle_max;        // per core
    uint32_t idle_ms;
    uint32_t streams_max; // at once on one connection
};

enum lane_kind { LANE_ANY, LANE_UPGRADE, LANE_RAW, LANE_COUNT };

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
    struct list called; // struct called: connections from outside
    struct server_limits limits;
    uint32_t holds;         // of this core: its list of servers, its connections
    uint32_t open_count;    // sessions and dials
    atomic_uint idle_count; // sessions that carry nothing; others look at it
    bool left;              // no longer in the list: closed as they become idle
    bool entered;           // it was in the core's list
    bool gone;              // and is held no more since
    bool kept;              // held from before or after that
    uint64_t told_ms;       // when a refused certificate, or want of ports, was last logged
    uint32_t source_next;   // whose turn it is
    struct server *server;
    atomic_bool evict_posted;
    struct mail evict; // another core needs the room of an idle connection
};

/** Who hears of a server: its group. On the core that it concerns. */
struct server_owner {
    /** A request that had a place has failed before it got a stream. */
    void (*on_failed)(struct server *s, struct upstream_request *rq, int error);
    /** There may be room for a request that waits: a connection is idle, or gone. */
    void (*on_room)(struct server *s, uint32_t core);
    /** Nobody holds it any more; any thread. It is freed after this. */
    void (*on_freed)(struct server *s);
};

struct server {
    struct vitals vitals;
    struct eject_server eject;
    struct concurrency concurrency;
    uint32_t magic;
    atomic_uint holders; // cores that hold it
    struct upstream_registry *registry;
    const struct server_owner *owner;
    struct group *group;
    struct list link; // of the registry
    uint64_t id;      // of its address, the same in every process
    uint32_t row;     // where the home core tells how it is
    uint32_t told_bits;
    uint64_t told_since_ms; // wall clock, of told_bits
    struct server_kind kind;
    struct os_addr addr;
    char *text; // "10.0.0.1:80", "unix:/path"; behind the cores, as is the host
    char *host; // as it was written: "name:80"
    uint32_t text_len;
    uint32_t host_len;
    bool is_literal;   // it was written as its address
    struct list ports; // struct called, of all cores: under the registry's lock
    struct server_core cores[];
};

struct server_order {
    struct os_addr addr;
    struct slice host; // as it was written
    const struct server_kind *kind;
    const struct server_limits *limits;
    const struct server_owner *owner;
    struct group *group;
};

void upstream_registry_init(struct upstream_registry *r, uint32_t cores);
/** Every core must have been closed. */
void upstream_registry_fini(struct upstream_registry *r);
void upstream_registry_attach(struct upstream_registry *r, uint32_t core,
                              const struct upstream_core *what);
/** The core ends: closes its idle connections to every server. */
void upstream_registry_close(struct upstream_registry *r, uint32_t core);

/** Each core is expected to enter and to leave it once. NULL: out of memory. Any thread. */
struct server *server_new(struct upstream_registry *r, const struct server_order *o) must_check;
/** One that no core has been told of. */
void server_discard(struct server *s);
/** A list of servers with it is the core's now; the limits are those of that list. */
void server_enter(struct server *s, uint32_t core, const struct server_limits *limits);
/** A list of servers with it is the core's no more. */
void server_leave(struct server *s, uint32_t core);
/** A request has a place at it, or has it no more. */
void server_hold(struct server *s, uint32_t core);
void server_let_go(struct server *s, uint32_t core);
/** Keeps its memory, for who is to bring it something from another core. Any thread. */
void server_keep(struct server *s);
void server_drop(struct server *s);
/** No list that is to come will have it: connections are closed when they carry nothing. */
void server_retire(struct server *s, uint32_t core);

static inline struct slice server_text(const struct server *s)
{
    return slice_of(s->text, s->text_len);
}
static inline struct slice server_host(const struct server *s)
{
    return slice_of(s->host, s->host_len);
}

/** Gives a stream (a transport, when rq->raw) to rq now or later: rq->on_ready, or the owner's
 * on_failed; E_UPSTREAM_FULL when no further connection may be opened: nothing was begun then. */
int server_acquire(struct server *s, uint32_t core, struct upstream_request *rq) must_check;
void server_cancel(struct server *s, uint32_t core, struct upstream_request *rq);
/** A transport that on_transport gave away is closed. */
void server_raw_closed(struct server *s, uint32_t core);
