// SPDX-License-Identifier: Apache-2.0
//
// A group: what an upstream is at run time. There is one for each name, shared by all snapshots that
// name it, so that a reload changes its servers in place: connections, health, latencies and counts
// of those that stay go on.
//
// One core is its home. There names are resolved, health is checked and the list of servers is made;
// the others get the list as a roster through their mailbox. What they add to is in the servers'
// vitals. So nothing of a group is locked on the way of a request.
//
// Requests for which no server has room wait in their core's queue. Places that become free go to
// the request that waits longest, on whichever core, and newcomers do not overtake those that wait.
//
// A pool (pool.h) says what the group is to be; the newest snapshot's counts, from the moment a core
// enters it.

#pragma once

#include "net/resolver.h"
#include "upstream/balance_plan.h"
#include "upstream/breaker.h"
#include "upstream/budget.h"
#include "upstream/health.h"
#include "upstream/roster.h"

enum { GROUP_NAME_MAX = 300, GROUP_CALLERS_MAX = 16 };

enum group_entry_type {
    GROUP_ADDRESS, // host is a literal
    GROUP_NAME,    // "name:port": every address of it is a server
    GROUP_SERVICE, // "_http._tcp.name": every record of it is (SRV, RFC 2782)
    GROUP_FILE,    // the path of a watched file
};

/** A line of the configuration's list of servers. */
struct group_entry {
    enum group_entry_type type;
    struct slice at; // without scheme: "10.0.0.1:80", "name:80", "unix:/path"
    struct server_kind kind;
    uint32_t weight;
    uint32_t tier;
    uint32_t bits; // VITALS_DRAIN, VITALS_MAINTENANCE
    struct server_limits limits;
};

/** What is spoken to servers that are not in the configuration, by the scheme they are given. */
enum group_kind {
    GROUP_KIND_CLEAR,
    GROUP_KIND_H2C,
    GROUP_KIND_TLS, // only where the upstream says which name to verify
    GROUP_KIND_RAW_TLS,
    GROUP_KIND_COUNT
};

/** What the configuration says of a group; of a snapshot, immutable. */
struct group_spec {
    struct balance_plan balance;
    uint32_t queue_max; // requests that wait, of all cores; 0: none may
    uint32_t queue_ms;  // for how long
    uint32_t panic_percent;
    struct health_settings health;
    struct eject_settings eject;
    struct breaker_settings breaker;
    struct budget_settings retries;
    struct budget_settings hedges;
    struct concurrency_settings concurrency;
    uint32_t entry_count;
    struct group_entry *entries;
    struct server_limits limits; // of those that are not in the configuration
    bool has_kind[GROUP_KIND_COUNT];
    struct server_kind kinds[GROUP_KIND_COUNT];
};

/** What a name means: one server. */
struct group_target {
    struct os_addr addr;
    uint16_t priority;
    uint16_t weight;
    uint32_t host_len;
    char host[SERVER_TEXT_MAX]; // "target:port"
};

/** A name of the list that is followed. Home core. */
struct group_name {
    struct list link;
    struct group *group;
    struct resolver_watch *watch;
    enum group_entry_type type;
    void (*changed)(struct group *g);
    bool wanted; // by the spec that is being applied
    bool answered;
    int error; // of the last lookup
    uint32_t count;
    struct group_target *targets; // mem_alloc
    char at[SERVER_TEXT_MAX];     // "name:80"
};

/** The health of a group: what is learned of its servers, and what follows for requests. */
struct group_care {
    struct eject_group eject;
    struct breaker breaker;
    struct budget retries;
    struct budget hedges;
    atomic_bool stirred; // requests have ended since the home core last looked
    atomic_bool nudged;
    struct mail nudge; // the home core is to look
    // Home core.
    struct health *health; // NULL: nothing is checked
    struct wheel_timer timer;
    struct concurrency_settings concurrency; // that the servers' limits are of
    bool panic;
};

/** One core's share of a group. */
struct group_core {
    struct group *group;
    struct roster *roster; // NULL: none yet
    struct list waiting;   // upstream_request, oldest first
    uint32_t waiting_count;
    _Atomic uint64_t oldest_ns; // since when the first waits; UINT64_MAX: nobody does
    struct task serve;
    struct wheel_timer timer; // the first has waited long enough
    bool closed;              // the core is ending
    atomic_uint hops;         // other cores that are still to be told of the room there is
    atomic_bool woken;
    struct mail wake;
};

/** A bound on what waits in several groups together. */
struct group_crowd {
    atomic_uint waiting;
    uint32_t max;
};

struct group {
    uint32_t magic;
    bool over;                 // group_end()
    bool calls;                // its servers call in (group_join()); it is found by nobody's name
    struct slice checked_as;   // of such servers: the host that checks ask for; empty: no checks
    struct group_crowd *crowd; // NULL: none
    atomic_uint holders;       // pools together count as one, each server as one
    uint32_t pools;            // under the registry's lock
    bool retired;              // no pool is left, and none will come
    struct upstream_registry *registry;
    uint32_t home;
    struct list link;    // of the registry
    struct list rosters; // that a core still has
    atomic_uint epoch;   // moves with each change of a server's bits
    atomic_uint waiting; // requests, of all cores
    char *name;          // ended by 0; behind the cores
    struct group_care care;
    // Home core.
    const struct group_spec *spec; // NULL: no snapshot in force has it
    struct list names;
    struct group *next_at_home; // during groups_set_book()
    uint32_t caller_count;
    struct server *callers[GROUP_CALLERS_MAX];
    struct roster *newest;
    struct mail retire;
    struct wheel_timer tell; // how its servers are (group_rows.c)
    struct group_core cores[];
};

/** Finds or makes; one more pool. `name` is cut to what fits. NULL: out of memory. Any thread. */
struct group *group_get(struct upstream_registry *r, struct slice name) must_check;
/** One whose servers call in: a new one, whatever others are called. Its home core gives it a spec by
 * group_enter(). NULL: out of memory. Any thread. */
struct group *group_new(struct upstream_registry *r, struct slice name, struct group_crowd *crowd)
    must_check;
/** Checks ask its servers for this host, which lives until group_end(). Before group_enter(). */
void group_check_as(struct group *g, struct slice host);
/** One pool fewer: of one that calls in, the last. No request waits in it. Any thread. */
void group_put(struct group *g);

/** A core begins to use the snapshot of `spec`. The group takes it over on its home core. */
void group_enter(struct group *g, struct loop *l, const struct group_spec *spec);
/** A core uses it no more; nothing when another one has taken its place. */
void group_leave(struct group *g, struct loop *l, const struct group_spec *spec);

/** A server that calls in joins the list: `addr` is where it calls from, for logs, `id` is unique in
 * the process. It is the group's until group_part(). Home core; the group has a spec. 0, E_TOO_LARGE
 * (GROUP_CALLERS_MAX), E_NO_MEMORY. */
int group_join(struct group *g, const struct os_addr *addr, uint64_t id, struct server **out)
    must_check;
/** It leaves the list: its connections are closed when they carry nothing. Without servers requests
 * wait for one to join. Home core; the group has a spec. */
void group_part(struct group *g, struct server *s);
/** No server will join any more: what waits fails. Home core; the group has a spec. */
void group_end(struct group *g);
/** The home core of a group of this name. */
uint32_t group_home(const struct upstream_registry *r, struct slice name);

/** As struct upstream_ops has it; `key` is what the request is placed by. */
void group_acquire(struct group *g, struct upstream_request *rq, const struct group_spec *spec,
                   const uint64_t *key);
void group_cancel(struct group *g, struct upstream_request *rq);
void group_release(struct group *g, struct upstream_request *rq, const struct upstream_outcome *o);

/** What watched files and commands say (upstream/servers.h), for the groups that are at home on this
 * core. It must stay until the core was given another one. On the core, between two turns. */
void groups_set_book(struct upstream_registry *r, uint32_t core, const struct conf_doc *book);

/** May an attempt be repeated, or (hedge) begun beside another one? Then it is counted. Any core. */
bool group_may_repeat(struct group *g, struct loop *l, const struct group_spec *spec, bool hedge);

/** A server's bits have changed: every core looks again before its next choice. Any core. */
void group_changed(struct group *g);

/** The roster that this core has now; NULL: none yet. */
const struct roster *group_roster(const struct group *g, uint32_t core);

/** Of upstream_registry_close() and upstream_registry_fini(). */
void groups_close(struct upstream_registry *r, uint32_t core);
void groups_free(struct upstream_registry *r);
