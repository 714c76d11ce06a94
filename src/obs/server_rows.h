// SPDX-License-Identifier: Apache-2.0
//
// How each server of each upstream is, in memory that the worker writes and others read, like the
// counters: `adit server list` must answer even when the worker hangs. A row belongs to a server from
// its claim to its release and has one writer at a time (the home core of its group); a reader finds
// it as it was at one moment, or not at all.
//
// The writer is trusted no more than a worker is: a reader takes nothing from the block but values,
// and texts that it ends itself.

#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "obs/counters.h"

enum {
    SERVER_ROWS_MAX = 4096,
    SERVER_ROWS_NONE = SERVER_ROWS_MAX,
    SERVER_ROW_UPSTREAM_MAX = 128,
    SERVER_ROW_ADDRESS_MAX = 136,
    SERVER_ROW_AT_MAX = 280,
    SERVER_ROW_REASON_MAX = 96,
    SERVER_ROW_TIER_BACKUP = 255,
};

/** Why a server is not asked; several at once are possible. */
enum server_row_bits {
    SERVER_ROW_DOWN = 1,
    SERVER_ROW_EJECTED = 2,
    SERVER_ROW_DRAIN = 4,
    SERVER_ROW_MAINTENANCE = 8,
    SERVER_ROW_SLOW = 16, // it came back and gets its share little by little
};

struct server_row {
    char upstream[SERVER_ROW_UPSTREAM_MAX];
    char address[SERVER_ROW_ADDRESS_MAX]; // what is dialled
    char at[SERVER_ROW_AT_MAX];           // as it was written
    char reason[SERVER_ROW_REASON_MAX];   // why it is down
    uint32_t bits;                        // enum server_row_bits
    uint32_t weight;
    uint32_t tier; // SERVER_ROW_TIER_BACKUP: backups
    uint32_t active;
    uint32_t open;
    uint32_t limit; // of `active`; 0: none
    uint64_t requests;
    uint64_t failures;
    uint64_t latency_ns;       // 0: not known
    uint64_t since_wall_ms;    // of the state that `bits` tells
    uint64_t ejected_until_ms; // wall clock
};

struct server_rows;

/** Bytes of a block: the counters of the cores, then the rows. */
size_t server_rows_block_bytes(uint32_t cores);
/** Where the rows are in it. */
struct server_rows *server_rows_in(void *block, uint32_t cores);

/** A free row, SERVER_ROWS_NONE when there is none. Any thread of the worker. */
uint32_t server_rows_claim(struct server_rows *rows) must_check;
void server_rows_release(struct server_rows *rows, uint32_t index);
/** Nothing for SERVER_ROWS_NONE. */
void server_rows_write(struct server_rows *rows, uint32_t index, const struct server_row *row);
/** A new worker begins: all rows are free. */
void server_rows_restart(struct server_rows *rows);

/** False: the row is free, or its writer died in the middle of it. Any process that maps the block. */
bool server_rows_read(const struct server_rows *rows, uint32_t index, struct server_row *out);
