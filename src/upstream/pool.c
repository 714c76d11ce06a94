// SPDX-License-Identifier: Apache-2.0
//
// From the configuration to a pool: immutable, but for the group that it refers to.

#include "upstream/pool.h"

#include "base/error.h"
#include "tls/credentials.h"
#include "upstream/group_list.h"
#include "upstream/origin.h"
#include "upstream/policy.h"

enum { POOL_MAGIC = 0x706f6f6c };

struct pool {
    uint32_t magic;
    struct upstream base;
    struct group *group;
    struct group_spec spec;
};

static struct pool *pool_of(struct upstream *u)
{
    struct pool *p = container_of(u, struct pool, base);
    ensure_magic(p, POOL_MAGIC);
    return p;
}

static void acquire(struct upstream *u, struct upstream_request *rq)
{
    struct pool *p = pool_of(u);
    uint64_t key = 0;
    bool has_key =
        p->spec.balance.key.kind != KEY_NONE && key_of(&p->spec.balance.key, rq->subject, &key);
    group_acquire(p->group, rq, &p->spec, has_key ? &key : NULL);
}

static void cancel(struct upstream *u, struct upstream_request *rq)
{
    group_cancel(pool_of(u)->group, rq);
}

static void release(struct upstream *u, struct upstream_request *rq,
                    const struct upstream_outcome *o)
{
    group_release(pool_of(u)->group, rq, o);
}

static void enter(struct upstream *u, struct loop *l)
{
    struct pool *p = pool_of(u);
    group_enter(p->group, l, &p->spec);
}

static void leave(struct upstream *u, struct loop *l)
{
    struct pool *p = pool_of(u);
    group_leave(p->group, l, &p->spec);
}

static bool may_repeat(struct upstream *u, struct loop *l, bool hedge)
{
    struct pool *p = pool_of(u);
    return group_may_repeat(p->group, l, &p->spec, hedge);
}

static const struct upstream_ops pool_ops = {.may_repeat = may_repeat,
                                             .acquire = acquire,
                                             .cancel = cancel,
                                             .release = release,
                                             .enter = enter,
                                             .leave = leave};

// ---- compiling --------------------------------------------------------------------------------------

static struct conf_node servers_node(struct conf_node n)
{
    struct conf_node to = conf_get(n, "to");
    return conf_exists(to) ? to : conf_get(n, "servers");
}

static struct server_limits limits_of(struct conf_node n, const struct snapshot *snapshot)
{
    return (struct server_limits){
        .connections_max = (uint32_t)conf_int(conf_get(n, "connections"), 1024),
        .requests_max = conf_is_off(conf_get(n, "requests"))
                            ? 0
                            : (uint32_t)conf_int(conf_get(n, "requests"), 0),
        .idle_max = (uint32_t)conf_int(conf_get(n, "idle_connections"), 64),
        .idle_ms = snapshot->upstream_idle_ms,
        .streams_max = (uint32_t)conf_int(conf_get(n, "streams"), 128),
    };
}

static int add_entry(struct pool *p, const struct pool_factory *f, struct conf_node upstream,
                     struct conf_node n)
{
    struct group_entry *e = &p->spec.entries[p->spec.entry_count];
    e->weight = (uint32_t)conf_int(conf_get(n, "weight"), 1);
    e->tier = list_tier(n);
    e->bits = list_bits(conf_string(conf_get(n, "state"), "ready"));
    e->limits = p->spec.limits;
    struct conf_node file = conf_get(n, "file");
    if (conf_exists(file)) {
        e->type = GROUP_FILE;
        e->at = conf_text(file);
        p->spec.entry_count++;
        return 0;
    }
    const struct origin_sources from = {f->tls, f->credentials, f->registry->core_count};
    struct slice at = conf_string(conf_get(n, "at"), "");
    int error = origin_compile(&from, upstream, at, &e->kind, &e->at);
    if (error < 0) {
        return error;
    }
    p->spec.entry_count++; // its TLS is released with the pool
    enum conf_scheme scheme;
    e->type = list_take_type(&at, &scheme);
    return 0;
}

/** Of servers that come by a file or a command. With TLS only where the name to verify is said: theirs
 * is not known when the settings are made. */
static int fill_kinds(struct pool *p, const struct pool_factory *f, struct conf_node n)
{
    static const char *const samples[] = {
        [GROUP_KIND_CLEAR] = "127.0.0.1:1",
        [GROUP_KIND_H2C] = "h2c://127.0.0.1:1",
        [GROUP_KIND_TLS] = "https://127.0.0.1:1",
        [GROUP_KIND_RAW_TLS] = "tls://127.0.0.1:1",
    };
    static_assert(array_len(samples) == GROUP_KIND_COUNT, "one for each kind");
    const struct origin_sources from = {f->tls, f->credentials, f->registry->core_count};
    bool named = conf_exists(conf_get(conf_get(n, "tls"), "name"));
    for (unsigned i = 0; i < array_len(samples); i++) {
        struct slice ignored;
        if ((i == GROUP_KIND_TLS || i == GROUP_KIND_RAW_TLS) && !named) {
            continue;
        }
        int e = origin_compile(&from, n, slice_str(samples[i]), &p->spec.kinds[i], &ignored);
        if (e < 0) {
            return e;
        }
        p->spec.has_kind[i] = true;
    }
    return 0;
}

static void set_host_mode(struct upstream *u, struct conf_node n)
{
    struct slice host = conf_string(conf_get(n, "host"), "pass");
    u->host_mode = UPSTREAM_HOST_TEXT;
    u->host_text = host;
    if (slice_eq(host, SLICE("pass"))) {
        u->host_mode = UPSTREAM_HOST_PASS;
    } else if (slice_eq(host, SLICE("server"))) {
        u->host_mode = UPSTREAM_HOST_SERVER;
    }
}

static void discard(void *arg)
{
    struct pool *p = arg;
    ensure_magic(p, POOL_MAGIC);
    for (uint32_t i = 0; i < p->spec.entry_count; i++) {
        origin_release(&p->spec.entries[i].kind);
    }
    for (unsigned i = 0; i < GROUP_KIND_COUNT; i++) {
        origin_release(&p->spec.kinds[i]);
    }
    if (p->group != NULL) {
        group_put(p->group);
    }
    p->magic = 0;
}

/** The keeper's key for sticky cookies, unless the configuration has one. */
static void find_sticky_key(struct slice credentials, struct sticky_plan *sticky)
{
    struct credential_reader r;
    struct credential c;
    if (!sticky->on || sticky->keyed || credentials_open(credentials, &r) != 0) {
        return;
    }
    while (!sticky->keyed && credentials_next(&r, &c)) {
        if (c.kind == CREDENTIAL_STICKY_KEY) {
            sticky_set_key(sticky, c.key);
        }
    }
}

static void fill_care(struct group_spec *spec, struct conf_node n)
{
    struct conf_node budget = conf_get(conf_get(n, "retry"), "budget");
    spec->panic_percent = conf_percent(conf_get(n, "panic"), 50);
    spec->retries = (struct budget_settings){.percent = conf_percent(budget, 20),
                                             .floor = BUDGET_RETRIES_FLOOR,
                                             .unlimited = conf_is_off(budget)};
    struct conf_node hedge = conf_get(n, "hedge");
    bool hedges = conf_exists(hedge) && !conf_is_off(hedge);
    spec->hedges.percent = hedges ? conf_percent(conf_get(hedge, "at_most"), 5) : 0;
    health_compile(&spec->health, conf_get(n, "health"));
    eject_compile(&spec->eject, conf_get(n, "eject"));
    breaker_compile(&spec->breaker, conf_get(n, "breaker"));
    concurrency_compile(&spec->concurrency, conf_get(n, "concurrency"));
}

int pool_settings_compile(const struct pool_factory *f, struct snapshot *snapshot,
                          struct conf_node n, struct upstream *base, struct group_spec *spec)
{
    int error = policy_compile(n, &snapshot->arena, base);
    if (error < 0) {
        return error;
    }
    set_host_mode(base, n);
    balance_compile(n, base->name, &spec->balance);
    find_sticky_key(f->credentials, &spec->balance.sticky);
    struct conf_node queue = conf_get(n, "queue");
    bool queues = !conf_is_off(queue);
    spec->queue_max = queues ? (uint32_t)conf_int(conf_get(queue, "length"), 1024) : 0;
    spec->queue_ms = (uint32_t)conf_duration_ms(conf_get(queue, "timeout"), 10000);
    spec->limits = limits_of(n, snapshot);
    fill_care(spec, n);
    return 0;
}

static int fill(struct pool *p, const struct pool_factory *f, struct snapshot *snapshot,
                struct conf_node n)
{
    int error = pool_settings_compile(f, snapshot, n, &p->base, &p->spec);
    if (error < 0) {
        return error;
    }
    conf_each(server, servers_node(n))
    {
        int e = add_entry(p, f, n, server);
        if (e < 0) {
            return e;
        }
    }
    return fill_kinds(p, f, n);
}

static int make(struct upstream_factory *factory, struct snapshot *snapshot, struct conf_node n,
                struct slice name, struct upstream **out)
{
    struct pool_factory *f = container_of(factory, struct pool_factory, base);
    struct arena *arena = &snapshot->arena;
    uint32_t count = conf_count(servers_node(n));
    ensure(count > 0 && count <= POOL_ENTRIES_MAX);
    struct pool *p = arena_zalloc(arena, sizeof(*p));
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    p->magic = POOL_MAGIC;
    p->base.ops = &pool_ops;
    p->base.name = name;
    p->spec.entries = arena_zalloc(arena, count * sizeof(*p->spec.entries));
    if (p->spec.entries == NULL || arena_on_fini(arena, discard, p) < 0) {
        return E_NO_MEMORY;
    }
    int e = fill(p, f, snapshot, n);
    if (e == 0) {
        p->group = group_get(f->registry, name);
        e = p->group == NULL ? E_NO_MEMORY : 0;
    }
    *out = &p->base;
    return e;
}

void pool_factory_init(struct pool_factory *f, struct upstream_registry *r)
{
    *f = (struct pool_factory){.base = {.make = make}, .registry = r};
}

void pool_factory_use(struct pool_factory *f, struct tls_store *tls, struct slice credentials)
{
    f->tls = tls;
    f->credentials = credentials;
}
