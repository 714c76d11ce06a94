// SPDX-License-Identifier: Apache-2.0
//
// An exchange: one request and its answer, the same object whatever the protocols on its two sides.
// It joins a down stream and an up stream (or a fixed answer) with two body pipes and runs the
// stages in between. It belongs to one core from begin() to the end.
//
// docs/design/exchange.md has the picture of the states and of who may end what.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "proxy/attempt.h"
#include "proxy/snapshot.h"

enum exchange_state {
    EXCHANGE_RECEIVING,  // the request head
    EXCHANGE_ROUTING,    // stages of the request
    EXCHANGE_CONNECTING, // an up stream was asked for
    EXCHANGE_WAITING,    // the request is on its way, no final response head yet
    EXCHANGE_ANSWERING,  // the response goes through its stages and out
    EXCHANGE_DONE,
};

enum {
    EXCHANGE_CAPTURES_MAX = 10,
    EXCHANGE_FIRST_ARENA = 3072, // embedded: enough for a typical pair of heads
    EXCHANGE_ARENA_MAX = 256 * 1024,
    EXCHANGE_ID_BYTES = 16,
    EXCHANGE_FILTERS_MAX = 4,
    // What one side may be taken ahead of the other is the pipe and the sessions' queues beside it
    // (100 KiB out, 16 KiB in): together less than 256 KiB.
    EXCHANGE_BODY_LIMIT = 128 * 1024,
    EXCHANGE_FILTER_LIMIT = 32 * 1024, // pipes on either side of a filter
};

struct exchange_times { // monotonic nanoseconds, 0: did not happen
    uint64_t start;     // request head came
    uint64_t acquired;  // up stream ours
    uint64_t connect;   // a duration: spent connecting
    uint64_t response;  // final response head came
    uint64_t sent;      // last byte of the response handed over
};

/** For the log, which is written when the connection may be gone; empty in clear. */
struct exchange_tls {
    struct slice version;
    struct slice cipher;
    struct slice client; // who the client's certificate says it is; empty: none that is believed
};

struct exchange {
    uint32_t magic;
    uint8_t state;      // enum exchange_state
    bool answered;      // a final head went to the client
    bool upgraded;      // became a pipe
    bool given_away;    // its stream goes on without it
    bool throwing_away; // the response's status asks for another attempt: its body is read away
    bool waiting;       // a stage said STAGE_WAIT
    bool answering;     // stages of the response run, not the request's
    bool client_secure; // scheme as the client sees it
    bool passed_on;     // it says that it came through somebody else, believed or not
    uint8_t attempts;   // repeats made so far
    uint8_t error_side; // enum http_side
    uint8_t filter_count;
    uint16_t stage; // next module of the running direction
    int error;      // why it failed (0: it did not); logs name it
    struct core *core;
    struct loop *loop;
    struct snapshot *snapshot;
    const struct site *site;
    const struct route *route; // never NULL once the head has come
    struct http_stream *down;
    void *reserved_own;              // of who answers it before any route
    const struct reserved *reserved; // who answers it before any route; NULL: it takes a route
    /** Set by a stage that says STAGE_WAIT, or NULL: the client has gone, and the exchange ends when
     * this returns. The stage must let go of it. */
    void (*give_up)(struct exchange *x);
    struct upstream *upstream;      // that serves it: the route's, or one of several (a split)
    struct hedge *hedge;            // a second attempt was made; proxy/forward.c
    const struct attempt *answers;  // whose response it is; NULL: none yet, or an answer of ours
    struct http_body *response_out; // what the down stream consumes: the last filter's output
    struct http_body *filters[EXCHANGE_FILTERS_MAX];
    void *slots[MODULES_MAX];
    struct slice normal_path;                     // decoded, for matching (http_path_normalise)
    struct slice captures[EXCHANGE_CAPTURES_MAX]; // $match(0..9) of the route's path
    struct slice original_target;                 // for logs, before rewrites
    struct slice answer_rest;                     // of a fixed answer: not yet in the pipe
    const char *protocol;                         // of the down stream: "1.1", "2"
    struct exchange_tls tls;
    char id[EXCHANGE_ID_BYTES]; // request id, hex
    struct os_addr client;      // after trusted proxies
    struct exchange_times times;
    struct list link;         // core's list
    struct wheel_timer timer; // before the next attempt, or before a second one
    struct arena arena;
    struct http_head request;  // as received, then as the stages changed it
    struct http_head response; // being received or built
    struct upstream_subject subject;
    struct attempt first; // and its repeats
    struct http_body request_body;
    struct http_body response_body; // what the origin (or we) produce
    struct bufq kept;               // request bytes kept for a repeat
    char memory[EXCHANGE_FIRST_ARENA];
};

/** The server that answered, else the one that was asked last; empty: none. For logs. */
static inline struct slice exchange_server_text(const struct exchange *x)
{
    return x->answers != NULL ? x->answers->ticket.server_text : x->first.ticket.server_text;
}

// For modules.

static inline void *exchange_slot(const struct exchange *x, unsigned module)
{
    return x->slots[module];
}
/** Whether the request's host may be asked for on this connection (RFC 9110 7.4). */
bool exchange_host_is_covered(const struct exchange *x);
/** Starts a response of ours: status and an empty field block in x->response. Fill its fields, call
 * exchange_answer(), return STAGE_ANSWER. */
void exchange_begin_answer(struct exchange *x, unsigned status);
/** Finishes it with a body (copied; empty: none) of that type (empty: no Content-Type). */
void exchange_answer(struct exchange *x, struct slice content_type, struct slice body);
/** The same with a body that lives as long as the exchange (its arena's, its snapshot's). */
void exchange_answer_kept(struct exchange *x, struct slice content_type, struct slice body);
/** Finishes it with a body of so many bytes that `on_room` puts into x->response_body, with its end,
 * whenever there is room, at first in here. Not at all where the request (HEAD) or status has no body. */
void exchange_answer_stream(struct exchange *x, struct slice content_type, uint64_t length,
                            void *producer, void (*on_room)(struct http_body *b, void *producer));
/** Answers with the error page of a code: status from the error table, page or JSON by Accept. */
void exchange_fail(struct exchange *x, int error, enum http_side side);
/** The same by status, for answers that are no failure (respond: 404). */
void exchange_fail_status(struct exchange *x, unsigned status);
/** Answers 101 and gives the client's connection away: x->response was begun with 101 and names the
 * protocol in `upgrade`. No stage sees it. `heir` hears exactly once what becomes of the connection, also
 * inside of this call, and must outlive the exchange. Only for a request whose body, if any, has ended.
 * E_UNSUPPORTED: this connection cannot be given away (HTTP/2), nothing was sent, answer otherwise. */
int exchange_hand_over(struct exchange *x, struct http_heir *heir) must_check;
/** After STAGE_WAIT, on the exchange's core, never from inside the hook: goes on with the next module. */
void exchange_resume(struct exchange *x);
/** The same, but calls the on_request hook that said STAGE_WAIT once more. */
void exchange_ask_again(struct exchange *x);
/** Puts a filter into the response body: *in is what it consumes, the result is what it must
 * produce. Both live as long as the exchange. NULL: out of memory. Only in on_response. */
struct http_body *exchange_filter_response(struct exchange *x, struct http_body **in) must_check;
