// SPDX-License-Identifier: Apache-2.0
//
// What a scenario wants to happen to each request, and what did. Client and origin actors share the
// table; a request carries only its number, in its path. Every body byte is a function of the
// request's number and the byte's place, so a byte of somebody else's is noticed.

#pragma once

#include "driver.h"
#include "kernel.h"

enum { PLANS_MAX = 256 };

enum plan_framing { PLAN_NONE, PLAN_LENGTH, PLAN_CHUNKED, PLAN_CLOSE };

/** How the origin misbehaves. */
enum plan_fault {
    FAULT_NONE,
    FAULT_CLOSE_EARLY, // before the response head
    FAULT_RESET_EARLY,
    FAULT_GARBAGE,  // bytes that are no response
    FAULT_BAD_HEAD, // ambiguous framing and the like
    FAULT_SILENT,   // never answers
    FAULT_CUT_BODY, // closes in the middle of the body
    FAULT_RESET_BODY,
    FAULT_BAD_CHUNK,
    FAULT_EXTRA_BYTES, // garbage right behind the response
    FAULT_TWO_ANSWERS, // a second response that nobody asked for
    FAULTS,
};

enum plan_outcome { OUT_NONE = 0, OUT_GOOD = 1, OUT_ERROR = 2, OUT_CUT = 4 };

struct plan {
    uint32_t id;
    const char *method;
    enum plan_framing request_framing;
    uint64_t request_bytes;
    bool expect;
    bool old_client; // HTTP/1.0
    bool gzip;       // the client takes gzip, and the origin's answer is text
    int status;
    enum plan_framing response_framing;
    uint64_t response_bytes;
    int interim; // 103s before the final head
    bool trailers;
    bool origin_closes;
    bool early_answer; // before the request body has come
    enum plan_fault fault;
    uint32_t fault_times; // then the origin behaves
    uint32_t piece_max;   // bytes that the origin sends at once
    uint64_t pause_max_ns;
    unsigned allowed; // mask of enum plan_outcome
    // What happened.
    uint32_t asked; // times that its client sent it, on one connection after the other
    uint32_t seen;  // request heads at origins
    unsigned outcome;
};

/** Everything of one scenario. */
struct world {
    struct sim_case *c;
    struct sim *s;
    struct plan plans[PLANS_MAX];
    uint32_t plan_count;
    uint32_t clients_left;
    double alloc_fail;
};

static inline char plan_byte(uint32_t id, bool response, uint64_t at)
{
    uint64_t x = (id * 2u + response) * UINT64_C(0x9e3779b97f4a7c15) + at * 31 + (at >> 8) * 17;
    return (char)(x >> 32 ^ x);
}

static inline bool plan_is_idempotent(const struct plan *p)
{
    return strcmp(p->method, "POST") != 0 && strcmp(p->method, "PATCH") != 0;
}

static inline bool plan_has_response_body(const struct plan *p)
{
    return strcmp(p->method, "HEAD") != 0 && p->status != 204 && p->status != 304;
}

/** Fills buffer with bytes [at, at + n) of a body. */
void plan_fill(const struct plan *p, bool response, uint64_t at, char *buffer, size_t n);
/** Complains when bytes are not those of the plan's body at that place. */
void plan_check(struct world *w, const struct plan *p, bool response, struct slice bytes,
                uint64_t at);
/** The plan that a path names, or NULL. */
struct plan *plan_of_path(struct world *w, struct slice path);
