// SPDX-License-Identifier: Apache-2.0
//
// What a service manager hears of an agent (os/notify.h): that it is ready when the first tunnel is up,
// how many are, and that it leaves. An agent that nobody manages tells nobody.

#pragma once

#include "agent/agent.h"

struct text;

struct agent_manager {
    const struct agent_plan *plan;
    bool ready; // said
    bool leaving;
    bool up[AGENT_TUNNELS_MAX * AGENT_EDGES_MAX];
};

void agent_manager_init(struct agent_manager *m, const struct agent_plan *plan);
void agent_manager_event(struct agent_manager *m, const struct agent_event *e);

/** For tests: what the event is worth saying; nothing for requests. */
void agent_manager_text(struct agent_manager *m, const struct agent_event *e, struct text *out);
