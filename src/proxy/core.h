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
#include "proxy/mirror.h"
#include "proxy/reserved.h"

struct tls_store;

/** Who takes streams that are no HTTP any more: CONNECT, where the connection takes it (peer->stream),
 * which is of an agent only. */
struct core_switches {
    /** Takes the stream with its events; 0. Else why not, and it is refused. `h` lives during the call. */
    int (*take)(struct core_switches *w, struct http_stream *s, const struct http_head *h,
                const struct os_addr *client);
};

/** Who sees every exchange at its end, beside the log: an agent, that shows them. */
struct exchange_watcher {
    void (*on_done)(struct exchange_watcher *w, const struct exchange *x);
    /** A stream that is not taken (core_switches) is no exchange of a site's; `x` goes on to say so. */
    void (*on_not_taken)(struct exchange_watcher *w, const struct exchange *x, int error);
};

struct core {
    uint32_t magic;
    uint32_t index;
    uint32_t live_count;
    uint16_t tls_port;   // of the first TLS listener, where clients in clear are sent to; 0: none
    uint16_t clear_port; // of the first one in clear; 0: none
    bool draining;
    struct loop *loop;
    struct http_handler handler; // sessions of the down side begin exchanges here
    struct snapshot *snapshot;
    struct slab exchanges;
    struct list live;
    struct list finished; // in this turn
    struct task reap;
    struct mirrors mirrors;
    struct counters *counters;
    struct log_ring *log;             // access lines; NULL: none
    struct exchange_watcher *watcher; // NULL: none
    struct core_switches *switches;   // NULL: every CONNECT is refused
    const struct tls_store *tls;      // of new handshakes, for answers to HTTP-01; NULL: none
    uint32_t reserved_count;
    const struct reserved *reserved[RESERVED_MAX];
};

/** `log` may be NULL. 0 or E_NO_MEMORY. */
int core_init(struct core *c, struct loop *l, struct counters *counters, struct log_ring *log,
              uint32_t exchanges_max) must_check;
/** No exchange may be alive; the sessions are closed before. */
void core_fini(struct core *c);
/** Between two turns: new exchanges use `s`, whose publish reference of this core is taken over. */
void core_swap(struct core *c, struct snapshot *s);

/** Of struct http_handler: begins an exchange for a down stream. */
int exchange_begin(struct http_handler *h, struct http_stream *s);
/** Ends what the exchange holds; its memory goes at the end of the turn. Called once, by exchange.c. */
void core_finish(struct core *c, struct exchange *x);
