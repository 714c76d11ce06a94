// SPDX-License-Identifier: Apache-2.0
//
// Answers as tables (cli/tables.h). Rows are gone through twice: for the widths, and to print them.
// The last column is not padded.

#include "cli/tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/control.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

int cli_order(const struct cli_parsed *p, const char *command, void (*tell)(const json_t *answer))
{
    json_t *answer = control_ask(cli_value(p, "control"), command);
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (cli_given(p, "json")) {
        (void)control_print(answer);
    } else if (ok) {
        tell(answer);
    } else {
        (void)fprintf(stderr, "adit: %s\n", control_text(answer, "error"));
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILURE;
}

void cli_tell_notes(const json_t *answer)
{
    const char *note = control_text(answer, "note");
    if (!json_is_true(json_object_get(answer, "in_force"))) {
        (void)fputs("  the worker has not taken it up yet; it does as soon as it can\n", stderr);
    }
    if (note[0] != '\0') {
        (void)fprintf(stderr, "  %s\n", note);
    }
}

void cli_table_print(const struct cli_table *t, const json_t *rows)
{
    int width[CLI_COLUMNS_MAX] = {0};
    const char *cells[CLI_COLUMNS_MAX] = {NULL};
    size_t i = 0;
    json_t *row = NULL;
    if (json_array_size(rows) == 0) {
        puts(t->none);
        return;
    }
    for (int c = 0; c < t->columns; c++) {
        width[c] = (int)strlen(t->heads[c]);
    }
    json_array_foreach(rows, i, row)
    {
        t->cells(row, cells);
        for (int c = 0; c < t->columns; c++) {
            int len = (int)strlen(cells[c]);
            width[c] = len > width[c] ? len : width[c];
        }
    }
    for (int c = 0; c < t->columns; c++) {
        printf("%-*s%s", c + 1 < t->columns ? width[c] : 0, t->heads[c],
               c + 1 < t->columns ? "  " : "\n");
    }
    json_array_foreach(rows, i, row)
    {
        t->cells(row, cells);
        for (int c = 0; c < t->columns; c++) {
            printf("%-*s%s", c + 1 < t->columns ? width[c] : 0, cells[c],
                   c + 1 < t->columns ? "  " : "\n");
        }
    }
}

static void span(int64_t s, char *out, size_t size)
{
    if (s >= 2 * DAY) {
        (void)snprintf(out, size, "%" PRId64 " d", s / DAY);
    } else if (s >= 2 * HOUR) {
        (void)snprintf(out, size, "%" PRId64 " h", s / HOUR);
    } else if (s >= 2 * MINUTE) {
        (void)snprintf(out, size, "%" PRId64 " min", s / MINUTE);
    } else {
        (void)snprintf(out, size, "%" PRId64 " s", s);
    }
}

static void put_time(int64_t ms, const char *future, char out[CLI_CELL_MAX])
{
    char text[CLI_CELL_MAX - 8];
    int64_t s = ms / 1000 - (int64_t)time(NULL);
    if (ms == 0) {
        (void)snprintf(out, CLI_CELL_MAX, "never");
        return;
    }
    span(s < 0 ? -s : s, text, sizeof text);
    (void)snprintf(out, CLI_CELL_MAX, s > 0 ? "%s%s" : "%s%s ago", s > 0 ? future : "", text);
}

void cli_ago(int64_t ms, char out[CLI_CELL_MAX])
{
    put_time(ms, "in ", out);
}

void cli_when(int64_t ms, char out[CLI_CELL_MAX])
{
    put_time(ms, "in ", out);
}

void cli_since(int64_t ms, char out[CLI_CELL_MAX])
{
    int64_t s = (int64_t)time(NULL) - ms / 1000;
    s = s > 0 && ms > 0 ? s : 0;
    if (s >= DAY) {
        (void)snprintf(out, CLI_CELL_MAX, "%" PRId64 "d %" PRId64 "h", s / DAY, s / HOUR % 24);
    } else if (s >= HOUR) {
        (void)snprintf(out, CLI_CELL_MAX, "%" PRId64 "h %" PRId64 "m", s / HOUR, s / MINUTE % 60);
    } else if (s >= MINUTE) {
        (void)snprintf(out, CLI_CELL_MAX, "%" PRId64 "m %" PRId64 "s", s / MINUTE, s % MINUTE);
    } else {
        (void)snprintf(out, CLI_CELL_MAX, "%" PRId64 "s", s);
    }
}

void cli_bytes(int64_t bytes, char out[CLI_CELL_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, CLI_CELL_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}
