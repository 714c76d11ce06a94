// SPDX-License-Identifier: Apache-2.0
//
// What the files of layer 4 share on a core. Private to src/l4.

#pragma once

#include "base/slab.h"
#include "obs/log.h"

#include "l4/l4.h"
#include "l4/relay.h"

struct l4_udp;
struct l4_flows;

struct l4_core {
    uint32_t magic;
    struct l4_surroundings with;
    struct snapshot *snapshot; // of new sessions; NULL: none yet
    struct slab slab;          // TCP sessions
    struct list live;
    struct list dead; // over in this turn
    struct task reap;
    struct list more; // sessions that used up their share of a turn
    struct wheel_timer go_on;
    struct l4_udp *udp;
    struct l4_flows *flows;
};

/** How a session ended, for its line in the access log. */
struct l4_line {
    const struct l4_stream *stream;
    uint8_t format;        // enum access_log_format
    const char *protocol;  // "tcp", "udp"
    uint64_t id;           // of the connection
    struct os_addr client; //
    struct slice name;     // SNI; empty: none
    struct slice server;   // empty: none was reached
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t datagrams_in; // UDP
    uint64_t datagrams_out;
    uint64_t connect_ns;
    uint64_t total_ms;
    int error;        // 0: both sides closed
    const char *side; // whose doing: "client", "origin", "edge"
};

/** Writes it, unless the stream has none. */
void l4_log(const struct l4_core *c, const struct l4_line *l);
/** Builds it; ends with '\n'. */
void l4_log_text(const struct l4_line *l, uint64_t wall_ms, struct text *out);
