// SPDX-License-Identifier: Apache-2.0
//
// A world to balance in: servers with some workers each and a queue, requests that arrive at random
// and are given to a server by one of several cores, as it happens in adit: each core has its own
// state and random numbers, all share the vitals. Time is virtual; a second of a million requests
// takes less than a second.
//
// A server's workers take requests in the order they came. So when one arrives it is known when it
// will be over, and the only events are the ends.

#pragma once

#include "upstream/balance.h"

enum {
    WORLD_SERVERS = BALANCE_SERVERS_MAX,
    WORLD_CORES = 8,
    WORLD_WORKERS = 32,
    WORLD_BUCKETS = 64 * 16,
};

#define WORLD_SECOND 1000000000u

struct world_server {
    double service_ns; // mean time of a request, without waiting
    uint32_t workers;
    uint64_t free_at[WORLD_WORKERS]; // when each worker is
    uint64_t taken;
};

/** A request that will be over. */
struct world_end {
    uint64_t at;
    uint64_t began;
    uint32_t server;
};

struct world {
    struct balance_settings settings;
    struct balance_server servers[WORLD_SERVERS];
    struct vitals vitals[WORLD_SERVERS];
    struct world_server models[WORLD_SERVERS];
    uint16_t list[WORLD_SERVERS];
    uint32_t count;
    uint32_t list_count;
    uint32_t cores;
    const struct balance_method *method;
    void *table;
    void *state[WORLD_CORES];
    struct rng core_rng[WORLD_CORES];
    struct rng rng; // of arrivals and service times
    atomic_uint active;
    uint64_t now_ns;
    struct world_end *ends; // a heap
    uint32_t end_count;
    uint32_t end_capacity;
    uint64_t latencies[WORLD_BUCKETS]; // counted by size
    uint64_t answered;
    /** Key of the next request; NULL: random. */
    uint64_t (*next_key)(struct world *w);
    /** After each choice, before it counts. */
    void (*on_choice)(struct world *w, uint32_t server);
    /** Between requests. */
    void (*on_time)(struct world *w);
    void *user;
};

/** n servers of weight 1 with 4 workers and 10 ms per request; all in the list. */
struct world *world_new(uint32_t n, uint32_t cores, uint64_t seed);
void world_free(struct world *w);
/** Call it when servers or weights are as they should be. */
void world_use(struct world *w, const char *method);
/** Puts those of the list for which `usable` holds; NULL: all. */
void world_list(struct world *w, bool (*usable)(const struct world *w, uint32_t i));
/** The choice that `core` makes now. */
int world_pick(struct world *w, uint32_t core, const uint64_t *key);
/** Requests at a rate of `load` (1: what all servers can do together) for some virtual time. */
void world_run(struct world *w, double load, uint64_t duration_ns);
/** Forgets latencies and counts, not what the servers carry. */
void world_forget(struct world *w);
/** A quantile of the latencies, in ms. */
double world_quantile_ms(const struct world *w, double q);
/** How far shares are off their weights: the root of the mean square, and the largest; relative. */
struct world_error {
    double deviation;
    double largest;
};
struct world_error world_error(const struct world *w);
