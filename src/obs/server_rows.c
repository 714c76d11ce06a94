// SPDX-License-Identifier: Apache-2.0
//
// Rows by sequence locks (obs/server_rows.h, obs/seqlock.h). A row with the number 0 is free, 1 is
// claimed and not yet written.

#include "obs/server_rows.h"

#include <string.h>

#include "obs/seqlock.h"

enum {
    ROW_FREE = 0,
    ROW_CLAIMED = 1,
    ROW_WORDS = sizeof(struct server_row) / sizeof(uint64_t),
};

static_assert(sizeof(struct server_row) % sizeof(uint64_t) == 0, "rows are copied by words");

struct slot {
    _Alignas(64) _Atomic uint64_t number;
    _Atomic uint64_t words[ROW_WORDS];
};

struct server_rows {
    _Alignas(64) atomic_uint hint; // where to look for a free row
    struct slot slots[SERVER_ROWS_MAX];
};

size_t server_rows_block_bytes(uint32_t cores)
{
    return counters_block_bytes(cores) + sizeof(struct server_rows);
}

struct server_rows *server_rows_in(void *block, uint32_t cores)
{
    size_t at = counters_block_bytes(cores);
    ensure(at % _Alignof(struct server_rows) == 0);
    return (struct server_rows *)((char *)block + at);
}

uint32_t server_rows_claim(struct server_rows *rows)
{
    uint32_t from = atomic_load_explicit(&rows->hint, memory_order_relaxed);
    for (uint32_t i = 0; i < SERVER_ROWS_MAX; i++) {
        uint32_t index = (from + i) % SERVER_ROWS_MAX;
        uint64_t is = ROW_FREE;
        if (atomic_compare_exchange_strong(&rows->slots[index].number, &is, ROW_CLAIMED)) {
            atomic_store_explicit(&rows->hint, index + 1, memory_order_relaxed);
            return index;
        }
    }
    return SERVER_ROWS_NONE;
}

void server_rows_release(struct server_rows *rows, uint32_t index)
{
    if (index < SERVER_ROWS_MAX) {
        atomic_store_explicit(&rows->hint, index, memory_order_relaxed);
        atomic_store(&rows->slots[index].number, ROW_FREE);
    }
}

void server_rows_write(struct server_rows *rows, uint32_t index, const struct server_row *row)
{
    if (index >= SERVER_ROWS_MAX) {
        return;
    }
    struct slot *s = &rows->slots[index];
    uint64_t words[ROW_WORDS];
    memcpy(words, row, sizeof(*row));
    seqlock_write(&s->number, s->words, words, ROW_WORDS);
}

void server_rows_restart(struct server_rows *rows)
{
    for (uint32_t i = 0; i < SERVER_ROWS_MAX; i++) {
        // Not touching what was never used leaves its pages unused.
        if (atomic_load_explicit(&rows->slots[i].number, memory_order_relaxed) != ROW_FREE) {
            atomic_store(&rows->slots[i].number, ROW_FREE);
        }
    }
}

#define END_TEXT(field) ((field)[sizeof(field) - 1] = '\0')

bool server_rows_read(const struct server_rows *rows, uint32_t index, struct server_row *out)
{
    ensure(index < SERVER_ROWS_MAX);
    const struct slot *s = &rows->slots[index];
    uint64_t words[ROW_WORDS];
    if (!seqlock_read(&s->number, s->words, words, ROW_WORDS)) {
        return false;
    }
    memcpy(out, words, sizeof(*out));
    END_TEXT(out->upstream);
    END_TEXT(out->address);
    END_TEXT(out->at);
    END_TEXT(out->reason);
    return true;
}
