// SPDX-License-Identifier: Apache-2.0
//
// Pages about directives (cli/page.h). Nothing here knows a directive: what is said is in the rows.

#include "cli/page.h"

#include <string.h>

#include "conf/template.h"
#include "obs/counters.h"

#include "cli/cli.h"

enum { PAGE_TEXT_MAX = 512, PAGE_WIDTH = 78 };

// ---- what both forms say --------------------------------------------------------------------------

static const char *merge_text(const struct conf_directive *row)
{
    bool levels = (row->contexts & (row->contexts - 1U)) != 0;
    switch ((enum conf_merge)row->merge) {
    case CONF_MERGE_ADD:
        return "adds: what several files or levels give is joined";
    case CONF_MERGE_ALL:
        return "all apply: that of the site and that of the route both hold";
    case CONF_MERGE_REPLACE:
        break;
    }
    if (!levels || row->action || row->condition) {
        return NULL;
    }
    return row->type == CONF_TYPE_OBJECT || row->type == CONF_TYPE_MAP
               ? "replaces, key by key: the nearest level that has a key counts"
               : "replaces: the nearest level counts";
}

static const char *reload_text(const struct conf_directive *row)
{
    return row->reload == CONF_RELOAD_RESTART ? "takes effect after a restart"
                                              : "takes effect with a reload";
}

static void put_quantity(char *buffer, size_t size, const struct conf_directive *row, int64_t value)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
      sizes[] = {{"TiB", 1LL << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};
    bool time = row->type == CONF_TYPE_DURATION;
    (void)snprintf(buffer, size, "%lld", (long long)value);
    for (size_t i = 0; (time || row->type == CONF_TYPE_SIZE) && i < 5 && value > 0; i++) {
        int64_t factor = time ? durations[i].factor : sizes[i].factor;
        if (value % factor == 0) {
            (void)snprintf(buffer, size, "%lld%s", (long long)(value / factor),
                           time ? durations[i].unit : sizes[i].unit);
            return;
        }
    }
}

// "1 to 256 threads", or "" when there are no bounds to tell.
static const char *range_text(const struct conf_directive *row, char *buffer, size_t size)
{
    char low[32];
    char high[32];
    bool numeric = row->type == CONF_TYPE_INT || row->type == CONF_TYPE_SIZE ||
                   row->type == CONF_TYPE_DURATION || row->type == CONF_TYPE_PERCENT ||
                   row->type == CONF_TYPE_STATUS;
    buffer[0] = '\0';
    if (numeric && (row->min != 0 || row->max != 0)) {
        put_quantity(low, sizeof low, row, row->min);
        put_quantity(high, sizeof high, row, row->max);
        const char *sign = row->type == CONF_TYPE_PERCENT ? "%" : "";
        (void)snprintf(buffer, size, "%s%s to %s%s%s%s", low, sign, high, sign,
                       row->unit != NULL ? " " : "", row->unit != NULL ? row->unit : "");
    }
    return buffer;
}

static const char *words_text(const struct conf_directive *row, const char *quote, char *buffer,
                              size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (const char *const *w = row->words; w != NULL && *w != NULL && used < size; w++) {
        int n = snprintf(buffer + used, size - used, "%s%s%s%s", used > 0 ? ", " : "", quote, *w,
                         quote);
        used += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

static bool has_own_rows(const struct conf_directive *row)
{
    bool object = row->type == CONF_TYPE_OBJECT || row->type == CONF_TYPE_UPSTREAM;
    return object && row->rows != NULL && row->inner == 0;
}

// The rows of an object, or those of the objects in a map.
static const struct conf_directive *inner_rows(const struct conf_directive *row)
{
    if (has_own_rows(row)) {
        return row->rows;
    }
    if (row->type == CONF_TYPE_MAP && has_own_rows(&row->rows[0])) {
        return row->rows[0].rows;
    }
    return NULL;
}

// "text (short for `body`) or object, or `off`"
static const char *takes_text(const struct conf_directive *row, char *buffer, size_t size)
{
    char short_type[PAGE_TEXT_MAX / 3]; // both and the words between fit the buffer
    char long_type[PAGE_TEXT_MAX / 3];
    const struct conf_directive *inner = NULL;
    (void)conf_type_text(row, long_type, sizeof long_type);
    if (row->shorthand != NULL && row->inner == 0) {
        inner = conf_row_in(row->rows, slice_str(row->shorthand));
    }
    if (inner == NULL) {
        (void)snprintf(buffer, size, "%s", long_type);
    } else {
        (void)snprintf(buffer, size, "%s (short for `%s`) or object%s%s%s",
                       conf_type_text(inner, short_type, sizeof short_type), row->shorthand,
                       row->list ? ", or a list of these" : "", row->on_ok ? ", or `on`" : "",
                       row->off_ok ? ", or `off`" : "");
    }
    return buffer;
}

// The names of an object's keys, or ""; `around` are the rows that it is one of.
static const char *keys_text(const struct conf_directive *row, const struct conf_directive *around,
                             char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    const struct conf_directive *rows = has_own_rows(row) ? row->rows : NULL;
    if (rows == around) {
        return rows == NULL ? buffer : "these keys";
    }
    for (; rows != NULL && rows->name != NULL && used < size; rows++) {
        int n = snprintf(buffer + used, size - used, "%s`%s`", used > 0 ? ", " : "", rows->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

// ---- terminal -------------------------------------------------------------------------------------

static void put_wrapped(FILE *to, const char *text, int indent)
{
    int column = indent;
    (void)fprintf(to, "%*s", indent, "");
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > indent && column + (int)word > PAGE_WIDTH) {
            (void)fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        (void)fprintf(to, "%.*s", (int)word, text);
        column += (int)word;
        text += word;
        if (*text == ' ') {
            text++;
            if (column + 1 + (int)strcspn(text, " ") <= PAGE_WIDTH) {
                (void)fputc(' ', to);
                column++;
            } else {
                (void)fprintf(to, "\n%*s", indent, "");
                column = indent;
            }
        }
    }
    (void)fputc('\n', to);
}

static void put_line(FILE *to, const char *label, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        (void)fprintf(to, "  %-9s %s\n", label, text);
    }
}

static void put_keys(FILE *to, const struct conf_directive *rows)
{
    char buffer[PAGE_TEXT_MAX];
    const struct conf_directive *all = rows;
    (void)fputs("\n  keys:\n", to);
    for (; rows->name != NULL; rows++) {
        (void)fprintf(to, "\n  %s: %s", rows->name, takes_text(rows, buffer, sizeof buffer));
        const char *keys = keys_text(rows, all, buffer, sizeof buffer);
        if (keys[0] != '\0') {
            (void)fprintf(to, " of %s", keys);
        }
        if (rows->type == CONF_TYPE_ENUM) {
            (void)fprintf(to, ": %s", words_text(rows, "", buffer, sizeof buffer));
        }
        if (range_text(rows, buffer, sizeof buffer)[0] != '\0') {
            (void)fprintf(to, ", %s", buffer);
        }
        if (rows->fallback != NULL) {
            (void)fprintf(to, " (default %s)", rows->fallback);
        }
        (void)fputs(rows->required ? " (required)\n" : "\n", to);
        put_wrapped(to, rows->text, 6);
    }
}

static void put_example(FILE *to, const char *example)
{
    (void)fputs("\n  example:\n\n", to);
    while (*example != '\0') {
        size_t line = strcspn(example, "\n");
        (void)fprintf(to, "    %.*s\n", (int)line, example);
        example += line + (example[line] == '\n');
    }
}

void cli_page_terminal(FILE *to, const struct conf_directive *row, const char *name, bool colour)
{
    char buffer[PAGE_TEXT_MAX];
    (void)fprintf(to, "%s%s%s\n\n", colour ? "\033[1m" : "", name, colour ? "\033[0m" : "");
    put_wrapped(to, row->text, 2);
    (void)fputc('\n', to);
    put_line(to, "type", takes_text(row, buffer, sizeof buffer));
    if (row->type == CONF_TYPE_ENUM) {
        put_line(to, "words", words_text(row, "", buffer, sizeof buffer));
    }
    put_line(to, "range", range_text(row, buffer, sizeof buffer));
    put_line(to, "default", row->fallback);
    if ((row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0) {
        unsigned contexts = row->contexts & ~(unsigned)CONF_IN_OBJECT;
        put_line(to, "stands in", conf_contexts_text(contexts, buffer, sizeof buffer));
    }
    put_line(to, "merge", merge_text(row));
    put_line(to, "reload", reload_text(row));
    if (inner_rows(row) != NULL) {
        put_keys(to, inner_rows(row));
    }
    if (row->example != NULL) {
        put_example(to, row->example);
    }
}

// ---- lists ----------------------------------------------------------------------------------------

static const struct {
    unsigned context;
    const char *title;
} sections[] = {
    {CONF_IN_TOP, "top level"},        {CONF_IN_SITE, "in a site"},
    {CONF_IN_ROUTE, "in a route"},     {CONF_IN_UPSTREAM, "in an upstream"},
    {CONF_IN_TUNNELS, "in `tunnels`"},
};

// The first sentence.
static int first_sentence(const char *text)
{
    const char *end = strstr(text, ". ");
    const char *colon = strstr(text, ": ");
    if (colon != NULL && (end == NULL || colon < end)) {
        end = colon;
    }
    return (int)(end != NULL ? (size_t)(end - text) : strlen(text));
}

void cli_page_list(FILE *to)
{
    for (size_t i = 0; i < array_len(sections); i++) {
        (void)fprintf(to, "%s%s:\n", i > 0 ? "\n" : "", sections[i].title);
        conf_each_row(it, conf_tables)
        {
            if ((it.row->contexts & sections[i].context) != 0) {
                (void)fprintf(to, "  %-18s %.*s\n", it.row->name, first_sentence(it.row->text),
                              it.row->text);
            }
        }
    }
}

// ---- Markdown -------------------------------------------------------------------------------------

#define GENERATED                                                                                  \
    "<!-- Written by `adit help --markdown DIR` from the program's own tables: do not edit. "      \
    "-->\n\n"

// `<` and `*` of prose are kept from being taken as markup.
static void put_prose(FILE *to, const char *text)
{
    bool code = false;
    for (; *text != '\0'; text++) {
        code = *text == '`' ? !code : code;
        if (!code && strchr("*<_|", *text) != NULL) {
            (void)fputc('\\', to);
        }
        (void)fputc(*text, to);
    }
}

static void put_rows_table(FILE *to, const struct conf_directive *rows)
{
    char buffer[PAGE_TEXT_MAX];
    const struct conf_directive *all = rows;
    (void)fputs("\n| key | takes | default | what it does |\n| --- | --- | --- | --- |\n", to);
    for (; rows->name != NULL; rows++) {
        (void)fprintf(to, "| `%s`%s | ", rows->name, rows->required ? " (required)" : "");
        put_prose(to, takes_text(rows, buffer, sizeof buffer));
        const char *keys = keys_text(rows, all, buffer, sizeof buffer);
        if (keys[0] != '\0') {
            (void)fprintf(to, " of %s", keys);
        }
        if (rows->type == CONF_TYPE_ENUM) {
            (void)fprintf(to, ": %s", words_text(rows, "`", buffer, sizeof buffer));
        }
        if (range_text(rows, buffer, sizeof buffer)[0] != '\0') {
            (void)fprintf(to, "; %s", buffer);
        }
        if (rows->fallback != NULL) {
            (void)fprintf(to, " | `%s` | ", rows->fallback);
        } else {
            (void)fputs(" | | ", to);
        }
        put_prose(to, rows->text);
        (void)fputs(rows->top_only ? " Top level only. |\n" : " |\n", to);
    }
}

static void put_fact(FILE *to, const char *label, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        (void)fprintf(to, "- %s: ", label);
        put_prose(to, text);
        (void)fputc('\n', to);
    }
}

static void put_directive(FILE *to, const struct conf_directive *row)
{
    char buffer[PAGE_TEXT_MAX];
    (void)fprintf(to, "\n### %s\n\n", row->name);
    put_prose(to, row->text);
    (void)fputs("\n\n", to);
    put_fact(to, "takes", takes_text(row, buffer, sizeof buffer));
    if (row->type == CONF_TYPE_ENUM) {
        put_fact(to, "words", words_text(row, "`", buffer, sizeof buffer));
    }
    put_fact(to, "range", range_text(row, buffer, sizeof buffer));
    if (row->fallback != NULL) {
        (void)fprintf(to, "- default: `%s`\n", row->fallback);
    }
    unsigned contexts = row->contexts & ~(unsigned)CONF_IN_OBJECT;
    put_fact(to, "stands in", conf_contexts_text(contexts, buffer, sizeof buffer));
    put_fact(to, "merge", merge_text(row));
    put_fact(to, "reload", reload_text(row));
    if (inner_rows(row) != NULL) {
        put_rows_table(to, inner_rows(row));
    }
    if (row->example != NULL) {
        (void)fprintf(to, "\n```yaml\n%s```\n", row->example);
    }
}

// A directive stands in the section of the outermost context it may stand in.
static bool belongs(const struct conf_directive *row, size_t section)
{
    for (size_t i = 0; i < section; i++) {
        if ((row->contexts & sections[i].context) != 0) {
            return false;
        }
    }
    return (row->contexts & sections[section].context) != 0;
}

static void write_directives(FILE *to)
{
    static const char *const titles[] = {
        "At the top level", "In sites", "In routes", "In upstreams", "In `tunnels`",
    };
    static_assert(array_len(titles) == array_len(sections), "a title for each section");
    (void)fputs("# Directives\n\n" GENERATED
                "Each directive of the configuration. The [guide](../guide/configuration.md) says "
                "how they\nwork together; `adit help NAME` shows these pages on a terminal.\n",
                to);
    for (size_t i = 0; i < array_len(sections); i++) {
        (void)fprintf(to, "\n## %s\n", titles[i]);
        conf_each_row(it, conf_tables)
        {
            if (belongs(it.row, i)) {
                put_directive(to, it.row);
            }
        }
    }
}

static void write_variables(FILE *to)
{
    (void)fputs("# Variables\n\n" GENERATED
                "What may stand in a text with variables: redirects, headers, rewrites, bodies. "
                "`$$` is a dollar\nsign, and `${host}name` ends a name where a letter "
                "follows.\n\n| variable | what it is |\n| --- | --- |\n",
                to);
    for (int v = CONF_VAR_TEXT + 1; v < CONF_VAR_COUNT; v++) {
        const struct conf_variable_info *info = conf_variable_info((enum conf_variable)v);
        const char *argument = info->argument == 'F'   ? "(name)"
                               : info->argument == 'D' ? "(N)"
                               : info->argument == 'T' ? (v == CONF_VAR_ENV ? "(NAME)" : "(PATH)")
                                                       : "";
        (void)fprintf(to, "| `$%s%s` | ", info->name, argument);
        put_prose(to, info->what);
        (void)fputs(" |\n", to);
    }
}

static void write_counters(FILE *to)
{
    (void)fputs(
        "# Counters\n\n" GENERATED
        "What `adit status` counts. They go on over reloads, upgrades and deaths of the worker; "
        "those of what\nis there now tell just that.\n\n| counter | what it counts |\n"
        "| --- | --- |\n",
        to);
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        (void)fprintf(to, "| `%s` | ", counter_name((enum counter)id));
        put_prose(to, counter_text((enum counter)id));
        (void)fputs(" |\n", to);
    }
}

static void write_commands(FILE *to)
{
    (void)fputs("# Commands\n\n" GENERATED
                "Exit codes: 0 all is well, 1 it went wrong, 2 the command line is wrong, 3 the "
                "configuration is wrong, 4 (tunnels) the edge wants this agent no more.\n",
                to);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *c = cli_commands[i];
        (void)fprintf(to, "\n## adit %s%s%s\n\n", c->name, c->arguments != NULL ? " " : "",
                      c->arguments != NULL ? c->arguments : "");
        put_prose(to, c->text);
        (void)fputs(".\n", to);
        if (c->more != NULL) {
            (void)fprintf(to, "\n```\n%s```\n", c->more);
        }
        if (c->options != NULL && c->options[0].name != NULL) {
            (void)fputs("\n| option | |\n| --- | --- |\n", to);
        }
        for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
            (void)fputs("| `", to);
            if (o->letter != '\0') {
                (void)fprintf(to, "-%c`, `", o->letter);
            }
            (void)fprintf(to, o->optional ? "--%s[%s%s]` | " : "--%s%s%s` | ", o->name,
                          o->value == NULL ? ""
                          : o->optional    ? "="
                                           : " ",
                          o->value != NULL ? o->value : "");
            put_prose(to, o->text);
            (void)fputs(" |\n", to);
        }
    }
}

const struct cli_reference cli_references[] = {
    {"directives.md", write_directives},
    {"counters.md", write_counters},
    {"variables.md", write_variables},
    {"commands.md", write_commands},
    {NULL, NULL},
};
