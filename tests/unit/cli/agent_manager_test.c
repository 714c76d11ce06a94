// SPDX-License-Identifier: Apache-2.0
//
// What a service manager hears of an agent with one tunnel, and of one with several.

#include "tap.h"

#include "agent/answer.h"
#include "base/text.h"
#include "cli/agent_manager.h"

static struct agent_plan plan = {.tunnel_count = 1, .edge_count = 1};
static struct agent_manager manager;
static const struct agent_answer granted = {.url_count = 1, .urls = {"https://myapp.example.com"}};

static const char *said(enum agent_event_kind kind, uint32_t tunnel, uint32_t edge,
                        struct slice text)
{
    static char buffer[4096];
    const struct agent_event e = {
        .kind = kind, .tunnel = tunnel, .edge = edge, .answer = &granted, .text = text};
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    agent_manager_text(&manager, &e, &t);
    CHECK(!t.overflow);
    buffer[t.len] = '\0';
    return buffer;
}

static void one_tunnel(void)
{
    plan.tunnel_count = 1;
    plan.edge_count = 1;
    agent_manager_init(&manager, &plan);
    CHECK_STR(said(AGENT_EVENT_FAILED, 0, 0, SLICE("it is away\nREADY=1")),
              "STATUS=it is away?READY=1\n");
    CHECK_STR(said(AGENT_EVENT_READY, 0, 0, SLICE("")),
              "READY=1\nSTATUS=https://myapp.example.com\n");
    CHECK_STR(said(AGENT_EVENT_REQUEST, 0, 0, SLICE("")), "");
    CHECK_STR(said(AGENT_EVENT_LOST, 0, 0, SLICE("cut")), "STATUS=cut\n");
    CHECK_STR(said(AGENT_EVENT_BACK, 0, 0, SLICE("")), "STATUS=https://myapp.example.com\n");
    CHECK_STR(said(AGENT_EVENT_LEAVING, 0, 0, SLICE("")), "STOPPING=1\n");
    CHECK_STR(said(AGENT_EVENT_ENDED, 0, 0, SLICE("gone")), "");
}

static void several_tunnels_at_several_edges(void)
{
    plan.tunnel_count = 2;
    plan.edge_count = 2;
    agent_manager_init(&manager, &plan);
    CHECK_STR(said(AGENT_EVENT_ENDED, 0, 0, SLICE("the name is taken")),
              "STATUS=0 of 2 tunnels are up; the name is taken\n");
    CHECK_STR(said(AGENT_EVENT_READY, 1, 1, SLICE("")), "READY=1\nSTATUS=1 of 2 tunnels are up\n");
    CHECK_STR(said(AGENT_EVENT_READY, 1, 0, SLICE("")), "STATUS=1 of 2 tunnels are up\n");
    CHECK_STR(said(AGENT_EVENT_LOST, 1, 1, SLICE("cut")), "STATUS=1 of 2 tunnels are up; cut\n");
    CHECK_STR(said(AGENT_EVENT_READY, 0, 1, SLICE("")), "STATUS=2 of 2 tunnels are up\n");
}

TAP_MAIN(one_tunnel, several_tunnels_at_several_edges)
