// SPDX-License-Identifier: Apache-2.0
//
// Methods by key: a consistent hash (Karger et al. 1997) in the manner of ketama. Each server has points
// on a ring, by its weight and at places that follow from its id alone; a key belongs to the next point
// behind it. A server that leaves gives its keys to all the others and no other key moves; one that
// may not be asked just now is passed over, which is the same for as long as that lasts.
//
// Shares are even because the points are many (RING_POINTS). How many one server has depends on the
// other servers only through the scale, a power of two near their average weight: so lists that differ
// in a server have the same points for the rest. What does not make a whole point is one that keeps
// only a part of its keys. The same goes for a server that starts slowly: it gets its keys one by one
// and those it has stay.
//
// Bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): a server that carries its bound already is
// passed over as well. The bound is a percentage of the average load by weight with this request
// counted in, rounded up; so somebody always has room.
//
// When few of the servers may be asked (backups, most are down) the ring would be a long walk through
// others' points. Then the list itself is asked: rendezvous hashing (Thaler & Ravishankar 1998) with
// weights, which moves as few keys and costs a look at each of the few.

#include "base/error.h"
#include "base/slab.h"
#include "upstream/balance_int.h"

enum {
    RING_MAGIC = 0x72696e67,
    RING_POINTS =
        512,         // of an average server: shares differ by 4 % (one deviation), 15 % among 1,024
    RING_BUCKET = 4, // points in a bucket, on average
    RING_FEW = 8,    // fewer than one in so many may be asked: rendezvous
    RING_WALK = 1024, // points passed over before rendezvous
};

struct ring_point {
    uint32_t at;
    uint16_t server;
    uint16_t part; // of 65,535: how many of the keys that come here stay
};

struct ring {
    uint32_t magic;
    uint32_t servers;
    uint32_t count; // of points
    uint32_t shift; // a place's bucket is at >> shift
    uint64_t weight;
    struct ring_point *points; // by place
    uint32_t starts[];         // per bucket: its first point; one more for the end
};

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the sum moves half of the result's.
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// ---- build ----------------------------------------------------------------------------------------

/** Points of one server, in 65,536ths. */
static uint64_t points_of(uint32_t weight, unsigned scale)
{
    return (uint64_t)weight * RING_POINTS * 65536 >> scale;
}

static uint32_t whole_points(uint64_t points)
{
    return (uint32_t)((points + 65535) / 65536);
}

static uint32_t place_of(uint64_t id, uint32_t point)
{
    return (uint32_t)(mix(mix(id) + point) >> 32);
}

// The power of two nearest to the average weight, by ratio: 2^(k - 1/2) to 2^(k + 1/2).
static unsigned scale_of(uint64_t sum, uint64_t n)
{
    unsigned k = 0;
    while (sum * sum > n * n << (2 * k + 1)) {
        k++;
    }
    return k;
}

// Points into their buckets, then each bucket into order; equal places by id, whatever the list's order.
static void place_points(struct ring *r, const struct balance_server *servers, unsigned scale,
                         uint32_t buckets)
{
    for (uint32_t i = 0; i < r->servers; i++) {
        uint32_t n = whole_points(points_of(servers[i].weight, scale));
        for (uint32_t p = 0; p < n; p++) {
            r->starts[(place_of(servers[i].id, p) >> r->shift) + 1]++;
        }
    }
    for (uint32_t b = 0; b < buckets; b++) {
        r->starts[b + 1] += r->starts[b];
    }
    for (uint32_t i = 0; i < r->servers; i++) {
        uint64_t points = points_of(servers[i].weight, scale);
        uint32_t n = whole_points(points);
        for (uint32_t p = 0; p < n; p++) {
            bool last = p + 1 == n && (points & 65535) != 0;
            struct ring_point point = {place_of(servers[i].id, p), (uint16_t)i,
                                       last ? (uint16_t)(points & 65535) : UINT16_MAX};
            // A bucket's start moves up while it is filled.
            r->points[r->starts[point.at >> r->shift]++] = point;
        }
    }
    for (uint32_t b = buckets; b > 0; b--) {
        r->starts[b] = r->starts[b - 1];
    }
    r->starts[0] = 0;
}

static void sort_points(struct ring *r, const struct balance_server *servers)
{
    for (uint32_t i = 1; i < r->count; i++) {
        struct ring_point p = r->points[i];
        uint32_t to = i;
        for (; to > 0; to--) {
            const struct ring_point *before = &r->points[to - 1];
            bool in_order =
                before->at < p.at ||
                (before->at == p.at && servers[before->server].id <= servers[p.server].id);
            if (in_order) {
                break;
            }
            r->points[to] = *before;
        }
        r->points[to] = p;
    }
}

void *balance_ring_new(const struct balance_server *servers, uint32_t n, int *error)
{
    ensure(n <= BALANCE_SERVERS_MAX);
    uint64_t sum = 0;
    uint64_t some = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += servers[i].weight;
        some += servers[i].weight > 0;
    }
    unsigned scale = scale_of(sum, some);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += whole_points(points_of(servers[i].weight, scale));
    }
    unsigned bits = 1;
    while ((count >> bits) > RING_BUCKET) {
        bits++;
    }
    uint32_t buckets = (uint32_t)1 << bits;
    struct ring *r = mem_zalloc(sizeof(*r) + (buckets + 1) * sizeof(r->starts[0]));
    struct ring_point *points = mem_alloc(count * sizeof(*points) + 1);
    if (r == NULL || points == NULL) {
        mem_free(r);
        mem_free(points);
        *error = E_NO_MEMORY;
        return NULL;
    }
    r->magic = RING_MAGIC;
    r->servers = n;
    r->count = count;
    r->shift = 32 - bits;
    r->weight = sum;
    r->points = points;
    place_points(r, servers, scale, buckets);
    sort_points(r, servers);
    return r;
}

void balance_ring_free(void *table)
{
    struct ring *r = table;
    if (r != NULL) {
        ensure_magic(r, RING_MAGIC);
        r->magic = 0;
        mem_free(r->points);
        mem_free(r);
    }
}

// ---- bounded load ---------------------------------------------------------------------------------

/** What a server may carry: `share` by its weight, out of `of`. */
struct bound {
    bool on;
    uint64_t share;
    uint64_t of;
};

static struct bound bound_of(const struct balance_choice *c)
{
    struct bound b = {.on = c->settings->bound_percent != 0};
    if (!b.on) {
        return b;
    }
    const struct ring *r = c->table;
    bool add_active = c->active == NULL;
    uint64_t active = add_active ? 0 : atomic_load_explicit(c->active, memory_order_relaxed);
    uint64_t weight = r != NULL && c->list_count == c->count ? r->weight : 0;
    bool add_weight = weight == 0;
    for (uint32_t n = 0; (add_active || add_weight) && n < c->list_count; n++) {
        const struct balance_server *s = &c->servers[c->list[n]];
        active += add_active ? vitals_active(s->vitals) : 0;
        weight += add_weight ? s->weight : 0;
    }
    b.share = c->settings->bound_percent * (active + 1);
    b.of = 100 * weight;
    return b;
}

static bool has_room(const struct balance_choice *c, const struct bound *b, uint32_t i)
{
    const struct balance_server *s = &c->servers[i];
    // active + 1 <= ceil(share * weight / of) is the same as active * of < share * weight.
    return !b->on || vitals_active(s->vitals) * b->of < b->share * s->weight;
}

// ---- rendezvous -----------------------------------------------------------------------------------

// -log2 of a number in (0, 1] that `hash` stands for, in 2^-32: 32.32 fixed point, right to 0.004.
static uint64_t minus_log2(uint64_t hash)
{
    hash |= 1;
    unsigned zeros = (unsigned)__builtin_clzll(hash);
    uint64_t x = zeros < 63 ? hash << (zeros + 1) >> 32 : 0; // the mantissa's fraction
    uint64_t bend = (x * (((uint64_t)1 << 32) - x) >> 32) * 1413 >>
                    12; // log2(1 + x) is about x + .345 x (1 - x)
    return ((uint64_t)(zeros + 1) << 32) - x - bend;
}

// The server with the smallest -log(hash of key and id) / weight.
static int rendezvous(const struct balance_choice *c, uint64_t key, const struct bound *bound)
{
    int best = -1;
    double least = 0;
    for (uint32_t n = 0; n < c->list_count; n++) {
        uint32_t i = c->list[n];
        const struct balance_server *s = &c->servers[i];
        if (s->weight == 0 || !has_room(c, bound, i)) {
            continue;
        }
        double score = (double)minus_log2(mix(key ^ mix(s->id))) / (double)balance_weight_of(c, i);
        if ((best < 0 || score < least) && !balance_is_barred(c, i)) {
            best = (int)i;
            least = score;
        }
    }
    return best;
}

// ---- the walk -------------------------------------------------------------------------------------

static uint32_t first_point(const struct ring *r, uint32_t at)
{
    uint32_t bucket = at >> r->shift;
    uint32_t i = r->starts[bucket];
    while (i < r->starts[bucket + 1] && r->points[i].at < at) {
        i++;
    }
    return i < r->count ? i : 0;
}

// Do keys like this one stay at the point? A whole server's all do; the rest is chance, the same one
// for the same key and server.
static bool keeps_key(const struct balance_choice *c, const struct ring_point *p, uint64_t key)
{
    if (p->part == UINT16_MAX && c->settings->slow_start_ms == 0) {
        return true;
    }
    const struct balance_server *s = &c->servers[p->server];
    uint64_t chance = mix(key ^ s->id);
    if (p->part != UINT16_MAX && (chance & 65535) >= p->part) {
        return false;
    }
    uint64_t full = (uint64_t)s->weight * 1000;
    uint64_t now = balance_weight_of(c, p->server);
    return now == full || (chance >> 32) * full < now << 32;
}

static int walk(const struct balance_choice *c, uint64_t key, const struct bound *bound)
{
    const struct ring *r = c->table;
    uint32_t i = first_point(r, (uint32_t)(key >> 32));
    for (uint32_t n = 0; n < r->count && n < RING_WALK; n++) {
        const struct ring_point *p = &r->points[i];
        if (balance_is_listed(c, p->server) && has_room(c, bound, p->server) &&
            keeps_key(c, p, key) && !balance_is_barred(c, p->server)) {
            return p->server;
        }
        i = i + 1 < r->count ? i + 1 : 0;
    }
    return -1;
}

int balance_ring_pick(const struct balance_choice *c)
{
    const struct ring *r = c->table;
    uint64_t key = mix(c->has_key ? c->key : rng_u64(c->rng));
    struct bound bound = bound_of(c);
    int chosen = -1;
    if (r != NULL && c->list_count * RING_FEW >= c->count) {
        ensure_magic(r, RING_MAGIC);
        ensure(r->servers == c->count);
        chosen = walk(c, key, &bound);
    }
    if (chosen < 0) {
        chosen = rendezvous(c, key, &bound);
    }
    if (chosen < 0 && bound.on) { // those with room are barred
        bound.on = false;
        chosen = rendezvous(c, key, &bound);
    }
    return chosen;
}
