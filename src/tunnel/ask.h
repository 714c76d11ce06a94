// SPDX-License-Identifier: Apache-2.0
//
// What the edge asks of an agent itself, as a request on one of its streams (docs/design/tunnel.md):
// so many connections of this instance there are to be. No answer is waited for; the agent may have
// its reasons.

#pragma once

#include <stdint.h>

#include "http/session.h"

// The host of such requests: no visitor can bring it about (RFC 6761 6.4).
#define TUNNEL_AGENT_HOST "agent.invalid"

/** Asks for `count` connections on a session that has room. Nothing happens without memory. On its
 * core. */
void tunnel_ask_connections(struct up_session *s, unsigned count);
