// SPDX-License-Identifier: Apache-2.0
//
// `retry` and `hedge` (upstream/policy.h). What is repeated by default is what no server can have
// answered: it was not reached, or it left without a response. A status is an answer, and only who
// runs the origins knows which of them means "ask another"; so there is none unless it is written.

#include "upstream/policy.h"

#include "base/error.h"
#include "conf/value.h"

static void add_status(uint64_t *set, unsigned status)
{
    ensure(status < UPSTREAM_STATUSES_END);
    set[status / 64] |= UINT64_C(1) << status % 64;
}

/** One word or status of `on`. */
static int add_condition(struct conf_node n, struct arena *arena, struct upstream *u,
                         uint64_t **statuses)
{
    struct slice text = conf_text(n);
    if (slice_eq(text, SLICE("connect"))) {
        u->retry_on |= UPSTREAM_RETRY_CONNECT;
        return 0;
    }
    if (slice_eq(text, SLICE("timeout"))) {
        u->retry_on |= UPSTREAM_RETRY_TIMEOUT;
        return 0;
    }
    if (slice_eq(text, SLICE("reset"))) {
        u->retry_on |= UPSTREAM_RETRY_RESET;
        return 0;
    }
    unsigned status = 0;
    int e = conf_value_status(text, true, &status);
    ensure(e == 0);
    if (*statuses == NULL) {
        *statuses = arena_zalloc(arena, UPSTREAM_STATUSES_END / 8);
        u->retry_statuses = *statuses;
    }
    if (*statuses == NULL) {
        return E_NO_MEMORY;
    }
    bool class = status < 10;
    for (unsigned i = 0; i < (class ? 100U : 1U); i++) {
        add_status(*statuses, class ? status * 100 + i : status);
    }
    return 0;
}

int policy_compile(struct conf_node n, struct arena *arena, struct upstream *u)
{
    struct conf_node retry = conf_get(n, "retry");
    u->attempts = conf_is_off(retry) ? 0 : (uint32_t)conf_int(conf_get(retry, "attempts"), 3);
    u->backoff_ms = (uint32_t)conf_duration_ms(conf_get(retry, "backoff"), 50);
    u->replay_bytes = (uint32_t)conf_size(conf_get(retry, "body"), 64 * 1024);
    u->try_ms = (uint32_t)conf_duration_ms(conf_get(retry, "timeout"), 0);
    u->hedge_ms = (uint32_t)conf_duration_ms(conf_get(conf_get(n, "hedge"), "after"), 0);
    struct conf_node on = conf_get(retry, "on");
    if (!conf_exists(on)) {
        u->retry_on = UPSTREAM_RETRY_CONNECT | UPSTREAM_RETRY_TIMEOUT | UPSTREAM_RETRY_RESET;
        return 0;
    }
    uint64_t *statuses = NULL;
    conf_each(at, on)
    {
        int e = add_condition(at, arena, u, &statuses);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}
