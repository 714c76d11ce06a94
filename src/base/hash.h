// SPDX-License-Identifier: Apache-2.0
//
// Keyed hashing for tables whose keys come from peers, so that nobody can choose collisions
// (SipHash-1-3, Aumasson & Bernstein 2012), and an open-addressing map from slices to pointers for
// tables that are built once.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct hash_key {
    uint64_t k[2];
};

uint64_t hash_bytes(const struct hash_key *key, struct slice text);
/** SipHash-2-4: slower, and what its authors advise where a peer must not be able to make the value
 * without the key (a tag). Compare tags with ==; a word is compared in one step. */
uint64_t hash_tag(const struct hash_key *key, struct slice text);

struct arena;

struct slice_map_entry {
    struct slice key;
    void *value;
    uint64_t hash;
};

/** Keys are borrowed; memory comes from the arena given to init. Lookup is read-only and may be
 * shared by threads once built. */
struct slice_map {
    struct arena *arena;
    struct slice_map_entry *entries;
    uint32_t capacity; // power of two
    uint32_t count;
    struct hash_key key; // from init; replace it before the first put when peers choose the keys
};

int slice_map_init(struct slice_map *m, struct arena *a, uint32_t expected) must_check;
/** E_EXISTS when the key is there, E_NO_MEMORY. `value` is not NULL. */
int slice_map_put(struct slice_map *m, struct slice key, void *value) must_check;
/** NULL when not there. */
void *slice_map_get(const struct slice_map *m, struct slice key);
