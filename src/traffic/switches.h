// SPDX-License-Identifier: Apache-2.0
//
// The agent's end of TCP and UDP tunnels: CONNECT streams of a connection that is for a stream of the
// configuration (peer->stream) become connections, or flows of datagrams, of that stream, as if they
// had been accepted on a listener of it. docs/design/tunnel.md says what is on the wire.

#pragma once

#include "http/stream_transport.h"
#include "proxy/core.h"

struct down_core;
struct l4_core;

/** One per core. */
struct switches {
    struct core_switches taker; // for core.switches
    struct stream_transports *streams;
    struct down_core *down;
    struct l4_core *l4;
};

/** All three outlive it. */
void switches_init(struct switches *w, struct stream_transports *streams, struct down_core *down,
                   struct l4_core *l4);
