// SPDX-License-Identifier: Apache-2.0
//
// Requests to the agent itself: those with the authority agent.invalid, which no visitor can bring
// about, on a connection that an edge was let in by. They never reach the target.

#include "base/error.h"
#include "base/num.h"
#include "proxy/exchange.h"
#include "proxy/reserved.h"

#include "agent/agent_int.h"

static bool is_own(const struct reserved *r, const struct exchange *x)
{
    (void)r;
    return slice_eq(x->request.host, SLICE("agent.invalid"));
}

/** The line on whose connection it came. */
static struct agent_line *line_of(struct agent *a, const struct exchange *x)
{
    for (uint32_t i = 0; i < a->line_count; i++) {
        for (unsigned slot = 0; slot < AGENT_SLOTS_MAX; slot++) {
            const struct agent_conn *c = a->lines[i].links[slot].conn;
            if (c != NULL && x->down != NULL && c->t == x->down->peer->transport) {
                return &a->lines[i];
            }
        }
    }
    return NULL; // of a connection that is on its way out
}

static unsigned on_connections(struct agent *a, const struct exchange *x)
{
    uint64_t wanted = 0;
    struct slice text = fields_get(&x->request.fields, SLICE("adit-connections"));
    struct agent_line *n = line_of(a, x);
    if (num_parse_u64(text, AGENT_SLOTS_MAX, &wanted) != 0 || wanted == 0) {
        return 400;
    }
    if (n == NULL || n->over || a->leaving) {
        return 503;
    }
    agent_line_want(n, (unsigned)wanted);
    return 204;
}

static enum stage_result answer(const struct reserved *r, struct exchange *x)
{
    struct agent *a = container_of((struct reserved *)(uintptr_t)r, struct agent, own);
    ensure_magic(a, AGENT_MAGIC);
    unsigned status = 404;
    if (slice_eq(x->request.path, SLICE("/connections"))) {
        status = x->request.method == HTTP_METHOD_POST ? on_connections(a, x) : 405;
    }
    exchange_begin_answer(x, status);
    exchange_answer(x, SLICE(""), SLICE(""));
    return STAGE_ANSWER;
}

void agent_own_open(struct agent *a)
{
    a->own = (struct reserved){.is = is_own, .answer = answer};
    traffic_core_reserve(a->core, &a->own);
}
