// SPDX-License-Identifier: Apache-2.0
//
// Zones: from the configuration to an upstream that finds tunnels by name (tunnel/zone.h).

#include "tunnel/zone.h"

#include "base/error.h"
#include "upstream/pool.h"

#include "tunnel/ports.h"
#include "tunnel/registry.h"

enum { ZONE_MAGIC = 0x7a6f6e65, USE_MAGIC = 0x7a757365 };

/** A tunnel as one exchange sees it, on its arena. */
struct use {
    uint32_t magic;
    struct upstream base;
    const struct zone *zone;
    struct tunnel *tunnel;
    bool counted; // against the rate of the tunnel's token
};

static struct zone *zone_of(struct upstream *u)
{
    struct zone *z = container_of(u, struct zone, base);
    ensure_magic(z, ZONE_MAGIC);
    return z;
}

static struct use *use_of(struct upstream *u)
{
    struct use *use = container_of(u, struct use, base);
    ensure_magic(use, USE_MAGIC);
    return use;
}

// ---- of one exchange --------------------------------------------------------------------------------

static void acquire(struct upstream *u, struct upstream_request *rq)
{
    struct use *use = use_of(u);
    const struct group_spec *spec = &use->zone->spec;
    uint64_t key = 0;
    if (!use->counted && !tunnel_may_ask(use->tunnel, rq->loop->now_ns)) {
        rq->on_failed(rq, E_TUNNEL_RATE);
        return;
    }
    use->counted = true; // further attempts are the same request
    bool has_key =
        spec->balance.key.kind != KEY_NONE && key_of(&spec->balance.key, rq->subject, &key);
    group_acquire(tunnel_group(use->tunnel), rq, spec, has_key ? &key : NULL);
}

static void cancel(struct upstream *u, struct upstream_request *rq)
{
    group_cancel(tunnel_group(use_of(u)->tunnel), rq);
}

static void release(struct upstream *u, struct upstream_request *rq,
                    const struct upstream_outcome *o)
{
    struct tunnel *t = use_of(u)->tunnel;
    tunnel_count_bytes(t, o->bytes_in, o->bytes_out);
    group_release(tunnel_group(t), rq, o);
}

static bool may_repeat(struct upstream *u, struct loop *l, bool hedge)
{
    const struct use *use = use_of(u);
    return group_may_repeat(tunnel_group(use->tunnel), l, &use->zone->spec, hedge);
}

static const struct upstream_ops use_ops = {
    .acquire = acquire, .cancel = cancel, .release = release, .may_repeat = may_repeat};

static void drop(void *arg)
{
    struct use *use = arg;
    ensure_magic(use, USE_MAGIC);
    tunnel_let_go(use->tunnel);
    use->magic = 0;
}

struct tunnel *zone_tunnel(struct upstream *u)
{
    return u != NULL && u->ops == &use_ops ? use_of(u)->tunnel : NULL;
}

// ---- choosing ---------------------------------------------------------------------------------------

/** What of a host is the tunnel's name. */
static struct slice name_in(const struct zone_settings *s, struct slice host)
{
    if (s->suffix.len == 0) {
        return host;
    }
    return slice_ends(host, s->suffix) ? slice_sub(host, 0, host.len - s->suffix.len)
                                       : slice_of(host.ptr, 0);
}

static struct tunnel *find(const struct zone *z, const struct upstream_request *rq)
{
    const struct http_head *request = rq->subject->request;
    if (request == NULL) {
        return tunnel_find_port(z->runtime, rq->datagram ? TUNNEL_UDP : TUNNEL_TCP,
                                rq->subject->peer->port);
    }
    struct slice name = name_in(&z->settings, request->host);
    struct tunnel *t = name.len == 0 ? NULL : tunnel_find(z->runtime, name);
    if (t != NULL && z->settings.suffix.len == 0 && !tunnel_may_answer(t, rq->loop->core, name)) {
        tunnel_let_go(t);
        return NULL;
    }
    return t;
}

static struct upstream *choose(struct upstream *u, const struct upstream_request *rq)
{
    const struct zone *z = zone_of(u);
    struct tunnel *t = find(z, rq);
    if (t == NULL) {
        tunnels_count(z->runtime, rq->loop->core, COUNTER_tunnel_unknown);
        return NULL;
    }
    struct use *use = arena_alloc(rq->subject->arena, sizeof(*use));
    if (use == NULL) {
        tunnel_let_go(t);
        return NULL;
    }
    *use = (struct use){.magic = USE_MAGIC, .base = z->base, .zone = z, .tunnel = t};
    use->base.ops = &use_ops;
    if (arena_on_fini(rq->subject->arena, drop, use) < 0) {
        drop(use);
        return NULL;
    }
    return &use->base;
}

/** Nobody asks a zone itself: choose() comes first. */
static void refuse(struct upstream *u, struct upstream_request *rq)
{
    (void)u;
    rq->on_failed(rq, E_NO_SERVER);
}

static void enter(struct upstream *u, struct loop *l)
{
    struct zone *z = zone_of(u);
    tunnel_zone_enter(z->runtime, l->core, z);
}

static void leave(struct upstream *u, struct loop *l)
{
    struct zone *z = zone_of(u);
    tunnel_zone_leave(z->runtime, l->core, z);
}

static const struct upstream_ops zone_ops = {
    .choose = choose, .acquire = refuse, .enter = enter, .leave = leave};

const struct zone *zone_of_upstream(const struct upstream *u)
{
    return u->ops == &zone_ops ? zone_of((struct upstream *)(uintptr_t)u) : NULL;
}

const struct zone *zone_called_at(const struct snapshot *s, struct slice host)
{
    for (const struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        const struct zone *z = zone_of_upstream(u);
        if (z != NULL && slice_eq(z->settings.at, host)) {
            return z;
        }
    }
    return NULL;
}

// ---- compiling --------------------------------------------------------------------------------------

static void read_ports(struct zone_settings *s, struct slice text)
{
    struct tunnel_port_range range;
    if (tunnel_ports_parse(text, &range)) {
        s->port_first = range.first.port;
        s->port_last = range.last;
    }
}

static void read_settings(struct zone_settings *s, struct conf_node n, struct slice site)
{
    s->site = site;
    s->suffix = site.len > 1 && site.ptr[0] == '*' ? slice_from(site, 1) : slice_of(site.ptr, 0);
    struct slice parent = s->suffix.len > 0 ? slice_from(s->suffix, 1) : s->suffix;
    struct slice at = conf_string(conf_get(n, "at"), "");
    s->at = at.len > 0 ? at : parent;
    s->names_by_ip = slice_eq(conf_string(conf_get(n, "names"), "random"), SLICE("ip"));
    s->anonymous = conf_bool(conf_get(n, "anonymous"), false);
    s->insecure_clear = conf_bool(conf_get(n, "insecure_clear"), false);
    s->park_ms = (uint32_t)conf_duration_ms(conf_get(n, "park"), ZONE_PARK_MS);
    s->per_owner = (uint32_t)conf_int(conf_get(n, "per_owner"), 100);
    s->per_address = (uint32_t)conf_int(conf_get(n, "per_address"), 50);
    s->banned = conf_get(n, "banned");
    read_ports(s, conf_string(conf_get(n, "ports"), ""));
}

/** What is said of other upstreams but not of agents: whatever they carry is one connection's. */
static void set_spec(struct group_spec *spec, struct conf_node n)
{
    spec->limits.connections_max = INT32_MAX;
    spec->limits.idle_max = INT32_MAX;
    spec->limits.streams_max = ZONE_STREAMS_MAX;
    if (!conf_exists(conf_get(n, "queue"))) {
        spec->queue_max = ZONE_QUEUE_LENGTH;
    }
    if (!conf_exists(conf_get(n, "retry"))) {
        spec->retries.unlimited = true; // what a lost agent had in hand is asked of it again
    }
}

static int make(struct upstream_factory *factory, struct snapshot *snapshot, struct conf_node n,
                struct slice name, struct upstream **out)
{
    struct zone_factory *f = container_of(factory, struct zone_factory, base);
    struct zone *z = arena_zalloc(&snapshot->arena, sizeof(*z));
    if (z == NULL) {
        return E_NO_MEMORY;
    }
    z->magic = ZONE_MAGIC;
    z->base.ops = &zone_ops;
    z->base.name = name;
    z->base.none_error = E_NO_TUNNEL;
    int e = pool_settings_compile(f->pools, snapshot, n, &z->base, &z->spec);
    if (e < 0) {
        return e;
    }
    read_settings(&z->settings, n, name);
    set_spec(&z->spec, n);
    z->runtime = tunnel_zone_get(f->registry, name);
    *out = &z->base;
    return z->runtime == NULL ? E_NO_MEMORY : 0;
}

void zone_factory_init(struct zone_factory *f, struct tunnel_registry *r,
                       const struct pool_factory *pools)
{
    *f = (struct zone_factory){
        .base = {.action = "tunnels", .make = make}, .registry = r, .pools = pools};
}
