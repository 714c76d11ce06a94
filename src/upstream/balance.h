// SPDX-License-Identifier: Apache-2.0
//
// Balancing: which server of a group takes a request. One method, one row. A method is pure: it sees
// the servers' weights and vitals, a time, a random source and its own state, no loop and no socket,
// so that tests/sim drives it with millions of virtual requests.
//
// A method may have two things of its own: a table, made once per list of servers and shared by all
// cores without being changed (a hash ring), and a state per core (credits of round robin), so that
// choosing shares nothing.

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
    const void *table; // of the method, for these servers; NULL: it has none
    void *state;       // this core's
    struct rng *rng;
    uint64_t now_ns; // monotonic
    uint64_t key;    // hash of what the request is placed by (client, header...)
    bool has_key;    // without one a method that needs it chooses at random
    /** Not this one: it was tried by this request, or has no room. */
    bool (*barred)(const void *arg, uint32_t index);
    const void *barred_arg;
};

struct balance_method {
    const char *name;
    bool by_key;
    /** Bytes of state per core for n servers; zeroed before the first choice. */
    size_t (*state_bytes)(uint32_t n);
    /** The shared table (mem_alloc), or NULL with *error; may be left out. Not on the request path. */
    void *(*build)(const struct balance_server *servers, uint32_t n, int *error);
    void (*discard)(void *table);
    /** Index of the chosen server (of `servers`); -1 when none of the list can be asked. */
    int (*pick)(const struct balance_choice *c);
};

/** By its name in the configuration; NULL when there is none. */
const struct balance_method *balance_find(struct slice name);
/** A server's weight now, in thousandths: less while it starts slowly, never 0 unless it is 0. */
uint64_t balance_weight(const struct balance_settings *settings, const struct balance_server *s,
                        uint64_t now_ns);
