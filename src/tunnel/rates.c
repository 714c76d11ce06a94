// SPDX-License-Identifier: Apache-2.0
//
// Rates of tokens (tunnel/rates.h). Places are never freed before the table is, so who asks needs no lock
// and no count of holders: two words of the place are all that it reads and writes. Finding a place, which
// only an agent's handshake does, takes the lock.
//
// Numbers of places begin at 1, so that memory which is all zero is an empty table, and pages of it that
// nobody uses are never touched.

#include "tunnel/rates.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/slab.h"

enum { RATES_MAGIC = 0x72617465, BUCKETS = 1024 };

static const uint64_t SECOND_NS = UINT64_C(1000000000);

struct place {
    _Atomic uint64_t due_ns; // when the requests that were let in would have come at that rate
    atomic_uint rate;
    uint32_t holders;
    uint32_t next; // of its bucket, or of those that are free
    char grant[RATES_ID_MAX];
};

struct rates {
    uint32_t magic;
    uint32_t most;
    uint32_t used;     // places that ever had a holder
    uint32_t released; // the first of those that are free again
    pthread_mutex_t lock;
    uint32_t buckets[BUCKETS];
    struct place places[]; // 0 is nobody's
};

struct rates *rates_new(uint32_t most)
{
    struct rates *r = mem_zalloc(sizeof(*r) + (most + 1) * sizeof(r->places[0]));
    if (r != NULL) {
        r->magic = RATES_MAGIC;
        r->most = most;
        int e = pthread_mutex_init(&r->lock, NULL);
        ensure(e == 0);
    }
    return r;
}

void rates_free(struct rates *r)
{
    if (r != NULL) {
        ensure_magic(r, RATES_MAGIC);
        (void)pthread_mutex_destroy(&r->lock);
        r->magic = 0;
        mem_free(r);
    }
}

// The edge makes the ids, at random.
static uint32_t *bucket_of(struct rates *r, struct slice grant)
{
    static const struct hash_key key = {{0, 0}};
    return &r->buckets[hash_bytes(&key, grant) % BUCKETS];
}

static uint32_t find(struct rates *r, struct slice grant)
{
    uint32_t at = *bucket_of(r, grant);
    while (at != 0 && !slice_eq(slice_str(r->places[at].grant), grant)) {
        at = r->places[at].next;
    }
    return at;
}

static bool is_rested(const struct place *p, uint64_t now_ns)
{
    return p->holders == 0 && atomic_load_explicit(&p->due_ns, memory_order_relaxed) <= now_ns;
}

/** Places that nobody holds any more are free again. */
static void sweep(struct rates *r, uint64_t now_ns)
{
    for (uint32_t b = 0; b < BUCKETS; b++) {
        uint32_t *link = &r->buckets[b];
        while (*link != 0) {
            struct place *p = &r->places[*link];
            uint32_t at = *link;
            if (!is_rested(p, now_ns)) {
                link = &p->next;
                continue;
            }
            *link = p->next;
            p->next = r->released;
            r->released = at;
        }
    }
}

static uint32_t take_free(struct rates *r, uint64_t now_ns)
{
    if (r->released == 0 && r->used == r->most) {
        sweep(r, now_ns);
    }
    uint32_t at = r->released;
    if (at != 0) {
        r->released = r->places[at].next;
    } else if (r->used < r->most) {
        at = ++r->used;
    }
    return at;
}

uint32_t rates_hold(struct rates *r, struct slice grant, uint32_t rate, uint64_t now_ns)
{
    ensure_magic(r, RATES_MAGIC);
    ensure(grant.len > 0 && grant.len < RATES_ID_MAX);
    ensure(rate > 0);
    pthread_mutex_lock(&r->lock);
    uint32_t at = find(r, grant);
    if (at == 0 && (at = take_free(r, now_ns)) != 0) {
        struct place *p = &r->places[at];
        uint32_t *bucket = bucket_of(r, grant);
        memcpy(p->grant, grant.ptr, grant.len);
        p->grant[grant.len] = '\0';
        p->next = *bucket;
        *bucket = at;
        atomic_store_explicit(&p->due_ns, 0, memory_order_relaxed);
    }
    if (at != 0) {
        r->places[at].holders++;
        atomic_store_explicit(&r->places[at].rate, rate, memory_order_relaxed);
    }
    pthread_mutex_unlock(&r->lock);
    return at;
}

void rates_let_go(struct rates *r, uint32_t place)
{
    ensure_magic(r, RATES_MAGIC);
    if (place != RATES_NONE) {
        pthread_mutex_lock(&r->lock);
        ensure(r->places[place].holders > 0);
        r->places[place].holders--;
        pthread_mutex_unlock(&r->lock);
    }
}

// Each request moves the time on by its share of a second; the time may be a second ahead of the clock.
bool rates_may_ask(struct rates *r, uint32_t place, uint64_t now_ns)
{
    ensure_magic(r, RATES_MAGIC);
    if (place == RATES_NONE) {
        return true;
    }
    struct place *p = &r->places[place];
    uint32_t rate = atomic_load_explicit(&p->rate, memory_order_relaxed);
    uint64_t is = atomic_load_explicit(&p->due_ns, memory_order_relaxed);
    uint64_t next = 0;
    do {
        next = (is > now_ns ? is : now_ns) + SECOND_NS / rate;
        if (next > now_ns + SECOND_NS) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&p->due_ns, &is, next));
    return true;
}
