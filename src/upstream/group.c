// SPDX-License-Identifier: Apache-2.0
//
// Groups at run time: their list of servers, and the requests that want a place (upstream/group.h).
// This file: life and rosters, which are the home core's work. What the list is made of is in
// group_list.c, the requests are in place.c.

#include "upstream/group.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/slab.h"
#include "obs/log.h"
#include "upstream/group_int.h"
#include "upstream/group_list.h"

// Names decide on the home core only; nobody gains by a collision.
static const struct hash_key home_key = {{0x61646974, 0x67727570}};

// ---- life -------------------------------------------------------------------------------------------

static void on_retire(struct mail *m, struct loop *to);

uint32_t group_home(const struct upstream_registry *r, struct slice name)
{
    return (uint32_t)(hash_bytes(&home_key, name) % r->core_count);
}

static struct group *make(struct upstream_registry *r, struct slice name)
{
    size_t fixed = sizeof(struct group) + r->core_count * sizeof(struct group_core);
    struct group *g = mem_zalloc_aligned(fixed + name.len + 1, _Alignof(struct group));
    if (g == NULL) {
        return NULL;
    }
    g->magic = GROUP_MAGIC;
    g->registry = r;
    g->home = group_home(r, name);
    g->retire.fn = on_retire;
    atomic_init(&g->holders, 1);
    g->name = (char *)g + fixed;
    memcpy(g->name, name.ptr, name.len);
    group_rows_init(g);
    list_init(&g->link);
    list_init(&g->rosters);
    list_init(&g->names);
    for (uint32_t i = 0; i < r->core_count; i++) {
        place_core_init(g, &g->cores[i]);
    }
    care_init(g);
    list_push_back(&r->groups, &g->link);
    return g;
}

static struct group *find(struct upstream_registry *r, struct slice name)
{
    list_each(node, &r->groups)
    {
        struct group *g = list_entry(node, struct group, link);
        if (!g->retired && !g->calls && slice_eq(slice_str(g->name), name)) {
            return g;
        }
    }
    return NULL;
}

struct group *group_get(struct upstream_registry *r, struct slice name)
{
    if (name.len >= GROUP_NAME_MAX) {
        name = slice_of(name.ptr, GROUP_NAME_MAX - 1);
    }
    pthread_mutex_lock(&r->lock);
    struct group *g = find(r, name);
    if (g == NULL) {
        g = make(r, name);
    }
    if (g != NULL) {
        g->pools++;
    }
    pthread_mutex_unlock(&r->lock);
    return g;
}

struct group *group_new(struct upstream_registry *r, struct slice name, struct group_crowd *crowd)
{
    pthread_mutex_lock(&r->lock);
    struct group *g = make(r, slice_sub(name, 0, GROUP_NAME_MAX - 1));
    if (g != NULL) {
        g->calls = true;
        g->crowd = crowd;
        g->pools = 1;
    }
    pthread_mutex_unlock(&r->lock);
    return g;
}

void group_check_as(struct group *g, struct slice host)
{
    ensure(g->calls && g->spec == NULL);
    g->checked_as = host;
}

static void free_group(struct group *g)
{
    g->magic = 0;
    mem_free(g);
}

void group_hold(struct group *g)
{
    atomic_fetch_add_explicit(&g->holders, 1, memory_order_relaxed);
}

void group_let_go(struct group *g)
{
    struct upstream_registry *r = g->registry;
    if (atomic_fetch_sub_explicit(&g->holders, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_lock(&r->lock);
        list_remove(&g->link);
        pthread_mutex_unlock(&r->lock);
        free_group(g);
    }
}

void group_put(struct group *g)
{
    ensure_magic(g, GROUP_MAGIC);
    struct upstream_registry *r = g->registry;
    pthread_mutex_lock(&r->lock);
    ensure(g->pools > 0);
    g->retired = --g->pools == 0;
    bool retired = g->retired;
    pthread_mutex_unlock(&r->lock);
    if (!retired || atomic_load(&r->closing)) {
        return; // or it is freed with the registry
    }
    if (r->cores[g->home].loop == NULL) {
        group_let_go(g); // no core has ever run
        return;
    }
    loop_post(r->cores[g->home].loop, &g->retire);
}

// ---- servers ----------------------------------------------------------------------------------------

static void on_server_freed(struct server *s)
{
    group_let_go(s->group);
}

static const struct server_owner server_owner = {
    .on_failed = place_on_failed, .on_room = place_on_room, .on_freed = on_server_freed};

static struct server *find_server(const struct roster *old, const struct draft_row *row)
{
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        struct server *s = old->entries[i].server;
        if (os_addr_eq(&s->addr, &row->addr) && slice_eq(server_host(s), row->host) &&
            server_kind_eq(&s->kind, &row->kind)) {
            return s;
        }
    }
    return NULL;
}

static struct server *new_server(struct group *g, const struct draft_row *row)
{
    const struct server_order order = {
        .addr = row->addr,
        .host = row->host,
        .kind = &row->kind,
        .limits = &row->limits,
        .owner = &server_owner,
        .group = g,
    };
    struct server *s = server_new(g->registry, &order);
    if (s != NULL) {
        group_hold(g);
        care_server_init(g, s);
        if (g->newest != NULL && g->newest->count > 0) { // it joins others: slow start
            atomic_store_explicit(&s->vitals.ready_since_ms,
                                  g->registry->cores[g->home].loop->now_ms, memory_order_relaxed);
        }
    }
    return s;
}

/** The server of a row: the one there is, or a new one. NULL: out of memory. */
static struct server *server_of(struct group *g, const struct draft_row *row)
{
    struct server *s = row->server != NULL ? row->server : find_server(g->newest, row);
    return s != NULL ? s : new_server(g, row);
}

// ---- rosters ----------------------------------------------------------------------------------------

static void forget_roster(struct roster *r)
{
    struct upstream_registry *registry = r->group->registry;
    pthread_mutex_lock(&registry->lock);
    list_remove(&r->link);
    pthread_mutex_unlock(&registry->lock);
    roster_free(r);
}

static void leave_roster(struct roster *r, uint32_t core)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct server *s = r->entries[i].server;
        unsigned bits = atomic_load_explicit(&s->vitals.bits, memory_order_relaxed);
        if ((bits & VITALS_GONE) != 0) {
            server_retire(s, core);
        }
        server_leave(s, core);
    }
    if (atomic_fetch_sub_explicit(&r->cores, 1, memory_order_acq_rel) == 1) {
        forget_roster(r);
    }
}

static void enter_roster(struct group *g, struct roster *r, uint32_t core)
{
    struct group_core *gc = &g->cores[core];
    struct roster *old = gc->roster;
    for (uint32_t i = 0; i < r->count; i++) {
        server_enter(r->entries[i].server, core, &r->entries[i].limits);
    }
    bool last = r->last;
    gc->roster = last ? NULL : r;
    if (old != NULL) {
        leave_roster(old, core);
    }
    if (!last) {
        place_look_again(gc);
        return;
    }
    place_core_end(gc);
    if (atomic_fetch_sub_explicit(&r->cores, 1, memory_order_acq_rel) == 1) {
        forget_roster(r);
        group_let_go(g);
    }
}

static void on_roster(struct mail *m, struct loop *to)
{
    struct roster_core *rc = container_of(m, struct roster_core, mail);
    enter_roster(rc->roster->group, rc->roster, to->core);
}

/** To every core; the home core has it when this returns. */
static void publish(struct group *g, struct roster *r)
{
    struct upstream_registry *registry = g->registry;
    pthread_mutex_lock(&registry->lock);
    list_push_back(&g->rosters, &r->link);
    pthread_mutex_unlock(&registry->lock);
    g->newest = r;
    uint32_t cores = registry->core_count; // entering the last one may free the group
    uint32_t home = g->home;
    for (uint32_t i = 0; i < cores; i++) {
        r->at[i].mail.fn = on_roster;
        if (i != home) {
            loop_post(registry->cores[i].loop, &r->at[i].mail);
        }
    }
    enter_roster(g, r, home);
}

static struct roster *new_roster(struct group *g, const struct group_spec *spec, uint32_t count,
                                 int error)
{
    const struct roster_order order = {
        .group = g,
        .method = spec->balance.method,
        .balance = spec->balance.settings,
        .error = error,
        .panic_percent = spec->panic_percent,
        .cores = g->registry->core_count,
        .count = count,
    };
    return roster_new(&order);
}

static bool is_in(const struct roster *r, const struct server *s)
{
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        if (r->entries[i].server == s) {
            return true;
        }
    }
    return false;
}

/** One that cannot be used: servers that no core has been told of go. */
static void discard_roster(const struct group *g, struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct server *s = r->entries[i].server;
        if (s != NULL && !g->calls && !is_in(g->newest, s)) {
            server_discard(s);
        }
    }
    roster_free(r);
}

static struct roster *make_roster(struct group *g, const struct draft *d)
{
    int error = d->error != 0 ? d->error : E_NO_SERVER;
    struct roster *r = new_roster(g, g->spec, d->count, d->pending ? 0 : error);
    if (r == NULL) {
        return NULL;
    }
    bool complete = true;
    for (uint32_t i = 0; i < d->count; i++) {
        const struct draft_row *row = &d->rows[i];
        struct server *s = server_of(g, row);
        complete = complete && s != NULL;
        r->entries[i] =
            (struct roster_entry){.server = s, .tier = row->tier, .limits = row->limits};
        r->servers[i].weight = row->weight;
        r->servers[i].token = s != NULL ? sticky_token(&g->spec->balance.sticky, s->id) : 0;
    }
    if (!complete || roster_build(r) < 0) {
        discard_roster(g, r);
        return NULL;
    }
    return r;
}

/** Nothing that a core would see differs: cores keep their turns and their tables. */
static bool same_roster(const struct roster *a, const struct roster *b)
{
    if (a->method != b->method || a->error != b->error || a->count != b->count ||
        a->panic_percent != b->panic_percent ||
        memcmp(&a->balance, &b->balance, sizeof(a->balance)) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->entries[i].server != b->entries[i].server ||
            a->entries[i].tier != b->entries[i].tier ||
            a->servers[i].weight != b->servers[i].weight ||
            a->servers[i].token != b->servers[i].token ||
            memcmp(&a->entries[i].limits, &b->entries[i].limits, sizeof(a->entries[i].limits)) !=
                0) {
            return false;
        }
    }
    return true;
}

static void set_bits(struct server *s, unsigned bits)
{
    const unsigned ours = VITALS_DRAIN | VITALS_MAINTENANCE;
    atomic_fetch_or_explicit(&s->vitals.bits, bits & ours, memory_order_relaxed);
    atomic_fetch_and_explicit(&s->vitals.bits, bits | ~ours, memory_order_relaxed);
}

/** Those that were in the list and are no more. */
static void mark_gone(const struct group *g, const struct roster *r)
{
    const struct roster *old = g->newest;
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        struct server *s = old->entries[i].server;
        if (!is_in(r, s)) {
            atomic_fetch_or_explicit(&s->vitals.bits, VITALS_GONE, memory_order_acq_rel);
            eject_forget(&s->eject);
            group_rows_forget(g, s);
        }
    }
}

/** Tells who watches over servers which ones there are now. */
static void follow_servers(struct group *g, const struct roster *r)
{
    struct server *servers[BALANCE_SERVERS_MAX];
    for (uint32_t i = 0; i < r->count; i++) {
        servers[i] = r->entries[i].server;
    }
    care_follow(g, servers, r->count);
}

/** Makes the list anew: the configuration, a file, a command or what a name means has changed. */
static void remake(struct group *g)
{
    struct draft *d = mem_alloc(sizeof(*d));
    struct roster *r = NULL;
    if (d != NULL) {
        list_fill(g, d);
        r = make_roster(g, d);
    }
    if (r == NULL) {
        log_line(LOG_ERROR, "upstream %s: no memory for its list, the one before stays", g->name);
        mem_free(d);
        return;
    }
    if (d->cut) {
        log_line(LOG_WARN, "upstream %s: more than %d servers, the rest is not used", g->name,
                 BALANCE_SERVERS_MAX);
    }
    for (uint32_t i = 0; i < d->count; i++) {
        set_bits(r->entries[i].server, d->rows[i].bits);
    }
    mem_free(d);
    follow_servers(g, r);
    if (g->newest != NULL && same_roster(g->newest, r)) {
        roster_free(r);
    } else {
        mark_gone(g, r);
        publish(g, r);
    }
    care_look(g);
    group_changed(g);
    if (!g->calls) { // lists of their own tell of those
        group_rows_begin(g);
    }
}

// ---- what snapshots say -----------------------------------------------------------------------------

void group_enter(struct group *g, struct loop *l, const struct group_spec *spec)
{
    ensure_magic(g, GROUP_MAGIC);
    if (l->core != g->home) {
        return;
    }
    g->spec = spec;
    care_apply(g);
    list_follow(g, remake);
    remake(g);
}

void group_leave(struct group *g, struct loop *l, const struct group_spec *spec)
{
    ensure_magic(g, GROUP_MAGIC);
    if (l->core != g->home || g->spec != spec) {
        return;
    }
    g->spec = NULL; // what runs on runs with the list there is
    care_apply(g);
    list_follow(g, remake);
}

void group_end(struct group *g)
{
    ensure_magic(g, GROUP_MAGIC);
    g->over = true;
    g->caller_count = 0;
    remake(g);
}

int group_join(struct group *g, const struct os_addr *addr, uint64_t id, struct server **out)
{
    ensure_magic(g, GROUP_MAGIC);
    ensure(g->calls && !g->over && g->spec != NULL);
    if (g->caller_count == GROUP_CALLERS_MAX) {
        return E_TOO_LARGE;
    }
    const struct draft_row row = {
        .addr = *addr,
        .host = SLICE(""),
        .kind = {.protocol = SERVER_CALLED, .caller = id},
        .limits = g->spec->limits,
    };
    struct server *s = new_server(g, &row);
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    g->callers[g->caller_count++] = s;
    remake(g);
    if (!is_in(g->newest, s)) {
        g->caller_count--;
        server_discard(s);
        return E_NO_MEMORY;
    }
    *out = s;
    return 0;
}

void group_part(struct group *g, struct server *s)
{
    ensure_magic(g, GROUP_MAGIC);
    uint32_t i = 0;
    while (i < g->caller_count && g->callers[i] != s) {
        i++;
    }
    ensure(i < g->caller_count);
    g->callers[i] = g->callers[--g->caller_count];
    remake(g);
}

void groups_set_book(struct upstream_registry *r, uint32_t core, const struct conf_doc *book)
{
    r->books[core] = book;
    struct group *mine = NULL; // those with a spec have a snapshot, which this core alone ends
    pthread_mutex_lock(&r->lock);
    list_each(node, &r->groups)
    {
        struct group *g = list_entry(node, struct group, link);
        if (g->home == core && g->spec != NULL) {
            g->next_at_home = mine;
            mine = g;
        }
    }
    pthread_mutex_unlock(&r->lock);
    for (struct group *g = mine; g != NULL; g = g->next_at_home) {
        list_follow(g, remake);
        remake(g);
    }
}

void group_changed(struct group *g)
{
    atomic_fetch_add_explicit(&g->epoch, 1, memory_order_release);
    place_tell_all(g);
}

const struct roster *group_roster(const struct group *g, uint32_t core)
{
    return g->cores[core].roster;
}

/** No pool has it any more: every core gets a last roster, which is empty, and is done with it. */
static void on_retire(struct mail *m, struct loop *to)
{
    struct group *g = container_of(m, struct group, retire);
    ensure_magic(g, GROUP_MAGIC);
    ensure(to->core == g->home);
    g->spec = NULL;
    care_apply(g);
    list_follow(g, remake);
    static const struct group_spec nothing = {0};
    struct group_spec spec = nothing;
    spec.balance.method = balance_find(SLICE("round-robin"));
    struct roster *r = new_roster(g, &spec, 0, E_NO_SERVER);
    if (r == NULL) {
        loop_post(to, m); // when there is memory
        return;
    }
    r->last = true;
    group_rows_end(g);
    mark_gone(g, r);
    publish(g, r);
}

void groups_close(struct upstream_registry *r, uint32_t core)
{
    pthread_mutex_lock(&r->lock); // another core may be freeing one
    list_each(node, &r->groups)
    {
        struct group *g = list_entry(node, struct group, link);
        place_core_end(&g->cores[core]);
        if (g->home == core) {
            g->spec = NULL;
            care_apply(g);
            list_follow(g, remake);
            group_rows_end(g);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

void groups_free(struct upstream_registry *r)
{
    struct list *node;
    while ((node = list_first(&r->groups)) != NULL) {
        struct group *g = list_entry(node, struct group, link);
        struct list *roster;
        while ((roster = list_first(&g->rosters)) != NULL) {
            list_remove(roster);
            roster_free(list_entry(roster, struct roster, link));
        }
        list_remove(node);
        free_group(g);
    }
}
