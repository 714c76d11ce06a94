// SPDX-License-Identifier: Apache-2.0
//
// Two HTTP/2 sessions of ours, client and server, on the two ends of one wire with a delay, on virtual
// time. What they carry are bodies that this file makes and takes: as fast as the windows let it, slowly,
// or not at all. So a test sees windows and PINGs from both sides and can look inside.

#pragma once

#include "base/error.h"
#include "h2/conn_int.h"

enum {
    PAIR_UP,   // the client's end
    PAIR_DOWN, // the server's
    VISITS_MAX = 64,
};

/** One exchange's share of a session, on either side. */
struct visit {
    struct http_stream *stream; // NULL: closed
    struct arena arena;
    struct http_head request;
    struct http_head response;
    struct http_body in;
    struct http_body out;
    uint64_t wanted; // bytes that this end sends
    uint64_t put;
    uint64_t taken;
    uint64_t told;   // how often it heard of content
    uint64_t slowly; // bytes that are taken per millisecond; 0: all at once
    bool stalled;    // nothing is taken
    bool wrong;      // a byte was not the one that was sent
    bool ended;      // the other side's body has come to its end
    bool closed;
    bool had_room; // the client's session took further streams when this one was over
    int error;
};

struct pair {
    struct loop loop;
    struct h2_windows windows;
    struct h2_core *core;
    struct down_core down_core;
    struct transport_core transports;
    struct up_session *up;
    struct down_session *down;
    struct visit visits[VISITS_MAX]; // of both sides, in the order of their begin
    unsigned visit_count;
    uint64_t serve;      // what the server sends on every stream
    bool serve_stalled;  // the server takes nothing
    uint64_t delay_ns;   // of the wire, one way
    uint64_t wire_bytes; // that one direction of it holds
    uint64_t rate;       // bytes per second of each direction
    bool cut;            // nothing comes through any more
    uint64_t carried[2]; // bytes that each end wrote
    // what the owners heard
    unsigned rooms;
    unsigned closings;
    unsigned up_gone;
    unsigned down_gone;
    bool stays; // what on_goaway answers
    unsigned goaways;
    int up_error;
    int down_error;
    char up_text[SESSION_TEXT_MAX + 1];
    char down_text[SESSION_TEXT_MAX + 1];
};

extern struct pair pair;

/** What differs between pairs. Zero is a pair of ordinary sessions with large budgets. */
struct pair_terms {
    bool liveness;
    bool small;           // windows cannot be reserved from the process
    uint32_t chunks_max;  // of the core; 0: plenty
    uint32_t window_most; // limits: {window_size}; 0: its default
};

/** Opens both and lets them greet. */
void pair_open(const struct pair_terms *terms, uint64_t delay_ms);
/** Closes what is left and checks that nothing is: no memory, no reservation. */
void pair_close(void);
/** Lets so much virtual time pass. */
void pair_run(uint64_t ms);
/** The same, while this process sleeps: what happens is seen afterwards, timers first or not. */
void pair_sleep(uint64_t ms);
/** A request with `upload` bytes of content; the answer has pair.serve bytes. The visit of the client's
 * side; the server's is next to it once the request has come. */
struct visit *pair_ask(uint64_t upload);
/** The server's side of a visit, NULL before it has begun. */
struct visit *pair_served(const struct visit *asked);
struct h2_conn *pair_conn(int end);
struct h2_stream *pair_stream(const struct visit *v);
/** Takes what a stalled visit has not taken. */
void pair_resume(struct visit *v);
/** The wire breaks: both ends see a reset. */
void pair_break(void);
uint64_t pair_reserved(void);
