// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 sessions: the state machines over the codec, one per connection, on both sides of the
// proxy. What is common to both (reading, bodies, writing, deadlines) is h1/conn.c; what differs is
// h1/down.c (receives requests) and h1/up.c (sends them). Everything of one core hangs on a struct
// h1_core; nothing is shared between cores. What others see of a session is http/session.h.
//
// Objects die at the end of a turn: a connection that is closed inside a callback stays readable
// memory until the loop's deferred work runs, so no caller up the stack holds a dangling pointer.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "http/session.h"
#include "loop/transport.h"
#include "obs/counters.h"

#include "h1/codec.h"

struct h1_core {
    uint32_t magic;
    struct loop *loop;
    struct counters *counters;
    struct down_core *down;
    struct h1_limits limits; // of the current snapshot
    struct slab conns;
    struct list dead; // closed in this turn
    struct task reap;
    /** A client began with the preface of HTTP/2 (RFC 9113 3.4): its transport and what was read from
     * it, [pos, first->used), with the chunk's one reference, go to whoever speaks that. NULL: such a
     * client is refused as any other bad request line. */
    void (*on_preface)(void *arg, struct transport *t, const struct http_peer *peer,
                       struct chunk *first, uint32_t pos);
    void *preface_arg;
};

/** `connections_max` counts both sides of this core. `down` outlives it. */
void h1_core_init(struct h1_core *h, struct loop *l, struct counters *counters,
                  struct down_core *down, uint32_t connections_max);
/** Every session must be closed. */
void h1_core_fini(struct h1_core *h);

/** Takes a client's transport. On an error it is closed. */
int h1_down_open(struct h1_core *h, struct transport *t, const struct http_peer *peer) must_check;
/** There is no place for a client that would speak in clear: says 503, as far as that goes without
 * waiting, closes the descriptor and counts. */
void h1_down_turn_away(struct h1_core *h, int fd);

/** The pool's door (struct up_protocol.open; `core` is a struct h1_core). */
struct up_session *h1_up_open(void *core, struct transport *t, const struct up_session_terms *terms,
                              int *error) must_check;
