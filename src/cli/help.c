// SPDX-License-Identifier: Apache-2.0
//
// adit help: the overview, a command's help, or the page of a directive. With --markdown it writes
// the reference pages of docs/reference, which a test compares with what is committed.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/nearest.h"

#include "cli/cli.h"
#include "cli/page.h"

enum { PATH_LEN_MAX = 4096 };

// The row of "a.b.c" below `rows`.
static const struct conf_directive *below(const struct conf_directive *row, struct slice path)
{
    while (row != NULL && path.len > 0) {
        ptrdiff_t dot = slice_find_char(path, '.');
        size_t len = dot < 0 ? path.len : (size_t)dot;
        const struct conf_directive *rows =
            row->type == CONF_TYPE_MAP ? row->rows[0].rows : row->rows;
        row = row->inner == 0 ? conf_row_in(rows, slice_sub(path, 0, len)) : NULL;
        path = slice_from(path, dot < 0 ? len : len + 1);
    }
    return row;
}

// Directives of that name (there may be one per context); returns how many pages were shown.
static unsigned show_directives(const char *name)
{
    struct slice path = slice_str(name);
    ptrdiff_t dot = slice_find_char(path, '.');
    struct slice head = dot < 0 ? path : slice_sub(path, 0, (size_t)dot);
    struct slice rest = dot < 0 ? SLICE("") : slice_from(path, (size_t)dot + 1);
    const struct conf_directive *last = NULL;
    unsigned shown = 0;
    conf_each_row(it, conf_tables)
    {
        bool named = slice_eq(slice_str(it.row->name), head) &&
                     (it.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0;
        const struct conf_directive *row = named ? below(it.row, rest) : NULL;
        if (row != NULL && (last == NULL || strcmp(last->text, row->text) != 0)) {
            (void)fputs(shown > 0 ? "\n" : "", stdout);
            cli_page_terminal(stdout, row, name, cli_colour_stdout());
            last = row; // a key may be the same wherever its object stands
            shown++;
        }
    }
    return shown;
}

// A key of objects: all pages of objects that have it.
static unsigned show_keys(const char *key)
{
    char name[128];
    unsigned shown = 0;
    conf_each_row(it, conf_tables)
    {
        const struct conf_directive *rows = it.row->inner == 0 ? it.row->rows : NULL;
        const struct conf_directive *row = NULL;
        if (it.row->type == CONF_TYPE_OBJECT &&
            (it.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0) {
            row = conf_row_in(rows, slice_str(key));
        }
        if (row != NULL) {
            (void)snprintf(name, sizeof name, "%s.%s", it.row->name, key);
            (void)fputs(shown > 0 ? "\n" : "", stdout);
            cli_page_terminal(stdout, row, name, cli_colour_stdout());
            shown++;
        }
    }
    return shown;
}

static int unknown(const struct cli_parsed *p, const char *name)
{
    struct conf_nearest nearest = conf_nearest_to(slice_str(name));
    conf_each_row(it, conf_tables)
    {
        conf_nearest_offer(&nearest, slice_str(it.row->name));
    }
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        conf_nearest_offer(&nearest, slice_str(cli_commands[i]->name));
    }
    if (nearest.best.len > 0) {
        return cli_usage_error(p->command,
                               "there is no directive or command `%s`, did you mean `%.*s`?", name,
                               SLICE_ARG(nearest.best));
    }
    return cli_usage_error(
        p->command, "there is no directive or command `%s`; `adit help directives` lists them",
        name);
}

static int write_markdown(const char *dir)
{
    char path[PATH_LEN_MAX];
    for (const struct cli_reference *r = cli_references; r->file != NULL; r++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, r->file);
        FILE *to = fopen(path, "w");
        if (to == NULL) {
            (void)fprintf(stderr, "adit: %s: %s\n", path, strerror(errno));
            return CLI_FAILURE;
        }
        r->write(to);
        bool failed = ferror(to) != 0;
        if (fclose(to) != 0 || failed) {
            (void)fprintf(stderr, "adit: %s: %s\n", path, strerror(errno));
            return CLI_FAILURE;
        }
    }
    return CLI_OK;
}

static int run(const struct cli_parsed *p)
{
    if (cli_given(p, "markdown")) {
        return write_markdown(cli_value(p, "markdown"));
    }
    if (p->count == 0) {
        cli_overview();
        return CLI_OK;
    }
    const char *name = p->arguments[0];
    if (strcmp(name, "directives") == 0) {
        cli_page_list(stdout);
        return CLI_OK;
    }
    if (show_directives(name) > 0 || show_keys(name) > 0) {
        return CLI_OK;
    }
    const struct cli_command *command = cli_find(name);
    if (command != NULL) {
        char help[] = "--help";
        char *argv[] = {help, NULL};
        return cli_run(command, 1, argv);
    }
    return unknown(p, name);
}

static const struct cli_option options[] = {
    {.name = "markdown", .value = "DIR", .text = "write the reference pages into DIR"},
    {.name = NULL},
};

const struct cli_command cli_help = {
    .name = "help",
    .arguments = "[NAME]",
    .text = "explains a directive of the configuration, or a command",
    .more = "NAME is a directive (timeouts), a key of one (timeouts.connect), a command, or\n"
            "`directives` for a list of all.\n",
    .options = options,
    .max = 1,
    .run = run,
};
