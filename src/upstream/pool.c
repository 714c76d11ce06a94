// SPDX-License-Identifier: Apache-2.0
//
// Pools of servers, compiled from the configuration, immutable but for the per-core state of their
// balancing method.

#include "upstream/pool.h"

#include "base/error.h"
#include "upstream/balance.h"
#include "upstream/origin.h"

enum { POOL_MAGIC = 0x706f6f6c };

struct pool_server {
    struct server *server;
    uint32_t weight;
    bool backup;
};

struct pool {
    uint32_t magic;
    uint32_t server_count;
    struct upstream base;
    const struct balance_method *method;
    struct balance_settings balance;
    struct balance_server *seen; // as the method sees the servers
    struct pool_server *servers;
    void **state; // per core
};

static struct pool *pool_of(struct upstream *u)
{
    struct pool *p = container_of(u, struct pool, base);
    ensure_magic(p, POOL_MAGIC);
    return p;
}

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
    if (rq->tried_count < UPSTREAM_TRIED_MAX && !was_tried(rq, s)) {
        rq->tried[rq->tried_count++] = s;
    }
}

struct picking {
    const struct pool *pool;
    const struct upstream_request *rq;
};

static bool barred(const void *arg, uint32_t i)
{
    const struct picking *p = arg;
    return was_tried(p->rq, p->pool->servers[i].server);
}

/** Who may be asked: not tried yet by this request, and of those the ones that are not failing now,
 * when there are any; backups when no other is left. */
static int pick(struct pool *p, struct upstream_request *rq)
{
    uint16_t list[POOL_SERVERS_MAX];
    uint32_t core = rq->loop->core;
    uint64_t now = rq->loop->now_ms;
    const struct picking picking = {p, rq};
    for (int round = 0; round < 4; round++) {
        bool backups = round >= 2;
        bool failing_too = round % 2 == 1;
        struct balance_choice choice = {
            .settings = &p->balance,
            .servers = p->seen,
            .count = p->server_count,
            .list = list,
            .state = p->state[core],
            .rng = &rq->loop->rng,
            .now_ns = rq->loop->now_ns,
            .barred = barred,
            .barred_arg = &picking,
        };
        for (uint32_t i = 0; i < p->server_count; i++) {
            const struct pool_server *s = &p->servers[i];
            bool failing = s->server->cores[core].avoid_until_ms > now;
            if (s->backup == backups && (failing_too || !failing)) {
                list[choice.list_count++] = (uint16_t)i;
            }
        }
        int best = p->method->pick(&choice);
        if (best >= 0) {
            return best;
        }
    }
    return -1;
}

static bool all_tried(const struct pool *p, const struct upstream_request *rq)
{
    for (uint32_t i = 0; i < p->server_count; i++) {
        if (!was_tried(rq, p->servers[i].server)) {
            return false;
        }
    }
    return true;
}

static void acquire(struct upstream *u, struct upstream_request *rq)
{
    struct pool *p = pool_of(u);
    uint32_t core = rq->loop->core;
    int error = E_NO_SERVER;
    for (uint32_t n = 0; n < p->server_count; n++) {
        int i = pick(p, rq);
        if (i < 0 && rq->tried_count != 0) { // all have been: from the start
            rq->tried_count = 0;
            i = pick(p, rq);
        }
        if (i < 0) {
            break;
        }
        struct server *s = p->servers[i].server;
        if (!(rq->fresh && rq->server == s)) { // a stale connection says nothing of its server
            note_tried(rq, s);
        }
        rq->exhausted = all_tried(p, rq);
        rq->server = s;
        rq->server_text = server_text(s);
        error = server_acquire(s, core, rq);
        if (error == 0) {
            return;
        }
        note_tried(rq, s);
    }
    rq->on_failed(rq, error);
}

static void cancel(struct upstream *u, struct upstream_request *rq)
{
    (void)pool_of(u);
    server_cancel(rq->server, rq->loop->core, rq);
}

static void release(struct upstream *u, struct upstream_request *rq,
                    const struct upstream_outcome *o)
{
    (void)pool_of(u);
    (void)o;
    rq->place = NULL;
}

static const struct upstream_ops pool_ops = {
    .acquire = acquire, .cancel = cancel, .release = release};

static struct conf_node servers_node(struct conf_node n)
{
    struct conf_node to = conf_get(n, "to");
    return conf_exists(to) ? to : conf_get(n, "servers");
}

static int add_server(struct pool *p, const struct pool_factory *f, struct conf_node upstream,
                      struct conf_node n, const struct server_settings *shared)
{
    struct pool_server *s = &p->servers[p->server_count];
    struct server_settings settings = *shared;
    struct slice address;
    const struct origin_sources from = {f->tls, f->credentials, f->registry->core_count};
    int e =
        origin_compile(&from, upstream, conf_string(conf_get(n, "at"), ""), &settings, &address);
    if (e < 0) {
        return e;
    }
    s->server = server_get(f->registry, address, &settings);
    origin_release(&settings);
    if (s->server == NULL) {
        return E_NO_MEMORY;
    }
    s->weight = (uint32_t)conf_int(conf_get(n, "weight"), 1);
    s->backup = conf_bool(conf_get(n, "backup"), false);
    p->seen[p->server_count] = (struct balance_server){.weight = s->weight};
    p->server_count++;
    return 0;
}

static int make_state(struct pool *p, struct arena *arena, uint32_t cores)
{
    p->state = arena_zalloc(arena, cores * sizeof(void *));
    if (p->state == NULL) {
        return E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < cores; i++) {
        p->state[i] = arena_zalloc(arena, p->method->state_bytes(p->server_count));
        if (p->state[i] == NULL) {
            return E_NO_MEMORY;
        }
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

static void release_servers(void *arg)
{
    struct pool *p = arg;
    ensure_magic(p, POOL_MAGIC);
    for (uint32_t i = 0; i < p->server_count; i++) {
        server_unref(p->servers[i].server);
    }
    p->magic = 0;
}

static int make(struct upstream_factory *factory, struct snapshot *snapshot, struct conf_node n,
                struct slice name, struct upstream **out)
{
    struct pool_factory *f = container_of(factory, struct pool_factory, base);
    struct arena *arena = &snapshot->arena;
    struct conf_node list = servers_node(n);
    uint32_t count = conf_count(list);
    ensure(count > 0 && count <= POOL_SERVERS_MAX);
    struct pool *p = arena_zalloc(arena, sizeof(*p));
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    p->magic = POOL_MAGIC;
    p->servers = arena_zalloc(arena, count * sizeof(*p->servers));
    p->seen = arena_zalloc(arena, count * sizeof(*p->seen));
    if (p->servers == NULL || p->seen == NULL || arena_on_fini(arena, release_servers, p) < 0) {
        return E_NO_MEMORY;
    }
    p->base.ops = &pool_ops;
    p->base.name = name;
    struct conf_node retry = conf_get(n, "retry");
    p->base.attempts = conf_is_off(retry) ? 0 : (uint32_t)conf_int(conf_get(retry, "attempts"), 3);
    p->base.backoff_ms = (uint32_t)conf_duration_ms(conf_get(retry, "backoff"), 50);
    p->base.replay_bytes = (uint32_t)conf_size(conf_get(retry, "body"), 64 * 1024);
    set_host_mode(&p->base, n);
    p->method = balance_find(conf_string(conf_get(n, "balance"), "round-robin"));
    ensure(p->method != NULL);
    struct server_settings settings = {
        .connections_max = (uint32_t)conf_int(conf_get(n, "connections"), 1024),
        .idle_max = (uint32_t)conf_int(conf_get(n, "idle_connections"), 64),
        .idle_ms = snapshot->upstream_idle_ms,
    };
    conf_each(server, list)
    {
        int e = add_server(p, f, n, server, &settings);
        if (e < 0) {
            return e;
        }
    }
    *out = &p->base;
    return make_state(p, arena, f->registry->core_count);
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
