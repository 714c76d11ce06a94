// SPDX-License-Identifier: Apache-2.0
//
// Rows by sequence locks (obs/tunnel_rows.h, obs/seqlock.h). A row that was given back keeps its content
// and its number, so that who looks now and then still sees which grants were in use; whether it is
// taken is a word of its own.

#include "obs/tunnel_rows.h"

#include <stdatomic.h>
#include <string.h>

#include "base/text.h"
#include "obs/seqlock.h"

enum {
    TABLE_MAGIC = 0x61746e72,
    TABLE_FORMAT = 2,
    ROW_WORDS = sizeof(struct tunnel_row) / sizeof(uint64_t),
    COUNT_WORDS = sizeof(struct tunnel_counts) / sizeof(uint64_t),
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
};

static_assert(sizeof(struct tunnel_row) % sizeof(uint64_t) == 0, "rows are copied by words");
static_assert(sizeof(struct tunnel_counts) % sizeof(uint64_t) == 0, "counts are copied by words");
static_assert(offsetof(struct tunnel_row, counts) == 0, "they are the first words");

struct slot {
    _Alignas(64) atomic_uint taken;
    atomic_uint edition;
    _Atomic uint64_t number; // 0: never set
    _Atomic uint64_t words[ROW_WORDS];
};

struct tunnel_rows {
    _Alignas(64) uint32_t magic;
    uint32_t format;
    uint32_t row_bytes;
    uint32_t row_count;
    atomic_uint hint; // where to look for a free row
    atomic_uint high; // rows from here on were never taken; to look at them would cost their pages
    atomic_uint changes;
    struct slot slots[TUNNEL_ROWS_MAX];
};

size_t tunnel_rows_bytes(void)
{
    return sizeof(struct tunnel_rows);
}

struct tunnel_rows *tunnel_rows_begin(void *block)
{
    struct tunnel_rows *rows = block;
    ensure((uintptr_t)block % _Alignof(struct tunnel_rows) == 0);
    ensure(rows->magic == 0); // fresh
    rows->format = TABLE_FORMAT;
    rows->row_bytes = sizeof(struct tunnel_row);
    rows->row_count = TUNNEL_ROWS_MAX;
    rows->magic = TABLE_MAGIC;
    return rows;
}

static void raise_high(struct tunnel_rows *rows, unsigned to)
{
    unsigned is = atomic_load_explicit(&rows->high, memory_order_relaxed);
    while (is < to && !atomic_compare_exchange_weak(&rows->high, &is, to)) {
    }
}

uint32_t tunnel_rows_take(struct tunnel_rows *rows)
{
    uint32_t from = atomic_load_explicit(&rows->hint, memory_order_relaxed);
    for (uint32_t i = 0; i < TUNNEL_ROWS_MAX; i++) {
        uint32_t index = (from + i) % TUNNEL_ROWS_MAX;
        unsigned is = 0;
        if (atomic_compare_exchange_strong(&rows->slots[index].taken, &is, 1)) {
            // What the row held is another tunnel's.
            atomic_store(&rows->slots[index].number, 0);
            atomic_store_explicit(&rows->hint, index + 1, memory_order_relaxed);
            raise_high(rows, index + 1);
            return index;
        }
    }
    return TUNNEL_ROWS_NONE;
}

/** In this order, so that who sees that something has changed sees what. */
static void changed(struct tunnel_rows *rows, uint32_t index)
{
    atomic_fetch_add(&rows->slots[index].edition, 1);
    atomic_fetch_add(&rows->changes, 1);
}

void tunnel_rows_set(struct tunnel_rows *rows, uint32_t index, const struct tunnel_row *row)
{
    uint64_t words[ROW_WORDS];
    if (index < TUNNEL_ROWS_MAX) {
        memcpy(words, row, sizeof *row);
        struct slot *s = &rows->slots[index];
        seqlock_write(&s->number, s->words, words, ROW_WORDS);
        changed(rows, index);
    }
}

void tunnel_rows_count(struct tunnel_rows *rows, uint32_t index, const struct tunnel_counts *counts)
{
    uint64_t words[COUNT_WORDS];
    if (index < TUNNEL_ROWS_MAX) {
        memcpy(words, counts, sizeof *counts);
        struct slot *s = &rows->slots[index];
        seqlock_write(&s->number, s->words, words, COUNT_WORDS);
    }
}

void tunnel_rows_give(struct tunnel_rows *rows, uint32_t index)
{
    if (index < TUNNEL_ROWS_MAX) {
        atomic_store_explicit(&rows->hint, index, memory_order_relaxed);
        atomic_store(&rows->slots[index].taken, 0);
        changed(rows, index);
    }
}

// ---- reading ------------------------------------------------------------------------------------

const struct tunnel_rows *tunnel_rows_open(const void *block, size_t len)
{
    const struct tunnel_rows *rows = block;
    bool ours = len == sizeof *rows && rows->magic == TABLE_MAGIC && rows->format == TABLE_FORMAT &&
                rows->row_bytes == sizeof(struct tunnel_row) && rows->row_count == TUNNEL_ROWS_MAX;
    return ours ? rows : NULL;
}

uint32_t tunnel_rows_changes(const struct tunnel_rows *rows)
{
    return atomic_load(&rows->changes);
}

uint32_t tunnel_rows_edition(const struct tunnel_rows *rows, uint32_t index)
{
    ensure(index < TUNNEL_ROWS_MAX);
    return atomic_load(&rows->slots[index].edition);
}

uint32_t tunnel_rows_high(const struct tunnel_rows *rows)
{
    unsigned high = atomic_load(&rows->high);
    return high < TUNNEL_ROWS_MAX ? high : TUNNEL_ROWS_MAX;
}

#define END_TEXT(field) ((field)[sizeof(field) - 1] = '\0')

bool tunnel_rows_last(const struct tunnel_rows *rows, uint32_t index, struct tunnel_row *out)
{
    ensure(index < TUNNEL_ROWS_MAX);
    const struct slot *s = &rows->slots[index];
    uint64_t words[ROW_WORDS];
    if (index >= atomic_load(&rows->high) ||
        !seqlock_read(&s->number, s->words, words, ROW_WORDS)) {
        return false;
    }
    memcpy(out, words, sizeof *out);
    END_TEXT(out->zone);
    END_TEXT(out->name);
    END_TEXT(out->at);
    END_TEXT(out->owner);
    END_TEXT(out->grant);
    END_TEXT(out->address);
    END_TEXT(out->agent);
    return true;
}

bool tunnel_rows_read(const struct tunnel_rows *rows, uint32_t index, struct tunnel_row *out)
{
    ensure(index < TUNNEL_ROWS_MAX);
    return index < atomic_load(&rows->high) && atomic_load(&rows->slots[index].taken) == 1 &&
           tunnel_rows_last(rows, index, out) && atomic_load(&rows->slots[index].taken) == 1;
}

void tunnel_rows_each(const struct tunnel_rows *rows,
                      void (*each)(void *arg, const struct tunnel_row *row), void *arg)
{
    struct tunnel_row row;
    for (uint32_t i = 0; i < TUNNEL_ROWS_MAX; i++) {
        if (tunnel_rows_read(rows, i, &row)) {
            each(arg, &row);
        }
    }
}

void tunnel_row_url(const struct tunnel_row *row, struct text *out)
{
    static const char *const schemes[] = {
        [TUNNEL_ROW_HTTP] = "http", [TUNNEL_ROW_TCP] = "tcp", [TUNNEL_ROW_UDP] = "udp"};
    bool secure = row->kind == TUNNEL_ROW_HTTP && (row->bits & TUNNEL_ROW_SECURE) != 0;
    uint32_t usual = row->kind != TUNNEL_ROW_HTTP ? 0 : secure ? HTTPS_PORT : HTTP_PORT;
    text_str(out, row->kind < array_len(schemes) ? schemes[row->kind] : "?");
    text_printf(out, "%s://%s", secure ? "s" : "", row->at);
    if (row->port != usual && row->port != 0) {
        text_printf(out, ":%u", row->port);
    }
}
