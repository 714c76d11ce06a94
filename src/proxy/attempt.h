// SPDX-License-Identifier: Apache-2.0
//
// An attempt: one try at an upstream. It asks for a stream, sends a request on it, takes the response
// head, and says to the upstream how it went. An exchange has one, made again for each repeat, and at
// times a second one beside it (a hedge); a mirror has one of its own.
//
// The owner gives the request and where the response goes, and decides what a failure means. For each
// place that the upstream gives there is exactly one upstream_release(), whatever happens in between:
// that is kept here and nowhere else. One core; nothing is allocated.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "proxy/upstream.h"

struct attempt;

struct attempt_events {
    /** A stream is ours: attempt_send() is due before this returns, or attempt_abandon(). */
    void (*on_ready)(struct attempt *a);
    /** A response head, in a->head, interim or final. */
    void (*on_head)(struct attempt *a);
    /** It is over, and the place given back. `error` 0: request and response are complete. `reached`:
     * the request, or part of it, may have come to a server. */
    void (*on_over)(struct attempt *a, int error, bool reached);
    /** For the panic dump. */
    void (*describe)(const struct attempt *a, struct text *out);
};

enum attempt_state {
    ATTEMPT_IDLE,   // nothing is held
    ATTEMPT_ASKING, // the upstream has been asked
    ATTEMPT_SENT,   // the request is on its way, no final response head yet
    ATTEMPT_HEADED, // the final response head has come
};

struct attempt {
    uint32_t magic;
    uint8_t state;   // enum attempt_state
    bool hurried;    // the client's own deadline is the time-out: one says nothing of the server
    uint16_t status; // of the final response, 0: none yet
    int error;       // of the stream, told when it is closed
    const struct attempt_events *events;
    void *owner;
    struct http_stream *up;
    struct http_head *head; // where the response head is received; set before on_ready ends
    const struct http_body *sending; // the request's body; NULL: none
    uint64_t sent_ns;
    uint64_t latency_ns; // from sending the request to its final response head
    struct upstream_request ticket;
};

/** Idle, with an empty ticket; what else is in it is the caller's to set. */
void attempt_init(struct attempt *a, const struct attempt_events *events, void *owner);
/** Asks the ticket's upstream. on_ready or on_over may come before this returns. */
void attempt_ask(struct attempt *a);
/** In on_ready: sends. `body` NULL: none. Request and body live until on_over. */
static inline void attempt_send(struct attempt *a, const struct http_timeouts *times,
                                const struct http_head *request, struct http_body *body)
{
    struct http_stream *s = a->up;
    ensure(a->state == ATTEMPT_SENT);
    s->receive_head = a->head;
    a->sent_ns = a->ticket.loop->now_ns;
    a->sending = body;
    s->ops->set_timeouts(s, times);
    s->ops->send_head(s, request, body);
}
/** The owner turns away: the stream is reset, the place given back; on_over does not come. Without a
 * final response head it says nothing of the server. Only while it is alive. */
void attempt_abandon(struct attempt *a, int why);
static inline bool attempt_is_alive(const struct attempt *a)
{
    return a->state != ATTEMPT_IDLE;
}
static inline bool attempt_is_open(const struct attempt *a)
{
    return a->up != NULL;
}
