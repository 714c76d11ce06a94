// SPDX-License-Identifier: Apache-2.0
//
// Whether anything listens where a tunnel leads, asked once at the start: the most common mistake is a
// local service that was forgotten or has another port.

#pragma once

#include "agent/agent.h"

/** False only when nothing can listen there: what is not known, as of other machines, counts as there. */
bool agent_local_listens(const struct agent_tunnel *t);
