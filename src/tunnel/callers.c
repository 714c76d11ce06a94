// SPDX-License-Identifier: Apache-2.0
//
// The table of callers (tunnel/callers.h). Each part is an array in which an address has a few places
// where it may stand. When all of them are taken, the one that has no connection and was heard of
// longest ago goes: it is forgotten that it knocked, which is at worst a burst for somebody who has as
// many addresses as there are places.

#include "tunnel/callers.h"

#include <pthread.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/slab.h"
#include "tls/digest.h"

enum {
    CALLERS_MAGIC = 0x63616c6c,
    PARTS = 64,
    PLACES = 1024, // of a part
    WAYS = 16,     // places where an address may stand
    TOKEN = 1000,  // thousandths of a handshake
};

struct caller {
    uint8_t ip[16];
    uint8_t kind; // OS_ADDR_NONE: nobody
    uint32_t live;
    uint32_t tokens;  // thousandths
    uint64_t seen_ms; // when tokens were counted
};

struct part {
    _Alignas(64) pthread_mutex_t lock;
    struct caller *places; // NULL: nobody has called
};

struct callers {
    uint32_t magic;
    struct hash_key key; // nobody can choose an address to stand where another one does
    struct part parts[PARTS];
};

struct callers *callers_new(void)
{
    struct callers *c = mem_zalloc_aligned(sizeof(*c), _Alignof(struct part));
    if (c == NULL) {
        return NULL;
    }
    if (digest_random(&c->key, sizeof(c->key)) < 0) {
        mem_free(c);
        return NULL;
    }
    c->magic = CALLERS_MAGIC;
    for (size_t i = 0; i < PARTS; i++) {
        int e = pthread_mutex_init(&c->parts[i].lock, NULL);
        ensure(e == 0);
    }
    return c;
}

void callers_free(struct callers *c)
{
    if (c == NULL) {
        return;
    }
    ensure_magic(c, CALLERS_MAGIC);
    for (size_t i = 0; i < PARTS; i++) {
        struct part *p = &c->parts[i];
        mem_free(p->places);
        int e = pthread_mutex_destroy(&p->lock);
        ensure(e == 0);
    }
    c->magic = 0;
    mem_free(c);
}

/** What of an address counts. */
static struct caller whom(const struct os_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct caller w = {.kind = a->kind == OS_ADDR_NONE ? OS_ADDR_UNIX : a->kind};
    if (a->kind == OS_ADDR_V4) {
        memcpy(w.ip, a->u.ip, 4);
    } else if (a->kind == OS_ADDR_V6 && memcmp(a->u.ip, mapped, sizeof(mapped)) == 0) {
        w.kind = OS_ADDR_V4;
        memcpy(w.ip, a->u.ip + 12, 4);
    } else if (a->kind == OS_ADDR_V6) {
        memcpy(w.ip, a->u.ip, 8);
    }
    return w;
}

bool callers_same(const struct os_addr *a, const struct os_addr *b)
{
    struct caller one = whom(a);
    struct caller other = whom(b);
    return one.kind == other.kind && memcmp(one.ip, other.ip, sizeof(one.ip)) == 0;
}

static uint64_t hash_of(const struct callers *c, const struct caller *w)
{
    return hash_bytes(&c->key, slice_of((const char *)w->ip, sizeof(w->ip)));
}

static struct part *lock_part(struct callers *c, uint64_t hash)
{
    ensure_magic(c, CALLERS_MAGIC);
    struct part *p = &c->parts[hash % PARTS];
    int e = pthread_mutex_lock(&p->lock);
    ensure(e == 0);
    return p;
}

static void unlock(struct part *p)
{
    int e = pthread_mutex_unlock(&p->lock);
    ensure(e == 0);
}

static struct caller *place(struct part *p, uint64_t hash, uint32_t way)
{
    return &p->places[(hash / PARTS + way) % PLACES];
}

static struct caller *find(struct part *p, const struct caller *w, uint64_t hash)
{
    for (uint32_t i = 0; i < WAYS && p->places != NULL; i++) {
        struct caller *at = place(p, hash, i);
        if (at->kind == w->kind && memcmp(at->ip, w->ip, sizeof(at->ip)) == 0) {
            return at;
        }
    }
    return NULL;
}

/** The caller's place; NULL: there is none to be had. */
static struct caller *find_or_make(struct part *p, const struct caller *w, uint64_t hash,
                                   uint64_t now_ms)
{
    struct caller *at = find(p, w, hash);
    if (at != NULL) {
        return at;
    }
    if (p->places == NULL) {
        p->places = mem_zalloc(PLACES * sizeof(*p->places));
        if (p->places == NULL) {
            return NULL;
        }
    }
    struct caller *best = NULL;
    for (uint32_t i = 0; i < WAYS; i++) {
        at = place(p, hash, i);
        if (at->live == 0 && (best == NULL || at->seen_ms < best->seen_ms)) {
            best = at;
        }
    }
    if (best != NULL) {
        *best = *w;
        best->tokens = CALLERS_BURST * TOKEN;
        best->seen_ms = now_ms;
    }
    return best;
}

static void refill(struct caller *c, uint64_t now_ms)
{
    uint64_t passed = now_ms > c->seen_ms ? now_ms - c->seen_ms : 0;
    uint64_t tokens = c->tokens + passed * CALLERS_PER_SECOND;
    c->tokens = tokens > CALLERS_BURST * TOKEN ? CALLERS_BURST * TOKEN : (uint32_t)tokens;
    c->seen_ms = now_ms > c->seen_ms ? now_ms : c->seen_ms;
}

bool callers_knock(struct callers *c, const struct os_addr *a, uint64_t now_ms)
{
    struct caller w = whom(a);
    uint64_t hash = hash_of(c, &w);
    struct part *p = lock_part(c, hash);
    struct caller *at = find_or_make(p, &w, hash, now_ms);
    bool may = false;
    if (at != NULL) {
        refill(at, now_ms);
        may = at->tokens >= TOKEN;
        at->tokens -= may ? TOKEN : 0;
    }
    unlock(p);
    return may;
}

bool callers_enter(struct callers *c, const struct os_addr *a, uint32_t most, uint64_t now_ms)
{
    struct caller w = whom(a);
    uint64_t hash = hash_of(c, &w);
    struct part *p = lock_part(c, hash);
    struct caller *at = find_or_make(p, &w, hash, now_ms);
    bool may = at != NULL && (most == 0 || at->live < most);
    if (may) {
        at->live++;
    }
    unlock(p);
    return may;
}

void callers_leave(struct callers *c, const struct os_addr *a)
{
    struct caller w = whom(a);
    uint64_t hash = hash_of(c, &w);
    struct part *p = lock_part(c, hash);
    struct caller *at = find(p, &w, hash);
    ensure(at != NULL && at->live > 0);
    at->live--;
    unlock(p);
}
