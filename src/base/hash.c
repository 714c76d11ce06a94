// SPDX-License-Identifier: Apache-2.0
//
// SipHash (1-3, 2-4) and the slice map. The map is linear probing over a power of two at most half full; it
// grows by building a larger table in the same arena, which is meant for tables that are built once:
// the old table's memory is the arena's until the end.

#include "base/hash.h"

#include <string.h>

#include "base/arena.h"
#include "base/error.h"

enum { SLICE_MAP_MIN = 8, SLICE_MAP_MAX = 1 << 26 };

// ---- SipHash ----------------------------------------------------------------------------------------

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_rounds(struct sip *s, int n)
{
    for (int i = 0; i < n; i++) {
        sip_round(s);
    }
}

static inline void sip_word(struct sip *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

static inline uint64_t sip_hash(const struct hash_key *key, struct slice text, int rounds, int last)
{
    struct sip s = {
        key->k[0] ^ 0x736f6d6570736575u,
        key->k[1] ^ 0x646f72616e646f6du,
        key->k[0] ^ 0x6c7967656e657261u,
        key->k[1] ^ 0x7465646279746573u,
    };
    const char *p = text.ptr;
    size_t left = text.len;
    uint64_t word;
    for (; left >= 8; p += 8, left -= 8) {
        memcpy(&word, p, 8);
        sip_word(&s, word, rounds);
    }
    word = 0;
    if (left > 0) {
        memcpy(&word, p, left);
    }
    sip_word(&s, word | (uint64_t)text.len << 56, rounds);
    s.v2 ^= 0xff;
    sip_rounds(&s, last);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(const struct hash_key *key, struct slice text)
{
    return sip_hash(key, text, 1, 3);
}

uint64_t hash_tag(const struct hash_key *key, struct slice text)
{
    return sip_hash(key, text, 2, 4);
}

// ---- map -------------------------------------------------------------------------------------------

static struct slice_map_entry *new_table(struct arena *a, uint32_t capacity)
{
    return arena_zalloc(a, (size_t)capacity * sizeof(struct slice_map_entry));
}

int slice_map_init(struct slice_map *m, struct arena *a, uint32_t expected)
{
    ensure(expected <= SLICE_MAP_MAX / 2);
    uint32_t capacity = SLICE_MAP_MIN;
    while (capacity / 2 < expected) {
        capacity *= 2;
    }
    // The table's own address is all the key there is without asking the kernel; owners whose keys
    // come from peers put their own key in before the first entry.
    *m = (struct slice_map){.arena = a, .capacity = capacity};
    m->entries = new_table(a, capacity);
    if (m->entries == NULL) {
        return E_NO_MEMORY;
    }
    m->key = (struct hash_key){{(uintptr_t)m->entries, (uintptr_t)m ^ 0x9e3779b97f4a7c15u}};
    return 0;
}

// The entry of the key, or the free one where it would go.
static struct slice_map_entry *find(const struct slice_map *m, struct slice key, uint64_t hash)
{
    uint32_t mask = m->capacity - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct slice_map_entry *e = &m->entries[i];
        if (e->value == NULL || (e->hash == hash && slice_eq(e->key, key))) {
            return e;
        }
    }
}

static int grow(struct slice_map *m)
{
    if (m->capacity >= SLICE_MAP_MAX) {
        return E_NO_MEMORY;
    }
    struct slice_map larger = *m;
    larger.capacity = m->capacity * 2;
    larger.entries = new_table(m->arena, larger.capacity);
    if (larger.entries == NULL) {
        return E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < m->capacity; i++) {
        const struct slice_map_entry *e = &m->entries[i];
        if (e->value != NULL) {
            *find(&larger, e->key, e->hash) = *e;
        }
    }
    *m = larger;
    return 0;
}

int slice_map_put(struct slice_map *m, struct slice key, void *value)
{
    ensure(value != NULL);
    uint64_t hash = hash_bytes(&m->key, key);
    if (find(m, key, hash)->value != NULL) {
        return E_EXISTS;
    }
    if (m->count >= m->capacity / 2) {
        int rc = grow(m);
        if (rc != 0) {
            return rc;
        }
    }
    *find(m, key, hash) = (struct slice_map_entry){key, value, hash};
    m->count++;
    return 0;
}

void *slice_map_get(const struct slice_map *m, struct slice key)
{
    return m->count == 0 ? NULL : find(m, key, hash_bytes(&m->key, key))->value;
}
