// SPDX-License-Identifier: Apache-2.0
//
// Places for requests (upstream/group.h): choosing a server, waiting for one, giving the place back.
//
// A place is one of a server's `active`. Whoever frees one tells the core whose first request waits
// longest; a core that can do nothing with it passes the word on. A core keeps its queue to itself,
// others see only since when its first request waits.

#include "base/error.h"
#include "upstream/group_int.h"

enum {
    PASSED_MAX = 64,  // servers without room that one choice passes over
    LOOK_PAST = 8,    // requests that cannot be placed do not hold up the next few
    SERVE_MAX = 1024, // requests placed in one go
    CROWD_MS = 1000,  // until who found no place may ask again: places become free all the time
    NS_PER_MS = 1000000,
};

/** A request that ended before it met a server. */
static const struct upstream_outcome said_nothing = {.abandoned = true};

static struct loop *loop_of(const struct group_core *gc)
{
    const struct group *g = gc->group;
    return g->registry->cores[gc - g->cores].loop;
}

static uint32_t index_of(const struct group_core *gc)
{
    return (uint32_t)(gc - gc->group->cores);
}

// ---- choosing ---------------------------------------------------------------------------------------

struct choosing {
    const struct roster *roster;
    const struct upstream_request *rq;
    uint64_t now_ms;
    int sticky;       // whom the client's cookie names; -1: nobody who may be asked
    bool failing_too; // also those to which a connect has just failed
    bool *met_full;   // one without room was met
    uint32_t passed_count;
    uint16_t passed[PASSED_MAX];
};

static bool was_tried(const struct upstream_request *rq, const struct server *s)
{
    for (unsigned i = 0; i < rq->tried_count; i++) {
        if (rq->tried[i] == s) {
            return true;
        }
    }
    return false;
}

static void note_tried(struct upstream_request *rq, const struct server *s)
{
    if (was_tried(rq, s)) {
        return;
    }
    if (rq->tried_count == UPSTREAM_TRIED_MAX) { // the oldest is forgotten
        memmove(&rq->tried[0], &rq->tried[1], (UPSTREAM_TRIED_MAX - 1) * sizeof(rq->tried[0]));
        rq->tried_count--;
    }
    rq->tried[rq->tried_count++] = s;
}

static uint32_t places_of(const struct roster_entry *e)
{
    uint32_t most = e->limits.requests_max == 0 ? UINT32_MAX : e->limits.requests_max;
    uint32_t found = atomic_load_explicit(&e->server->vitals.limit, memory_order_relaxed);
    return found != 0 && found < most ? found : most;
}

static bool barred(const void *arg, uint32_t index)
{
    const struct choosing *c = arg;
    const struct roster_entry *e = &c->roster->entries[index];
    const struct vitals *v = &e->server->vitals;
    if (!c->failing_too &&
        atomic_load_explicit(&v->avoid_until_ms, memory_order_relaxed) > c->now_ms) {
        return true;
    }
    if (vitals_active(v) >= places_of(e)) {
        *c->met_full = true;
        return true;
    }
    if (was_tried(c->rq, e->server)) {
        return true;
    }
    for (uint32_t i = 0; i < c->passed_count; i++) {
        if (c->passed[i] == index) {
            return true;
        }
    }
    return false;
}

static int choose_of_list(struct choosing *c, const struct roster_core *rc, struct loop *l,
                          uint32_t from, uint32_t to)
{
    const struct roster *r = c->roster;
    const struct balance_choice choice = {
        .settings = &r->balance,
        .servers = r->servers,
        .count = r->count,
        .list = rc->list + from,
        .list_count = to - from,
        .table = r->table,
        .state = rc->state,
        .rng = &l->rng,
        .now_ns = l->now_ns,
        .key = c->rq->key,
        .has_key = c->rq->has_key,
        .barred = barred,
        .barred_arg = c,
    };
    return r->method->pick(&choice);
}

/** The server that the client's cookie names, if it is among those asked first, or still serves
 * those it has. */
static int sticky_server(const struct roster *r, const struct roster_core *rc,
                         const struct upstream_request *rq)
{
    const struct group_spec *spec = rq->terms;
    if (!spec->balance.sticky.on) {
        return -1;
    }
    int i = sticky_find(&spec->balance.sticky, r->servers, r->count, rq->subject);
    if (i < 0) {
        return -1;
    }
    unsigned bits = atomic_load_explicit(&r->servers[i].vitals->bits, memory_order_relaxed);
    if (bits == VITALS_DRAIN || (bits == 0 && r->servers[i].weight == 0)) {
        return i; // it takes nobody new
    }
    for (uint32_t n = 0; n < rc->list_first; n++) {
        if (rc->list[n] == i) {
            return i;
        }
    }
    return -1;
}

/** What the client is to be told of the server that it got: nothing when its cookie says so already. */
static void set_cookie(struct upstream_request *rq, const struct roster *r, int i)
{
    const struct group_spec *spec = rq->terms;
    const struct sticky_plan *sticky = &spec->balance.sticky;
    if (!sticky->on) {
        return;
    }
    uint64_t token = r->servers[i].token;
    rq->set_cookie = slice_of(NULL, 0);
    bool told = token == 0 || rq->subject == NULL ||
                sticky_find(sticky, r->servers, r->count, rq->subject) == i;
    if (!told && sticky_cookie(sticky, token, rq->subject, &rq->set_cookie) != 0) {
        rq->set_cookie = slice_of(NULL, 0); // no memory: it is told the next time
    }
}

/** Where those end that are chosen among together. */
static uint32_t asked_together(const struct roster *r, const struct roster_core *rc, uint32_t from)
{
    if (from < rc->list_first) {
        return rc->list_first;
    }
    uint32_t to = from + 1;
    while (to < rc->list_count && r->tiers[rc->list[to]] == r->tiers[rc->list[from]]) {
        to++;
    }
    return to;
}

/** One that is ejected, for a request that has failed at whoever may be asked: when one of two servers is
 * down, the other is no worse for what it did before. */
static int last_resort(const struct choosing *c, struct loop *l)
{
    const struct roster *r = c->roster;
    uint32_t begin = r->count > 0 ? (uint32_t)rng_below(&l->rng, r->count) : 0;
    for (uint32_t n = 0; n < r->count; n++) {
        uint32_t i = (begin + n) % r->count;
        const struct balance_server *s = &r->servers[i];
        unsigned bits = atomic_load_explicit(&s->vitals->bits, memory_order_relaxed);
        if (bits == VITALS_EJECTED && s->weight > 0 && !barred(c, i)) {
            return (int)i;
        }
    }
    return -1;
}

/** Those that are asked first, then tier by tier; each time those that a connect has just failed to
 * come last. */
static int choose(struct choosing *c, const struct roster_core *rc, struct loop *l)
{
    const struct roster *r = c->roster;
    c->failing_too = false;
    if (c->sticky >= 0 && !barred(c, (uint32_t)c->sticky)) {
        return c->sticky;
    }
    for (uint32_t from = 0, to = 0; from < rc->list_count; from = to) {
        to = asked_together(r, rc, from);
        for (int failing = 0; failing < 2; failing++) {
            c->failing_too = failing != 0;
            int i = choose_of_list(c, rc, l, from, to);
            if (i >= 0) {
                return i;
            }
        }
    }
    return c->rq->tried_count > 0 && !*c->met_full ? last_resort(c, l) : -1;
}

static bool is_full(const struct roster *r, const struct roster_core *rc)
{
    for (uint32_t i = 0; i < rc->list_count; i++) {
        const struct roster_entry *e = &r->entries[rc->list[i]];
        if (vitals_active(&e->server->vitals) >= places_of(e)) {
            return true;
        }
    }
    return false;
}

/** Some server has room, if not for everyone. */
static bool has_room(const struct group_core *gc)
{
    const struct roster *r = gc->roster;
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        const struct roster_entry *e = &r->entries[i];
        if (vitals_active(&e->server->vitals) < places_of(e)) {
            return true;
        }
    }
    return false;
}

/** One that calls in will be back, or not: the queue's time decides. */
static bool awaits_caller(const struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        unsigned bits = atomic_load_explicit(&r->servers[i].vitals->bits, memory_order_relaxed);
        if ((bits & VITALS_AWAY) != 0) {
            return true;
        }
    }
    return false;
}

static bool all_tried(const struct roster *r, const struct upstream_request *rq)
{
    if (r->count > rq->tried_count) {
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if (!was_tried(rq, r->entries[i].server)) {
            return false;
        }
    }
    return true;
}

// ---- places -----------------------------------------------------------------------------------------

static struct slice on_arena(const struct upstream_request *rq, struct slice text)
{
    char *copy = rq->subject == NULL ? NULL : arena_bytes(rq->subject->arena, text.len);
    if (copy == NULL) {
        return rq->subject == NULL ? text : slice_of(NULL, 0);
    }
    memcpy(copy, text.ptr, text.len);
    return slice_of(copy, text.len);
}

static void take_place(struct upstream_request *rq, struct server *s, uint32_t core)
{
    server_hold(s, core);
    rq->place = s;
    if (rq->server == s && rq->server_text.len > 0) {
        return; // again
    }
    rq->server = s;
    rq->server_text = on_arena(rq, server_text(s));
    rq->server_host = s->is_literal ? rq->server_text : on_arena(rq, server_host(s));
}

static void give_place_back(struct upstream_request *rq, uint32_t core)
{
    struct server *s = rq->place;
    rq->place = NULL;
    atomic_fetch_sub(&s->vitals.active, 1); // before room_is_free() looks whether anybody waits
    server_let_go(s, core);
}

/** One more request at it, unless it has as many as it may. */
static bool reserve(const struct roster_entry *e)
{
    atomic_uint *active = &e->server->vitals.active;
    if (atomic_fetch_add_explicit(active, 1, memory_order_relaxed) < places_of(e)) {
        return true;
    }
    atomic_fetch_sub_explicit(active, 1, memory_order_relaxed);
    return false;
}

/** Gives it a place, or E_AGAIN: there is none now, it may wait; another code: it has failed. */
static int place(struct group_core *gc, struct upstream_request *rq)
{
    struct roster *r = gc->roster;
    if (r == NULL || r->count == 0) {
        return r == NULL || r->error == 0 ? E_AGAIN : r->error;
    }
    uint32_t core = index_of(gc);
    struct loop *l = loop_of(gc);
    struct roster_core *rc = &r->at[core];
    roster_list(r, core, atomic_load_explicit(&gc->group->epoch, memory_order_acquire));
    bool met_full = false;
    struct choosing c; // the list of those passed over is not worth clearing
    c.roster = r;
    c.rq = rq;
    c.now_ms = l->now_ms;
    c.sticky = sticky_server(r, rc, rq);
    c.met_full = &met_full;
    c.passed_count = 0;
    int error = E_NO_SERVER;
    while (c.passed_count < PASSED_MAX) {
        int i = choose(&c, rc, l);
        if (i < 0 && rq->tried_count > 0 && c.passed_count == 0 && !is_full(r, rc)) {
            rq->tried_count = 0; // all have been: from the start
            i = choose(&c, rc, l);
        }
        if (i < 0) {
            break;
        }
        struct server *s = r->entries[i].server;
        c.passed[c.passed_count++] = (uint16_t)i;
        if (!reserve(&r->entries[i])) {
            error = E_AGAIN;
            continue;
        }
        if (!(rq->fresh && rq->server == s)) { // a stale connection says nothing of its server
            note_tried(rq, s);
        }
        rq->exhausted = all_tried(r, rq);
        take_place(rq, s, core);
        set_cookie(rq, r, i);
        int e = server_acquire(s, core, rq);
        if (e == 0) {
            return 0;
        }
        care_observe(s, rq,
                     &(struct upstream_outcome){.error = e, .abandoned = e == E_UPSTREAM_FULL});
        give_place_back(rq, core);
        error = e == E_UPSTREAM_FULL ? E_AGAIN : error == E_AGAIN ? error : e;
        if (e == E_UPSTREAM_FULL) {
            rq->tried_count -= was_tried(rq, s);
        }
    }
    // Another core may have freed the place since the choice: then it is told of, but not here.
    bool may_come = met_full || is_full(r, rc) || awaits_caller(r);
    return error == E_NO_SERVER && may_come ? E_AGAIN : error;
}

// ---- waiting ----------------------------------------------------------------------------------------

static struct upstream_request *first_of(const struct group_core *gc)
{
    struct list *node = list_first(&gc->waiting);
    return node == NULL ? NULL : list_entry(node, struct upstream_request, link);
}

static uint32_t patience_ms(const struct upstream_request *rq)
{
    const struct group_spec *spec = rq->terms;
    return spec->queue_ms;
}

/** After each change of the queue: what others see of it, and when its first has waited enough. */
static void note_first(struct group_core *gc)
{
    const struct upstream_request *rq = first_of(gc);
    struct loop *l = loop_of(gc);
    atomic_store_explicit(&gc->oldest_ns, rq == NULL ? UINT64_MAX : rq->waiting_since_ns,
                          memory_order_relaxed);
    if (rq == NULL) {
        loop_timer_stop(l, &gc->timer);
        return;
    }
    uint64_t waited_ms = (l->now_ns - rq->waiting_since_ns) / NS_PER_MS;
    uint64_t most = patience_ms(rq);
    loop_timer_set(l, &gc->timer, waited_ms < most ? most - waited_ms : 0);
}

static struct counters *counters_of(const struct group_core *gc)
{
    return gc->group->registry->cores[index_of(gc)].counters;
}

/** One fewer waits. */
static void count_off(struct group_core *gc)
{
    struct group *g = gc->group;
    gc->waiting_count--;
    atomic_fetch_sub_explicit(&g->waiting, 1, memory_order_relaxed);
    if (g->crowd != NULL) {
        atomic_fetch_sub_explicit(&g->crowd->waiting, 1, memory_order_relaxed);
        counter_sub(counters_of(gc), COUNTER_tunnel_visitors_waiting, 1);
    }
}

static void stop_waiting(struct group_core *gc, struct upstream_request *rq)
{
    list_remove(&rq->link);
    ensure(gc->waiting_count > 0);
    count_off(gc);
    rq->queued_ns += loop_of(gc)->now_ns - rq->waiting_since_ns;
}

/** One more in a crowd; false: it is full. */
static bool join_crowd(struct group_crowd *c)
{
    if (c != NULL && atomic_fetch_add(&c->waiting, 1) >= c->max) {
        atomic_fetch_sub_explicit(&c->waiting, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

/** False: the queue is full. */
static bool wait(struct group_core *gc, struct upstream_request *rq, const struct group_spec *spec)
{
    struct group *g = gc->group;
    if (spec->queue_max == 0) { // not even for a moment: newcomers elsewhere would see it
        return false;
    }
    if (atomic_fetch_add(&g->waiting, 1) >= spec->queue_max) {
        atomic_fetch_sub_explicit(&g->waiting, 1, memory_order_relaxed);
        return false;
    }
    if (!join_crowd(g->crowd)) {
        atomic_fetch_sub_explicit(&g->waiting, 1, memory_order_relaxed);
        return false;
    }
    if (g->crowd != NULL) {
        counter_add(counters_of(gc), COUNTER_tunnel_visitors_waiting, 1);
    }
    rq->waiting_since_ns = loop_of(gc)->now_ns;
    gc->waiting_count++;
    list_push_back(&gc->waiting, &rq->link);
    if (gc->waiting_count == 1) {
        note_first(gc);
    }
    return true;
}

static void on_patience_over(struct wheel_timer *t)
{
    struct group_core *gc = container_of(t, struct group_core, timer);
    uint64_t now = loop_of(gc)->now_ns;
    struct upstream_request *rq;
    while ((rq = first_of(gc)) != NULL &&
           (now - rq->waiting_since_ns) / NS_PER_MS >= patience_ms(rq)) {
        stop_waiting(gc, rq);
        care_settle(gc->group, rq, &said_nothing);
        rq->retry_ms = CROWD_MS;
        rq->on_failed(rq, E_QUEUE_TIMEOUT);
    }
    note_first(gc);
}

/** The core whose first request waits longest; NULL: nobody waits. */
static struct group_core *longest_waiting(struct group *g)
{
    struct group_core *best = NULL;
    uint64_t since = UINT64_MAX;
    for (uint32_t i = 0; i < g->registry->core_count; i++) {
        struct group_core *gc = &g->cores[i];
        uint64_t oldest = atomic_load_explicit(&gc->oldest_ns, memory_order_relaxed);
        if (oldest < since) {
            best = gc;
            since = oldest;
        }
    }
    return best;
}

/** The next core in a round at which somebody waits; NULL: none but this one. */
static struct group_core *next_waiting(struct group_core *gc)
{
    struct group *g = gc->group;
    uint32_t cores = g->registry->core_count;
    for (uint32_t i = 1; i < cores; i++) {
        struct group_core *other = &g->cores[(index_of(gc) + i) % cores];
        if (atomic_load_explicit(&other->oldest_ns, memory_order_relaxed) != UINT64_MAX) {
            return other;
        }
    }
    return NULL;
}

static void on_woken(struct mail *m, struct loop *to)
{
    struct group_core *gc = container_of(m, struct group_core, wake);
    atomic_store(&gc->woken, false);
    if (!gc->closed) {
        loop_defer(to, &gc->serve);
    }
    group_let_go(gc->group);
}

/** Who tells may be an idle connection, which keeps no snapshot: when the mail arrives, its core may have
 * left the group for good, and this one a moment later. So the mail holds it. */
static void wake(struct group_core *gc)
{
    if (!atomic_exchange(&gc->woken, true)) {
        group_hold(gc->group);
        loop_post(loop_of(gc), &gc->wake);
    }
}

/** From the core `from`: there may be room for what waits at `gc`; if it is of no use there, `hops`
 * others hear of it. */
static void tell(struct group_core *from, struct group_core *gc, uint32_t hops)
{
    atomic_store_explicit(&gc->hops, hops, memory_order_relaxed);
    if (gc == from) {
        loop_defer(loop_of(gc), &gc->serve);
    } else {
        wake(gc);
    }
}

/** A place is free: for whoever waits longest. Who frees one takes it off `active` first and looks at
 * `waiting` second, who waits does both the other way round: so one of them sees the other. */
static void room_is_free(struct group *g, uint32_t core)
{
    if (atomic_load(&g->waiting) == 0) {
        return;
    }
    struct group_core *from = &g->cores[core];
    struct group_core *gc = longest_waiting(g);
    if (gc != NULL && !from->closed) {
        tell(from, gc, g->registry->core_count - 1);
    }
}

/** Places what waits here, oldest first. Few that cannot be placed do not hold up the others. */
static uint32_t serve_queue(struct group_core *gc)
{
    uint32_t placed = 0;
    uint32_t blocked = 0;
    struct list *node = list_first(&gc->waiting);
    while (node != NULL && blocked < LOOK_PAST && placed < SERVE_MAX) {
        struct list *before = node->prev;
        struct upstream_request *rq = list_entry(node, struct upstream_request, link);
        list_remove(&rq->link);
        int e = place(gc, rq);
        if (e == E_AGAIN) {
            list_insert_before(before->next,
                               &rq->link); // nothing was called: the list is as it was
            blocked++;
            node = rq->link.next == &gc->waiting ? NULL : rq->link.next;
            continue;
        }
        count_off(gc);
        rq->queued_ns += loop_of(gc)->now_ns - rq->waiting_since_ns;
        if (e < 0) {
            care_settle(gc->group, rq, &(struct upstream_outcome){.error = e});
            rq->on_failed(rq, e);
        }
        placed++;
        blocked = 0;
        node = list_first(&gc->waiting); // what was called may have changed it
    }
    return placed;
}

static void serve(struct task *t)
{
    struct group_core *gc = container_of(t, struct group_core, serve);
    uint32_t placed = serve_queue(gc);
    note_first(gc);
    if (placed == SERVE_MAX) {
        loop_defer(loop_of(gc), &gc->serve);
        return;
    }
    uint32_t hops = atomic_exchange_explicit(&gc->hops, 0, memory_order_relaxed);
    bool of_no_use = placed == 0 && hops > 0 && has_room(gc);
    bool more = placed > 0 && (gc->waiting_count == 0 || has_room(gc));
    struct group_core *next = of_no_use || more ? next_waiting(gc) : NULL;
    if (next != NULL) {
        tell(gc, next, more ? gc->group->registry->core_count - 1 : hops - 1);
    }
}

void place_tell_all(struct group *g)
{
    if (atomic_load_explicit(&g->waiting, memory_order_relaxed) == 0) {
        return;
    }
    for (uint32_t i = 0; i < g->registry->core_count; i++) {
        struct group_core *gc = &g->cores[i];
        if (atomic_load_explicit(&gc->oldest_ns, memory_order_relaxed) != UINT64_MAX) {
            wake(gc);
        }
    }
}

void place_look_again(struct group_core *gc)
{
    if (gc->waiting_count > 0 && !gc->closed) {
        loop_defer(loop_of(gc), &gc->serve);
    }
}

// ---- requests ---------------------------------------------------------------------------------------

void group_acquire(struct group *g, struct upstream_request *rq, const struct group_spec *spec,
                   const uint64_t *key)
{
    ensure_magic(g, GROUP_MAGIC);
    struct group_core *gc = &g->cores[rq->loop->core];
    rq->terms = spec;
    rq->has_key = key != NULL;
    rq->key = key == NULL ? 0 : *key;
    if (!care_admit(g, rq)) {
        rq->on_failed(rq, E_BREAKER_OPEN);
        return;
    }
    // Nobody overtakes those that wait.
    bool queue = atomic_load_explicit(&g->waiting, memory_order_relaxed) > 0;
    int e = queue ? E_AGAIN : place(gc, rq);
    if (e == E_AGAIN && !wait(gc, rq, spec)) {
        e = E_UPSTREAM_FULL;
        rq->retry_ms = CROWD_MS;
    }
    if (e == E_AGAIN) {
        // A place that became free before others could see that we wait was told to nobody.
        room_is_free(g, rq->loop->core);
    } else if (e < 0) {
        care_settle(g, rq, &(struct upstream_outcome){.error = e});
        rq->on_failed(rq, e);
    }
}

void group_cancel(struct group *g, struct upstream_request *rq)
{
    ensure_magic(g, GROUP_MAGIC);
    uint32_t core = rq->loop->core;
    care_settle(g, rq, &said_nothing);
    if (rq->place == NULL) {
        stop_waiting(&g->cores[core], rq);
        note_first(&g->cores[core]);
        return;
    }
    server_cancel(rq->place, core, rq);
    give_place_back(rq, core);
    room_is_free(g, core);
}

void group_release(struct group *g, struct upstream_request *rq, const struct upstream_outcome *o)
{
    ensure_magic(g, GROUP_MAGIC);
    uint32_t core = rq->loop->core;
    struct server *s = rq->place;
    care_observe(s, rq, o);
    care_settle(g, rq, o);
    if (rq->raw) {
        server_raw_closed(s, core);
    }
    if (o->error == 0 && !o->abandoned && o->latency_ns > 0) {
        balance_observe_latency(&s->vitals, o->latency_ns, rq->loop->now_ns);
    }
    give_place_back(rq, core);
    room_is_free(g, core);
}

/** The connection that it was to share carries fewer than was hoped, and no other may be opened now:
 * that is as if there had been no room from the start. False: the queue is full. */
static bool waits_again(struct group *g, struct upstream_request *rq, const struct server *s)
{
    uint32_t core = rq->loop->core;
    give_place_back(rq, core);
    if (rq->tried_count > 0 && rq->tried[rq->tried_count - 1] == s) {
        rq->tried_count--;
    }
    return wait(&g->cores[core], rq, rq->terms);
}

void place_on_failed(struct server *s, struct upstream_request *rq, int error)
{
    struct group *g = s->group;
    uint32_t core = rq->loop->core;
    ensure(rq->place == s);
    if (error == E_UPSTREAM_FULL) {
        bool waits = waits_again(g, rq, s);
        room_is_free(g, core);
        if (!waits) {
            care_settle(g, rq, &said_nothing);
            rq->on_failed(rq, error);
        }
        return;
    }
    care_observe(s, rq, &(struct upstream_outcome){.error = error});
    care_settle(g, rq, &(struct upstream_outcome){.error = error});
    give_place_back(rq, core);
    room_is_free(g, core);
    rq->on_failed(rq, error);
}

void place_on_room(struct server *s, uint32_t core)
{
    room_is_free(s->group, core);
}

// ---- life -------------------------------------------------------------------------------------------

void place_core_init(struct group *g, struct group_core *gc)
{
    gc->group = g;
    list_init(&gc->waiting);
    atomic_init(&gc->oldest_ns, UINT64_MAX);
    task_init(&gc->serve, serve);
    wheel_timer_init(&gc->timer, on_patience_over);
    gc->wake.fn = on_woken;
}

void place_core_end(struct group_core *gc)
{
    ensure(gc->waiting_count == 0);
    struct loop *l = loop_of(gc);
    gc->closed = true;
    loop_cancel(l, &gc->serve);
    loop_timer_stop(l, &gc->timer);
}
