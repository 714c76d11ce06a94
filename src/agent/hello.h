// SPDX-License-Identifier: Apache-2.0
//
// The agent's question: the handshake's request (docs/design/tunnel.md). Pure.

#pragma once

#include <stdint.h>

#include "base/slice.h"

#include "agent/agent.h"

struct text;

enum { HELLO_MAX = 8192, AGENT_INSTANCE_BYTES = 16 };

struct agent_hello {
    const struct agent_edge *edge;
    const struct agent_tunnel *tunnel;
    struct slice authorization; // the whole value; empty: none
    struct slice instance;      // text
    unsigned slot;
    uint64_t sequence;
    struct slice secret; // empty the first time, as is the ticket
    struct slice ticket;
    struct slice name;          // given before, else wanted; empty: any
    uint16_t port;              // the same of TCP and UDP; 0: any
    struct slice websocket_key; // asks for it in WebSocket messages; empty: as it is
};

void agent_hello_write(struct text *out, const struct agent_hello *h);
/** The edge's authority: its port is left out where it is the scheme's own. */
void agent_edge_authority(struct text *out, const struct agent_edge *e);
