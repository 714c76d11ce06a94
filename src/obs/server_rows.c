// SPDX-License-Identifier: Apache-2.0
//
// Rows by sequence locks (obs/server_rows.h): the writer makes the number of a row odd, writes, and
// makes it even again; a reader that saw the same even number before and after has read one state.
// The words are atomics, so a reader that loses the race reads rubbish but nothing undefined. A row
// with the number 0 is free, 1 is claimed and not yet written.

#include "obs/server_rows.h"

#include <string.h>

enum {
    ROW_FREE = 0,
    ROW_CLAIMED = 1,
    ROW_WORDS = sizeof(struct server_row) / sizeof(uint64_t),
    READ_TRIES = 64,
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
    uint64_t number = atomic_load_explicit(&s->number, memory_order_relaxed) | 1;
    atomic_store_explicit(&s->number, number, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < ROW_WORDS; i++) {
        atomic_store_explicit(&s->words[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&s->number, number + 1, memory_order_release);
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
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t words[ROW_WORDS];
        uint64_t before = atomic_load_explicit(&s->number, memory_order_acquire);
        if (before == ROW_FREE) {
            return false;
        }
        for (size_t k = 0; k < ROW_WORDS; k++) {
            words[k] = atomic_load_explicit(&s->words[k], memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        uint64_t after = atomic_load_explicit(&s->number, memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            memcpy(out, words, sizeof(*out));
            END_TEXT(out->upstream);
            END_TEXT(out->address);
            END_TEXT(out->at);
            END_TEXT(out->reason);
            return true;
        }
    }
    return false;
}
