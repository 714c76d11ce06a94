// SPDX-License-Identifier: Apache-2.0
//
// What a group learns of its servers and does about it: results of requests go to ejection, circuit
// breaker and concurrency on whichever core they end; the home core checks health, lets ejected servers
// back in, compares them, and says when the group panics.
//
// The home core looks when there is something to see: the first request that ends after it has looked,
// and every ejection, nudge it by mail; it looks again when an interval or an ejection is over. A group
// without traffic and without anything ejected costs nothing.

#include "base/error.h"
#include "obs/log.h"
#include "upstream/group_int.h"

static struct group *group_of_care(struct group_care *c)
{
    struct group *g = container_of(c, struct group, care);
    ensure_magic(g, GROUP_MAGIC);
    return g;
}

static struct loop *home_loop(const struct group *g)
{
    return g->registry->cores[g->home].loop;
}

// ---- the home core ----------------------------------------------------------------------------------

static uint32_t servers_of(const struct group *g, struct eject_server **out)
{
    const struct roster *r = g->newest;
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        out[i] = &r->entries[i].server->eject;
    }
    return r == NULL ? 0 : r->count;
}

/** Says once when a panic begins and when it is over. */
static void watch_panic(struct group *g)
{
    uint16_t list[BALANCE_SERVERS_MAX];
    const struct roster *r = g->newest;
    struct eligible e = {.list = list};
    if (r == NULL) {
        return;
    }
    eligible_fill(&e, r->servers, r->tiers, r->count, r->panic_percent);
    if (e.panic && !g->care.panic) {
        log_line(LOG_WARN, "upstream %s: only %u of %u servers are usable: health is ignored",
                 g->name, e.usable, e.candidates);
    } else if (!e.panic && g->care.panic) {
        log_line(LOG_INFO, "upstream %s: %u of %u servers are usable: health counts again", g->name,
                 e.usable, e.candidates);
    }
    g->care.panic = e.panic;
}

static void on_change(void *arg)
{
    struct group *g = arg;
    watch_panic(g);
    group_changed(g);
}

static void tell_ejection(void *arg, uint32_t index, enum eject_why why)
{
    struct group *g = arg;
    const struct server *s = g->newest->entries[index].server;
    if (why == EJECT_RETURN) {
        log_line(LOG_INFO, "upstream %s: server %.*s is let back in", g->name,
                 SLICE_ARG(server_text(s)));
    } else {
        log_line(LOG_WARN, "upstream %s: server %.*s is ejected: %s", g->name,
                 SLICE_ARG(server_text(s)), eject_why_text(why));
    }
    on_change(g);
}

void care_look(struct group *g)
{
    struct eject_server *servers[BALANCE_SERVERS_MAX];
    struct loop *l = home_loop(g);
    uint32_t count = servers_of(g, servers);
    if (g->spec == NULL) {
        return;
    }
    watch_panic(g);
    eject_sweep(&g->spec->eject, servers, count, l->now_ms, tell_ejection, g);
    uint64_t due = eject_due_ms(servers, count);
    bool stirred = atomic_load_explicit(&g->care.stirred, memory_order_relaxed);
    uint64_t interval_ends = g->care.eject.interval_ends_ms;
    if (stirred && g->spec->eject.every_ms != 0 && interval_ends < due) {
        due = interval_ends;
    }
    if (due != UINT64_MAX) {
        loop_timer_set(l, &g->care.timer, due > l->now_ms ? due - l->now_ms : 1);
    }
}

static void on_time(struct wheel_timer *t)
{
    struct group *g = group_of_care(container_of(t, struct group_care, timer));
    // What ends from now on belongs to the next interval and nudges again.
    atomic_store_explicit(&g->care.stirred, false, memory_order_relaxed);
    care_look(g);
}

static void on_nudge(struct mail *m, struct loop *to)
{
    struct group *g = group_of_care(container_of(m, struct group_care, nudge));
    ensure(to->core == g->home);
    atomic_store(&g->care.nudged, false);
    care_look(g);
}

void care_init(struct group *g)
{
    g->care.nudge.fn = on_nudge;
    wheel_timer_init(&g->care.timer, on_time);
}

static void apply_concurrency(struct group *g)
{
    const struct concurrency_settings *s = &g->spec->concurrency;
    const struct roster *r = g->newest;
    if (memcmp(s, &g->care.concurrency, sizeof(*s)) == 0) {
        return;
    }
    g->care.concurrency = *s;
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        struct server *server = r->entries[i].server;
        concurrency_reset(s, &server->concurrency, &server->vitals);
    }
}

void care_apply(struct group *g)
{
    struct group_care *c = &g->care;
    if (g->spec == NULL) {
        care_end(g);
        return;
    }
    bool can = !g->calls || g->checked_as.len > 0;
    bool checks = can && g->spec->health.check.type != CHECK_NONE;
    if (c->health == NULL && checks) {
        const struct health_order order = {.name = g->name,
                                           .calls = g->calls,
                                           .host = g->checked_as,
                                           .core = &g->registry->cores[g->home],
                                           .on_change = on_change,
                                           .arg = g};
        c->health = health_new(&order);
    }
    if (checks && (c->health == NULL || health_set(c->health, &g->spec->health) < 0)) {
        log_line(LOG_ERROR, "upstream %s: no memory to check its servers", g->name);
    }
    if (c->health != NULL && !checks) {
        health_free(c->health);
        c->health = NULL;
        on_change(g);
    }
    apply_concurrency(g);
}

void care_follow(struct group *g, struct server *const *servers, uint32_t count)
{
    if (g->spec != NULL) {
        eject_resize(&g->care.eject, &g->spec->eject, count);
    }
    if (g->care.health != NULL) {
        health_follow(g->care.health, servers, count);
    }
}

void care_server_init(struct group *g, struct server *s)
{
    eject_server_init(&s->eject, &s->vitals, &g->care.eject);
    if (g->care.concurrency.target_ms != 0) {
        concurrency_reset(&g->care.concurrency, &s->concurrency, &s->vitals);
    }
}

void care_end(struct group *g)
{
    loop_timer_stop(home_loop(g), &g->care.timer);
    if (g->care.health != NULL) {
        health_free(g->care.health);
        g->care.health = NULL;
    }
}

// ---- requests, on any core ---------------------------------------------------------------------------

static void nudge(struct group *g)
{
    if (!atomic_exchange(&g->care.nudged, true)) {
        loop_post(home_loop(g), &g->care.nudge);
    }
}

bool care_admit(struct group *g, struct upstream_request *rq)
{
    const struct group_spec *spec = rq->terms;
    bool first = rq->server == NULL && rq->tried_count == 0; // of its exchange
    if (first && !spec->retries.unlimited) {
        budget_request(&g->care.retries, rq->loop->now_ms);
    }
    if (first && spec->hedges.percent != 0) {
        budget_request(&g->care.hedges, rq->loop->now_ms);
    }
    rq->breaker = (uint8_t)breaker_enter(&g->care.breaker, &spec->breaker, rq->loop->now_ms);
    if (rq->breaker == BREAKER_REFUSED) {
        rq->retry_ms = breaker_left_ms(&g->care.breaker, &spec->breaker, rq->loop->now_ms);
        return false;
    }
    return true;
}

void care_settle(struct group *g, struct upstream_request *rq, const struct upstream_outcome *o)
{
    const struct group_spec *spec = rq->terms;
    enum breaker_pass pass = (enum breaker_pass)rq->breaker;
    if (pass == BREAKER_REFUSED) {
        return;
    }
    rq->breaker = BREAKER_REFUSED;
    bool watches = spec->breaker.percent != 0;
    enum verdict verdict = watches ? verdict_of(o, &spec->eject.statuses) : VERDICT_NONE;
    if (!breaker_leave(&g->care.breaker, &spec->breaker, pass, verdict, rq->loop->now_ms)) {
        return;
    }
    if (breaker_state(&g->care.breaker) == BREAKER_OPEN) {
        log_line(LOG_WARN, "upstream %s: the circuit breaker opens: no requests for %u ms", g->name,
                 spec->breaker.open_ms);
    } else {
        log_line(LOG_INFO, "upstream %s: the circuit breaker closes: requests are sent again",
                 g->name);
    }
}

void care_observe(struct server *s, const struct upstream_request *rq,
                  const struct upstream_outcome *o)
{
    struct group *g = s->group;
    const struct group_spec *spec = rq->terms;
    uint64_t now_ms = rq->loop->now_ms;
    if (o->abandoned) {
        return;
    }
    atomic_fetch_add_explicit(&s->vitals.requests, 1, memory_order_relaxed);
    if (verdict_of(o, &spec->eject.statuses) == VERDICT_BAD) {
        atomic_fetch_add_explicit(&s->vitals.failures, 1, memory_order_relaxed);
    }
    (void)concurrency_observe(&spec->concurrency, &s->concurrency, &s->vitals, o, now_ms);
    bool ejected = eject_observe(&spec->eject, &s->eject, o, now_ms);
    if (ejected) {
        log_line(LOG_WARN, "upstream %s: server %.*s is ejected: %s", g->name,
                 SLICE_ARG(server_text(s)), eject_why_text(EJECT_FAILURES));
        group_changed(g);
    }
    bool stirs = spec->eject.every_ms != 0 &&
                 !atomic_load_explicit(&g->care.stirred, memory_order_relaxed) &&
                 !atomic_exchange_explicit(&g->care.stirred, true, memory_order_relaxed);
    if (ejected || stirs) {
        nudge(g);
    }
}

bool group_may_repeat(struct group *g, struct loop *l, const struct group_spec *spec, bool hedge)
{
    ensure_magic(g, GROUP_MAGIC);
    struct budget *b = hedge ? &g->care.hedges : &g->care.retries;
    return budget_take(b, hedge ? &spec->hedges : &spec->retries, l->now_ms);
}
