// SPDX-License-Identifier: Apache-2.0
//
// What happens on a tunnel's home core: claims are judged, instances and connections come and go, a
// tunnel without any is parked, and at last it ends.
//
// A tunnel that has ended is out of the table at once; its memory stays until the last exchange and the
// last connection have let it go.

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/log.h"
#include "obs/tunnel_rows.h"
#include "tunnel/access.h"
#include "tunnel/callers.h"
#include "tunnel/tunnel_int.h"

enum { SHARE_MIN = 16 };

static const struct zone_settings *settings_of(const struct tunnel *t)
{
    return &t->zone->at[t->home]->settings;
}

// ---- life of a tunnel -------------------------------------------------------------------------------

static void on_park_over(struct wheel_timer *timer);
static void on_freed(struct mail *m, struct loop *to);

static struct tunnel *make(struct tunnel_zone *z, uint32_t core, enum tunnel_kind kind,
                           struct slice name)
{
    struct tunnel_registry *r = z->registry;
    struct slice suffix = z->at[core]->settings.suffix;
    struct tunnel *t = mem_zalloc(sizeof(*t) + name.len + suffix.len + 1);
    struct group *g = t == NULL ? NULL : tunnel_group_new(z, name);
    if (g == NULL) {
        mem_free(t);
        return NULL;
    }
    ensure(g->home == core && name.len < TUNNEL_NAME_MAX);
    t->magic = TUNNEL_MAGIC;
    atomic_init(&t->holders, 1); // the table
    t->registry = r;
    t->zone = z;
    t->group = g;
    t->home = core;
    t->row = TUNNEL_ROWS_NONE;
    t->counted = COUNTER_COUNT;
    t->hash = tunnel_hash(r, z, name);
    t->freed.fn = on_freed;
    memcpy(t->host, name.ptr, name.len);
    memcpy(t->host + name.len, suffix.ptr, suffix.len);
    t->name_len = (uint32_t)name.len;
    t->kind = kind;
    if (kind == TUNNEL_HTTP) {
        group_check_as(g, slice_of(t->host, name.len + suffix.len));
    }
    t->since_wall_ms = r->cores[core].loop->wall_ms;
    list_init(&t->bucket);
    list_init(&t->link);
    list_init(&t->parked);
    list_init(&t->instances);
    list_init(&t->connections);
    wheel_timer_init(&t->park, on_park_over);
    list_push_back(&r->cores[core].tunnels, &t->link);
    group_enter(g, r->cores[core].loop, &z->at[core]->spec);
    atomic_fetch_add_explicit(&r->tunnels, 1, memory_order_relaxed);
    return t;
}

static void free_instances(struct tunnel *t)
{
    struct list *node;
    while ((node = list_first(&t->instances)) != NULL) {
        list_remove(node);
        mem_free(list_entry(node, struct tunnel_instance, link));
    }
}

/** Nobody holds it any more. */
static void on_freed(struct mail *m, struct loop *to)
{
    struct tunnel *t = container_of(m, struct tunnel, freed);
    ensure_magic(t, TUNNEL_MAGIC);
    ensure(to->core == t->home && t->over && list_empty(&t->connections));
    list_remove(&t->link);
    group_put(t->group);
    atomic_fetch_sub_explicit(&t->registry->tunnels, 1, memory_order_relaxed);
    t->magic = 0;
    mem_free(t);
}

void tunnel_free(struct tunnel *t)
{
    ensure_magic(t, TUNNEL_MAGIC);
    free_instances(t);
    struct list *node;
    while ((node = list_first(&t->connections)) != NULL) {
        list_remove(node);
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        server_drop(c->server);
        c->magic = 0;
        mem_free(c);
    }
    t->magic = 0;
    mem_free(t); // its group goes with the registry of upstreams
}

static void forget_instance(struct tunnel *t, struct tunnel_instance *i)
{
    list_each(node, &t->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        if (c->instance == i) {
            c->instance = NULL;
        }
    }
    list_remove(&i->link);
    mem_free(i);
}

static void remove_instance(struct tunnel *t, struct tunnel_instance *i)
{
    if (!t->over) {
        group_part(t->group, i->server);
    }
    forget_instance(t, i);
}

/** From now on requests count against that place among the rates. */
static void set_rate(struct tunnel *t, uint32_t place)
{
    rates_let_go(t->registry->rates,
                 atomic_exchange_explicit(&t->rate, place, memory_order_relaxed));
}

static void leave_parked(struct tunnel *t)
{
    tunnel_core(t)->parked_count -= list_empty(&t->parked) ? 0 : 1;
    list_remove(&t->parked);
}

/** Out of the table: nobody finds it any more. */
static void leave_table(struct tunnel *t)
{
    loop_timer_stop(tunnel_core(t)->loop, &t->park);
    leave_parked(t);
    tunnel_unlist(t);
    t->over = true;
    tunnel_recount(t);
    owner_count_down(t->registry, t->owner);
    set_rate(t, RATES_NONE);
    if (t->row != TUNNEL_ROWS_NONE) {
        tunnel_rows_give(t->registry->rows, t->row);
        t->row = TUNNEL_ROWS_NONE;
    }
    tunnel_let_go(t);
}

void tunnel_end(struct tunnel *t, struct slice why)
{
    ensure(!t->over);
    log_line(LOG_INFO, "tunnel %.*s of %s ends: %.*s", SLICE_ARG(tunnel_name(t)), t->zone->site,
             SLICE_ARG(why));
    char room[TUNNEL_REASON_MAX];
    struct text text = text_on(room, sizeof(room));
    text_str(&text, TUNNEL_END);
    text_put(&text, slice_sub(why, 0, why.len < 100 ? why.len : 100));
    list_each(node, &t->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        connection_end(c, text_slice(&text));
    }
    group_end(t->group);
    struct list *node;
    while ((node = list_first(&t->instances)) != NULL) {
        forget_instance(t, list_entry(node, struct tunnel_instance, link));
    }
    leave_table(t);
}

// ---- parking ----------------------------------------------------------------------------------------

static void on_park_over(struct wheel_timer *timer)
{
    struct tunnel *t = container_of(timer, struct tunnel, park);
    ensure_magic(t, TUNNEL_MAGIC);
    if (tunnel_core(t)->draining) { // nobody can come back here; the next worker waits for it
        loop_timer_set(tunnel_core(t)->loop, &t->park, settings_of(t)->park_ms);
        return;
    }
    tunnel_end(t, SLICE("its agent was not back in time"));
}

/** Since when it is parked; 0: it is not. */
static void set_parked(struct tunnel *t, uint64_t wall_ms)
{
    t->parked_wall_ms = wall_ms;
    atomic_store_explicit(&t->is_parked, wall_ms != 0, memory_order_relaxed);
}

/** The address of its last agent; NULL: it is from before the worker. */
static const struct os_addr *address_of(const struct tunnel *t)
{
    struct list *first = list_first(&t->instances);
    return first == NULL ? NULL : &list_entry(first, struct tunnel_instance, link)->address;
}

/** How many of an address may wait on a core. Names are not spread evenly, so it is twice its share. */
static uint32_t waiting_max(const struct tunnel *t)
{
    const struct tunnel_registry *r = t->registry;
    uint32_t most = settings_of(t)->per_address;
    if (most == 0) {
        return UINT32_MAX;
    }
    most = most > r->parked_per_address ? most : r->parked_per_address;
    uint32_t share = 2 * most / r->core_count;
    share = share > SHARE_MIN ? share : SHARE_MIN;
    return share < most ? share : most;
}

/** Of those that nobody with a token stands for only so many wait, of the core and of an address: the one that
 * has waited longest makes room. It has its ticket, so it gets its name again when it comes. */
static void enter_parked(struct tunnel *t)
{
    struct registry_core *rc = tunnel_core(t);
    const struct os_addr *from = address_of(t);
    if (!owner_is_anonymous(t->owner) || from == NULL || rc->draining || !list_empty(&t->parked)) {
        return; // or the next worker's
    }
    struct tunnel *oldest = NULL;
    uint32_t count = 0;
    list_each(node, &rc->parked)
    {
        struct tunnel *o = list_entry(node, struct tunnel, parked);
        const struct os_addr *other = address_of(o);
        bool same = other != NULL && callers_same(other, from);
        oldest = oldest == NULL && same ? o : oldest;
        count += same;
    }
    if (count < waiting_max(t)) {
        struct list *first = list_first(&rc->parked);
        bool full = rc->parked_count >= t->registry->parked_max && first != NULL;
        oldest = full ? list_entry(first, struct tunnel, parked) : NULL;
    }
    if (oldest != NULL) {
        tunnel_end(oldest, SLICE("others without a token wait as well"));
    }
    list_push_back(&rc->parked, &t->parked);
    rc->parked_count++;
}

void tunnel_park(struct tunnel *t)
{
    struct loop *l = tunnel_core(t)->loop;
    enter_parked(t);
    set_parked(t, l->wall_ms);
    if (!tunnel_core(t)->closed) {
        loop_timer_set(l, &t->park, settings_of(t)->park_ms);
    }
    tunnel_tell(t);
}

static void unpark(struct tunnel *t)
{
    loop_timer_stop(tunnel_core(t)->loop, &t->park);
    leave_parked(t);
    set_parked(t, 0);
    tunnel_tell(t);
}

static bool has_connections(const struct tunnel_instance *i)
{
    for (unsigned slot = 0; slot < TUNNEL_SLOTS; slot++) {
        if (i->slots[slot] != NULL) {
            return true;
        }
    }
    return false;
}

/** Whether the agent has read a 101, and so has what proves its instance. One that was lost on the way has
 * told nobody anything. */
static bool has_secret(const struct tunnel *t, const struct tunnel_instance *i)
{
    bool has = i->has_secret;
    list_each(node, &t->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        has = has || (c->instance == i && atomic_load_explicit(&c->greeted, memory_order_relaxed));
    }
    return has;
}

/** An instance has lost its last connection. The last one of all is waited for, unless it said that it
 * goes; one of several is not: the others are there. */
static void instance_lost(struct tunnel *t, struct tunnel_instance *i)
{
    bool last = list_first(&t->instances) == &i->link && i->link.next == &t->instances;
    if (tunnel_core(t)->closed) { // its group has ended; what is told is for the next worker
        set_parked(t, tunnel_core(t)->loop->wall_ms);
        tunnel_tell(t);
    } else if (!last) {
        remove_instance(t, i);
        tunnel_tell(t);
    } else if (i->leaves) {
        tunnel_end(t, SLICE("its agent has left"));
    } else if (!t->lived || (t->random && !has_secret(t, i))) {
        tunnel_end(t, SLICE("its agent never came")); // nor was a visitor told a name that is ours
    } else if (t->parked_wall_ms == 0) {
        tunnel_park(t);
    }
}

// ---- connections ------------------------------------------------------------------------------------

/** Of the connections of a slot the newest that has arrived stays; the agent has given the others up. It
 * may not have read yet that it was let in on that one, so the others are not told to stay away. */
static void settle_slot(struct tunnel *t, struct tunnel_connection *c)
{
    const struct tunnel_instance *i = c->instance;
    struct tunnel_connection *newest = c;
    list_each(node, &t->connections)
    {
        struct tunnel_connection *o = list_entry(node, struct tunnel_connection, link);
        if (o->instance == i && o->slot == c->slot && o->is_open && o->id > newest->id) {
            newest = o;
        }
    }
    list_each(node, &t->connections)
    {
        struct tunnel_connection *o = list_entry(node, struct tunnel_connection, link);
        if (o->instance == i && o->slot == c->slot && o->id < newest->id) {
            o->instance = NULL;
            connection_end(o, SLICE("another connection has taken its place"));
        }
    }
}

void tunnel_connection_arrived(struct tunnel_connection *c)
{
    struct tunnel *t = c->tunnel;
    c->is_open = true;
    if (!t->lived) {
        log_line(LOG_INFO, "tunnel %.*s of %s begins owner=%s connection=%llu",
                 SLICE_ARG(tunnel_name(t)), t->zone->site, t->owner[0] != '\0' ? t->owner : "-",
                 (unsigned long long)c->id);
    }
    t->lived = true;
    if (c->instance == NULL) {
        return;
    }
    settle_slot(t, c);
    if (t->parked_wall_ms != 0) {
        unpark(t);
    } else {
        tunnel_tell(t);
    }
}

/** Nothing new can be asked of an instance: each of its connections has said goodbye. */
static bool all_leave(const struct tunnel_instance *i)
{
    for (unsigned slot = 0; slot < TUNNEL_SLOTS; slot++) {
        if (i->slots[slot] != NULL && !i->slots[slot]->leaves) {
            return false;
        }
    }
    return true;
}

void tunnel_connection_leaving(struct tunnel_connection *c)
{
    struct tunnel_instance *i = c->instance;
    c->leaves = true;
    if (i == NULL) {
        return;
    }
    i->leaves = true;
    if (all_leave(i)) { // what it carries ends as it ends; nobody waits for it meanwhile
        instance_lost(c->tunnel, i);
    }
}

/** An older connection that one in its slot has not replaced, for it is gone before it came. */
static struct tunnel_connection *left_in_slot(const struct tunnel *t,
                                              const struct tunnel_instance *i, uint8_t slot)
{
    struct tunnel_connection *found = NULL;
    list_each(node, &t->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        found = c->instance == i && c->slot == slot ? c : found;
    }
    return found;
}

void tunnel_connection_gone(struct tunnel_connection *c)
{
    ensure_magic(c, CONNECTION_MAGIC);
    struct tunnel *t = c->tunnel;
    struct tunnel_instance *i = c->instance;
    bool was_open = c->is_open;
    list_remove(&c->link);
    if (i != NULL && atomic_load_explicit(&c->greeted, memory_order_relaxed)) {
        i->has_secret = true;
    }
    if (i != NULL && i->slots[c->slot] == c) { // not of one that has taken its place
        i->slots[c->slot] = left_in_slot(t, i, c->slot);
        if (!has_connections(i)) {
            instance_lost(t, i);
        } else if (was_open) {
            tunnel_tell(t);
        }
    }
    connection_let_go(c);
}

// ---- what tokens may do ------------------------------------------------------------------------------

/** Somebody who has a tunnel, or wants it. */
struct holder {
    const char *grant;
    uint64_t proof_until_ms;
    enum tunnel_kind kind;
    uint16_t port;
    bool random;
    struct slice name;
};

/** Why he may not have it; empty: he may. */
static struct slice objection_to(const struct access *a, const struct holder *h, uint64_t now_ms)
{
    const struct access_grant *g =
        h->grant[0] == '\0' ? NULL : access_grant_by_id(a, slice_str(h->grant));
    if (h->grant[0] != '\0' && g == NULL) {
        return SLICE("its token was revoked");
    }
    if (g != NULL && access_expired(g, now_ms)) {
        return SLICE("its token has expired");
    }
    if (h->proof_until_ms != 0 && now_ms >= h->proof_until_ms) {
        return SLICE("its certificate has expired");
    }
    bool port = h->kind != TUNNEL_HTTP;
    if (g != NULL && port && !access_may_port(g, h->port)) {
        return SLICE("its token does not allow this port any more");
    }
    if (!port && !h->random && !access_allows(a, g, h->name)) {
        return SLICE("its owner may not have this name any more");
    }
    return SLICE("");
}

/** Why a tunnel may not go on; empty: it may. */
static struct slice objection(const struct access *a, const struct tunnel *t, uint64_t now_ms)
{
    struct slice why = SLICE("");
    list_each(node, &t->instances)
    {
        const struct tunnel_instance *i = list_entry(node, struct tunnel_instance, link);
        const struct holder h = {.grant = i->grant,
                                 .proof_until_ms = i->proof_until_ms,
                                 .kind = t->kind,
                                 .port = t->port,
                                 .random = t->random,
                                 .name = tunnel_name(t)};
        why = why.len == 0 ? objection_to(a, &h, now_ms) : why;
    }
    return why;
}

/** A claim is judged by the table of the core where its agent came. This core may have a newer one and have
 * looked at its tunnels already: then nobody would look at this one for a while. With an older one here it
 * is looked at as soon as the newer one comes. */
static bool is_outdated(const struct tunnel_claim *c, const struct registry_core *rc)
{
    const struct holder h = {.grant = c->grant,
                             .proof_until_ms = c->proof_until_ms,
                             .kind = c->kind,
                             .port = c->port,
                             .random = c->random,
                             .name = slice_of(c->name, c->name_len)};
    return rc->access != NULL && access_number(rc->access) > c->judged_by &&
           objection_to(rc->access, &h, rc->loop->wall_ms).len > 0;
}

// ---- claims -----------------------------------------------------------------------------------------

static struct tunnel_instance *find_instance(struct tunnel *t, const uint8_t *id)
{
    list_each(node, &t->instances)
    {
        struct tunnel_instance *i = list_entry(node, struct tunnel_instance, link);
        if (memcmp(i->id, id, TUNNEL_INSTANCE_BYTES) == 0) {
            return i;
        }
    }
    return NULL;
}

static bool is_owner(const struct tunnel *t, const struct tunnel_claim *c)
{
    return strcmp(t->owner, c->owner) == 0;
}

/** Whether an instance that is not there yet may have the tunnel. */
static int judge_newcomer(const struct tunnel *t, const struct tunnel_claim *c)
{
    if (!is_owner(t, c)) {
        return E_TUNNEL_TAKEN;
    }
    bool parked = t->parked_wall_ms != 0;
    if (t->owner[0] == '\0') { // all who are anonymous have one name: the ticket says who it is
        return parked && c->ticket && list_empty(&t->instances) ? 0 : E_TUNNEL_TAKEN;
    }
    return parked || c->join ? 0 : E_TUNNEL_TAKEN; // it is the newcomer who says that he joins
}

/** What its newest claim was allowed by is what it depends on. */
static void take_grant(struct tunnel *t, struct tunnel_instance *i, const struct tunnel_claim *c)
{
    uint32_t place = RATES_NONE;
    if (c->rate != 0) { // there are as many places as grants
        place = rates_hold(t->registry->rates, slice_str(c->grant), c->rate,
                           tunnel_core(t)->loop->now_ns);
    }
    set_rate(t, place);
    memcpy(i->grant, c->grant, sizeof(i->grant));
    i->proof_until_ms = c->proof_until_ms;
}

static int add_instance(struct tunnel *t, const struct tunnel_claim *c,
                        struct tunnel_instance **out)
{
    struct tunnel_instance *i = mem_zalloc(sizeof(*i));
    if (i == NULL) {
        return E_NO_MEMORY;
    }
    uint64_t id = 0;
    memcpy(&id, c->instance, sizeof(id));
    int e = group_join(t->group, &c->address, id | 1, &i->server);
    if (e < 0) {
        mem_free(i);
        return e == E_TOO_LARGE ? E_TUNNEL_LIMIT : e;
    }
    list_init(&i->link);
    memcpy(i->id, c->instance, sizeof(i->id));
    memcpy(i->agent, c->agent, sizeof(i->agent));
    i->address = c->address;
    i->has_secret = c->proven || c->ticket;
    take_grant(t, i, c);
    list_push_back(&t->instances, &i->link);
    *out = i;
    return 0;
}

/** Instances that are waited for give way to one of the same owner that is here. */
static void replace_parked(struct tunnel *t, const struct tunnel_instance *by)
{
    list_each_safe(node, next, &t->instances)
    {
        struct tunnel_instance *i = list_entry(node, struct tunnel_instance, link);
        if (i != by && !has_connections(i)) {
            remove_instance(t, i);
        }
    }
}

/** The instance of a claim on a tunnel that is there. */
static int find_or_add(struct tunnel *t, const struct tunnel_claim *c, struct tunnel_instance **out)
{
    if (t->kind != c->kind || t->over) {
        return E_TUNNEL_TAKEN;
    }
    struct tunnel_instance *i = find_instance(t, c->instance);
    if (i != NULL) {
        // Who was let in but could not read it has no secret: nobody else knows its id. The owner may
        // come anew to what waits.
        bool again = t->owner[0] != '\0' && (t->parked_wall_ms != 0 || !has_secret(t, i));
        if (!is_owner(t, c) || (!c->proven && !again)) {
            return E_TUNNEL_TAKEN;
        }
        *out = i;
        if (c->sequence <= i->sequence) {
            return E_TUNNEL_SEQUENCE;
        }
        i->has_secret = i->has_secret || c->proven;
        take_grant(t, i, c);
        return 0;
    }
    int e = judge_newcomer(t, c);
    if (e == 0) {
        e = add_instance(t, c, out);
    }
    if (e == 0 && t->parked_wall_ms != 0) {
        replace_parked(t, *out);
    }
    t->shared = t->shared || (e == 0 && c->join);
    return e;
}

int tunnel_add(const struct tunnel_claim *c, uint32_t core, struct tunnel **out)
{
    struct tunnel_zone *z = c->zone;
    const struct zone_settings *s = &z->at[core]->settings;
    uint32_t most =
        c->tunnels_max != 0 && c->tunnels_max < s->per_owner ? c->tunnels_max : s->per_owner;
    if (!owner_count_up(z->registry, c->owner, most)) {
        return E_TUNNEL_LIMIT;
    }
    struct tunnel *t = make(z, core, c->kind, slice_of(c->name, c->name_len));
    if (t == NULL) {
        owner_count_down(z->registry, c->owner);
        return E_NO_MEMORY;
    }
    memcpy(t->owner, c->owner, sizeof(t->owner));
    t->port = c->port;
    t->wildcard = c->wildcard;
    t->shared = c->join;
    t->random = c->random;
    t->secure = c->secure;
    tunnel_list(t);
    *out = t;
    return 0;
}

static int expect_connection(struct tunnel *t, struct tunnel_instance *i, struct tunnel_claim *c)
{
    struct tunnel_connection *n = connection_new(t, i);
    if (n == NULL) {
        return E_NO_MEMORY;
    }
    n->slot = c->slot;
    n->core = (t->home + c->slot) % t->registry->core_count;
    i->slots[c->slot] = n;
    i->sequence = c->sequence;
    i->leaves = false;
    c->connection = n;
    c->connection_id = n->id;
    return 0;
}

void tunnel_judge(struct tunnel_claim *c, uint32_t core)
{
    struct tunnel_zone *z = c->zone;
    struct tunnel *t = NULL;
    struct tunnel_instance *i = NULL;
    const struct registry_core *rc = &z->registry->cores[core];
    if (z->at[core] == NULL || rc->draining || rc->closed) {
        c->error = z->at[core] == NULL ? E_NO_TUNNEL : E_DRAINING;
        return;
    }
    if (is_outdated(c, rc)) {
        c->error = E_AGAIN;
        return;
    }
    t = tunnel_find_exact(z, slice_of(c->name, c->name_len));
    if (t != NULL) {
        c->error = find_or_add(t, c, &i);
    } else {
        c->error = tunnel_add(c, core, &t);
        if (c->error < 0) {
            return;
        }
        tunnel_hold(t); // as one that was found
        c->error = add_instance(t, c, &i);
    }
    if (c->error == 0) {
        t->secure = c->secure;
        c->error = expect_connection(t, i, c);
    }
    if (list_empty(&t->connections) && t->parked_wall_ms == 0 && !t->over) {
        tunnel_end(t, SLICE("out of memory")); // it was made for this claim
    }
    tunnel_let_go(t);
}

// ---- what changes for all ---------------------------------------------------------------------------

bool tunnel_has_port(const struct tunnel *t)
{
    const struct zone_settings *z = settings_of(t);
    return t->kind == TUNNEL_HTTP || (t->port >= z->port_first && t->port <= z->port_last);
}

bool tunnels_look(struct registry_core *rc)
{
    bool hurry = false;
    list_each(node, &rc->connections)
    {
        connection_look(list_entry(node, struct tunnel_connection, at_core));
    }
    list_each_safe(node, next, &rc->tunnels)
    {
        struct tunnel *t = list_entry(node, struct tunnel, link);
        if (t->over) {
            continue;
        }
        struct slice why = SLICE("");
        if (!tunnel_has_port(t)) {
            why = SLICE(TUNNEL_PORT_OVER);
        } else if (rc->access != NULL) {
            why = objection(rc->access, t, rc->loop->wall_ms);
        }
        if (why.len > 0) {
            tunnel_end(t, why);
        } else {
            hurry = hurry || t->port_wanted;
            tunnel_open_port(t);
            tunnel_tell_counts(t);
        }
    }
    return hurry;
}

bool tunnel_may_ask(struct tunnel *t, uint64_t now_ns)
{
    return rates_may_ask(t->registry->rates, atomic_load_explicit(&t->rate, memory_order_relaxed),
                         now_ns);
}
