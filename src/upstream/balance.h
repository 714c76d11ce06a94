// SPDX-License-Identifier: Apache-2.0
//
// Balancing: which server of a group takes a request. One method, one row. A method is pure: it sees
// the servers' weights and vitals, a time, a random source and its own state, no loop and no socket,
// so that tests/sim drives it with millions of virtual requests. docs/design/balancing.md says how
// each one works and when it is the right one.
//
// A method may have two things of its own: a table, made once per list of servers and shared by all
// cores without being changed (a hash ring, odds to draw by), and a state per core (turns of round
// robin), so that choosing shares nothing but the vitals.
//
// What the caller provides:
// - with a new list of servers: a table for all cores (build) and a zeroed state for each core;
// - for each choice: the list of those that may be asked at all. It changes only when a server's state
//   does, so it is worth keeping: most methods look at two servers of it, not at all;
// - `barred`, for what concerns this one request (tried already, no room); it is asked of those
//   servers only that the method would choose;
// - around each request: vitals.active up when it was chosen, down when it is over, with
//   balance_observe_latency() when it was answered.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/rng.h"
#include "base/slice.h"
#include "upstream/vitals.h"

enum { BALANCE_WEIGHT_MAX = 1000, BALANCE_SERVERS_MAX = 1024 };

/** A server as a method sees it. */
struct balance_server {
    struct vitals *vitals;
    uint32_t weight; // 0: takes nothing
    uint64_t id;     // of its address, the same in every process: its place on a ring
    uint64_t token;  // what a sticky cookie calls it (upstream/sticky.h); 0: not sticky
};

struct balance_settings {
    uint32_t slow_start_ms; // 0: off
    uint32_t bound_percent; // of bounded load, above 100; 0: off
};

/** One choice to make. */
struct balance_choice {
    const struct balance_settings *settings;
    const struct balance_server *servers;
    uint32_t count;
    const uint16_t *list; // indexes of those that may be asked now, ascending
    uint32_t list_count;
    const void *table; // of the method, for these servers; NULL: without, slower and no less right
    void *state;       // this core's
    struct rng *rng;
    uint64_t now_ns; // monotonic
    uint64_t key;    // hash of what the request is placed by (proxy/key.h)
    bool has_key;    // without one a method that needs it chooses at random
    /** Requests that all servers carry, for bounded load. NULL: their vitals are added up, which
     * costs a look at every server of the list. */
    const atomic_uint *active;
    /** Not this one: it was tried by this request, or has no room. NULL: nobody is barred. */
    bool (*barred)(const void *arg, uint32_t index);
    const void *barred_arg;
};

struct balance_method {
    const char *name;
    bool by_key;
    /** Bytes of state per core for n servers, never 0; zeroed before the first choice. */
    size_t (*state_bytes)(uint32_t n);
    /** The shared table (mem_alloc), or NULL with *error; may be left out. Not on the request path:
     * up to some milliseconds for a ring of 1,024 servers. */
    void *(*build)(const struct balance_server *servers, uint32_t n, int *error);
    void (*discard)(void *table);
    /** Index of the chosen server (of `servers`); -1 when none of the list can be asked. Servers of
     * weight 0 are never chosen. */
    int (*pick)(const struct balance_choice *c);
};

/** By its name in the configuration; NULL when there is none. */
const struct balance_method *balance_find(struct slice name);
/** Row i of the table; NULL behind the last. */
const struct balance_method *balance_at(size_t i);

/** A server's weight now, in thousandths: while it starts slowly a part that grows with the time since
 * vitals.ready_since_ms, from a tenth up; 0 only when its weight is. */
uint64_t balance_weight(const struct balance_settings *settings, const struct balance_server *s,
                        uint64_t now_ns);

/** Takes the time to a response head into the average of `ewma`: what is longer than the average
 * counts in full at once, what is shorter draws it down by the time since the last sample. Any core,
 * without a lock: when two cores meet, one sample is lost. For answers and for attempts that were
 * given up because they took too long, not for failures that came quickly. */
void balance_observe_latency(struct vitals *v, uint64_t latency_ns, uint64_t now_ns);
/** The average now: it halves with every BALANCE_LATENCY_HALF_MS without a sample, so that a server
 * that was slow is tried again. 0: not known. */
uint64_t balance_latency(const struct vitals *v, uint64_t now_ns);
enum { BALANCE_LATENCY_HALF_MS = 4000 };
