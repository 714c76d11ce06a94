// SPDX-License-Identifier: Apache-2.0
//
// A world for the tests of bridges: a session without a connection on one core, which answers what it
// is asked as a test says, and visits, which are to a near session what exchanges are. Nothing in here
// knows on which thread it runs: the loops do.

#pragma once

#include "../../sim/kernel.h"
#include "base/slab.h"
#include "bridge/bridge.h"

enum { ORIGIN_STREAMS_MAX = 64, ORIGIN_TEXT = 4096, VISIT_PIECE = 3000 };

struct origin;

/** One stream of it. */
struct ostream {
    bool used;
    bool over;
    bool ended; // its answer is complete
    struct origin *origin;
    struct http_stream stream;
    const struct http_head *head; // of the request
    struct http_body *in;         // the request's
    struct http_body *out;        // the response's
    struct http_timeouts timeouts;
    int reset;    // by the other side, with this error
    uint64_t got; // bytes of the request
    bool got_end;
    char got_trailer[64];
    struct fields *trailers; // of the answer
};

/** A session. */
struct origin {
    struct up_session session;
    struct loop *loop;
    struct bridge_port *port;
    bool echoes;      // answers 200 with the body of the request, its trailers, and 103 before
    bool takes;       // reads request bodies that it does not echo
    uint32_t refuses; // streams that it has said no to
    int take_error;   // what it says then; 0: E_AGAIN
    struct ostream streams[ORIGIN_STREAMS_MAX];
};

void origin_init(struct origin *o, struct loop *l, struct bridge_core *c, uint32_t streams_max);
/** Closes the port and lets it go. */
void origin_fini(struct origin *o);
/** The nth stream that is not over. NULL: there are not so many. */
struct ostream *origin_stream(struct origin *o, unsigned n);
/** A head that says these things; `body` as in enum http_body_kind. */
void ostream_answer(struct ostream *x, unsigned status, unsigned body);
/** Bytes of the answer, as many as there is room for; how many. */
size_t ostream_send(struct ostream *x, uint64_t from, size_t n);
void ostream_end(struct ostream *x, const char *trailer);
/** Takes the bytes of the request that are there. */
void ostream_take(struct ostream *x);
/** It is complete, or failed with `error`. */
void ostream_finish(struct ostream *x, int error);

/** What goes over as byte number i. */
static inline char world_byte(uint64_t i)
{
    return (char)(i * 7 + i / 251 + i / 65521);
}

/** An exchange's part. */
struct visit {
    struct loop *loop;
    struct http_stream *s; // NULL: over
    struct arena arena;
    struct http_head request;
    struct http_head response;
    struct http_body request_body;
    struct http_body response_body;
    struct fields trailers; // of the request
    uint64_t to_send;
    uint64_t sent;
    uint64_t got;
    bool ends;  // the request's body, when all was sent
    bool lazy;  // takes nothing of the response
    bool wrong; // a byte was not what it should be
    bool got_end;
    int body_error;
    unsigned interim;
    unsigned status;
    unsigned closed; // calls
    int error;
    char field[256]; // value of x-of in the response
    char got_trailer[64];
    void (*on_over)(struct visit *v);
};

/** A request that is not sent yet, with a body of `bytes` unless `body` is HTTP_BODY_NONE. */
void visit_init(struct visit *v, struct loop *l, const char *target, unsigned body, uint64_t bytes);
void visit_fini(struct visit *v);
/** False: no stream. */
bool visit_begin(struct visit *v, struct up_session *s);
/** Puts more of the request into its pipe. */
void visit_send(struct visit *v);
/** Takes what is there of the response. */
void visit_take(struct visit *v);
void visit_reset(struct visit *v, int error);

/** Two cores on the simulated kernel, a session on the second and one over a bridge on the first. */
struct pair {
    struct sim *sim;
    struct loop loop[2];
    struct bridges *bridges;
    struct counters counters[2];
    struct bridge_core *core[2];
    struct origin origin;
    struct up_session *near; // NULL: it is gone
    unsigned rooms;          // calls of on_room
    unsigned closings;
    int gone_error;
    struct visit *on_room_begin; // begun from on_room
};

extern struct pair pair;

void pair_begin(uint32_t streams_max);
/** Until nothing happens any more, or so many seconds are over. */
void pair_run(uint32_t seconds);
/** Ends the cores, the first one first or the other way round; nothing may be left. */
void pair_end(bool first_first);
struct up_session *pair_open(int *error);
