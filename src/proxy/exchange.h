// SPDX-License-Identifier: Apache-2.0
//
// An exchange: one request and its answer, the same object whatever the protocols on its two sides.
// It joins a down stream and an up stream (or a fixed answer) with two body pipes and runs the
// stages in between. It belongs to one core from begin() to the end.
//
// States, docs/design/exchange.md has the picture: RECEIVING (head), ROUTING (stages of the
// request), CONNECTING (waits for an up stream), WAITING (response head), ANSWERING (response goes
// out), DONE.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/rng.h"
#include "http/stream.h"
#include "loop/loop.h"
#include "proxy/snapshot.h"

enum exchange_state {
    EXCHANGE_RECEIVING,
    EXCHANGE_ROUTING,
    EXCHANGE_CONNECTING,
    EXCHANGE_WAITING,
    EXCHANGE_ANSWERING,
    EXCHANGE_DONE,
};

enum { EXCHANGE_CAPTURES_MAX = 10, EXCHANGE_FIRST_ARENA = 3072, EXCHANGE_ID_BYTES = 16 };

struct exchange_times { // monotonic nanoseconds, 0: did not happen
    uint64_t start;     // first byte of the request
    uint64_t head;      // request head complete
    uint64_t acquired;  // up stream ours
    uint64_t connect;   // duration spent connecting
    uint64_t response;  // response head came
    uint64_t sent;      // last byte of the response handed over
};

struct exchange {
    uint32_t magic;
    uint8_t state;     // enum exchange_state
    bool answered;     // a final head went to the client
    bool upgrade;      // became a pipe
    uint8_t attempts;  // repeats made so far
    struct core *core; // proxy/core.h
    struct loop *loop;
    struct arena arena;
    struct snapshot *snapshot;
    const struct site *site;
    const struct route *route;
    struct http_stream *down;
    struct http_stream *up;
    struct http_head request;  // as received, then as the stages changed it
    struct http_head response; // being built or received
    struct http_body request_body;
    struct http_body response_body; // what the origin (or we) produce
    struct http_body *response_out; // what the down stream consumes: the last filter's output
    struct bufq kept;               // for replay
    struct upstream_request acquire;
    uint16_t stage; // next module of the running direction
    uint8_t stage_direction;
    bool waiting;                                 // a stage said STAGE_WAIT
    void *slots[MODULES_MAX];                     // exchange_slot()
    struct os_addr client;                        // after trusted proxies
    bool client_secure;                           // scheme seen by the client
    struct slice normal_path;                     // decoded, for matching (http_path_normalise)
    struct slice captures[EXCHANGE_CAPTURES_MAX]; // $match(0..9) of the route's path
    struct slice original_target;                 // for logs, before rewrites
    char id[EXCHANGE_ID_BYTES];                   // request id, hex; also X-Request-Id
    int error;                                    // why it failed (0: did not); logs name it
    uint8_t error_side;                           // enum http_side
    uint64_t request_bytes;                       // body
    uint64_t response_bytes;
    struct exchange_times times;
    struct wheel_timer timer;
    struct list link; // core's list
    char first[EXCHANGE_FIRST_ARENA];
};

// For modules.

static inline void *exchange_slot(const struct exchange *x, unsigned module)
{
    return x->slots[module];
}
/** Starts a response of ours: status and an empty field block in x->response; fill its fields, then
 * return STAGE_ANSWER after exchange_answer(). */
void exchange_begin_answer(struct exchange *x, unsigned status);
/** Finishes it with a body (copied; empty: none) of that type (empty: no Content-Type). */
void exchange_answer(struct exchange *x, struct slice content_type, struct slice body);
/** Answers with the error page of a code: status from the error table, page or JSON by Accept. */
void exchange_fail(struct exchange *x, int error, enum http_side side);
/** The same by status (respond: 404). */
void exchange_fail_status(struct exchange *x, unsigned status);
/** After STAGE_WAIT, on the exchange's core. */
void exchange_resume(struct exchange *x);
/** Puts a filter into the response body: *in is what it consumes, the result is what it must
 * produce. Both live as long as the exchange. NULL: out of memory. Only in on_response. */
struct http_body *exchange_filter_response(struct exchange *x, struct http_body **in) must_check;

// For the session's side: core_handler() of proxy/core.h begins exchanges.
