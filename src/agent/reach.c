// SPDX-License-Identifier: Apache-2.0
//
// Happy eyeballs over dials (struct agent_reach). A dial covers the TLS handshake too, so an address
// that takes connections and then says nothing does not hold up the others.

#include "base/error.h"
#include "base/text.h"

#include "agent/agent_int.h"

static void begin_next(struct agent_reach *r);

static void on_timer(struct wheel_timer *t)
{
    struct agent_reach *r = container_of(t, struct agent_reach, timer);
    ensure_magic(r, AGENT_REACH_MAGIC);
    begin_next(r);
}

void agent_reach_init(struct agent_reach *r, struct loop *l, struct dialer *d)
{
    *r = (struct agent_reach){.magic = AGENT_REACH_MAGIC, .loop = l, .dialer = d};
    wheel_timer_init(&r->timer, on_timer);
}

/** What a person can act upon comes before what a network says. */
static int rank(int error)
{
    switch (error) {
    case 0:
        return -1;
    case E_TLS_UNTRUSTED:
    case E_TLS_EXPIRED:
    case E_TLS_WRONG_NAME:
    case E_OUTBOUND_LOGIN:
    case E_OUTBOUND_REFUSED:
        return 3;
    case E_REFUSED:
        return 1;
    case E_UNREACHABLE:
    case E_SOURCE_UNKNOWN:
        return 0;
    default:
        return error_class_of(error) == ERROR_CLASS_PEER ? 2 : 0;
    }
}

static void note_error(struct agent_reach *r, int error, struct slice reason)
{
    if (rank(error) <= rank(r->error)) {
        return;
    }
    r->error = error;
    struct text t = text_on(r->reason, sizeof(r->reason) - 1);
    text_put(&t, reason);
    r->reason[t.len] = '\0';
}

static void end_all(struct agent_reach *r)
{
    loop_timer_stop(r->loop, &r->timer);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->dials[i] != NULL) {
            dial_cancel(r->dials[i]);
            r->dials[i] = NULL;
        }
    }
    r->active = 0;
    r->count = 0;
    r->next = 0;
}

static void on_dial(struct dial *dial, const struct dial_result *result, void *arg)
{
    struct agent_reach *r = arg;
    ensure_magic(r, AGENT_REACH_MAGIC);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->dials[i] == dial) {
            r->dials[i] = NULL;
            r->active--;
        }
    }
    if (result->error == 0) {
        end_all(r);
        r->done(r, 0, result);
        return;
    }
    note_error(r, result->error, result->reason);
    begin_next(r);
}

/** Tries the next address; when there is none and none is on its way, that was it. */
static void begin_next(struct agent_reach *r)
{
    loop_timer_stop(r->loop, &r->timer);
    uint64_t now = r->loop->now_ms;
    while (r->next < r->count && now < r->end_ms) {
        uint32_t i = r->next++;
        struct dial_order order = {
            .to = r->addrs[i],
            .limit_ms = (uint32_t)(r->end_ms - now),
            .tls = r->tls,
            .proxy = &r->edge->proxy,
            .target = r->edge->host,
            .target_port = r->edge->port,
        };
        int error = 0;
        r->dials[i] = dial_begin(r->dialer, &order, on_dial, r, &error);
        if (r->dials[i] == NULL) {
            note_error(r, error, SLICE(""));
            continue;
        }
        r->active++;
        if (r->next < r->count) {
            loop_timer_set(r->loop, &r->timer, AGENT_STAGGER_MS);
        }
        return;
    }
    if (r->active == 0) {
        int error = r->error != 0 ? r->error : E_CONNECT_TIMEOUT;
        end_all(r);
        r->done(r, error, NULL);
    }
}

void agent_reach_begin(struct agent_reach *r, const struct agent_place *p, uint32_t limit_ms)
{
    ensure_magic(r, AGENT_REACH_MAGIC);
    ensure(r->active == 0 && p->addr_count > 0 && p->addr_count <= AGENT_ADDRESSES_MAX);
    memcpy(r->addrs, p->addrs, p->addr_count * sizeof(p->addrs[0]));
    r->count = p->addr_count;
    r->next = 0;
    r->edge = p->edge;
    r->tls = p->tls;
    r->error = 0;
    r->reason[0] = '\0';
    r->end_ms = r->loop->now_ms + limit_ms;
    // A dial may fail at once; whoever began must not be called from in here.
    loop_timer_set(r->loop, &r->timer, 0);
}

void agent_reach_cancel(struct agent_reach *r)
{
    ensure_magic(r, AGENT_REACH_MAGIC);
    end_all(r);
}
