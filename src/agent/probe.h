// SPDX-License-Identifier: Apache-2.0
//
// Calling an edge step by step, to say which one fails: the name, the way there, TLS, the handshake,
// the token. Each step is done by what an agent does it with.

#pragma once

#include <stdint.h>

#include "agent/agent.h"

struct agent_step {
    const char *name; // "dns", "proxy", "tcp", "tls", "upgrade", "token"
    bool ok;
    uint64_t took_us;
    struct slice text;  // what was found, or what went wrong; printable
    const char *advice; // when it failed; "" when there is none
};

/** Walks the steps to the plan's first edge until one fails; each is told once, in order. The handshake
 * asks for the plan's first tunnel, which is given up at once. 0: all went well; else E_... of the step
 * that failed, or why there was none (`why`). */
int agent_probe(const struct agent_plan *plan, void (*step)(void *arg, const struct agent_step *s),
                void *arg, struct text *why) must_check;
