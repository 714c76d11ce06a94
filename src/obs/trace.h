// SPDX-License-Identifier: Apache-2.0
//
// Trace points: what a core did last, for the panic dump. Each thread that has a ring keeps its last
// TRACE_EVENTS events of (what, a, b); recording one is three stores and costs no clock. Nothing is
// ever printed but in a panic. The meaning of a and b is in the table.

#pragma once

#include <stddef.h>
#include <stdint.h>

struct text;

// X(name, "what a is", "what b is")
#define TRACE_TABLE(X)                                                                             \
    X(accept, "connection", "fd")                                                                  \
    X(request, "exchange", "connection")                                                           \
    X(route, "exchange", "route")                                                                  \
    X(connected, "exchange", "reused")                                                             \
    X(head, "exchange", "status")                                                                  \
    X(upgrade, "exchange", "connection")                                                           \
    X(done, "exchange", "error")                                                                   \
    X(close, "connection", "reset")                                                                \
    X(swap, "core", "generation")                                                                  \
    X(drain, "core", "connections")

enum trace_id {
#define TRACE_ID(name, a, b) TRACE_##name,
    TRACE_TABLE(TRACE_ID)
#undef TRACE_ID
        TRACE_COUNT
};

enum { TRACE_EVENTS = 64 };

struct trace_event {
    uint64_t id; // enum trace_id
    uint64_t a;
    uint64_t b;
};

struct trace_ring {
    uint64_t next; // events recorded so far
    struct trace_event events[TRACE_EVENTS];
};

/** This thread's ring, or NULL: then nothing is kept. Set once, at the thread's start. */
extern _Thread_local struct trace_ring *trace_ring;

static inline void trace(enum trace_id id, uint64_t a, uint64_t b)
{
    struct trace_ring *ring = trace_ring;
    if (ring != NULL) {
        ring->events[ring->next++ % TRACE_EVENTS] = (struct trace_event){(uint64_t)id, a, b};
    }
}

/** The events of a ring, oldest first, a line each. */
void trace_print(const struct trace_ring *ring, struct text *out);
