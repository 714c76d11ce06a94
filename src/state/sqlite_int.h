// SPDX-License-Identifier: Apache-2.0
//
// SQLite as this folder uses it: a file found by a directory's descriptor, made whole or not at all,
// checked when it is opened; statements that are bound and stepped in one call.

#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct text;

enum { DB_TROUBLE_MAX = 256, DB_VALUES_MAX = 16 };

struct db {
    sqlite3 *handle;
    char trouble[DB_TROUBLE_MAX]; // of the last failure
};

enum db_kind { DB_TEXT, DB_NUMBER, DB_BLOB };

/** A value to bind. */
struct db_value {
    enum db_kind kind;
    struct slice bytes; // TEXT, BLOB
    uint64_t number;
};

#define DB_T(s) ((struct db_value){.kind = DB_TEXT, .bytes = (s)})
#define DB_N(n) ((struct db_value){.kind = DB_NUMBER, .number = (n)})
#define DB_B(array)                                                                                \
    ((struct db_value){.kind = DB_BLOB, .bytes = slice_of((const char *)(array), sizeof(array))})

/** A change, or a question: `row` is called for each row. */
struct db_order {
    const char *sql;
    const struct db_value *values;
    uint32_t count;
    void (*row)(void *arg, sqlite3_stmt *st);
    void *arg;
};

/** Opens `name` in `dir`, in memory for -1. `steps` are the schema's versions, each a script that makes
 * it of the one before; a new file is made by all of them. Errors as state_open(). */
int db_open(struct db *db, int dir, const char *name, const char *const *steps, uint32_t count,
            struct text *why) must_check;
void db_close(struct db *db);
/** 0 or a negative code; `*changed` (may be NULL) is how many rows it changed. */
int db_do(struct db *db, const struct db_order *order, int *changed) must_check;
/** A script without values. */
int db_script(struct db *db, const char *sql) must_check;

struct slice db_text(sqlite3_stmt *st, int column);
uint64_t db_number(sqlite3_stmt *st, int column);
/** Exactly `size` bytes, or zeros when the column has another length. */
void db_blob(sqlite3_stmt *st, int column, uint8_t *out, size_t size);
