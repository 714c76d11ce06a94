// SPDX-License-Identifier: Apache-2.0
//
// Telling a service manager of an agent (cli/agent_manager.h). Ready means one tunnel at one edge: a
// device whose second edge is away, or whose second name is taken, is not to be ended for that.

#include "cli/agent_manager.h"

#include "agent/answer.h"
#include "base/text.h"
#include "os/notify.h"

enum { SAY_MAX = 2048, WHY_MAX = 512 };

void agent_manager_init(struct agent_manager *m, const struct agent_plan *plan)
{
    *m = (struct agent_manager){.plan = plan};
}

static unsigned count_up(const struct agent_manager *m)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < m->plan->tunnel_count; i++) {
        bool any = false;
        for (uint32_t edge = 0; edge < m->plan->edge_count; edge++) {
            any = any || m->up[i * AGENT_EDGES_MAX + edge];
        }
        count += any;
    }
    return count;
}

/** One line, whatever a peer wrote. */
static void put_line(struct text *out, struct slice s)
{
    for (size_t i = 0; i < s.len && i < WHY_MAX; i++) {
        bool odd = s.ptr[i] < ' ' || s.ptr[i] >= 0x7f;
        text_char(out, odd ? '?' : s.ptr[i]);
    }
}

static void put_status(const struct agent_manager *m, const struct agent_event *e, struct text *out)
{
    text_str(out, "STATUS=");
    bool up = m->up[e->tunnel * AGENT_EDGES_MAX + e->edge];
    if (m->plan->tunnel_count > 1) {
        text_printf(out, "%u of %u tunnels are up", count_up(m), m->plan->tunnel_count);
        text_str(out, up ? "" : "; ");
    }
    if (!up) {
        put_line(out, e->text);
    } else if (m->plan->tunnel_count == 1) {
        put_line(out, slice_str(e->answer->urls[0]));
    }
    text_char(out, '\n');
}

void agent_manager_text(struct agent_manager *m, const struct agent_event *e, struct text *out)
{
    if (e->kind == AGENT_EVENT_REQUEST || m->leaving) {
        return;
    }
    if (e->kind == AGENT_EVENT_LEAVING) {
        m->leaving = true;
        text_str(out, "STOPPING=1\n");
        return;
    }
    bool up = e->kind == AGENT_EVENT_READY || e->kind == AGENT_EVENT_BACK;
    m->up[e->tunnel * AGENT_EDGES_MAX + e->edge] = up;
    text_str(out, up && !m->ready ? "READY=1\n" : "");
    m->ready = m->ready || up;
    put_status(m, e, out);
}

void agent_manager_event(struct agent_manager *m, const struct agent_event *e)
{
    char buffer[SAY_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    agent_manager_text(m, e, &t);
    if (t.len > 0) {
        (void)os_notify(text_slice(&t));
    }
}
