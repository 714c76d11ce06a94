// SPDX-License-Identifier: Apache-2.0
//
// What the inspector remembers: requests with their answers, each of four pieces (two heads, two bodies)
// that are written while the exchange goes on and read at any time. Memory is blocks of one size, at most
// RING_BLOCKS_MAX of them; when they are used up, or there are too many requests, the oldest request goes,
// even while it is under way: nothing that visitors do makes it hold more.
//
// So whoever writes names a request by its number and hears when it is gone. One core, no locks.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slab.h"
#include "base/slice.h"
#include "os/addr.h"

enum {
    RING_BLOCK_BYTES = 2032,
    RING_BLOCKS_MAX = 2048, // 4 MiB
    RING_ENTRIES_MAX = 1024,
    RING_BODY_MAX = 64 * 1024, // of each body
    RING_SITE_MAX = 32,
};

enum ring_piece {
    RING_REQUEST_HEAD,
    RING_REQUEST_BODY,
    RING_ANSWER_HEAD,
    RING_ANSWER_BODY,
    RING_PIECES,
};

struct ring_block;

/** A text in blocks. */
struct ring_text {
    struct ring_block *first;
    struct ring_block *last;
    uint32_t len;
};

struct ring_body {
    uint64_t bytes; // that passed
    bool ended;     // and there will be no more
    bool whole;     // it ended, and all of it is here
};

struct ring_entry {
    uint64_t id;      // 1, 2, 3...
    uint64_t change;  // a number that is greater with each change of any entry
    uint64_t repeats; // the request that this one is a repeat of; 0: none
    uint64_t wall_ms;
    uint64_t took_us; // once it is over
    struct os_addr client;
    char site[RING_SITE_MAX];
    uint32_t site_len;
    bool reached; // it was on its way to the target: not refused before
    bool upgrade; // it asked for a switch of protocols
    bool over;
    bool secure;     // of the visitor
    uint16_t status; // 0: there is no answer yet
    int error;       // 0: none
    struct ring_body request;
    struct ring_body answer;
    struct ring_text text[RING_PIECES];
};

struct ring {
    uint32_t magic;
    struct slab entry_slab;
    struct slab blocks;
    uint64_t oldest; // the entries are those in [oldest, next)
    uint64_t next;
    uint64_t changes;
    struct ring_entry *at[RING_ENTRIES_MAX]; // by id, modulo
};

void ring_init(struct ring *r);
void ring_fini(struct ring *r);
/** A new entry; NULL: no memory. What is not said is zero. */
struct ring_entry *ring_add(struct ring *r);
/** NULL: there is none of that number, or no more. */
struct ring_entry *ring_find(const struct ring *r, uint64_t id);
/** Appends to a piece. False: there is no memory for it, or the entry is gone (it may have been the oldest);
 * then nothing is known of how much was written. */
bool ring_write(struct ring *r, uint64_t id, enum ring_piece piece, struct slice bytes);
/** The same for a body: counts all of it, keeps RING_BODY_MAX bytes. */
void ring_write_body(struct ring *r, uint64_t id, enum ring_piece piece, struct slice bytes);
/** Forgets what a piece holds. */
void ring_clear(struct ring *r, struct ring_entry *e, enum ring_piece piece);
/** The entry is not what it was. */
void ring_touch(struct ring *r, struct ring_entry *e);
/** A text's next bytes behind those of `*at`, which is NULL at first; empty at the end. */
struct slice ring_next(const struct ring_text *t, const struct ring_block **at);
/** Copies all of a text to `out`, which has room for its length. */
void ring_copy(const struct ring_text *t, char *out);
