// SPDX-License-Identifier: Apache-2.0
//
// Agents and their edge, both the real ones, through whatever can happen to them: connections that are
// cut in every way or come late, agents that call again beside a living connection, ask for more of
// them, leave, are killed and begin anew; edges that drain, die, lose the zone, revoke tokens, end
// tunnels; targets that are down. All the while visitors ask for names. Nobody is ever answered by
// somebody else than he asked for, a name that is waited for is nobody else's, no agent gives up for
// a reason that is none; when it is quiet again every agent is reached, and at last nothing is left.

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "base/text.h"

#include "edge.h"
#include "grants.h"
#include "kernel.h"
#include "named.h"

enum {
    RUNNERS_MAX = 5,
    EDGES_MAX = 3,
    HOLDS_MAX = 256,
    STEPS_MAX = 26,
    PARK_S = 30,
    QUIET_S = 75,   // a pause of an agent, an attempt that is lost, and a pause again
    SILENCE_S = 16, // until both ends know
    ANSWER_STEP = 32,
    ANSWER_MAX = 1024, // bytes: the 101, and what follows it
};

static const uint64_t SECOND_NS = UINT64_C(1000000000);
static const uint64_t MILLISECOND_NS = 1000000;

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};

#define TIMES "timeouts: {header: 20s, idle: 30s, write: 20s, response: 20s, read: 20s}\n"

static const char with_zone[] =
    TIMES "sites: {'*.t.test': {tunnels: {anonymous: on, insecure_clear: on, park: 30s,"
          " health: {path: /0, every: 3s, timeout: 1s}}}}\n";
static const char without_zone[] = TIMES "sites: {'other.test': {respond: 200}}\n";

/** Whom an agent speaks for, and what it wants. */
struct wish {
    const char *token;
    const char *name;
    bool join;
};

static const struct wish wishes[] = {
    {"", "", false},
    {"", "", false},
    {GRANTS_ALICE, "", false},
    {GRANTS_ALICE, "alpha", false},
    {GRANTS_ALICE, "alpha", true},
    {GRANTS_ALICE, "shared", true},
    {GRANTS_BOB, "shared", true},
    {GRANTS_BOB, "bob-1", false},
};

/** A name that a run of an agent was given. */
struct hold {
    char name[NAMED_NAME_MAX];
    uint32_t runner;
    uint32_t run;
    const char *token;
    uint32_t epoch;   // of the edge's memory
    uint64_t from_ns; // first let in
    uint64_t lost_ns; // the last connection was lost; 0: it is there
    uint64_t until_ns;
    bool given_up; // it left, or was told to
};

struct runner {
    struct crowd *crowd;
    uint32_t index;
    uint32_t run;
    const struct wish *wish;
    struct agent_plan plan;
    struct agent *agent; // NULL: it does not run
    struct hold *hold;
    char target[64];
    bool leaving;
    bool ended; // for good
};

struct crowd {
    struct sim_case *c;
    struct sim *s;
    struct named *named;
    struct edge *edges[EDGES_MAX]; // the last one listens
    uint32_t edge_count;
    uint32_t cores;
    uint32_t reloads;
    bool has_zone;
    bool has_bob;
    bool alone;     // one agent, whom nobody keeps from its name
    uint32_t epoch; // grows when names may be anybody's
    uint32_t runner_count;
    struct runner runners[RUNNERS_MAX];
    uint32_t hold_count;
    struct hold holds[HOLDS_MAX];
};

static struct edge *edge_of(struct crowd *w)
{
    return w->edges[w->edge_count - 1];
}

// ---- who has which name --------------------------------------------------------------------------------

static bool may(void *arg, uint32_t origin, struct slice name, uint64_t since_ns)
{
    const struct crowd *w = arg;
    for (uint32_t i = 0; i < w->hold_count; i++) {
        const struct hold *h = &w->holds[i];
        if (h->runner == origin && slice_eq(slice_str(h->name), name) &&
            h->until_ns + 2 * SECOND_NS >= since_ns) {
            return true;
        }
    }
    return false;
}

/** Another one had the name a moment ago, and the edge had no reason to give it away. */
static void check_alone(struct crowd *w, const struct hold *h)
{
    uint64_t now = sim_now_ns(w->s);
    for (uint32_t i = 0; i < w->hold_count; i++) {
        const struct hold *o = &w->holds[i];
        bool same = o->runner == h->runner && o->run == h->run;
        bool anonymous = h->token[0] == '\0' || o->token[0] == '\0';
        bool owner = !anonymous && strcmp(o->token, h->token) == 0;
        bool forgotten = o->given_up || o->epoch != w->epoch ||
                         (o->lost_ns != 0 && o->lost_ns + (PARK_S - SILENCE_S) * SECOND_NS < now);
        if (!same && !owner && !forgotten && strcmp(o->name, h->name) == 0) {
            sim_fail(w->c, "%s was agent %u's, and agent %u has it", h->name, o->runner, h->runner);
        }
    }
}

/** The last one of a shared name that goes takes it along, whoever is lost at that moment. */
static void give_up(struct crowd *w, const char *name)
{
    for (uint32_t i = 0; i < w->hold_count; i++) {
        struct hold *h = &w->holds[i];
        h->given_up = h->given_up || strcmp(h->name, name) == 0;
    }
}

static void on_let_in(struct runner *n, const char *name)
{
    struct crowd *w = n->crowd;
    if (n->hold != NULL && strcmp(n->hold->name, name) != 0) {
        sim_note(w->c, "agent %u was %s and is %s", n->index, n->hold->name, name);
        if (n->hold->epoch == w->epoch) {
            sim_fail(w->c, "agent %u was %s and came back as %s", n->index, n->hold->name, name);
        }
        n->hold->until_ns = sim_now_ns(w->s);
        n->hold->given_up = true;
        n->hold = NULL;
    }
    if (n->hold == NULL) {
        ensure(w->hold_count < HOLDS_MAX);
        n->hold = &w->holds[w->hold_count++];
        *n->hold = (struct hold){.runner = n->index,
                                 .run = n->run,
                                 .token = n->wish->token,
                                 .from_ns = sim_now_ns(w->s)};
        ensure(strlen(name) < sizeof(n->hold->name));
        memcpy(n->hold->name, name, strlen(name));
    }
    n->hold->epoch = w->epoch;
    n->hold->lost_ns = 0;
    n->hold->given_up = false;
    n->hold->until_ns = UINT64_MAX - 2 * SECOND_NS;
    check_alone(w, n->hold);
}

static void end_hold(struct runner *n, bool given_up)
{
    if (n->hold != NULL && given_up) {
        give_up(n->crowd, n->hold->name);
    }
    if (n->hold != NULL) {
        n->hold->until_ns = sim_now_ns(n->crowd->s);
        n->hold->lost_ns = n->hold->lost_ns != 0 ? n->hold->lost_ns : n->hold->until_ns;
        n->hold = NULL;
    }
}

/** Whether it may give up for good. */
static void check_end(struct runner *n, const struct agent_event *e)
{
    struct crowd *w = n->crowd;
    bool taken = e->answer != NULL && e->answer->status == 409 && n->wish->name[0] != '\0';
    sim_note(w->c, "agent %u ends: %.*s", n->index, SLICE_ARG(e->text));
    if (w->alone || (w->epoch == 0 && !taken) ||
        slice_find(e->text, SLICE("another connection")) >= 0) {
        sim_fail(w->c, "agent %u ends: %.*s", n->index, SLICE_ARG(e->text));
    }
}

static void on_event(void *arg, const struct agent_event *e)
{
    struct runner *n = arg;
    struct crowd *w = n->crowd;
    switch (e->kind) {
    case AGENT_EVENT_READY:
    case AGENT_EVENT_BACK:
        sim_note(w->c, "agent %u is %s", n->index, e->answer->name);
        on_let_in(n, e->answer->name);
        break;
    case AGENT_EVENT_LOST:
        sim_note(w->c, "agent %u is lost: %.*s, again in %llu ms", n->index, SLICE_ARG(e->text),
                 (unsigned long long)e->in_ms);
        n->hold->lost_ns = sim_now_ns(w->s);
        break;
    case AGENT_EVENT_FAILED:
        sim_note(w->c, "agent %u: %.*s, again in %llu ms", n->index, SLICE_ARG(e->text),
                 (unsigned long long)e->in_ms);
        break;
    case AGENT_EVENT_ENDED:
        check_end(n, e);
        n->ended = true;
        end_hold(n, true);
        break;
    case AGENT_EVENT_REQUEST:
    case AGENT_EVENT_LEAVING:
        break;
    }
}

// ---- agents --------------------------------------------------------------------------------------------

static void start_as(struct runner *n, const struct wish *wish)
{
    struct crowd *w = n->crowd;
    struct os_addr at = named_origin_at(n->index);
    struct text target = text_on(n->target, sizeof(n->target));
    text_str(&target, "http://");
    os_addr_text(&at, &target);
    n->run++;
    n->leaving = false;
    n->ended = false;
    n->wish = wish;
    n->plan = (struct agent_plan){.tunnel_count = 1, .edge_count = 1, .terminal = -1};
    n->plan.token = slice_str(n->wish->token);
    n->plan.edges[0] = (struct agent_edge){.host = SLICE("t.test"), .port = 80};
    n->plan.tunnels[0] = (struct agent_tunnel){.target = text_slice(&target),
                                               .shown = SLICE("the target"),
                                               .name = slice_str(n->wish->name),
                                               .join = n->wish->join};
    char room[1024];
    struct text why = text_on(room, sizeof(room));
    int e = agent_make(&n->plan, sim_sys(w->s), on_event, n, &why, &n->agent);
    ensure(e == 0);
    traffic_core_set_names(n->agent->core, SLICE(""), SLICE("10.0.0.1 t.test\n"));
    e = agent_open_lines(n->agent, &why);
    ensure(e == 0);
    sim_note(w->c, "agent %u starts, run %u, wants %s", n->index, n->run, n->wish->name);
}

static void start(struct runner *n)
{
    start_as(n, &wishes[rng_below(sim_rng(n->crowd->s), array_len(wishes))]);
}

static void stop(struct runner *n)
{
    end_hold(n, n->leaving || n->ended);
    agent_free(n->agent);
    n->agent = NULL;
}

static bool is_connected(const struct runner *n)
{
    for (unsigned i = 0; n->agent != NULL && i < AGENT_SLOTS_MAX; i++) {
        if (n->agent->lines[0].links[i].conn != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_running(const struct runner *n)
{
    return n->agent != NULL && !n->leaving && !n->ended;
}

/** As when a signal comes, or the network has changed. */
static void call_again(struct runner *n)
{
    struct agent_line *line = &n->agent->lines[0];
    for (unsigned i = 0; i < line->wanted; i++) {
        agent_link_again(&line->links[i]);
    }
}

static void leave(struct runner *n)
{
    n->leaving = true;
    if (n->hold != NULL) {
        give_up(n->crowd, n->hold->name);
    }
    agent_leave(n->agent);
}

// ---- the edge ------------------------------------------------------------------------------------------

static void set_access(struct crowd *w, bool bob)
{
    struct access *a = bob ? grants_new() : grants_new_without_bob();
    w->has_bob = bob;
    edge_set_access(edge_of(w), a);
    access_unref(a);
}

static void open_edge(struct crowd *w)
{
    struct edge_limits limits = {.cores = w->cores, .chunks_max = 20000, .connections_max = 400};
    w->edges[w->edge_count++] = edge_open(w->c, w->s, &edge_at, with_zone, &limits);
    w->has_zone = true;
    w->reloads = 0;
    set_access(w, true);
}

static void set_zone(struct crowd *w, bool there)
{
    if (w->has_zone != there && w->reloads + 1 < EDGE_DOCUMENTS_MAX) {
        w->reloads++;
        w->has_zone = there;
        edge_reload(edge_of(w), there ? with_zone : without_zone);
    }
}

static void replace_edge(struct crowd *w, bool kill)
{
    if (w->edge_count == EDGES_MAX) {
        return;
    }
    if (kill) {
        w->edge_count--;
        edge_end(w->c, w->edges[w->edge_count]);
    } else {
        edge_drain(edge_of(w));
    }
    open_edge(w);
}

// ---- time ----------------------------------------------------------------------------------------------

static void turn(struct crowd *w, uint64_t ns)
{
    struct loop *loops[EDGES_MAX * EDGE_CORES_MAX + RUNNERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->edge_count; i++) {
        for (uint32_t k = 0; k < edge_core_count(w->edges[i]); k++) {
            loops[count++] = edge_loops(w->edges[i])[k];
        }
    }
    for (uint32_t i = 0; i < w->runner_count; i++) {
        if (w->runners[i].agent != NULL) {
            loops[count++] = &w->runners[i].agent->loop;
        }
    }
    (void)sim_run(w->s, loops, count, sim_now_ns(w->s) + ns, NULL, NULL);
    for (uint32_t i = 0; i < w->runner_count; i++) {
        struct runner *n = &w->runners[i];
        if (n->agent != NULL && atomic_load(&n->agent->loop.stopping)) {
            stop(n);
        }
    }
}

/** Moments are spread over the scales on which things happen. */
static uint64_t some_time(struct crowd *w)
{
    static const uint64_t scales_ms[] = {1, 10, 300, 3000, 20000, 70000};
    struct rng *r = sim_rng(w->s);
    return rng_below(r, scales_ms[rng_below(r, array_len(scales_ms))] * MILLISECOND_NS);
}

// ---- what happens --------------------------------------------------------------------------------------

static const char *some_name(struct crowd *w)
{
    struct rng *r = sim_rng(w->s);
    if (w->hold_count == 0 || rng_chance(r, 0.1)) {
        return rng_chance(r, 0.5) ? "nobody" : "alpha";
    }
    uint32_t recent = w->hold_count < 8 ? w->hold_count : 8;
    return w->holds[w->hold_count - 1 - rng_below(r, recent)].name;
}

static void visit(struct crowd *w)
{
    struct rng *r = sim_rng(w->s);
    uint64_t visitors = 1 + rng_below(r, 5);
    for (uint64_t i = 0; i < visitors; i++) {
        const char *names[NAMED_REQUESTS_MAX];
        uint32_t count = 1 + (uint32_t)rng_below(r, NAMED_REQUESTS_MAX);
        for (uint32_t k = 0; k < count; k++) {
            names[k] = some_name(w);
        }
        (void)named_visit(w->named, names, count);
    }
}

static void cut(struct crowd *w, struct runner *n)
{
    struct rng *r = sim_rng(w->s);
    enum sim_cut how = (enum sim_cut)rng_below(r, SIM_CUT_STALL + 1);
    uint64_t ns = rng_below(r, rng_chance(r, 0.5) ? 20 * SECOND_NS : SECOND_NS);
    double p = rng_chance(r, 0.5) ? 1 : 0.5;
    uint32_t count = sim_cut(n->agent->loop.sys, &edge_at, how, p, ns);
    sim_note(w->c, "agent %u: %u connections are cut, %d", n->index, count, (int)how);
}

static void disturb_agent(struct crowd *w)
{
    struct rng *r = sim_rng(w->s);
    struct runner *n = &w->runners[rng_below(r, w->runner_count)];
    if (n->agent == NULL) {
        start(n);
        return;
    }
    if (!is_running(n)) {
        return;
    }
    switch (rng_below(r, 12)) {
    case 0:
        leave(n);
        break;
    case 1: // it dies: no word of it comes through
        (void)sim_cut(n->agent->loop.sys, &edge_at, (enum sim_cut)rng_below(r, SIM_CUT_STALL), 1,
                      0);
        stop(n);
        break;
    case 2:
    case 3:
    case 4:
        call_again(n);
        break;
    case 5:
    case 6:
        if (n->hold != NULL) { // an edge asks on a connection
            agent_line_want(&n->agent->lines[0], 1 + (unsigned)rng_below(r, AGENT_SLOTS_MAX));
        }
        break;
    case 7:
        named_origin_close(w->named, n->index);
        break;
    case 8:
        named_origin_open(w->named, n->index);
        break;
    default:
        cut(w, n);
        break;
    }
}

static void disturb_edge(struct crowd *w)
{
    struct rng *r = sim_rng(w->s);
    uint64_t what = rng_below(r, 5);
    w->epoch++;
    sim_note(w->c, "edge: %u", (unsigned)what);
    switch (what) {
    case 0:
        (void)edge_kick(edge_of(w), slice_str(some_name(w)));
        break;
    case 1:
        set_zone(w, !w->has_zone);
        break;
    case 2:
        set_access(w, !w->has_bob);
        break;
    default:
        replace_edge(w, what == 3);
        break;
    }
}

static void step(struct crowd *w, double edge_chance)
{
    struct rng *r = sim_rng(w->s);
    double dice = (double)rng_below(r, 1000) / 1000;
    if (dice < edge_chance) {
        disturb_edge(w);
    } else if (dice < 0.4) {
        visit(w);
    } else {
        disturb_agent(w);
    }
    turn(w, some_time(w));
}

// ---- a scenario ----------------------------------------------------------------------------------------

static void calm_down(struct crowd *w)
{
    *sim_faults(w->s) = (struct sim_faults){.latency_max_ns = 2 * MILLISECOND_NS};
    w->epoch += !w->has_zone || !w->has_bob;
    set_zone(w, true);
    if (!w->has_bob) {
        set_access(w, true);
    }
    for (uint32_t i = 0; i < w->runner_count; i++) {
        named_origin_open(w->named, i);
    }
    turn(w, QUIET_S * SECOND_NS);
}

/** Whoever has not given up is there, and is who answers. */
static void check_reached(struct crowd *w)
{
    struct named_visitor *visitors[RUNNERS_MAX] = {NULL};
    for (uint32_t i = 0; i < w->runner_count && w->has_zone; i++) {
        struct runner *n = &w->runners[i];
        if (is_running(n) && !is_connected(n)) {
            sim_fail(w->c, "agent %u is not back", i);
        } else if (is_running(n)) {
            const char *name = n->hold->name;
            visitors[i] = named_visit(w->named, &name, 1);
        }
    }
    turn(w, 15 * SECOND_NS);
    for (uint32_t i = 0; i < w->runner_count; i++) {
        if (visitors[i] != NULL && named_status(visitors[i]) != 200) {
            sim_fail(w->c, "agent %u is not reached: %d", i, named_status(visitors[i]));
        }
    }
}

static struct crowd *begin(struct sim_case *c, uint64_t seed, const struct sim_faults *faults)
{
    struct crowd *w = calloc(1, sizeof(*w));
    ensure(w != NULL);
    w->c = c;
    w->s = sim_new(seed, faults);
    const struct named_judge judge = {may, w};
    w->named = named_new(c, w->s, &edge_at, &judge);
    w->cores = 1 + (uint32_t)rng_below(sim_rng(w->s), 3);
    open_edge(w);
    return w;
}

/** Everybody goes, and nothing is left. */
static void end(struct crowd *w)
{
    struct sim_case *c = w->c;
    for (uint32_t i = 0; i < w->runner_count; i++) {
        if (w->runners[i].agent != NULL) {
            stop(&w->runners[i]);
        }
    }
    turn(w, 3 * PARK_S * SECOND_NS);
    named_check_over(w->named);
    for (uint32_t i = 0; i < w->edge_count; i++) {
        if (edge_exchanges(w->edges[i]) != 0 || edge_connections(w->edges[i]) != 0) {
            sim_fail(c, "edge %u: %u exchanges live on", i, edge_exchanges(w->edges[i]));
        }
    }
    while (w->edge_count > 1) {
        edge_end(c, w->edges[--w->edge_count]);
    }
    edge_close(c, w->edges[0]);
    named_free(w->named);
    sim_free(w->s);
    free(w);
}

static void run(struct sim_case *c, const struct sim_faults *faults, double edge_chance)
{
    struct crowd *w = begin(c, c->seed, faults);
    struct rng *r = sim_rng(w->s);
    named_set_rough(w->named, faults->reset > 0 || edge_chance > 0);
    w->runner_count = 1 + (uint32_t)rng_below(r, RUNNERS_MAX);
    for (uint32_t i = 0; i < w->runner_count; i++) {
        w->runners[i] = (struct runner){.crowd = w, .index = i};
        named_origin_open(w->named, i);
        start(&w->runners[i]);
    }
    turn(w, some_time(w));
    uint64_t steps = 1 + rng_below(r, STEPS_MAX);
    for (uint64_t i = 0; i < steps; i++) {
        step(w, edge_chance);
    }
    calm_down(w);
    check_reached(w);
    sim_note(c, "%u of %u requests were good", named_good(w->named), named_all(w->named));
    end(w);
}

static const struct sim_faults calm = {.latency_max_ns = 2000000};
static const struct sim_faults rough = {
    .short_read = 0.2,
    .short_write = 0.2,
    .write_again = 0.1,
    .spurious_event = 0.2,
    .late_event = 0.2,
    .latency_max_ns = 50000000,
    .buffer_min = 400,
    .buffer_max = 60000,
};
static const struct sim_faults broken = {
    .short_read = 0.2,
    .short_write = 0.2,
    .late_event = 0.2,
    .connect_silent = 0.05,
    .reset = 0.4,
    .latency_max_ns = 5000000,
};

static void agents_come_and_go(struct sim_case *c)
{
    run(c, &calm, 0);
}

static void agents_come_and_go_on_a_rough_network(struct sim_case *c)
{
    run(c, &rough, 0);
}

static void agents_bear_resets(struct sim_case *c)
{
    run(c, &broken, 0);
}

static void the_edge_changes(struct sim_case *c)
{
    run(c, &calm, 0.15);
}

static void the_edge_changes_on_a_rough_network(struct sim_case *c)
{
    run(c, &rough, 0.15);
}

/** The connection of the first call is cut behind so many bytes, and the edge does not know. */
static void lose_answer(struct sim_case *c, const struct wish *wish, size_t bytes)
{
    struct crowd *w = begin(c, bytes, &calm);
    struct runner *n = &w->runners[0];
    w->alone = true;
    w->runner_count = 1;
    *n = (struct runner){.crowd = w};
    named_origin_open(w->named, 0);
    start_as(n, wish);
    sim_doom(n->agent->loop.sys, bytes);
    turn(w, 3 * SECOND_NS); // less than it takes to notice the silence
    if (!is_connected(n)) {
        sim_fail(c, "cut behind %zu bytes: the agent is not in", bytes);
    }
    turn(w, 2 * SILENCE_S * SECOND_NS);
    if (n->ended || !is_connected(n)) {
        sim_fail(c, "cut behind %zu bytes: the agent has gone", bytes);
    } else if (n->agent->lines[0].sequence > 1) { // else so much has not been said yet
        check_reached(w);
    }
    end(w);
}

static void a_first_answer_is_lost(struct sim_case *c)
{
    static const struct wish named = {GRANTS_ALICE, "alpha", false};
    for (size_t i = 0; i < ANSWER_STEP && c->failures == 0; i++) {
        size_t bytes = (c->seed * ANSWER_STEP + i) % ANSWER_MAX;
        lose_answer(c, i % 8 == 7 ? &wishes[c->seed % array_len(wishes)] : &named, bytes);
    }
}

static const struct sim_scenario scenarios[] = {
    {"a_first_answer_is_lost", a_first_answer_is_lost, ANSWER_MAX / ANSWER_STEP},
    {"agents_come_and_go", agents_come_and_go, 30},
    {"agents_come_and_go_on_a_rough_network", agents_come_and_go_on_a_rough_network, 30},
    {"agents_bear_resets", agents_bear_resets, 30},
    {"the_edge_changes", the_edge_changes, 30},
    {"the_edge_changes_on_a_rough_network", the_edge_changes_on_a_rough_network, 30},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
