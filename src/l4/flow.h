// SPDX-License-Identifier: Apache-2.0
//
// Flows: UDP that came as a stream of a tunnel's session (RFC 9298), on the agent's end. Each has a
// connected socket of its own to the server of its route. Private to src/l4; l4_open_datagrams() is the
// door.

#pragma once

#include "l4/core_int.h"

struct l4_flows;

/** NULL: out of memory. */
struct l4_flows *l4_flows_new(struct l4_core *c) must_check;
/** All of them must have ended. */
void l4_flows_free(struct l4_flows *f);
/** Takes the transport in any case. 0, E_NO_MEMORY. */
int l4_flow_open(struct l4_flows *f, struct transport *t, const struct http_peer *peer,
                 const struct l4_stream *stream) must_check;
