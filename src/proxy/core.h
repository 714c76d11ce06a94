// SPDX-License-Identifier: Apache-2.0
//
// What one core's exchanges share: the current snapshot, slabs, counters. One per core; nothing here
// is touched by another thread.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "loop/loop.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "proxy/exchange.h"

struct core {
    uint32_t magic;
    uint32_t index;
    struct loop *loop;
    struct http_handler handler; // sessions of the down side begin exchanges here
    struct snapshot *snapshot;
    struct slab exchanges;
    struct list live; // exchanges
    struct counters *counters;
    struct log_ring *log;
    char id_prefix[8];
    uint64_t id_next;
    char date[29]; // of date_second
    uint64_t date_second;
    bool draining;
};

struct core_limits {
    uint32_t exchanges_max;
};

int core_init(struct core *c, struct loop *l, struct counters *counters, struct log_ring *log,
              const struct core_limits *limits) must_check;
void core_fini(struct core *c);
/** Between two turns: new exchanges use `s`. Takes over the core's publish reference. */
void core_swap(struct core *c, struct snapshot *s);
