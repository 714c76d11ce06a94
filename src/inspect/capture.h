// SPDX-License-Identifier: Apache-2.0
//
// Following one exchange for the inspector: its heads are copied when they are complete, its bodies as they
// pass, by a tee (http/body.h) that takes what comes at once and so never holds anything up. Where memory is
// short the exchange goes on and the inspector knows less of it.

#pragma once

#include <stdint.h>

#include "http/body.h"
#include "inspect/ring.h"

struct exchange;
struct http_head;

/** On the exchange's arena, in the module's slot. */
struct capture {
    uint32_t magic;
    struct ring *ring;
    uint64_t id;     // of the entry, which may be gone
    bool repeats;    // it was asked for on the page
    bool has_answer; // `answer` was begun
    struct http_body request;
    struct http_body answer;
};

/** Begins: the request's head is complete, and its body, if any, has its place. `repeats`: the request that
 * it repeats, or 0. NULL: no memory. */
struct capture *capture_begin(struct ring *r, struct exchange *x, uint64_t repeats);
/** It goes on to the target: all of the body that comes is kept. */
void capture_request(struct capture *c, struct exchange *x);
/** The answer's head, of ours or of the target; it may be replaced by another one. */
void capture_answer(struct capture *c, struct exchange *x, const struct http_head *head);
void capture_end(struct capture *c, const struct exchange *x);
