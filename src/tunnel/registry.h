// SPDX-License-Identifier: Apache-2.0
//
// The registry: every tunnel of a worker. A tunnel is a name of a zone and the agents that serve it:
// a group (upstream/group.h), whose servers are the agents' instances and whose connections are theirs
// (upstream/called.h). So requests wait for an agent that was lost in the group's queue, agents that
// share a name are balanced, and their failures count, as with any other upstream.
//
// The group's home core is the tunnel's: there claims are judged, instances and connections come and
// go, and names are parked. Other cores send mail. What they do by themselves is to find a tunnel by
// its name, in a table in many parts, each with a lock that is held for a few comparisons.
//
// An agent's connection, once claimed, belongs to one core for its life: which one the claim says.

#pragma once

#include <stdint.h>

#include "http/stream.h"
#include "loop/loop.h"
#include "proxy/snapshot.h"
#include "tunnel/ports.h"
#include "tunnel/zone.h"

struct access;
struct callers;
struct conn_door;
struct transport;
struct tunnel;
struct tunnel_connection;
struct tunnel_registry;
struct tunnel_rows;
struct upstream_registry;

enum {
    TUNNEL_NAME_MAX = 254,
    TUNNEL_OWNER_MAX = 64,
    TUNNEL_GRANT_MAX = 32,
    TUNNEL_AGENT_MAX = 64,
    TUNNEL_INSTANCE_BYTES = 16,
    TUNNEL_SLOTS = 4, // connections of an instance
};

enum tunnel_kind { TUNNEL_HTTP, TUNNEL_TCP, TUNNEL_UDP };

struct tunnel_registry_order {
    struct upstream_registry *upstreams;
    uint32_t cores;
    struct tunnel_rows *rows;         // where tunnels are told of; NULL: nowhere
    const struct tunnel_rows *before; // of the worker before: its names are parked; NULL: none
};

/** 0 or E_NO_MEMORY. Main thread. */
int tunnel_registry_new(const struct tunnel_registry_order *o, struct tunnel_registry **out)
    must_check;
/** Every core must have been closed. */
void tunnel_registry_free(struct tunnel_registry *r);
/** Who opens public ports; outlives the registry. Without it there are no tunnels of TCP and UDP. */
void tunnels_set_ports(struct tunnel_registry *r, struct tunnel_ports *ports);
/** What a core brings. Main thread, before its loop runs. */
void tunnel_registry_attach(struct tunnel_registry *r, struct loop *l, struct counters *counters,
                            struct conn_door *door);
/** Something happened on that core, in its own words. */
void tunnels_count(const struct tunnel_zone *z, uint32_t core, enum counter what);
/** The core ends, its exchanges have ended. On the core. */
void tunnel_registry_close(struct tunnel_registry *r, uint32_t core);

/** An agent asks for a name. Filled by who judged its handshake; made by tunnel_claim_new(). */
struct tunnel_claim {
    struct mail mail;
    struct list link; // the registry's
    struct tunnel_registry *registry;
    struct loop *loop; // of the core that asks
    struct tunnel_port_ask ask;
    struct tunnel_zone *zone;
    enum tunnel_kind kind;
    uint16_t port;              // TCP, UDP: the public one; 0: any
    uint32_t name_len;          // 0 only with a port
    char name[TUNNEL_NAME_MAX]; // lower case and checked: a label, or a whole domain
    char owner[TUNNEL_OWNER_MAX];
    char grant[TUNNEL_GRANT_MAX]; // id of the token, key or certificate; empty: anonymous
    char agent[TUNNEL_AGENT_MAX]; // product and version, for lists
    uint64_t proof_until_ms;      // wall clock: when its certificate ends; 0: it has none
    uint64_t judged_by;           // access_number() of the table that said so
    uint32_t tunnels_max;         // of the owner, at once; 0: as the zone says
    uint32_t rate;                // requests in a second; 0: as many as come
    bool random;                  // the name is one of ours: another one would do
    bool ticket;                  // a ticket of this owner and instance says the name
    bool join;
    bool wildcard;
    bool secure; // visitors will come with TLS
    bool proven; // the secret of this owner's instance was right
    uint8_t slot;
    uint64_t sequence;
    uint8_t instance[TUNNEL_INSTANCE_BYTES];
    struct os_addr address;
    struct callers *callers; // where the address was counted: left when the connection is gone
    // The answer.
    int error; // 0, E_TUNNEL_..., E_AGAIN (it was judged by an old table), E_DRAINING, E_NO_MEMORY
    uint32_t retry_within_ms;
    uint64_t connection_id;
    struct tunnel_connection *connection;
    /** On the core that asked, once. The claim is then the asker's until tunnel_arrive() or
     * tunnel_abandon(). */
    void (*on_judged)(struct tunnel_claim *c);
    void *arg;
};

/** Who calls, on all cores. Lives as long as the registry. */
struct callers *tunnels_callers(struct tunnel_registry *r);
/** All zero but the registry and the loop; NULL: out of memory. On the core that asks. */
struct tunnel_claim *tunnel_claim_new(struct tunnel_registry *r, struct loop *l) must_check;
/** Sends it to the name's home. */
void tunnel_claim(struct tunnel_claim *c);
/** The 101 has been sent: the connection is the tunnel's from here on, whatever becomes of it. */
void tunnel_arrive(struct tunnel_claim *c, struct transport *t, const struct http_peer *peer);
/** It was refused, or the agent has gone. Leaves the callers as well. */
void tunnel_abandon(struct tunnel_claim *c);

/** From now on this is what tokens may do; tunnels that it does not allow any more are ended. On the
 * core; the table stays until the core is given another one. */
void tunnels_set_access(struct tunnel_registry *r, uint32_t core, const struct access *a);
const struct access *tunnels_access(const struct tunnel_registry *r, uint32_t core);
/** The ports of the edge's first listeners, with which lists name tunnels of HTTP; 0: there is none. On
 * the core. */
void tunnels_set_web_ports(struct tunnel_registry *r, uint32_t core, uint16_t tls, uint16_t clear);
/** The edge restarts: every agent of this core's connections is told to come back. On the core. */
void tunnels_drain(struct tunnel_registry *r, uint32_t core);
/** Ends the tunnels at home on this core whose name (with or without its zone) or grant is `what`, of
 * the zone of that site (empty: of any); the agents are told why. Returns how many. On the core. */
uint32_t tunnels_kick(struct tunnel_registry *r, uint32_t core, struct slice zone,
                      struct slice what, struct slice why);

// What zones need.

/** The zone of a site, made when there is none. NULL: out of memory. Any thread. */
struct tunnel_zone *tunnel_zone_get(struct tunnel_registry *r, struct slice site) must_check;
/** A core begins to use a snapshot in which the zone is so, or leaves it. On the core. */
void tunnel_zone_enter(struct tunnel_zone *z, uint32_t core, const struct zone *says);
void tunnel_zone_leave(struct tunnel_zone *z, uint32_t core, const struct zone *says);
/** The tunnel of a name, or of the nearest name above it that takes what is below; held once more.
 * NULL: there is none. Any core. */
struct tunnel *tunnel_find(struct tunnel_zone *z, struct slice name) must_check;
struct tunnel *tunnel_find_port(struct tunnel_zone *z, enum tunnel_kind kind, uint16_t port)
    must_check;
/** Whether it is parked, and that owner's: he may have it again. Any core. */
bool tunnel_waits_for(const struct tunnel *t, const char *owner);
/** Whether a tunnel of any zone has the port, parked ones included. Any thread. */
bool tunnels_have_port(struct tunnel_registry *r, uint64_t key, enum tunnel_kind kind,
                       uint16_t port);
void tunnel_hold(struct tunnel *t);
void tunnel_let_go(struct tunnel *t);
/** So much has passed through it. Any core. */
void tunnel_count_bytes(struct tunnel *t, uint64_t in, uint64_t out);
struct group *tunnel_group(const struct tunnel *t);
/** Whether visitors of a host may come to it: what is below a wildcard is not, where somebody else has
 * proved it to be his. On the core. */
bool tunnel_may_answer(const struct tunnel *t, uint32_t core, struct slice host);
/** Counts a request against the rate of the tunnel's token; false: it is one too many. Any core. */
bool tunnel_may_ask(struct tunnel *t, uint64_t now_ns);
/** "myapp": for logs. */
struct slice tunnel_name(const struct tunnel *t);
