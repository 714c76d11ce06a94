// SPDX-License-Identifier: Apache-2.0
//
// What the exchange knows of an upstream: it gives streams that can carry an exchange. A pool of TCP
// connections, a multiplexed h2 one and an agent's tunnel differ only behind this interface.
//
// The exchange holds a ticket, struct upstream_request. acquire() ends in on_ready (or on_transport)
// or on_failed; after on_ready the ticket holds a place at a server until upstream_release() gives it
// back and says how it went, from which the upstream learns.

#pragma once

#include <stdint.h>

#include "base/list.h"
#include "http/stream.h"

struct arena;
struct loop;
struct transport;
struct upstream;
struct upstream_factory;
struct upstream_request;

/** How an attempt that had a place at a server went. */
struct upstream_outcome {
    int error;           // 0, or why it failed: the server's doing
    uint32_t status;     // of the final response; 0: none
    uint64_t latency_ns; // from asking to the response head; 0: not known
    uint64_t bytes_in;   // from the client, of layer 4; the bodies of an exchange are its own
    uint64_t bytes_out;
    bool abandoned; // the client has gone, or another attempt was quicker: says nothing of it
};

struct upstream_ops {
    /** Which upstream serves this request: a split chooses one of several, by rq->subject. Left out:
     * itself. NULL: none. The same for every attempt of an exchange, so asked once. */
    struct upstream *(*choose)(struct upstream *u, const struct upstream_request *rq);
    /** Asks for a stream for rq, on the core of rq->loop. The answer comes through rq->on_ready or
     * rq->on_failed, possibly before this returns. */
    void (*acquire)(struct upstream *u, struct upstream_request *rq);
    /** The request no longer wants one; no callback follows. Only while it waits. */
    void (*cancel)(struct upstream *u, struct upstream_request *rq);
    /** Gives the place back. */
    void (*release)(struct upstream *u, struct upstream_request *rq,
                    const struct upstream_outcome *o);
    /** May an attempt be repeated, or (hedge) begun beside another one? Taken from the upstream's
     * budget when it may. Left out: always. */
    bool (*may_repeat)(struct upstream *u, struct loop *l, bool hedge);
    /** A core begins to use the snapshot of u: from now on u says what its group is. After it, the
     * core leaves the snapshot before. May be left out. */
    void (*enter)(struct upstream *u, struct loop *l);
    void (*leave)(struct upstream *u, struct loop *l);
};

/** What an attempt is repeated for. */
enum upstream_retry {
    UPSTREAM_RETRY_CONNECT = 1, // no server was reached
    UPSTREAM_RETRY_TIMEOUT = 2, // no response head within try_ms
    UPSTREAM_RETRY_RESET = 4,   // the server left before its response
};

enum { UPSTREAM_STATUSES_END = 640 }; // of retry_statuses, in bits

enum upstream_host { UPSTREAM_HOST_PASS, UPSTREAM_HOST_SERVER, UPSTREAM_HOST_TEXT };

struct upstream {
    const struct upstream_ops *ops;
    const struct upstream_factory *factory; // of an action's own; NULL: the first
    struct upstream *next;                  // of the snapshot's
    struct slice name;
    int none_error;        // why, when choose() finds none; 0: E_NO_SERVER
    uint32_t attempts;     // beyond the first
    uint32_t backoff_ms;   // before an attempt when every server has failed; tripled each time
    uint32_t replay_bytes; // request body kept for a repeat, at most
    uint32_t try_ms;   // for connecting, and for a response head, of one attempt; 0: the route's
    uint32_t hedge_ms; // without a response head for so long, a second server is asked; 0: never
    uint8_t retry_on;  // enum upstream_retry
    const uint64_t *retry_statuses; // a bit for each that is repeated; NULL: none
    uint8_t host_mode;              // enum upstream_host
    struct slice host_text;         // UPSTREAM_HOST_TEXT
};

/** What a choice may depend on. Lives as long as the exchange. */
struct upstream_subject {
    const struct http_head *request; // NULL: not HTTP
    const struct os_addr *client;    // after trusted proxies
    const struct http_peer *peer;    // the client's connection
    struct slice path;               // decoded; empty: not HTTP
    struct slice asked_at;           // not HTTP: HOST:PORT where the client connected to; or empty
    struct slice asked_name;         // SNI of a client whose TLS is passed on unopened; or empty
    struct arena *arena;             // for what the choice must remember
};

enum { UPSTREAM_TRIED_MAX = 16 };

/** The ticket, embedded in the exchange. Zero it first. */
struct upstream_request {
    struct list link; // queue of the upstream, while waiting
    struct loop *loop;
    struct upstream *upstream;
    const struct upstream_subject *subject;
    void *server;      // the upstream's own: which server was chosen, kept for the next attempt
    void *place;       // the upstream's own: what release() gives back; NULL: nothing
    void *opening;     // the upstream's own: a stream that is to become a connection; NULL: none
    const void *terms; // the upstream's own, as are the next three
    uint64_t key;
    uint64_t waiting_since_ns;
    bool has_key;
    uint8_t breaker;     // the upstream's own: by what right it was let through
    uint32_t connect_ms; // time-out of the route
    uint8_t tried_count;
    const void *tried[UPSTREAM_TRIED_MAX]; // servers that failed this request, the last ones
    bool exhausted;                        // out: no server is left that this request has not tried
    bool upgrade;                          // the request asks for a switch of protocols
    bool fresh;                            // a pooled connection just proved stale: open a new one
    bool raw;                              // a transport is wanted, not a stream: layer 4
    bool
        datagram; // with `raw`: not even that, but the server's address; on_transport gets NULL, or
                  // a transport of capsules (RFC 9297) where there is no address to send to
    const struct os_addr *server_addr; // out, with `datagram`: lives as long as the place is held
    struct slice prologue;    // out, with `datagram`: what stands in front of each; on the arena
    bool reused;              // out: the stream is on a connection that carried exchanges before
    struct slice server_text; // out: the server's address, for logs; on the arena
    struct slice server_host; // out: the same as it was written, for the Host field; on the arena
    struct slice set_cookie;  // out: value of a Set-Cookie for the response; on the subject's arena
    uint64_t connect_ns;      // out: time spent connecting, 0 when reused
    uint64_t queued_ns;       // out: time spent waiting for a place
    uint64_t retry_ms;        // out, with on_failed: when it is worth asking again; 0: not known
    /** `s` is idle and ours until its on_closed; events and user are set by the callee. */
    void (*on_ready)(struct upstream_request *rq, struct http_stream *s);
    /** With `raw`, in place of on_ready: ours until transport_close(). */
    void (*on_transport)(struct upstream_request *rq, struct transport *t);
    /** Nothing is held: no release. */
    void (*on_failed)(struct upstream_request *rq, int error);
};

/** Once after each on_ready or on_transport; a second call does nothing. Core of rq->loop. */
static inline void upstream_release(struct upstream_request *rq, const struct upstream_outcome *o)
{
    if (rq->place != NULL) {
        rq->upstream->ops->release(rq->upstream, rq, o);
    }
}
