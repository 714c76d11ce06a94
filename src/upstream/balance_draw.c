// SPDX-License-Identifier: Apache-2.0
//
// Methods that draw at random: two-choices (Mitzenmacher, "The Power of Two Choices in Randomized Load
// Balancing", 2001), ewma (the same by latency, after Finagle's peak EWMA), least-conn.
//
// Drawing by weight takes one random number and one look at a table of odds (Walker's alias method as
// Vose builds it, 1991). The table is of all servers; a draw of one that may not be asked now is thrown
// away and made again, which leaves exactly the odds of the rest. When that does not succeed in a few
// tries the list is gone through once.
//
// Weights and loads: the first one drawn, by weight, keeps the request unless the other is less loaded
// both before it takes the request (active / weight) and after it ((active + 1) / weight). Either
// alone is unfair among few requests: the former to heavy servers, the latter to light ones. Together
// they leave the shares as they were drawn until there is a difference worth acting on.

#include "base/error.h"
#include "base/slab.h"
#include "upstream/balance_int.h"

enum { ODDS_MAGIC = 0x6f646473, DRAW_TRIES = 8 };

// ---- odds -----------------------------------------------------------------------------------------

struct odds_slot {
    uint32_t keep;  // of 2^32: how often the slot means itself
    uint32_t other; // who it means else
};

struct odds {
    uint32_t magic;
    uint32_t count;
    struct odds_slot slots[];
};

// Fills the slots in units of sum / n: each slot is filled up by one server that has more than it
// needs for its own. `light` and `heavy` are stacks that share one array from both ends.
static void fill_slots(struct odds *o, uint64_t *need, uint32_t *stack, uint64_t sum)
{
    uint32_t light = 0;
    uint32_t heavy = o->count;
    for (uint32_t i = 0; i < o->count; i++) {
        o->slots[i] = (struct odds_slot){UINT32_MAX, i};
        if (need[i] < sum) {
            stack[light++] = i;
        } else {
            stack[--heavy] = i;
        }
    }
    while (light > 0 && heavy < o->count) {
        uint32_t small = stack[--light];
        uint32_t large = stack[heavy];
        o->slots[small].keep = (uint32_t)((need[small] << 32) / sum);
        o->slots[small].other = large;
        need[large] -= sum - need[small];
        if (need[large] < sum) {
            heavy++;
            stack[light++] = large;
        }
    }
}

void *balance_odds_new(const struct balance_server *servers, uint32_t n, int *error)
{
    ensure(n <= BALANCE_SERVERS_MAX);
    struct odds *o = mem_alloc(sizeof(*o) + n * sizeof(o->slots[0]));
    uint64_t *need = mem_alloc(n * (sizeof(uint64_t) + sizeof(uint32_t)) + 1);
    uint64_t sum = 0;
    if (o == NULL || need == NULL) {
        mem_free(o);
        mem_free(need);
        *error = E_NO_MEMORY;
        return NULL;
    }
    *o = (struct odds){.magic = ODDS_MAGIC, .count = n};
    for (uint32_t i = 0; i < n; i++) {
        need[i] = (uint64_t)servers[i].weight * n;
        sum += servers[i].weight;
    }
    if (sum > 0) {
        fill_slots(o, need, (uint32_t *)(need + n), sum);
    } else {
        o->count = 0; // nobody takes anything: the list will say so
    }
    mem_free(need);
    return o;
}

void balance_odds_free(void *table)
{
    struct odds *o = table;
    if (o != NULL) {
        ensure_magic(o, ODDS_MAGIC);
        o->magic = 0;
        mem_free(o);
    }
}

// ---- drawing --------------------------------------------------------------------------------------

static uint32_t draw_slot(const struct odds *o, struct rng *rng)
{
    uint64_t random = rng_u64(rng);
    uint32_t i = (uint32_t)((uint64_t)(uint32_t)random * o->count >> 32);
    return random >> 32 < o->slots[i].keep ? i : o->slots[i].other;
}

// Does the part of its weight that it has now, while it starts slowly, take this draw?
static bool takes_draw(const struct balance_choice *c, uint32_t i)
{
    uint64_t full = (uint64_t)c->servers[i].weight * 1000;
    uint64_t now = c->settings->slow_start_ms == 0 ? full : balance_weight_of(c, i);
    return now == full || rng_below(c->rng, full) < now;
}

// Goes through the list: each one replaces the chosen one with the probability of its weight in the sum
// so far.
static int draw_of_all(const struct balance_choice *c, int except)
{
    uint64_t sum = 0;
    int chosen = -1;
    for (uint32_t n = 0; n < c->list_count; n++) {
        uint32_t i = c->list[n];
        uint64_t weight = balance_weight_of(c, i);
        if (weight == 0 || (int)i == except || balance_is_barred(c, i)) {
            continue;
        }
        sum += weight;
        if (sum == weight || rng_below(c->rng, sum) < weight) {
            chosen = (int)i;
        }
    }
    return chosen;
}

int balance_draw(const struct balance_choice *c, int except)
{
    const struct odds *o = c->table;
    if (o == NULL || o->count == 0 || c->list_count * 4 < c->count) {
        return draw_of_all(c, except);
    }
    ensure_magic(o, ODDS_MAGIC);
    ensure(o->count == c->count);
    for (unsigned tries = 0; tries < DRAW_TRIES; tries++) {
        uint32_t i = draw_slot(o, c->rng);
        if ((int)i != except && balance_is_listed(c, i) && takes_draw(c, i) &&
            !balance_is_barred(c, i)) {
            return (int)i;
        }
    }
    return draw_of_all(c, except);
}

// ---- two-choices, least-conn --------------------------------------------------------------------

/** What a server carries, and its weight now. */
struct load {
    uint64_t active;
    uint64_t weight;
};

static struct load load_of(const struct balance_choice *c, uint32_t i)
{
    return (struct load){vitals_active(c->servers[i].vitals), balance_weight_of(c, i)};
}

static bool is_less_loaded(struct load a, struct load b)
{
    return a.active * b.weight < b.active * a.weight &&
           (a.active + 1) * b.weight < (b.active + 1) * a.weight;
}

int balance_two_pick(const struct balance_choice *c)
{
    int first = balance_draw(c, -1);
    int second = first >= 0 && c->list_count > 1 ? balance_draw(c, first) : -1;
    if (second < 0) {
        return first;
    }
    bool better = is_less_loaded(load_of(c, (uint32_t)second), load_of(c, (uint32_t)first));
    return better ? second : first;
}

// By (active + 1/2) / weight, which is fair to heavy and light (Sainte-Lague): below 0, 0, above 0. Idle
// servers are equal: which one takes a request is for their weights to say.
static int compare_loads(struct load a, struct load b)
{
    uint64_t x = (2 * a.active + 1) * b.weight;
    uint64_t y = (2 * b.active + 1) * a.weight;
    bool idle = a.active == 0 && b.active == 0;
    return idle || x == y ? 0 : x < y ? -1 : 1;
}

int balance_least_pick(const struct balance_choice *c)
{
    int best = balance_draw(c, -1);
    if (best < 0) {
        return -1;
    }
    struct load first = load_of(c, (uint32_t)best);
    struct load least = first;
    uint64_t equals = 0; // weight of those that are least; 0: it is still the first one drawn
    for (uint32_t n = 0; first.active > 0 && n < c->list_count; n++) {
        uint32_t i = c->list[n];
        struct load load = load_of(c, i);
        if (load.weight == 0 || !is_less_loaded(load, first)) {
            continue;
        }
        int order = equals == 0 ? -1 : compare_loads(load, least);
        if (order > 0 || balance_is_barred(c, i)) {
            continue;
        }
        equals = order < 0 ? load.weight : equals + load.weight;
        if (order < 0 || rng_below(c->rng, equals) < load.weight) {
            best = (int)i;
            least = load;
        }
    }
    return best;
}

// ---- ewma -----------------------------------------------------------------------------------------

// What is left of a value after `ns`: halved by each half-life. Between, a parabola stands for 2^-x:
// right to 0.003, and with its slope at 0, so that many small steps make as much as a large one.
static uint64_t fade(uint64_t value, uint64_t ns)
{
    const uint64_t half = (uint64_t)BALANCE_LATENCY_HALF_MS * 1000000;
    uint64_t halves = ns / half;
    if (halves >= 63) {
        return 0;
    }
    value >>= halves;
    double x = (double)(ns % half) / (double)half;
    return value - (uint64_t)((double)value * x * (0.69 - 0.19 * x));
}

uint64_t balance_latency(const struct vitals *v, uint64_t now_ns)
{
    uint64_t latency = atomic_load_explicit(&v->latency_ns, memory_order_relaxed);
    uint64_t at = atomic_load_explicit(&v->latency_at_ns, memory_order_relaxed);
    if (latency == 0 || now_ns <= at) {
        return latency;
    }
    uint64_t left = fade(latency, now_ns - at);
    return left > 0 ? left : 1; // it is known, if long ago
}

void balance_observe_latency(struct vitals *v, uint64_t latency_ns, uint64_t now_ns)
{
    uint64_t old = atomic_load_explicit(&v->latency_ns, memory_order_relaxed);
    uint64_t at = atomic_load_explicit(&v->latency_at_ns, memory_order_relaxed);
    uint64_t sample = latency_ns > 0 ? latency_ns : 1;
    uint64_t new = sample;
    if (sample < old) {
        uint64_t since = now_ns > at ? now_ns - at : 0;
        new = sample + fade(old - sample, since);
        if (new == old) {
            return; // too little time for a step: it goes on to count for the next sample
        }
    }
    atomic_store_explicit(&v->latency_ns, new, memory_order_relaxed);
    atomic_store_explicit(&v->latency_at_ns, now_ns, memory_order_relaxed);
}

// As with loads, times latency: before and after. An idle server's load counts as one request of the
// heavier one's size before, so that of two idle ones the quicker wins and weights have had their say.
static bool is_cheaper(struct load a, double a_latency, struct load b, double b_latency)
{
    double most = (double)(a.weight > b.weight ? a.weight : b.weight);
    double a_weight = (double)a.weight;
    double b_weight = (double)b.weight;
    double a_before = a_latency * ((double)a.active / a_weight + 1 / most);
    double b_before = b_latency * ((double)b.active / b_weight + 1 / most);
    double a_after = a_latency * (double)(a.active + 1) / a_weight;
    double b_after = b_latency * (double)(b.active + 1) / b_weight;
    return a_before < b_before && a_after < b_after;
}

int balance_ewma_pick(const struct balance_choice *c)
{
    int first = balance_draw(c, -1);
    int second = first >= 0 && c->list_count > 1 ? balance_draw(c, first) : -1;
    if (second < 0) {
        return first;
    }
    struct load a = load_of(c, (uint32_t)second);
    struct load b = load_of(c, (uint32_t)first);
    uint64_t a_latency = balance_latency(c->servers[second].vitals, c->now_ns);
    uint64_t b_latency = balance_latency(c->servers[first].vitals, c->now_ns);
    bool better = false;
    if (a_latency == 0 || b_latency == 0) {
        // Nothing is known of one: it counts as quick as the other, so a new server gets its share
        // and, while it has not answered, no more than that.
        better = is_less_loaded(a, b);
    } else {
        better = is_cheaper(a, (double)a_latency, b, (double)b_latency);
    }
    return better ? second : first;
}
