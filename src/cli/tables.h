// SPDX-License-Identifier: Apache-2.0
//
// What the commands that show lists of a running edge share: one question, one answer, as JSON or as a
// table; times for people.

#pragma once

#include <jansson.h>
#include <stdint.h>

struct cli_parsed;

enum { CLI_CELL_MAX = 32, CLI_COLUMNS_MAX = 12 };

/** Asks the running edge. With --json the answer as it came, else tell() when it says `ok`; else its
 * error on stderr. The exit code. */
int cli_order(const struct cli_parsed *p, const char *command, void (*tell)(const json_t *answer));
/** On stderr: what the answer says beside its result (`in_force`, `note`). */
void cli_tell_notes(const json_t *answer);

struct cli_table {
    const char *heads[CLI_COLUMNS_MAX];
    int columns;
    /** The cells of a row, used before the next call. */
    void (*cells)(const json_t *row, const char *cells[CLI_COLUMNS_MAX]);
    const char *none; // printed when there is no row
};
void cli_table_print(const struct cli_table *t, const json_t *rows);

/** "3 h ago" of a wall-clock time in milliseconds; "never" of 0. */
void cli_ago(int64_t ms, char out[CLI_CELL_MAX]);
/** "in 12 d", "2 d ago"; "never" of 0. */
void cli_when(int64_t ms, char out[CLI_CELL_MAX]);
/** "3d 4h": how long something has lasted. */
void cli_since(int64_t ms, char out[CLI_CELL_MAX]);
/** "1.5 MiB" */
void cli_bytes(int64_t bytes, char out[CLI_CELL_MAX]);
