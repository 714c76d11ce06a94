// SPDX-License-Identifier: Apache-2.0
//
// Which tunnels there are, in memory that the worker writes and others read, like the rows of servers:
// `adit tunnels` answers even when the worker hangs, and the worker after this one reads here which
// names it has to keep free for the agents that will be back in a moment. So the rows are a memory
// file of their own, which outlives the worker: the supervisor makes one for each worker and gives it
// the one of the worker before as well, only to be read.
//
// The writer may be of another version of adit: the head of the table says how its rows look, and what
// does not look like ours is not read. It is trusted no more than a worker is: a reader takes nothing
// but values, and texts that it ends itself. Pages of rows that were never used are never touched.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"

struct text;

enum {
    TUNNEL_ROWS_MAX = 16384,
    TUNNEL_ROWS_NONE = TUNNEL_ROWS_MAX,
    TUNNEL_ROW_ZONE_MAX = 256,
    TUNNEL_ROW_NAME_MAX = 256,
    TUNNEL_ROW_OWNER_MAX = 64,
    TUNNEL_ROW_GRANT_MAX = 32,
    TUNNEL_ROW_ADDRESS_MAX = 64,
    TUNNEL_ROW_AGENT_MAX = 64,
    TUNNEL_ROW_INSTANCE_BYTES = 16,
};

enum tunnel_row_state { TUNNEL_ROW_LIVE = 1, TUNNEL_ROW_PARKED = 2 };
enum tunnel_row_kind { TUNNEL_ROW_HTTP, TUNNEL_ROW_TCP, TUNNEL_ROW_UDP };

enum tunnel_row_bits {
    TUNNEL_ROW_SECURE = 1,   // visitors come with TLS
    TUNNEL_ROW_WILDCARD = 2, // names below this one come here as well
    TUNNEL_ROW_JOIN = 4,     // its owner's other instances may share it
    TUNNEL_ROW_RANDOM = 8,   // the edge chose the name
};

/** What changes with every request; the first part of a row. */
struct tunnel_counts {
    uint64_t requests; // of TCP and UDP: streams
    uint64_t bytes_in; // from visitors
    uint64_t bytes_out;
    uint32_t active; // exchanges under way
    uint32_t connections;
    uint32_t instances;
    uint32_t state;  // enum tunnel_row_state
    uint32_t rtt_us; // to the nearest of its agents, by PING; 0: not known
    uint32_t unused;
};

struct tunnel_row {
    struct tunnel_counts counts;
    uint64_t since_wall_ms; // the tunnel is there
    uint64_t state_wall_ms; // live, or parked, since
    uint32_t kind;          // enum tunnel_row_kind
    uint32_t bits;          // enum tunnel_row_bits
    uint32_t port;          // of visitors: the public one
    uint32_t unused;
    uint8_t instance
        [TUNNEL_ROW_INSTANCE_BYTES]; // the first one: whose the name is when there is no owner
    char zone[TUNNEL_ROW_ZONE_MAX];  // name of its site
    char name[TUNNEL_ROW_NAME_MAX];
    char at[TUNNEL_ROW_NAME_MAX];         // the host of its URL
    char owner[TUNNEL_ROW_OWNER_MAX];     // empty: anonymous
    char grant[TUNNEL_ROW_GRANT_MAX];     // id of the token, key or certificate
    char address[TUNNEL_ROW_ADDRESS_MAX]; // of the agent
    char agent[TUNNEL_ROW_AGENT_MAX];     // what it says it is
};

struct tunnel_rows;

/** Bytes of a table, for os_shared_make() and os_shared_map(). */
size_t tunnel_rows_bytes(void);

// ---- the worker that writes: any thread, one at a time for a row ----------------------------------

/** A table in fresh memory, all zero and aligned to 64. */
struct tunnel_rows *tunnel_rows_begin(void *block);
/** A free row, TUNNEL_ROWS_NONE when there is none. */
uint32_t tunnel_rows_take(struct tunnel_rows *rows) must_check;
/** The whole row; nothing for TUNNEL_ROWS_NONE, as below. */
void tunnel_rows_set(struct tunnel_rows *rows, uint32_t index, const struct tunnel_row *row);
/** Only what changes with every request, of a row that was set. */
void tunnel_rows_count(struct tunnel_rows *rows, uint32_t index,
                       const struct tunnel_counts *counts);
/** The tunnel is gone. */
void tunnel_rows_give(struct tunnel_rows *rows, uint32_t index);

// ---- who reads: any process ------------------------------------------------------------------------

/** A table in `len` mapped bytes, NULL when it is none of ours. */
const struct tunnel_rows *tunnel_rows_open(const void *block, size_t len);
/** A row as it was at one moment. False: it is free, or its writer died in the middle of it. */
bool tunnel_rows_read(const struct tunnel_rows *rows, uint32_t index, struct tunnel_row *out);
/** Calls for each row that is there; `row` is each()'s own until it returns. */
void tunnel_rows_each(const struct tunnel_rows *rows,
                      void (*each)(void *arg, const struct tunnel_row *row), void *arg);
/** A number that grows when a row is set, or given back; not when one is counted. */
uint32_t tunnel_rows_changes(const struct tunnel_rows *rows);
/** The same of one row. */
uint32_t tunnel_rows_edition(const struct tunnel_rows *rows, uint32_t index);
/** Rows from here on were never taken. */
uint32_t tunnel_rows_high(const struct tunnel_rows *rows);
/** What a row held last although its tunnel is gone: who used which grant lately. False: nothing. */
bool tunnel_rows_last(const struct tunnel_rows *rows, uint32_t index, struct tunnel_row *out);
/** "https://myapp.tunnel.example.com", "tcp://tunnel.example.com:20000". */
void tunnel_row_url(const struct tunnel_row *row, struct text *out);
