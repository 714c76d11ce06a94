// SPDX-License-Identifier: Apache-2.0
//
// Between the files of the registry: registry.c (the table, zones, owners, life), tunnel.c (what
// happens on a tunnel's home core), row.c (what is told of it), connection.c (an agent's connection on
// its own core). Private to src/tunnel.

#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/text.h"
#include "upstream/called.h"

#include "tunnel/rates.h"
#include "tunnel/registry.h"

enum {
    REGISTRY_MAGIC = 0x74726567,
    TUNNEL_MAGIC = 0x74756e6e,
    CONNECTION_MAGIC = 0x74636f6e,
    REGISTRY_PARTS = 64,
    REGISTRY_BUCKETS = 256, // of a part
    OWNER_BUCKETS = 256,
    TUNNEL_REASON_MAX = 128,
};

/** What an end says to agents. */
#define TUNNEL_END       "end "
#define TUNNEL_PORT_OVER "the edge does not give this port any more"

struct registry_part {
    _Alignas(64) pthread_mutex_t lock;
    struct list buckets[REGISTRY_BUCKETS]; // struct tunnel
};

struct owner_count {
    struct list link;
    uint32_t tunnels;
    char owner[TUNNEL_OWNER_MAX];
};

struct registry_core {
    struct loop *loop;
    struct counters *counters;
    struct conn_door *door; // by which connections come
    struct tunnel_registry *registry;
    struct list tunnels;     // at home here
    struct list connections; // whose core this is, once they have arrived
    struct list parked; // anonymous tunnels, the longest first; but those from before the worker
    uint32_t parked_count;
    const struct access *access;
    uint16_t tls_port;   // of visitors; 0: none
    uint16_t clear_port; // the same
    bool draining;
    bool closed;             // nothing is begun any more
    struct wheel_timer look; // for grants that have expired
};

struct tunnel_registry {
    uint32_t magic;
    uint32_t core_count;
    struct upstream_registry *upstreams;
    struct tunnel_ports *ports;
    struct tunnel_rows *rows;
    struct callers *callers;
    struct rates *rates;
    const struct tunnel_rows *before;
    struct group_crowd crowd; // visitors that wait for agents
    struct hash_key key;
    atomic_uint tunnels; // all there are
    _Atomic uint64_t connection_ids;
    pthread_mutex_t lock; // of what follows
    struct list zones;
    struct list claims;
    struct list owners[OWNER_BUCKETS];
    uint32_t anonymous; // tunnels of agents that are their own owners
    uint32_t anonymous_max;
    uint32_t parked_max;         // anonymous ones of a core
    uint32_t parked_per_address; // at least, on all cores
    struct registry_part *parts;
    struct registry_core cores[];
};

struct tunnel_zone {
    struct list link;
    struct tunnel_registry *registry;
    uint32_t site_len;
    char site[ZONE_SUFFIX_MAX];
    const struct zone *at[]; // per core: what the snapshot in force there says; NULL: nothing
};

/** One run of an agent for one tunnel. Home core. */
struct tunnel_instance {
    struct list link;
    struct server *server;
    uint8_t id[TUNNEL_INSTANCE_BYTES];
    uint64_t sequence; // of the newest claim
    struct tunnel_connection *slots[TUNNEL_SLOTS];
    struct os_addr address;
    char grant[TUNNEL_GRANT_MAX];
    uint64_t proof_until_ms; // as its newest claim said
    char agent[TUNNEL_AGENT_MAX];
    bool leaves;     // it said that it goes: it is not waited for
    bool has_secret; // it has said it, or one that has gone was greeted
};

struct tunnel {
    uint32_t magic;
    atomic_uint holders; // the table, each exchange, each connection
    struct tunnel_registry *registry;
    struct tunnel_zone *zone;
    struct group *group;
    uint32_t home;
    uint64_t hash;
    struct list bucket;        // of its part, under the part's lock
    struct mail freed;         // the last holder's word to the home core
    _Atomic uint64_t bytes_in; // from visitors
    _Atomic uint64_t bytes_out;
    enum tunnel_kind kind;
    uint16_t port;
    bool wildcard;
    bool random;
    bool secure;      // visitors can come with TLS
    atomic_uint rate; // place among the rates, of the last token that came
    uint32_t name_len;
    char owner[TUNNEL_OWNER_MAX];
    // Home core.
    struct list link; // of the core
    bool over;        // out of the table
    bool lived;       // some connection has arrived; here, or at the worker before
    bool shared;      // an instance has said that it joins
    struct list instances;
    struct list connections; // all that are not forgotten yet
    struct wheel_timer park;
    struct list parked;      // of the core
    uint64_t parked_wall_ms; // since when; 0: it is live
    atomic_bool is_parked;   // the same, for other cores
    bool port_wanted; // it is parked from before the edge, whose port nobody has opened so far
    struct tunnel_port_ask ask;
    enum counter counted; // among those that are live or parked; COUNTER_COUNT: not yet, or no more
    uint64_t since_wall_ms;
    uint32_t row;
    uint32_t told_url; // HTTP: what its row says of listeners
    char host[];       // the name, and what the zone has behind it; ended by 0
};

/** An agent's connection. Made and forgotten on the tunnel's home core; in between its session is on
 * `core`, where `called` and what is marked so belong. */
struct tunnel_connection {
    uint32_t magic;
    atomic_uint holders; // the home core until it is gone; mail of the home core on its way
    struct list link;    // of the tunnel
    struct tunnel *tunnel;
    struct tunnel_instance *instance; // home core; NULL: replaced, or its tunnel is over
    struct server *server;            // kept
    uint64_t id;
    uint8_t slot;
    uint32_t core;
    struct os_addr address;  // once it has arrived ...
    struct callers *callers; // ... where it is counted
    bool is_open;            // home core: it has arrived
    bool told_end;           // home core
    bool leaves;             // home core: the agent has said that it goes
    atomic_bool greeted;     // its own core says so: the agent has read its 101
    atomic_uint rtt_us;      // the same of its path; 0: not known
    // Its own core.
    struct called called;
    struct list at_core;
    bool open;
    bool left_by_us;   // GOAWAY was ours
    uint64_t asked_ms; // for more connections
    bool end_came;
    // Mail to the home core, once each and in this order; the last one is always sent.
    struct mail arrived;
    struct mail leaving; // the agent says that it goes
    struct mail gone;
    // Mail from the home core, once.
    struct mail end;
    uint32_t reason_len;
    char reason[TUNNEL_REASON_MAX];
};

static inline struct registry_core *tunnel_core(const struct tunnel *t)
{
    return &t->registry->cores[t->home];
}

// registry.c
/** As tunnel_find(), but nothing above it. */
struct tunnel *tunnel_find_exact(struct tunnel_zone *z, struct slice name) must_check;
uint64_t tunnel_hash(const struct tunnel_registry *r, const struct tunnel_zone *z,
                     struct slice name);
/** One more tunnel of an owner; false: there are `most` already, or too many of agents without a token. */
bool owner_count_up(struct tunnel_registry *r, const char *owner, uint32_t most);
/** Of an agent that has no token. */
bool owner_is_anonymous(const char *owner);
void owner_count_down(struct tunnel_registry *r, const char *owner);
void claim_free(struct tunnel_claim *c);
/** Into the table, out of it. */
void tunnel_list(struct tunnel *t);
void tunnel_unlist(struct tunnel *t);
struct group *tunnel_group_new(struct tunnel_zone *z, struct slice name) must_check;
/** When agents are to come back, so that they do not all come at once. */
uint32_t tunnels_retry_ms(struct tunnel_registry *r);
/** Whether its zone still gives the port; true of one that has none. */
bool tunnel_has_port(const struct tunnel *t);
/** "tcp:20000". */
struct slice tunnel_port_name(enum tunnel_kind kind, uint16_t port, struct text *out);
uint32_t tunnel_home(struct tunnel_registry *r, const struct tunnel_zone *z, struct slice name);

// tunnel.c: home core.
void tunnel_judge(struct tunnel_claim *c, uint32_t core);
void tunnel_connection_arrived(struct tunnel_connection *c);
void tunnel_connection_leaving(struct tunnel_connection *c);
/** The last that is heard of it. */
void tunnel_connection_gone(struct tunnel_connection *c);
void tunnel_end(struct tunnel *t, struct slice why);
/** Makes the tunnel of a claim; it has no instance yet. 0, E_TUNNEL_LIMIT, E_NO_MEMORY. */
int tunnel_add(const struct tunnel_claim *c, uint32_t core, struct tunnel **out) must_check;
void tunnel_park(struct tunnel *t);
/** Tells of all, and ends those that may not be any more. True: ports of some are
 * wanted. */
bool tunnels_look(struct registry_core *rc);
void tunnel_free(struct tunnel *t);

// row.c: home core.
/** Writes the whole row. */
void tunnel_tell(struct tunnel *t);
/** Only what changes with every request, as long as nothing else has. */
void tunnel_tell_counts(struct tunnel *t);
/** Counts it as what it is: live, parked or neither. */
void tunnel_recount(struct tunnel *t);

// revive.c
/** Names of the zone that lived before this worker did are parked. */
void tunnels_revive(struct tunnel_zone *z, uint32_t core);
/** Opens the port of one that is parked from before, when it is wanted. */
void tunnel_open_port(struct tunnel *t);

// connection.c
/** Tells how long the path takes. Its own core. */
void connection_look(struct tunnel_connection *c);
/** Expected from now on; of the tunnel's list. NULL: out of memory. Home core. */
struct tunnel_connection *connection_new(struct tunnel *t, struct tunnel_instance *i) must_check;
/** Tells its core to end it. Home core. */
void connection_end(struct tunnel_connection *c, struct slice why);
void connection_let_go(struct tunnel_connection *c);
