// SPDX-License-Identifier: Apache-2.0
//
// Layer 4 on one core: what the worker's traffic asks of it. Sessions of streams live here, from the
// accepted connection (or the first datagram) to the end; docs/design/l4.md tells how.
//
// A session holds the snapshot under which it began. A later one that still has its stream lets it go
// on as it is; one without it gives the session as long as a drain may take.

#pragma once

#include <stdint.h>

#include "http/session.h"
#include "l4/streams.h"

struct log_ring;

/** Where a connection goes that a route gives to the sites. The transport is closed on an error. */
struct l4_sites {
    void (*open)(struct l4_sites *s, struct transport *t, const struct http_peer *peer,
                 bool secure);
};

/** What a core brings. All of it outlives the l4_core. */
struct l4_surroundings {
    struct loop *loop;
    struct counters *counters;
    struct log_ring *log; // NULL: no access log
    struct down_core *down;
    struct transport_core *transports;
    struct l4_sites *sites;
    uint32_t cores;
    uint32_t sessions_max; // TCP
    uint32_t datagram_sessions_max;
};

struct l4_core;

/** NULL: out of memory. */
struct l4_core *l4_core_new(const struct l4_surroundings *what) must_check;
/** TCP sessions must be gone: down_core_abort() sees to that. UDP sessions end here. Before the
 * upstreams of this core are closed. */
void l4_core_free(struct l4_core *c);
/** Ends the UDP sessions at once. TCP sessions are ended by down_core_abort(). */
void l4_core_abort(struct l4_core *c);
/** New sessions use `s`, which the caller holds until the next swap. Before the old one is let go. */
void l4_core_swap(struct l4_core *c, struct snapshot *s);

struct l4_listener {
    int fd;
    uint32_t index;
    uint16_t port; // that it is bound to
    uint64_t key;  // of its stream
};

/** Reads a socket for datagrams of a stream, if this is the core that does; others do nothing. The
 * socket stays the caller's. 0, E_NO_MEMORY, E_NO_DESCRIPTORS. */
int l4_listen(struct l4_core *c, const struct l4_listener *l) must_check;
/** Reads it no more; its sessions are drained. */
void l4_unlisten(struct l4_core *c, uint32_t index);
/** The edge is to end: reads no socket for datagrams any more. */
void l4_core_drain(struct l4_core *c);
/** No UDP session is left. TCP sessions count as client connections. */
bool l4_core_idle(const struct l4_core *c);

/** An accepted connection of the stream with that key, or one that came as a stream of another session:
 * that is answered when a server was reached (http/stream_transport.h). It is closed on an error. */
int l4_open(struct l4_core *c, struct transport *t, const struct http_peer *peer, uint64_t key)
    must_check;
/** Whether the stream with that key is one of datagrams; false as well when there is none. */
bool l4_is_datagram(const struct l4_core *c, uint64_t key);
/** Whether a client of that address may come to the stream with that key. l4_open() sees to it by itself;
 * l4_open_datagrams() leaves it to its caller, who can still say why. */
bool l4_admits(const struct l4_core *c, uint64_t key, const struct os_addr *client);
/** A flow of datagrams that came as a stream of another session (RFC 9298), of the stream with that key.
 * It is closed on an error. */
int l4_open_datagrams(struct l4_core *c, struct transport *t, const struct http_peer *peer,
                      uint64_t key) must_check;
