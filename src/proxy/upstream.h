// SPDX-License-Identifier: Apache-2.0
//
// What the exchange knows of an upstream: it gives streams that can carry an exchange. A pool of TCP
// connections, a multiplexed h2 one and an agent's tunnel differ only behind this interface.

#pragma once

#include <stdint.h>

#include "base/list.h"
#include "http/stream.h"

struct upstream;
struct upstream_request;
struct loop;

struct upstream_ops {
    /** Asks for a stream for rq, on the core of rq->loop. The answer comes through rq->on_ready or
     * rq->on_failed, possibly before this returns. */
    void (*acquire)(struct upstream *u, struct upstream_request *rq);
    /** The request no longer wants one; no callback follows. Only while it waits. */
    void (*cancel)(struct upstream *u, struct upstream_request *rq);
};

struct upstream {
    const struct upstream_ops *ops;
    struct slice name;
    uint32_t attempts;      // beyond the first
    uint32_t backoff_ms;    // before an attempt when every server has failed; tripled each time
    uint32_t replay_bytes;  // request body kept for a repeat, at most
    uint8_t host_mode;      // enum upstream_host
    struct slice host_text; // UPSTREAM_HOST_TEXT
};

enum upstream_host { UPSTREAM_HOST_PASS, UPSTREAM_HOST_SERVER, UPSTREAM_HOST_TEXT };

/** Embedded in the exchange. */
struct upstream_request {
    struct list link; // queue of the upstream, while waiting
    struct loop *loop;
    struct upstream *upstream;
    void *server;        // the upstream's own: which server was chosen, kept for the next attempt
    uint64_t tried;      // bit per server (index modulo 64) that failed this request
    uint32_t connect_ms; // time-out of the route
    bool exhausted;      // out: no server is left that this request has not tried
    bool upgrade;        // the request asks for a switch of protocols
    bool fresh;          // a pooled connection just proved stale: open a new one
    bool reused;         // out: the stream is on a connection that carried exchanges before
    struct slice server_text; // out: the server's address, for logs; lives as long as the snapshot
    uint64_t connect_ns;      // out: time spent connecting, 0 when reused
    /** `s` is idle and ours until its on_closed; events and user are set by the callee. */
    void (*on_ready)(struct upstream_request *rq, struct http_stream *s);
    void (*on_failed)(struct upstream_request *rq, int error);
};
