// SPDX-License-Identifier: Apache-2.0
//
// The world of the balancing methods (balance_world.h).

#include "balance_world.h"

#include "base/slab.h"

// ---- numbers --------------------------------------------------------------------------------------

// -ln(u) of a uniform u: by arithmetic alone, so that every machine draws the same.
static double exponential(struct rng *rng)
{
    uint64_t bits = rng_u64(rng) | 1;
    int zeros = __builtin_clzll(bits);
    double m = (double)(bits << zeros) * 0x1p-64; // 1/2 to 1
    double z = (m - 1) / (m + 1);
    double z2 = z * z;
    double ln = 2 * z * (1 + z2 * (1.0 / 3 + z2 * (1.0 / 5 + z2 * (1.0 / 7 + z2 / 9))));
    return (double)zeros * 0.69314718055994531 - ln;
}

static double square_root(double x)
{
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) {
        r = (r + x / r) / 2;
    }
    return r;
}

// Sixteen buckets to each power of two.
static unsigned bucket_of(uint64_t ns)
{
    unsigned log = 63 - (unsigned)__builtin_clzll(ns | 16);
    return log * 16 + (unsigned)(ns >> (log - 4) & 15);
}

static double bucket_ns(unsigned b)
{
    return (double)((uint64_t)(16 + b % 16) << (b / 16)) / 16;
}

// ---- life -----------------------------------------------------------------------------------------

struct world *world_new(uint32_t n, uint32_t cores, uint64_t seed)
{
    struct world *w = mem_zalloc_aligned(sizeof(*w), 64);
    ensure(w != NULL && n <= WORLD_SERVERS && cores <= WORLD_CORES);
    w->count = n;
    w->cores = cores;
    w->now_ns = WORLD_SECOND;
    rng_seed(&w->rng, seed);
    for (uint32_t i = 0; i < cores; i++) {
        rng_seed(&w->core_rng[i], seed * 100 + i + 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        w->servers[i] = (struct balance_server){&w->vitals[i], 1, seed * 10000 + i, 0};
        w->models[i] = (struct world_server){.service_ns = 10e6, .workers = 4};
    }
    world_list(w, NULL);
    return w;
}

static void drop_method(struct world *w)
{
    if (w->method != NULL && w->method->discard != NULL) {
        w->method->discard(w->table);
    }
    for (uint32_t i = 0; i < w->cores; i++) {
        mem_free(w->state[i]);
    }
}

void world_free(struct world *w)
{
    drop_method(w);
    mem_free(w->ends);
    mem_free(w);
}

void world_use(struct world *w, const char *method)
{
    int error = 0;
    drop_method(w);
    w->method = balance_find(slice_str(method));
    ensure(w->method != NULL);
    w->table = w->method->build != NULL ? w->method->build(w->servers, w->count, &error) : NULL;
    ensure(error == 0);
    for (uint32_t i = 0; i < w->cores; i++) {
        w->state[i] = mem_zalloc(w->method->state_bytes(w->count));
        ensure(w->state[i] != NULL);
    }
}

void world_list(struct world *w, bool (*usable)(const struct world *w, uint32_t i))
{
    w->list_count = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (usable == NULL || usable(w, i)) {
            w->list[w->list_count++] = (uint16_t)i;
        }
    }
}

// ---- requests -------------------------------------------------------------------------------------

int world_pick(struct world *w, uint32_t core, const uint64_t *key)
{
    const struct balance_choice c = {
        .settings = &w->settings,
        .servers = w->servers,
        .count = w->count,
        .list = w->list,
        .list_count = w->list_count,
        .table = w->table,
        .state = w->state[core],
        .rng = &w->core_rng[core],
        .now_ns = w->now_ns,
        .key = key != NULL ? *key : 0,
        .has_key = key != NULL,
        .active = &w->active,
    };
    return w->method->pick(&c);
}

static void push_end(struct world *w, struct world_end e)
{
    if (w->end_count == w->end_capacity) {
        w->end_capacity = w->end_capacity * 2 + 1024;
        w->ends = mem_realloc(w->ends, w->end_capacity * sizeof(*w->ends));
        ensure(w->ends != NULL);
    }
    uint32_t at = w->end_count++;
    for (; at > 0 && w->ends[(at - 1) / 2].at > e.at; at = (at - 1) / 2) {
        w->ends[at] = w->ends[(at - 1) / 2];
    }
    w->ends[at] = e;
}

static struct world_end pop_end(struct world *w)
{
    struct world_end first = w->ends[0];
    struct world_end moved = w->ends[--w->end_count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < w->end_count; child = 2 * at + 1) {
        child += child + 1 < w->end_count && w->ends[child + 1].at < w->ends[child].at;
        if (moved.at <= w->ends[child].at) {
            break;
        }
        w->ends[at] = w->ends[child];
        at = child;
    }
    w->ends[at] = moved;
    return first;
}

static void finish(struct world *w, const struct world_end *e)
{
    uint64_t latency = e->at - e->began;
    atomic_fetch_sub(&w->vitals[e->server].active, 1);
    atomic_fetch_sub(&w->active, 1);
    balance_observe_latency(&w->vitals[e->server], latency, e->at);
    w->latencies[bucket_of(latency)]++;
    w->answered++;
}

static void begin(struct world *w, uint32_t server)
{
    struct world_server *m = &w->models[server];
    uint32_t first = 0;
    for (uint32_t i = 1; i < m->workers; i++) {
        first = m->free_at[i] < m->free_at[first] ? i : first;
    }
    uint64_t from = m->free_at[first] > w->now_ns ? m->free_at[first] : w->now_ns;
    uint64_t end = from + (uint64_t)(exponential(&w->rng) * m->service_ns) + 1;
    m->free_at[first] = end;
    m->taken++;
    atomic_fetch_add(&w->vitals[server].active, 1);
    atomic_fetch_add(&w->active, 1);
    push_end(w, (struct world_end){end, w->now_ns, server});
}

static void arrive(struct world *w)
{
    uint32_t core = (uint32_t)rng_below(&w->rng, w->cores);
    uint64_t key = w->next_key != NULL ? w->next_key(w) : rng_u64(&w->rng);
    if (w->on_time != NULL) {
        w->on_time(w);
    }
    int i = world_pick(w, core, &key);
    ensure(i >= 0);
    if (w->on_choice != NULL) {
        w->on_choice(w, (uint32_t)i);
    }
    begin(w, (uint32_t)i);
}

void world_run(struct world *w, double load, uint64_t duration_ns)
{
    double rate = 0; // requests per ns
    for (uint32_t i = 0; i < w->count; i++) {
        rate += load * w->models[i].workers / w->models[i].service_ns;
    }
    uint64_t until = w->now_ns + duration_ns;
    for (;;) {
        uint64_t next = w->now_ns + (uint64_t)(exponential(&w->rng) / rate) + 1;
        while (w->end_count > 0 && w->ends[0].at <= next) {
            struct world_end e = pop_end(w);
            finish(w, &e);
        }
        if (next >= until) {
            w->now_ns = until;
            return;
        }
        w->now_ns = next;
        arrive(w);
    }
}

// ---- what came of it ------------------------------------------------------------------------------

void world_forget(struct world *w)
{
    memset(w->latencies, 0, sizeof w->latencies);
    w->answered = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        w->models[i].taken = 0;
    }
}

double world_quantile_ms(const struct world *w, double q)
{
    uint64_t want = (uint64_t)((double)w->answered * q);
    uint64_t seen = 0;
    for (unsigned b = 0; b < WORLD_BUCKETS; b++) {
        seen += w->latencies[b];
        if (seen > want) {
            return bucket_ns(b) / 1e6;
        }
    }
    return 0;
}

struct world_error world_error(const struct world *w)
{
    struct world_error e = {0};
    double all = 0;
    double weight = 0;
    for (uint32_t n = 0; n < w->list_count; n++) {
        all += (double)w->models[w->list[n]].taken;
        weight += w->servers[w->list[n]].weight;
    }
    double squares = 0;
    for (uint32_t n = 0; n < w->list_count; n++) {
        uint32_t i = w->list[n];
        double want = all * w->servers[i].weight / weight;
        double off = ((double)w->models[i].taken - want) / want;
        squares += off * off;
        off = off < 0 ? -off : off;
        e.largest = off > e.largest ? off : e.largest;
    }
    e.deviation = square_root(squares / w->list_count);
    return e;
}
