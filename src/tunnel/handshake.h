// SPDX-License-Identifier: Apache-2.0
//
// The edge's side of an agent's handshake (docs/design/tunnel.md): reserved requests at the edge's own
// name. One of them is read (tunnel/hello.h), judged (tunnel/judge.h), made a claim for a name, which is
// judged where the name is at home (tunnel/registry.h), and answered: with 101, after which the
// connection is the registry's, or with a refusal.
//
// Nobody who is not known gets more than the memory of his request. How often an address may call and
// how many connections its agents may have is counted for all cores together (tunnel/callers.h).

#pragma once

#include <stdint.h>

#include "base/ensure.h"

struct core;
struct handshakes;
struct tunnel_registry;

enum { HANDSHAKES_MAX = 4096 }; // of a core, that wait for the judgment of their claim

/** A core's. The registry outlives it. Joins the core's reserved requests. Main thread,
 * before the core's loop runs. 0, E_NO_MEMORY, E_IO. */
int handshakes_new(struct core *core, struct tunnel_registry *registry, struct handshakes **out)
    must_check;
/** The core ends: what waits is given up. All client connections must be closed, its exchanges end. On
 * the core. */
void handshakes_free(struct handshakes *h);
