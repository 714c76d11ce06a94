// SPDX-License-Identifier: Apache-2.0
//
// hash: the keyed hash and the slice map.

#include "base/hash.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/slab.h"
#include "tap.h"

static void depends_on_key_and_every_byte(void)
{
    struct hash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    struct hash_key other = {{1, 2}};
    char text[40];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)i;
    }
    for (size_t len = 0; len < sizeof(text); len++) {
        uint64_t h = hash_bytes(&key, slice_of(text, len));
        CHECK(h != hash_bytes(&other, slice_of(text, len)));
        CHECK(h != hash_bytes(&key, slice_of(text, len + 1)));
        for (size_t i = 0; i < len; i++) {
            text[i] ^= 1;
            CHECK(h != hash_bytes(&key, slice_of(text, len)));
            text[i] ^= 1;
        }
    }
    // SipHash-1-3 of the empty text under the key 00..0f.
    CHECK(hash_bytes(&key, slice_of(NULL, 0)) == 0xabac0158050fc4dcu);
}

// Vectors of the paper (Aumasson, Bernstein 2012, appendix A) and of its reference code.
static void tags_are_siphash_2_4(void)
{
    struct hash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    char text[15];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)i;
    }
    CHECK(hash_tag(&key, slice_of(text, 15)) == 0xa129ca6149be45e5u);
    CHECK(hash_tag(&key, slice_of(text, 0)) == 0x726fdb47dd0e0e31u);
    CHECK(hash_tag(&key, slice_of(text, 8)) == 0x93f5f5799a932462u);
}

static void maps(void)
{
    enum { KEYS = 3000 };
    static char names[KEYS][16];
    static int values[KEYS];
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 4 << 20);
    struct slice_map m;
    REQUIRE(slice_map_init(&m, &a, 0) == 0);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "key-%d", i);
        CHECK(slice_map_get(&m, slice_str(names[i])) == NULL);
        REQUIRE(slice_map_put(&m, slice_str(names[i]), &values[i]) == 0);
        CHECK_EQ_INT(slice_map_put(&m, slice_str(names[i]), &values[i]), E_EXISTS);
    }
    for (int i = 0; i < KEYS; i++) {
        CHECK(slice_map_get(&m, slice_str(names[i])) == &values[i]);
    }
    CHECK(slice_map_get(&m, SLICE("key-")) == NULL);
    CHECK(slice_map_get(&m, SLICE("")) == NULL);
    CHECK_EQ_INT(m.count, KEYS);
    arena_fini(&a);
}

static void runs_out_of_memory(void)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 4096);
    struct slice_map m;
    alloc_fail_nth(1);
    CHECK_EQ_INT(slice_map_init(&m, &a, 4), E_NO_MEMORY);
    REQUIRE(slice_map_init(&m, &a, 4) == 0);
    static const char letters[] = "abcdefgh";
    int rc = 0;
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ_INT(slice_map_put(&m, slice_of(letters + i, 1), &rc), 0);
    }
    alloc_fail_nth(1);
    CHECK_EQ_INT(slice_map_put(&m, SLICE("e"), &rc), E_NO_MEMORY);
    CHECK(slice_map_get(&m, SLICE("d")) == &rc);
    CHECK(slice_map_get(&m, SLICE("e")) == NULL);
    arena_fini(&a);
}

TAP_MAIN(depends_on_key_and_every_byte, tags_are_siphash_2_4, maps, runs_out_of_memory)
