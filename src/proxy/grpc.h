// SPDX-License-Identifier: Apache-2.0
//
// What a proxy owes to gRPC beyond HTTP/2 itself: failures as a status that its clients understand, in
// a response of nothing but header fields ("Trailers-Only", gRPC over HTTP2), and their deadlines.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct exchange;

/** True for a request whose content is gRPC's (application/grpc, application/grpc+proto; not gRPC-Web,
 * whose clients read HTTP). */
bool grpc_is_request(const struct exchange *x);
/** Answers with the gRPC status that stands for an HTTP status: through exchange_begin_answer() and
 * exchange_answer_kept(). `message` is for people. */
void grpc_answer(struct exchange *x, unsigned status, struct slice message);
/** How much of the client's time is left (grpc-timeout), in milliseconds, at least 1; UINT32_MAX: it
 * set no deadline. */
uint32_t grpc_time_left_ms(const struct exchange *x);

// For tests.

/** "100m", "5S": the time in milliseconds, rounded up; UINT32_MAX for what is longer than that. 0 when
 * it is not one. */
uint32_t grpc_timeout_ms(struct slice value);
/** The gRPC status for an HTTP one. */
unsigned grpc_status_of(unsigned http_status);
