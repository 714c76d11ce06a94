// SPDX-License-Identifier: Apache-2.0
//
// Groups at run time: their list of servers, and the requests that want a place (upstream/group.h).
// This file: life and the list, which is the home core's work. The requests are in place.c.

#include "upstream/group.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/slab.h"
#include "obs/log.h"
#include "upstream/group_int.h"

// Names decide on the home core only; nobody gains by a collision.
static const struct hash_key home_key = {{0x61646974, 0x67727570}};

// ---- life -------------------------------------------------------------------------------------------

static void on_retire(struct mail *m, struct loop *to);

static struct group *make(struct upstream_registry *r, struct slice name)
{
    struct group *g = mem_zalloc(sizeof(*g) + r->core_count * sizeof(struct group_core));
    if (g == NULL) {
        return NULL;
    }
    g->magic = GROUP_MAGIC;
    g->registry = r;
    g->home = (uint32_t)(hash_bytes(&home_key, name) % r->core_count);
    g->retire.fn = on_retire;
    atomic_init(&g->holders, 1);
    memcpy(g->name, name.ptr, name.len);
    list_init(&g->link);
    list_init(&g->rosters);
    list_init(&g->names);
    for (uint32_t i = 0; i < r->core_count; i++) {
        place_core_init(g, &g->cores[i]);
    }
    list_push_back(&r->groups, &g->link);
    return g;
}

static struct group *find(struct upstream_registry *r, struct slice name)
{
    list_each(node, &r->groups)
    {
        struct group *g = list_entry(node, struct group, link);
        if (!g->retired && slice_eq(slice_str(g->name), name)) {
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

static void free_group(struct group *g)
{
    g->magic = 0;
    mem_free(g);
}

static void drop_holder(struct group *g)
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
        drop_holder(g); // no core has ever run
        return;
    }
    loop_post(r->cores[g->home].loop, &g->retire);
}

// ---- servers ----------------------------------------------------------------------------------------

static void on_server_freed(struct server *s)
{
    drop_holder(s->group);
}

static const struct server_owner server_owner = {
    .on_failed = place_on_failed, .on_room = place_on_room, .on_freed = on_server_freed};

/** The server of an entry and an address in a roster; NULL: none, or it is in another already. */
static struct server *find_server(const struct roster *old, const struct group_entry *e,
                                  const struct os_addr *addr)
{
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        struct server *s = old->entries[i].server;
        if (os_addr_eq(&s->addr, addr) && slice_eq(server_host(s), e->at) &&
            server_kind_eq(&s->kind, &e->kind)) {
            return s;
        }
    }
    return NULL;
}

/** What the roster being made is to have. */
struct draft {
    struct group *group;
    uint32_t count;
    struct draft_row {
        struct server *server;
        const struct group_entry *entry;
    } rows[BALANCE_SERVERS_MAX];
};

static void draft_add(struct draft *d, const struct group_entry *e, const struct os_addr *addr)
{
    struct group *g = d->group;
    for (uint32_t i = 0; i < d->count; i++) {
        const struct server *s = d->rows[i].server;
        if (os_addr_eq(&s->addr, addr) && server_kind_eq(&s->kind, &e->kind)) {
            return; // two names of one server
        }
    }
    if (d->count == BALANCE_SERVERS_MAX) {
        log_line(LOG_WARN, "upstream %s: more than %d servers, the rest is not used", g->name,
                 BALANCE_SERVERS_MAX);
        return;
    }
    struct server *s = find_server(g->newest, e, addr);
    if (s == NULL) {
        const struct server_order order = {
            .addr = *addr,
            .host = e->at,
            .kind = &e->kind,
            .limits = &e->limits,
            .owner = &server_owner,
            .group = g,
        };
        s = server_new(g->registry, &order);
        if (s == NULL) {
            log_line(LOG_ERROR, "upstream %s: no memory for a server", g->name);
            return;
        }
        atomic_fetch_add_explicit(&g->holders, 1, memory_order_relaxed);
    }
    d->rows[d->count++] = (struct draft_row){s, e};
}

static struct group_name *name_of(const struct group *g, const struct group_entry *e)
{
    list_each(node, &g->names)
    {
        struct group_name *n = list_entry(node, struct group_name, link);
        if (slice_eq(slice_str(n->at), e->at)) {
            return n;
        }
    }
    return NULL;
}

/** 0: servers may still come, requests wait for them. */
static int draft_fill(struct draft *d, const struct group_spec *spec)
{
    int error = E_NO_SERVER;
    bool pending = false;
    for (uint32_t i = 0; i < spec->entry_count; i++) {
        const struct group_entry *e = &spec->entries[i];
        struct os_addr addr;
        if (e->type == GROUP_ADDRESS) {
            if (os_addr_parse(e->at, &addr) == 0) {
                draft_add(d, e, &addr);
            }
            continue;
        }
        const struct group_name *n = name_of(d->group, e);
        if (n == NULL) {
            error = E_NOT_RESOLVED;
            continue;
        }
        pending = pending || !n->answered;
        error = n->error != 0 ? n->error : error;
        for (uint32_t a = 0; a < n->count; a++) {
            draft_add(d, e, &n->addrs[a]);
        }
    }
    return pending ? 0 : error;
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
        drop_holder(g);
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

static struct roster *make_roster(const struct draft *d, const struct group_spec *spec, int error)
{
    const struct roster_order order = {
        .group = d->group,
        .method = spec->balance.method,
        .balance = spec->balance.settings,
        .error = error,
        .cores = d->group->registry->core_count,
        .count = d->count,
    };
    struct roster *r = roster_new(&order);
    if (r == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        const struct group_entry *e = d->rows[i].entry;
        r->entries[i] = (struct roster_entry){
            .server = d->rows[i].server, .tier = e->tier, .limits = e->limits};
        r->servers[i].weight = e->weight;
    }
    if (roster_build(r) < 0) {
        roster_free(r);
        return NULL;
    }
    return r;
}

/** Nothing that a core would see differs: cores keep their turns and their tables. */
static bool same_roster(const struct roster *a, const struct roster *b)
{
    if (a->method != b->method || a->error != b->error || a->count != b->count ||
        memcmp(&a->balance, &b->balance, sizeof(a->balance)) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->entries[i].server != b->entries[i].server ||
            a->entries[i].tier != b->entries[i].tier ||
            a->servers[i].weight != b->servers[i].weight ||
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
static void mark_gone(const struct roster *old, const struct roster *r)
{
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        struct server *s = old->entries[i].server;
        bool stays = false;
        for (uint32_t j = 0; j < r->count && !stays; j++) {
            stays = r->entries[j].server == s;
        }
        if (!stays) {
            atomic_fetch_or_explicit(&s->vitals.bits, VITALS_GONE, memory_order_relaxed);
        }
    }
}

/** A server that is in no roster yet: every core lets it go at once. */
static void discard_new(const struct group *g, const struct draft *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        struct server *s = d->rows[i].server;
        bool old = false;
        for (uint32_t j = 0; g->newest != NULL && j < g->newest->count && !old; j++) {
            old = g->newest->entries[j].server == s;
        }
        if (!old) {
            server_discard(s);
        }
    }
}

/** Makes the list anew: the configuration or what a name means has changed. */
static void remake(struct group *g)
{
    const struct group_spec *spec = g->spec;
    struct draft *d = mem_alloc(sizeof(*d));
    if (spec == NULL || d == NULL) {
        mem_free(d);
        return;
    }
    d->group = g;
    d->count = 0;
    int error = draft_fill(d, spec);
    struct roster *r = make_roster(d, spec, error);
    if (r == NULL) {
        log_line(LOG_ERROR, "upstream %s: no memory for its list, the one before stays", g->name);
        discard_new(g, d);
        mem_free(d);
        return;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        set_bits(d->rows[i].server, d->rows[i].entry->bits);
    }
    mem_free(d);
    if (g->newest != NULL && same_roster(g->newest, r)) {
        roster_free(r);
    } else {
        mark_gone(g->newest, r);
        publish(g, r);
    }
    group_changed(g);
}

// ---- names ------------------------------------------------------------------------------------------

static void on_addresses(void *arg, const struct os_addr *addrs, unsigned count, int error)
{
    struct group_name *n = arg;
    n->answered = true;
    n->error = error;
    if (count > 0) { // when a lookup fails the last addresses stay
        struct os_addr *copy = mem_alloc(count * sizeof(*copy));
        if (copy == NULL) {
            return;
        }
        memcpy(copy, addrs, count * sizeof(*copy));
        mem_free(n->addrs);
        n->addrs = copy;
        n->count = count;
    }
    remake(n->group);
}

static void forget_name(struct group_name *n)
{
    struct upstream_core *core = &n->group->registry->cores[n->group->home];
    if (n->watch != NULL) {
        resolver_unwatch(core->resolver, n->watch);
    }
    list_remove(&n->link);
    mem_free(n->addrs);
    mem_free(n);
}

static void follow_name(struct group *g, const struct group_entry *e)
{
    struct upstream_core *core = &g->registry->cores[g->home];
    struct group_name *n = name_of(g, e);
    if (n != NULL) {
        n->wanted = true;
        return;
    }
    size_t colon = e->at.len;
    while (colon > 0 && e->at.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    if (colon == 0 || e->at.len >= sizeof(n->at) ||
        num_parse_u64(slice_from(e->at, colon), UINT16_MAX, &port) < 0 || core->resolver == NULL) {
        return;
    }
    n = mem_zalloc(sizeof(*n));
    if (n == NULL) {
        return;
    }
    n->group = g;
    n->wanted = true;
    list_init(&n->link);
    memcpy(n->at, e->at.ptr, e->at.len);
    list_push_back(&g->names, &n->link);
    if (resolver_watch(core->resolver, slice_of(n->at, colon - 1), (uint16_t)port, on_addresses, n,
                       &n->watch) < 0) {
        forget_name(n);
    }
}

static void follow_names(struct group *g)
{
    list_each(node, &g->names)
    {
        list_entry(node, struct group_name, link)->wanted = false;
    }
    for (uint32_t i = 0; g->spec != NULL && i < g->spec->entry_count; i++) {
        if (g->spec->entries[i].type == GROUP_NAME) {
            follow_name(g, &g->spec->entries[i]);
        }
    }
    list_each_safe(node, next, &g->names)
    {
        struct group_name *n = list_entry(node, struct group_name, link);
        if (!n->wanted) {
            forget_name(n);
        }
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
    follow_names(g);
    remake(g);
}

void group_leave(struct group *g, struct loop *l, const struct group_spec *spec)
{
    ensure_magic(g, GROUP_MAGIC);
    if (l->core != g->home || g->spec != spec) {
        return;
    }
    g->spec = NULL; // what runs on runs with the list there is
    follow_names(g);
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
    follow_names(g);
    static const struct group_spec nothing = {0};
    struct group_spec spec = nothing;
    spec.balance.method = balance_find(SLICE("round-robin"));
    struct draft *d = mem_zalloc(sizeof(*d));
    struct roster *r = NULL;
    if (d != NULL) {
        d->group = g;
        r = make_roster(d, &spec, E_NO_SERVER);
    }
    mem_free(d);
    if (r == NULL) {
        loop_post(to, m); // when there is memory
        return;
    }
    r->last = true;
    mark_gone(g->newest, r);
    publish(g, r);
}

void groups_close(struct upstream_registry *r, uint32_t core)
{
    list_each(node, &r->groups)
    {
        struct group *g = list_entry(node, struct group, link);
        place_core_end(&g->cores[core]);
        if (g->home == core) {
            g->spec = NULL;
            follow_names(g);
        }
    }
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
