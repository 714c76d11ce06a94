// SPDX-License-Identifier: Apache-2.0
//
// The table of tunnels, zones and owners, and the registry's life (tunnel/registry.h).

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/tunnel_rows.h"
#include "tunnel/access.h"
#include "tunnel/callers.h"
#include "tunnel/ports.h"
#include "tunnel/tunnel_int.h"

enum {
    // Visitors that wait for lost agents, all tunnels together: each holds a connection of its own.
    CROWD_MAX = 4096,
    LOOK_MS = 3000,
    HURRY_MS = 250, // while parked tunnels wait for their ports
    // Names of agents without a token: whoever has many addresses may have as many as they like, and
    // each is kept for a while when its agent has gone.
    ANONYMOUS_MAX = 16384,
    // Of these parked ones. A name whose agent has gone costs nothing to keep asking for, so an address could
    // fill the table with them as fast as it may make handshakes.
    PARKED_SHARE = 4,
    PARKED_PER_ADDRESS = 64, // or as many as may have connections
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 10000,
};

// ---- life -------------------------------------------------------------------------------------------

static void on_look(struct wheel_timer *timer);

static void init_lists(struct tunnel_registry *r)
{
    list_init(&r->zones);
    list_init(&r->claims);
    for (unsigned i = 0; i < OWNER_BUCKETS; i++) {
        list_init(&r->owners[i]);
    }
    for (unsigned i = 0; i < REGISTRY_PARTS; i++) {
        int e = pthread_mutex_init(&r->parts[i].lock, NULL);
        ensure(e == 0);
        for (unsigned b = 0; b < REGISTRY_BUCKETS; b++) {
            list_init(&r->parts[i].buckets[b]);
        }
    }
    for (uint32_t i = 0; i < r->core_count; i++) {
        r->cores[i].registry = r;
        list_init(&r->cores[i].tunnels);
        list_init(&r->cores[i].parked);
        list_init(&r->cores[i].connections);
        wheel_timer_init(&r->cores[i].look, on_look);
    }
}

int tunnel_registry_new(const struct tunnel_registry_order *o, struct tunnel_registry **out)
{
    ensure(o->cores > 0 && o->cores <= SNAPSHOT_CORES_MAX);
    struct tunnel_registry *r = mem_zalloc(sizeof(*r) + o->cores * sizeof(r->cores[0]));
    struct registry_part *parts =
        mem_zalloc_aligned(REGISTRY_PARTS * sizeof(*parts), _Alignof(struct registry_part));
    struct callers *callers = callers_new();
    struct rates *rates = rates_new(2 * ACCESS_GRANTS_MAX);
    if (r == NULL || parts == NULL || callers == NULL || rates == NULL) {
        mem_free(r);
        mem_free(parts);
        callers_free(callers);
        rates_free(rates);
        return E_NO_MEMORY;
    }
    r->callers = callers;
    r->rates = rates;
    r->magic = REGISTRY_MAGIC;
    r->core_count = o->cores;
    r->upstreams = o->upstreams;
    r->rows = o->rows;
    r->before = o->before;
    r->crowd.max = CROWD_MAX;
    r->anonymous_max = ANONYMOUS_MAX;
    r->parked_max = ANONYMOUS_MAX / PARKED_SHARE / o->cores;
    r->parked_per_address = PARKED_PER_ADDRESS;
    r->parts = parts;
    int e = pthread_mutex_init(&r->lock, NULL);
    ensure(e == 0);
    init_lists(r);
    *out = r;
    return 0;
}

static void free_list(struct list *head, void (*fn)(struct list *node))
{
    struct list *node;
    while ((node = list_first(head)) != NULL) {
        list_remove(node);
        fn(node);
    }
}

static void free_zone(struct list *node)
{
    mem_free(list_entry(node, struct tunnel_zone, link));
}

static void free_claim(struct list *node)
{
    mem_free(list_entry(node, struct tunnel_claim, link));
}

static void free_owner(struct list *node)
{
    mem_free(list_entry(node, struct owner_count, link));
}

static void free_tunnel(struct list *node)
{
    tunnel_free(list_entry(node, struct tunnel, link));
}

void tunnel_registry_free(struct tunnel_registry *r)
{
    ensure_magic(r, REGISTRY_MAGIC);
    for (uint32_t i = 0; i < r->core_count; i++) {
        free_list(&r->cores[i].tunnels, free_tunnel);
    }
    free_list(&r->zones, free_zone);
    free_list(&r->claims, free_claim);
    for (unsigned i = 0; i < OWNER_BUCKETS; i++) {
        free_list(&r->owners[i], free_owner);
    }
    for (unsigned i = 0; i < REGISTRY_PARTS; i++) {
        (void)pthread_mutex_destroy(&r->parts[i].lock);
    }
    (void)pthread_mutex_destroy(&r->lock);
    r->magic = 0;
    callers_free(r->callers);
    rates_free(r->rates);
    mem_free(r->parts);
    mem_free(r);
}

void tunnel_registry_attach(struct tunnel_registry *r, struct loop *l, struct counters *counters,
                            struct conn_door *door)
{
    ensure_magic(r, REGISTRY_MAGIC);
    ensure(l->core < r->core_count);
    r->cores[l->core].loop = l;
    r->cores[l->core].counters = counters;
    r->cores[l->core].door = door;
    if (l->core == 0) { // peers choose the names
        r->key = (struct hash_key){{rng_u64(&l->rng), rng_u64(&l->rng)}};
    }
}

void tunnels_count(const struct tunnel_zone *z, uint32_t core, enum counter what)
{
    counter_add(z->registry->cores[core].counters, what, 1);
}

void tunnel_registry_close(struct tunnel_registry *r, uint32_t core)
{
    ensure_magic(r, REGISTRY_MAGIC);
    struct registry_core *rc = &r->cores[core];
    rc->closed = true;
    loop_timer_stop(rc->loop, &rc->look);
    list_each(node, &rc->tunnels)
    {
        struct tunnel *t = list_entry(node, struct tunnel, link);
        loop_timer_stop(rc->loop, &t->park);
    }
}

// ---- the table --------------------------------------------------------------------------------------

uint64_t tunnel_hash(const struct tunnel_registry *r, const struct tunnel_zone *z,
                     struct slice name)
{
    return hash_bytes(&r->key, name) ^ (uintptr_t)z;
}

static struct registry_part *part_of(struct tunnel_registry *r, uint64_t hash)
{
    return &r->parts[hash % REGISTRY_PARTS];
}

static struct list *bucket_of(struct registry_part *p, uint64_t hash)
{
    return &p->buckets[hash / REGISTRY_PARTS % REGISTRY_BUCKETS];
}

struct tunnel *tunnel_find_exact(struct tunnel_zone *z, struct slice name)
{
    struct tunnel_registry *r = z->registry;
    uint64_t hash = tunnel_hash(r, z, name);
    struct registry_part *p = part_of(r, hash);
    struct tunnel *found = NULL;
    pthread_mutex_lock(&p->lock);
    list_each(node, bucket_of(p, hash))
    {
        struct tunnel *t = list_entry(node, struct tunnel, bucket);
        if (t->hash == hash && t->zone == z && slice_eq(tunnel_name(t), name)) {
            tunnel_hold(t);
            found = t;
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

void tunnel_list(struct tunnel *t)
{
    struct registry_part *p = part_of(t->registry, t->hash);
    pthread_mutex_lock(&p->lock);
    list_push_back(bucket_of(p, t->hash), &t->bucket);
    pthread_mutex_unlock(&p->lock);
}

void tunnel_unlist(struct tunnel *t)
{
    struct registry_part *p = part_of(t->registry, t->hash);
    pthread_mutex_lock(&p->lock);
    list_remove(&t->bucket);
    pthread_mutex_unlock(&p->lock);
}

struct tunnel *tunnel_find(struct tunnel_zone *z, struct slice name)
{
    struct tunnel *t = tunnel_find_exact(z, name);
    if (t != NULL && t->kind == TUNNEL_HTTP) {
        return t;
    }
    if (t != NULL) {
        tunnel_let_go(t);
    }
    // The names above it, nearest first: there are as many as it has labels.
    for (ptrdiff_t dot; (dot = slice_find_char(name, '.')) >= 0;) {
        name = slice_from(name, (size_t)dot + 1);
        t = tunnel_find_exact(z, name);
        if (t != NULL && t->wildcard && t->kind == TUNNEL_HTTP) {
            return t;
        }
        if (t != NULL) {
            tunnel_let_go(t);
        }
    }
    return NULL;
}

struct slice tunnel_port_name(enum tunnel_kind kind, uint16_t port, struct text *out)
{
    text_str(out, kind == TUNNEL_TCP ? "tcp:" : "udp:"); // no host name has a colon
    text_u64(out, port);
    return text_slice(out);
}

struct tunnel *tunnel_find_port(struct tunnel_zone *z, enum tunnel_kind kind, uint16_t port)
{
    char room[16];
    struct text text = text_on(room, sizeof(room));
    return tunnel_find_exact(z, tunnel_port_name(kind, port, &text));
}

bool tunnel_waits_for(const struct tunnel *t, const char *owner)
{
    return atomic_load_explicit(&t->is_parked, memory_order_relaxed) && owner[0] != '\0' &&
           strcmp(t->owner, owner) == 0;
}

bool tunnels_have_port(struct tunnel_registry *r, uint64_t key, enum tunnel_kind kind,
                       uint16_t port)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    list_each(node, &r->zones)
    {
        struct tunnel_zone *z = list_entry(node, struct tunnel_zone, link);
        bool its = tunnel_port_key(slice_of(z->site, z->site_len), kind == TUNNEL_UDP) == key;
        struct tunnel *t = its ? tunnel_find_port(z, kind, port) : NULL;
        found = found || t != NULL;
        if (t != NULL) {
            tunnel_let_go(t);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void tunnels_set_ports(struct tunnel_registry *r, struct tunnel_ports *ports)
{
    r->ports = ports;
}

void tunnel_hold(struct tunnel *t)
{
    ensure_magic(t, TUNNEL_MAGIC);
    atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
}

void tunnel_let_go(struct tunnel *t)
{
    ensure_magic(t, TUNNEL_MAGIC);
    if (atomic_fetch_sub_explicit(&t->holders, 1, memory_order_acq_rel) == 1) {
        loop_post(tunnel_core(t)->loop, &t->freed);
    }
}

void tunnel_count_bytes(struct tunnel *t, uint64_t in, uint64_t out)
{
    atomic_fetch_add_explicit(&t->bytes_in, in, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->bytes_out, out, memory_order_relaxed);
}

struct group *tunnel_group(const struct tunnel *t)
{
    return t->group;
}

bool tunnel_may_answer(const struct tunnel *t, uint32_t core, struct slice host)
{
    const struct access *a = t->registry->cores[core].access;
    struct slice owner;
    return a == NULL || slice_eq(tunnel_name(t), host) || !access_owner_of(a, host, &owner) ||
           slice_eq(owner, slice_str(t->owner));
}

struct slice tunnel_name(const struct tunnel *t)
{
    return slice_of(t->host, t->name_len);
}

// ---- owners -----------------------------------------------------------------------------------------

static struct list *owners_of(struct tunnel_registry *r, const char *owner)
{
    return &r->owners[hash_bytes(&r->key, slice_str(owner)) % OWNER_BUCKETS];
}

static struct owner_count *find_owner(struct tunnel_registry *r, const char *owner)
{
    list_each(node, owners_of(r, owner))
    {
        struct owner_count *o = list_entry(node, struct owner_count, link);
        if (strcmp(o->owner, owner) == 0) {
            return o;
        }
    }
    return NULL;
}

bool owner_is_anonymous(const char *owner)
{
    return owner[0] == '*';
}

bool owner_count_up(struct tunnel_registry *r, const char *owner, uint32_t most)
{
    if (owner[0] == '\0') {
        return true; // nobody's
    }
    bool anonymous = owner_is_anonymous(owner);
    pthread_mutex_lock(&r->lock);
    if (anonymous && r->anonymous >= r->anonymous_max) {
        pthread_mutex_unlock(&r->lock);
        return false;
    }
    struct owner_count *o = find_owner(r, owner);
    if (o == NULL && (o = mem_zalloc(sizeof(*o))) != NULL) {
        memcpy(o->owner, owner, TUNNEL_OWNER_MAX);
        list_init(&o->link);
        list_push_back(owners_of(r, owner), &o->link);
    }
    bool room = o != NULL && o->tunnels < most;
    if (room) {
        o->tunnels++;
        r->anonymous += anonymous;
    }
    pthread_mutex_unlock(&r->lock);
    return room;
}

void owner_count_down(struct tunnel_registry *r, const char *owner)
{
    if (owner[0] == '\0') {
        return;
    }
    pthread_mutex_lock(&r->lock);
    struct owner_count *o = find_owner(r, owner);
    ensure(o != NULL && o->tunnels > 0);
    r->anonymous -= owner_is_anonymous(owner);
    if (--o->tunnels == 0) {
        list_remove(&o->link);
        mem_free(o);
    }
    pthread_mutex_unlock(&r->lock);
}

struct callers *tunnels_callers(struct tunnel_registry *r)
{
    return r->callers;
}

// ---- claims -----------------------------------------------------------------------------------------

struct tunnel_claim *tunnel_claim_new(struct tunnel_registry *r, struct loop *l)
{
    struct tunnel_claim *c = mem_zalloc(sizeof(*c));
    if (c != NULL) {
        c->registry = r;
        c->loop = l;
        list_init(&c->link);
        pthread_mutex_lock(&r->lock);
        list_push_back(&r->claims, &c->link);
        pthread_mutex_unlock(&r->lock);
    }
    return c;
}

void claim_free(struct tunnel_claim *c)
{
    pthread_mutex_lock(&c->registry->lock);
    list_remove(&c->link);
    pthread_mutex_unlock(&c->registry->lock);
    mem_free(c);
}

static void group_name(struct text *out, const struct tunnel_zone *z, struct slice name)
{
    text_str(out, "tunnel ");
    text_put(out, name);
    text_char(out, ' ');
    text_put(out, slice_of(z->site, z->site_len));
}

uint32_t tunnel_home(struct tunnel_registry *r, const struct tunnel_zone *z, struct slice name)
{
    char room[GROUP_NAME_MAX];
    struct text text = text_on(room, sizeof(room) - 1);
    group_name(&text, z, name);
    return group_home(r->upstreams, text_slice(&text));
}

struct group *tunnel_group_new(struct tunnel_zone *z, struct slice name)
{
    char room[GROUP_NAME_MAX];
    struct text text = text_on(room, sizeof(room) - 1);
    group_name(&text, z, name);
    return group_new(z->registry->upstreams, text_slice(&text), &z->registry->crowd);
}

uint32_t tunnels_retry_ms(struct tunnel_registry *r)
{
    uint64_t ms = atomic_load_explicit(&r->tunnels, memory_order_relaxed); // one a millisecond
    return (uint32_t)num_min_u64(ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms, RETRY_MAX_MS);
}

static void on_judged(struct mail *m, struct loop *to)
{
    struct tunnel_claim *c = container_of(m, struct tunnel_claim, mail);
    (void)to;
    c->on_judged(c);
}

static void on_claim(struct mail *m, struct loop *to)
{
    struct tunnel_claim *c = container_of(m, struct tunnel_claim, mail);
    struct tunnel_registry *r = c->registry;
    tunnel_judge(c, to->core);
    c->retry_within_ms = tunnels_retry_ms(r);
    c->mail.fn = on_judged;
    loop_post(c->loop, &c->mail);
}

static void send_claim(struct tunnel_claim *c)
{
    uint32_t home = tunnel_home(c->registry, c->zone, slice_of(c->name, c->name_len));
    c->error = 0;
    c->connection = NULL;
    c->mail.fn = on_claim;
    loop_post(c->registry->cores[home].loop, &c->mail);
}

/** It is open, whosoever it will be. */
static void claim_port(struct tunnel_claim *c, uint16_t port)
{
    c->port = port;
    struct text text = text_on(c->name, sizeof(c->name));
    c->name_len = (uint32_t)tunnel_port_name(c->kind, port, &text).len;
    send_claim(c);
}

static void on_port(struct tunnel_port_ask *a)
{
    struct tunnel_claim *c = container_of(a, struct tunnel_claim, ask);
    if (a->error < 0) {
        c->error = a->error;
        c->connection = NULL;
        c->on_judged(c);
        return;
    }
    claim_port(c, a->port);
}

/** A tunnel of TCP or UDP is called by its port, which must be open before anybody has it. */
static void ask_for_port(struct tunnel_claim *c)
{
    const struct zone *z = c->zone->at[c->loop->core];
    bool datagram = c->kind == TUNNEL_UDP;
    if (c->registry->ports == NULL) { // of a worker that is none
        claim_port(c, c->port);
        return;
    }
    c->ask = (struct tunnel_port_ask){
        .loop = c->loop,
        .key = tunnel_port_key(slice_of(c->zone->site, c->zone->site_len), datagram),
        .datagram = datagram,
        .port = c->port,
        .first = z != NULL ? z->settings.port_first : 0,
        .last = z != NULL ? z->settings.port_last : 0,
        .on_port = on_port,
    };
    tunnel_ports_ask(c->registry->ports, &c->ask);
}

void tunnel_claim(struct tunnel_claim *c)
{
    if (c->kind == TUNNEL_HTTP) {
        send_claim(c);
    } else {
        ask_for_port(c);
    }
}

// ---- zones ------------------------------------------------------------------------------------------

static struct tunnel_zone *find_zone(struct tunnel_registry *r, struct slice site)
{
    list_each(node, &r->zones)
    {
        struct tunnel_zone *z = list_entry(node, struct tunnel_zone, link);
        if (slice_eq(slice_of(z->site, z->site_len), site)) {
            return z;
        }
    }
    return NULL;
}

struct tunnel_zone *tunnel_zone_get(struct tunnel_registry *r, struct slice site)
{
    ensure(site.len < ZONE_SUFFIX_MAX);
    pthread_mutex_lock(&r->lock);
    struct tunnel_zone *z = find_zone(r, site);
    if (z == NULL) {
        z = mem_zalloc(sizeof(*z) + r->core_count * sizeof(z->at[0]));
    }
    if (z != NULL && z->registry == NULL) {
        z->registry = r;
        list_init(&z->link);
        z->site_len = (uint32_t)site.len;
        memcpy(z->site, site.ptr, site.len);
        list_push_back(&r->zones, &z->link);
    }
    pthread_mutex_unlock(&r->lock);
    return z;
}

void tunnel_zone_enter(struct tunnel_zone *z, uint32_t core, const struct zone *says)
{
    struct registry_core *rc = &z->registry->cores[core];
    bool first = z->at[core] == NULL;
    z->at[core] = says;
    list_each_safe(node, next, &rc->tunnels)
    {
        struct tunnel *t = list_entry(node, struct tunnel, link);
        if (t->zone != z || t->over) {
            continue;
        }
        group_enter(t->group, rc->loop, &says->spec);
        if (!tunnel_has_port(t)) { // which the supervisor is about to close
            tunnel_end(t, SLICE(TUNNEL_PORT_OVER));
        }
    }
    if (first) {
        tunnels_revive(z, core);
    }
    bool revived = first && z->registry->before != NULL; // some may want their ports
    loop_timer_set(rc->loop, &rc->look, revived ? HURRY_MS : LOOK_MS);
}

void tunnel_zone_leave(struct tunnel_zone *z, uint32_t core, const struct zone *says)
{
    struct registry_core *rc = &z->registry->cores[core];
    bool last = z->at[core] == says;
    list_each_safe(node, next, &rc->tunnels)
    {
        struct tunnel *t = list_entry(node, struct tunnel, link);
        if (t->zone != z) {
            continue;
        }
        if (last && !t->over) {
            tunnel_end(t, SLICE("the edge has no tunnels under this name any more"));
        }
        group_leave(t->group, rc->loop, &says->spec);
    }
    if (last) {
        z->at[core] = NULL;
    }
}

// ---- what changes for all ---------------------------------------------------------------------------

void tunnels_set_access(struct tunnel_registry *r, uint32_t core, const struct access *a)
{
    r->cores[core].access = a;
    (void)tunnels_look(&r->cores[core]);
}

const struct access *tunnels_access(const struct tunnel_registry *r, uint32_t core)
{
    return r->cores[core].access;
}

void tunnels_set_web_ports(struct tunnel_registry *r, uint32_t core, uint16_t tls, uint16_t clear)
{
    r->cores[core].tls_port = tls;
    r->cores[core].clear_port = clear;
}

static void on_look(struct wheel_timer *timer)
{
    struct registry_core *rc = container_of(timer, struct registry_core, look);
    loop_timer_set(rc->loop, timer, tunnels_look(rc) ? HURRY_MS : LOOK_MS);
}

static bool is_meant(const struct tunnel *t, struct slice what)
{
    struct slice name = tunnel_name(t);
    if (slice_eq(name, what)) {
        return true;
    }
    struct slice suffix = slice_of(t->zone->site, t->zone->site_len);
    suffix = suffix.len > 0 && suffix.ptr[0] == '*' ? slice_from(suffix, 1) : slice_of(NULL, 0);
    if (suffix.len > 0 && what.len == name.len + suffix.len && slice_starts(what, name) &&
        slice_ends(what, suffix)) {
        return true;
    }
    list_each(node, &t->instances)
    {
        const struct tunnel_instance *i = list_entry(node, struct tunnel_instance, link);
        if (i->grant[0] != '\0' && slice_eq(slice_str(i->grant), what)) {
            return true;
        }
    }
    return false;
}

uint32_t tunnels_kick(struct tunnel_registry *r, uint32_t core, struct slice zone,
                      struct slice what, struct slice why)
{
    uint32_t count = 0;
    list_each_safe(node, next, &r->cores[core].tunnels)
    {
        struct tunnel *t = list_entry(node, struct tunnel, link);
        bool there = zone.len == 0 || slice_eq(slice_of(t->zone->site, t->zone->site_len), zone);
        if (!t->over && there && is_meant(t, what)) {
            tunnel_end(t, why);
            count++;
        }
    }
    return count;
}
