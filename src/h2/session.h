// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 sessions (RFC 9113) on both sides, over nghttp2 behind src/h2's own codec interface. One
// per connection; every request on it is an http_stream like any other.
//
// Everything odd that a peer does costs glitches from one budget per connection (resets in either
// direction, empty frames, settings and pings beyond use, priorities without end, windows that stay
// shut), and a connection that has spent it is ended with ENHANCE_YOUR_CALM. Memory is bounded per
// connection too: what the windows promise, what waits to be sent, and what is decoded.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "http/session.h"

struct h2_core;

/** What all cores of a process may promise to peers beyond the first window of every stream. */
struct h2_windows {
    atomic_uint_fast64_t used; // bytes
    uint64_t max;
};

static inline void h2_windows_init(struct h2_windows *w, uint64_t max)
{
    atomic_init(&w->used, 0);
    w->max = max;
}

/** One per core. `down` and `windows` outlive it. */
int h2_core_new(struct loop *l, struct counters *counters, struct down_core *down,
                struct h2_windows *windows, uint32_t sessions_max, struct h2_core **out) must_check;
/** Every session must be closed. */
void h2_core_free(struct h2_core *c);

/** Takes a client's transport, with input that was read from it already (may be NULL; bytes
 * [first_pos, first->used); a reference is taken over). On an error the transport is closed. */
int h2_down_open(struct h2_core *c, struct transport *t, const struct http_peer *peer,
                 struct chunk *first, uint32_t first_pos) must_check;

/** The same for who wants to hear of the session: an agent. NULL with *error: the transport is closed and
 * the watcher hears nothing further (its on_goaway may have been called). */
struct down_session *h2_down_open_watched(struct h2_core *c, struct transport *t,
                                          const struct down_session_terms *terms,
                                          struct chunk *first, uint32_t first_pos, int *error)
    must_check;

/** The pool's door (struct up_protocol.open; `core` is a struct h2_core). */
struct up_session *h2_up_open(void *core, struct transport *t, const struct up_session_terms *terms,
                              int *error) must_check;
