// SPDX-License-Identifier: Apache-2.0
//
// The parts of an agent:
//
//   agent         the process: loop, traffic, signals            agent.c, compile.c, inspect.c
//   agent_place   an edge: its addresses, whom to trust there    place.c
//   agent_line    one run of one tunnel at one edge (an
//                 instance): what it is called, which
//                 connections it has, what answers mean          line.c
//   agent_link    one of its up to four connections: attempts,
//                 pauses, the handshake                          link.c, reach.c
//   agent_conn    a connection that was let in, until it is
//                 closed; a link may be on its next one already  link.c

#pragma once

#include "base/list.h"
#include "base/slab.h"
#include "h1/codec.h"
#include "http/session.h"
#include "http/stream.h"
#include "http/websocket.h"
#include "loop/loop.h"
#include "loop/transport.h"
#include "obs/counters.h"
#include "proxy/core.h"
#include "proxy/reserved.h"
#include "traffic/traffic.h"
#include "upstream/dial.h"

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/hello.h"
#include "agent/retry.h"

struct agent_line;
struct agent_link;
struct agent_place;
struct conf_doc;
struct resolver_watch;
struct tls_origin;
struct tls_store;

enum {
    AGENT_MAGIC = 0x61676e74,
    AGENT_LINK_MAGIC = 0x61676c6b,
    AGENT_CONN_MAGIC = 0x61676363,
    AGENT_PLACE_MAGIC = 0x61677063,
    AGENT_REACH_MAGIC = 0x61677268,
    AGENT_SLOTS_MAX = 4,
    AGENT_ADDRESSES_MAX = 8,
    AGENT_ATTEMPT_MS = 15000, // from the first dial to the answer
    AGENT_STAGGER_MS = 250,   // before the next address is tried beside (RFC 8305 5)
    AGENT_WHY_MAX = 512,
    AGENT_SITE_MAX = 24,
    AGENT_INSTANCE_TEXT = 24, // 16 bytes in base64, and a NUL
    AGENT_CONNS_MAX = 4 * AGENT_TUNNELS_MAX * AGENT_EDGES_MAX * 4,
    AGENT_CREDENTIAL_MAX = 512, // value of Authorization
};

// ---- reach: from addresses to a transport -----------------------------------------------------------

/** Dials several addresses, each a moment after the one before or as soon as that has failed; the first
 * that is through wins (happy eyeballs, RFC 8305). */
struct agent_reach {
    uint32_t magic;
    struct loop *loop;
    struct dialer *dialer;
    const struct agent_edge *edge;
    struct tls_origin *tls;
    struct os_addr addrs[AGENT_ADDRESSES_MAX];
    uint32_t count;
    uint32_t next;                           // not yet tried
    uint32_t active;                         // dials
    struct dial *dials[AGENT_ADDRESSES_MAX]; // by address; NULL: not yet, or over
    struct wheel_timer timer;
    uint64_t end_ms;
    int error; // the most telling one so far
    char reason[AGENT_WHY_MAX];
    /** error 0: `r` has the transport. Else it failed; r is NULL. Not from inside begin. */
    void (*done)(struct agent_reach *reach, int error, const struct dial_result *r);
};

void agent_reach_init(struct agent_reach *r, struct loop *l, struct dialer *d);
/** To an edge, or to the proxy that leads there; the addresses, at least one, are of that. */
void agent_reach_begin(struct agent_reach *r, const struct agent_place *p, uint32_t limit_ms);
/** Ends it without a call; nothing when none is under way. */
void agent_reach_cancel(struct agent_reach *r);

// ---- an edge ---------------------------------------------------------------------------------------

struct agent_place {
    uint32_t magic;
    struct agent *agent;
    const struct agent_edge *edge;
    uint32_t index;
    struct tls_origin *tls; // NULL: in clear
    struct resolver_watch *watch;
    struct os_addr addrs[AGENT_ADDRESSES_MAX]; // of the edge or its proxy, families in turn
    uint32_t addr_count;
    int error;      // why there are none; 0: not known yet
    bool websocket; // it was reached in WebSocket messages last, or is to be tried in these
};

int agent_place_open(struct agent_place *p, struct agent *a, uint32_t index) must_check;
void agent_place_close(struct agent_place *p);

// ---- connections -----------------------------------------------------------------------------------

/** One that was let in. */
struct agent_conn {
    uint32_t magic;
    struct down_session *session; // NULL: it is being opened
    struct agent_link *link;      // NULL: the link has another one, or is given up
    struct agent *agent;
    struct transport *t;
    struct list in_agent;
    uint64_t since_ms;
    bool restarts;        // the edge asked for another one, and is the one to end this
    struct os_addr local; // from where it was made; NONE: not known
    struct os_addr remote;
};

enum agent_link_state {
    LINK_OFF,      // not wanted
    LINK_PAUSED,   // timer says when
    LINK_WAITING,  // for the attempt of another link of the line
    LINK_LOOKING,  // the edge's addresses are looked up
    LINK_DIALLING, // reach
    LINK_ASKING,   // the handshake
    LINK_UP,       // `conn`, nothing else under way
};

struct agent_link {
    uint32_t magic;
    uint8_t state; // enum agent_link_state; of the attempt, which may run beside `conn`
    uint8_t slot;
    struct agent_line *line;
    struct agent_conn *conn; // in use; NULL: none
    struct agent_retry retry;
    struct wheel_timer timer; // the next attempt, or the end of this one
    struct agent_reach reach;
    // the handshake
    struct transport *t;
    struct http_peer peer;
    struct os_addr remote;
    struct chunk *out; // the request; NULL: all is written
    uint32_t out_pos;
    struct chunk *in;
    struct h1_scan scan;
    size_t head_len; // 0: the head is not complete
    bool signing;    // asked a second time on this connection, with a signature
    uint64_t sequence;
    char websocket_key[WEBSOCKET_KEY_BYTES + 1]; // of this attempt; empty: as it is
    bool changed_way;                            // this attempt follows one in the other form
    struct agent_answer answer;
};

/** Writes the value of Authorization for the nonce that an edge gave on this connection. 0, E_UNSUPPORTED
 * (in clear there are no keys), E_TOO_LARGE, E_NO_MEMORY. */
int agent_sign(const struct agent_plan *plan, const struct agent_edge *edge,
               const struct transport *t, struct slice nonce, struct text *out) must_check;
void agent_link_init(struct agent_link *k, struct agent_line *line, unsigned slot);
/** An attempt after so long; one that is under way goes on. */
void agent_link_start(struct agent_link *k, uint64_t in_ms);
/** It need not wait for another link's attempt any more. */
void agent_link_resume(struct agent_link *k);
/** A new connection now, beside the one there is: an attempt under way is begun anew. */
void agent_link_again(struct agent_link *k);
/** Attempts end; the connection, if any, is left to itself (it ends by its own means). */
void agent_link_stop(struct agent_link *k);
/** The edge's addresses have come, or cannot be found. */
void agent_link_on_addresses(struct agent_link *k);

// ---- an instance -----------------------------------------------------------------------------------

struct agent_line {
    struct agent *agent;
    uint32_t tunnel;
    struct agent_place *place;
    bool over;      // ended for good
    bool told;      // READY was
    bool down;      // LOST was
    uint8_t wanted; // connections
    uint64_t sequence;
    char site[AGENT_SITE_MAX]; // of the snapshot: where its requests go
    char instance[AGENT_INSTANCE_TEXT];
    char name[ANSWER_NAME_MAX];
    uint16_t port; // given, of TCP or UDP; 0: none yet
    char secret[ANSWER_SECRET_MAX];
    char ticket[ANSWER_TICKET_MAX];
    uint32_t within_ms;
    struct agent_link links[AGENT_SLOTS_MAX];
};

void agent_line_open(struct agent_line *n, struct agent *a, uint32_t tunnel,
                     struct agent_place *place);
void agent_line_close(struct agent_line *n);
const struct agent_tunnel *agent_line_tunnel(const struct agent_line *n);
/** What its links have to tell it. `why` is shown. */
void agent_line_on_grant(struct agent_link *k, const struct agent_answer *answer);
void agent_line_on_refusal(struct agent_link *k, const struct agent_answer *answer);
void agent_line_on_failure(struct agent_link *k, int error, struct slice why);
void agent_line_on_loss(struct agent_link *k, uint64_t held_ms, struct slice why);
void agent_line_on_farewell(struct agent_link *k, const struct agent_farewell *f);
/** Whether a link may call: while none of its connections is there a line calls with one link after the
 * other. What the first is given (a name, where the edge knows its ticket no more) the others say. */
bool agent_line_may_call(const struct agent_link *k);
/** An attempt of the line has ended: others may begin. */
void agent_line_resume(struct agent_line *n);
/** The edge asks for so many connections. */
void agent_line_want(struct agent_line *n, unsigned connections);

// ---- the whole -------------------------------------------------------------------------------------

struct agent {
    uint32_t magic;
    const struct agent_plan *plan;
    agent_event_fn *on_event;
    void *arg;
    struct sys *own_sys; // NULL: it was given one
    struct loop loop;
    struct traffic *traffic;
    struct traffic_core *core;
    struct conf_doc *doc;
    uint64_t streams[AGENT_TUNNELS_MAX]; // key (l4/plan.h) of each tunnel of TCP or UDP; else 0
    struct tls_store *tls;
    struct exchange_watcher watcher;
    struct reserved own;
    int inspect_fd; // of its listener; -1: none
    uint16_t inspect_port;
    struct io signals;
    struct io network;
    struct wheel_timer network_timer; // changes come in swarms
    struct wheel_timer leave_timer;
    struct wheel_timer beat_timer; // signs of life for a service manager
    uint64_t beat_ms;              // 0: nobody wants them
    struct wheel_timer trim_timer;
    uint64_t leave_end_ms;
    bool has_loop;
    bool leaving;
    bool signalled;
    uint32_t live;      // lines that are not over
    uint32_t dismissed; // lines that their edge has ended, or lets nobody begin
    struct list conns;
    struct slab conn_slab;
    struct counters *counters;
    struct agent_place places[AGENT_EDGES_MAX];
    uint32_t line_count;
    struct agent_line *lines;
};

/** An agent that does nothing yet: no signals are taken, no edge is called. As agent_new(). `sys`, NULL:
 * Linux, else it outlives the agent, and the caller gives the loop its turns. */
int agent_make(const struct agent_plan *plan, struct sys *sys, agent_event_fn *on_event, void *arg,
               struct text *why, struct agent **out) must_check;
/** Calls the edges, for all tunnels. */
int agent_open_lines(struct agent *a, struct text *why) must_check;
/** What is under way ends, then the loop stops; the second time it stops at once. */
void agent_leave(struct agent *a);
/** Compiles the plan into a snapshot that the core uses. 0, or why not. */
int agent_compile(struct agent *a, struct text *why) must_check;
/** The configuration as text. */
void agent_compile_text(const struct agent_plan *plan, struct text *out);
/** The site of a tunnel: "t7.tunnel". And back; false: it is none. */
void agent_site_name(uint32_t tunnel, struct text *out);
bool agent_site_tunnel(struct slice name, uint32_t *tunnel);
void agent_tell(struct agent *a, const struct agent_event *e);
/** Answers requests of edges to the agent itself. */
void agent_own_open(struct agent *a);
/** Opens the inspector's port, if one is wanted. 0, or why not. */
int agent_inspect_open(struct agent *a, struct text *why) must_check;
void agent_inspect_close(struct agent *a);
/** A connection was let in: what it took to get there is not needed for a while. */
void agent_trim_soon(struct agent *a);
/** A line is over. */
void agent_line_is_over(struct agent *a);
