// SPDX-License-Identifier: Apache-2.0
//
// The agent: the dialling end of tunnels (docs/design/tunnel.md). One process, one thread: a loop, the
// traffic of one core, and for each tunnel and edge an instance that keeps its connections up. An edge
// is the HTTP/2 client on such a connection; what it asks takes the way of any request through the
// exchange to the one target that the tunnel was given, whatever host it names.
//
// Everything happens on the thread that calls agent_run(); so are the events told.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "net/outbound.h"

struct agent;
struct agent_answer;
struct text;

enum {
    AGENT_TUNNELS_MAX = 32,
    AGENT_EDGES_MAX = 4,
    AGENT_LIST_MAX = 32, // networks, or users, of one tunnel
};

enum agent_kind { AGENT_HTTP, AGENT_TCP, AGENT_UDP };

struct agent_list {
    struct slice at[AGENT_LIST_MAX];
    uint32_t count;
};

/** One tunnel that is wanted. */
struct agent_tunnel {
    enum agent_kind kind;
    struct slice target; // an origin as conf/address.h writes it; of a folder: its path
    struct slice shown;  // how people call it: "localhost:3000"
    bool folder;         // the target is a folder whose files are served
    bool local;          // a port of this machine: both loopback addresses are tried
    bool insecure;       // an https target's certificate is not verified
    struct slice name;   // wanted; empty: any
    uint16_t port;       // public one of TCP and UDP; 0: any
    bool join;
    bool wildcard;
    struct slice host;           // Host for the target: "pass", "server", a text; empty: pass
    struct slice proxy_protocol; // "v1", "v2"; empty: none
    struct agent_list allow;     // networks
    struct agent_list deny;
    struct agent_list users; // USER:PASSWORD
};

/** An edge to call. */
struct agent_edge {
    struct slice host; // without brackets
    uint16_t port;
    bool secure;
    struct outbound proxy; // that leads there; of kind OUTBOUND_DIRECT: none
};

struct agent_plan {
    struct agent_tunnel tunnels[AGENT_TUNNELS_MAX];
    uint32_t tunnel_count;
    struct agent_edge edges[AGENT_EDGES_MAX];
    uint32_t edge_count;
    struct slice token;           // empty: none
    bool has_key;                 // in place of a token
    uint8_t key[32];              // Ed25519, private
    struct slice certificate;     // PEM, in place of a token; empty: none
    struct slice certificate_key; // PEM, private
    struct slice ca; // PEM: whom to trust instead of the system's authorities; empty: those
    int terminal;    // descriptor of the terminal that it is shown on; -1: none. HUP ends the agent
                     // when that is gone
    bool inspect;    // keep requests and show them on a port of this machine
    uint16_t inspect_port; // 0: 4040 or one of the next
    bool watch_network;    // call again at once when this machine's addresses change
};

enum agent_event_kind {
    AGENT_EVENT_READY,   // the first connection of a tunnel to an edge: `answer` has the URLs
    AGENT_EVENT_BACK,    // connected again: the same
    AGENT_EVENT_LOST,    // no connection is left: `text` says why, `in_ms` when it is tried again
    AGENT_EVENT_FAILED,  // an attempt failed: the same; `answer` when the edge said so
    AGENT_EVENT_ENDED,   // for good: `text` says why, `answer` may be NULL
    AGENT_EVENT_REQUEST, // one has ended: `request`
    AGENT_EVENT_LEAVING, // what is under way ends, then the agent does
};

struct agent_request {
    struct slice method; // any bytes in these two
    struct slice target;
    struct slice client; // address
    unsigned status;     // 0: the visitor had gone before there was one
    uint64_t took_us;
    uint64_t bytes_in; // bodies
    uint64_t bytes_out;
    struct slice error; // name of what went wrong here; empty: nothing
};

struct agent_event {
    enum agent_event_kind kind;
    uint32_t tunnel; // indices in the plan
    uint32_t edge;
    const struct agent_answer *answer;
    const struct agent_request *request;
    struct slice text;
    uint64_t in_ms;
};

/** `arg` as given to agent_new(). What an event points to is good during the call. */
typedef void agent_event_fn(void *arg, const struct agent_event *e);

enum agent_end {
    AGENT_END_ASKED,     // by a signal
    AGENT_END_DISMISSED, // no tunnel is left, and the edge has let none come back: it ended them, or
                         // does not know or allow who asks. Calling again changes nothing
    AGENT_END_FAILED,    // no tunnel is left; later it may be another matter
};

/** The plan must outlive the agent. On failure `why` says what is wrong. 0, E_CONFIG, E_NO_MEMORY,
 * E_NO_DESCRIPTORS, E_TLS_... */
int agent_new(const struct agent_plan *plan, agent_event_fn *on_event, void *arg, struct text *why,
              struct agent **out) must_check;
/** Runs until a signal (INT, TERM: politely; again: at once) or until every tunnel has ended. HUP
 * calls all edges anew. */
enum agent_end agent_run(struct agent *a);
/** Where the inspector is, on 127.0.0.1; 0: there is none. */
uint16_t agent_inspect_port(const struct agent *a);
void agent_free(struct agent *a);
