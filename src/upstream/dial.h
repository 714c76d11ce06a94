// SPDX-License-Identifier: Apache-2.0
//
// A dial: from an address to a transport that a session can be opened on. It connects, from one of
// several source addresses where that is asked for, has a proxy open the way if one leads there, sends a
// prologue (a PROXY header) if there is one, runs the TLS handshake where the origin has one, and says
// which protocol was agreed on. One time limit bounds all of it. Knows no pool and no session.
//
// Of one source address there are only so many ports to connect to one origin from (28,232 unless the
// system is told otherwise). When those of one are used up, the next address is tried.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "http/stream.h"
#include "loop/transport.h"
#include "obs/counters.h"

struct tls_core;
struct tls_origin;
struct dial;
struct outbound; // net/outbound.h

/** One per core. */
struct dialer {
    uint32_t magic;
    struct loop *loop;
    struct counters *counters;
    struct transport_core *transports;
    struct tls_core *tls; // NULL: none, origins in clear only
    struct slab slab;
    struct list dead; // over in this turn
    struct task reap;
    uint64_t *next_id; // of connections
};

struct dial_order {
    struct os_addr to; // of the proxy, where there is one
    const struct os_peer
        *sources;                 // to connect from; those of another family than `to` are left out
    uint32_t source_count;        // 0, or none of the family: the kernel chooses
    uint32_t source_first;        // which of them is tried first, counted on without end
    struct slice prologue;        // sent before anything else; copied
    bool prologue_waits;          // bytes of ours follow it at once
    uint64_t client;              // given back in the result: for whom the connection is
    uint32_t limit_ms;            // connect and handshake together; 0: none
    struct tls_origin *tls;       // NULL: in clear; held until the dial is over
    const struct outbound *proxy; // that leads to the target; NULL: none. Copied
    struct slice target;          // a name or an IP address without brackets, for the proxy; copied
    uint16_t target_port;
};

struct dial_result {
    int error; // 0, or why there is no transport
    struct slice
        reason; // why a certificate or a way was refused; empty: nothing to add to the error
    struct transport *t;   // ours no more; its owner is to be set
    struct slice alpn;     // agreed protocol; empty: none
    struct http_peer peer; // the origin
    uint64_t took_ns;
    uint64_t client; // of the order
};

void dialer_init(struct dialer *d, uint32_t dials_max);
/** Every dial must be over. */
void dialer_fini(struct dialer *d);

/** Begins; `done` is called once, never from inside this call, and the dial is over when it returns.
 * NULL with *error when it cannot begin. */
struct dial *dial_begin(struct dialer *d, const struct dial_order *order,
                        void (*done)(struct dial *dial, const struct dial_result *r, void *arg),
                        void *arg, int *error) must_check;
/** Ends it without a call. */
void dial_cancel(struct dial *dial);
/** For the caller's lists. */
struct list *dial_link(struct dial *dial);
struct dial *dial_of_link(struct list *link);
