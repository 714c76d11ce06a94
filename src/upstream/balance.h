// SPDX-License-Identifier: Apache-2.0
//
// Balancing: which server of a pool takes a request. One method, one row; a method keeps its state
// per core, so that picking shares nothing.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct upstream_request;

/** What a method sees of a server. */
struct balance_candidate {
    uint32_t weight;
    bool usable; // not tried by this request, not failing now
};

struct balance_method {
    const char *name;
    /** Bytes of state per core for n servers; zeroed before the first pick. */
    size_t (*state_bytes)(uint32_t n);
    /** Index of the chosen server; -1 when none is usable. */
    int (*pick)(void *state, const struct balance_candidate *candidates, uint32_t n,
                const struct upstream_request *rq);
};

/** By its name in the configuration; NULL when there is none. */
const struct balance_method *balance_find(struct slice name);
