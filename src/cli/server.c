// SPDX-License-Identifier: Apache-2.0
//
// adit server: the servers of the running edge's upstreams, and what is to become of one of them.

#include "cli/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/control.h"

enum { COMMAND_MAX = 1000, STATE_MAX = 160, CELL_MAX = 32 };

static json_t *ask(const struct cli_parsed *p, const char *command)
{
    return control_ask(cli_value(p, "control"), command);
}

// ---- the table ----------------------------------------------------------------------------------

void cli_server_state(const json_t *row, char *out, size_t size)
{
    const char *state = control_text(row, "state");
    const char *reason = control_text(row, "reason");
    int64_t left_ms = control_number(row, "ejected_for_ms");
    const char *backup = json_is_true(json_object_get(row, "backup")) ? ", backup" : "";
    if (strcmp(state, "ejected") == 0 && left_ms > 0) {
        (void)snprintf(out, size, "ejected for %" PRId64 " s more%s", (left_ms + 999) / 1000,
                       backup);
    } else if (reason[0] != '\0') {
        (void)snprintf(out, size, "%s: %s%s", state, reason, backup);
    } else {
        (void)snprintf(out, size, "%s%s", state, backup);
    }
}

static void since(const json_t *row, char out[CELL_MAX])
{
    int64_t s = (int64_t)time(NULL) - control_number(row, "since_ms") / 1000;
    s = s > 0 ? s : 0;
    if (s >= 86400) {
        (void)snprintf(out, CELL_MAX, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
    } else if (s >= 3600) {
        (void)snprintf(out, CELL_MAX, "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
    } else if (s >= 60) {
        (void)snprintf(out, CELL_MAX, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
    } else {
        (void)snprintf(out, CELL_MAX, "%" PRId64 "s", s);
    }
}

static void latency(const json_t *row, char out[CELL_MAX])
{
    int64_t us = control_number(row, "latency_us");
    if (us == 0) {
        (void)snprintf(out, CELL_MAX, "-");
    } else if (us < 10000) {
        (void)snprintf(out, CELL_MAX, "%" PRId64 ".%" PRId64 " ms", us / 1000, us / 100 % 10);
    } else {
        (void)snprintf(out, CELL_MAX, "%" PRId64 " ms", us / 1000);
    }
}

static int by_upstream(const void *a, const void *b)
{
    const json_t *const *x = a;
    const json_t *const *y = b;
    int order = strcmp(control_text(*x, "upstream"), control_text(*y, "upstream"));
    return order != 0 ? order : strcmp(control_text(*x, "address"), control_text(*y, "address"));
}

struct widths {
    int upstream;
    int address;
    int state;
};

static void print_row(const json_t *row, const struct widths *w)
{
    char state[STATE_MAX];
    char slow[CELL_MAX];
    char age[CELL_MAX];
    cli_server_state(row, state, sizeof state);
    latency(row, slow);
    since(row, age);
    printf("%-*s  %-*s  %-*s  %6" PRId64 "  %6" PRId64 "  %5" PRId64 "  %10" PRId64 "  %8" PRId64
           "  %9s  %s\n",
           w->upstream, control_text(row, "upstream"), w->address, control_text(row, "address"),
           w->state, state, control_number(row, "weight"), control_number(row, "active"),
           control_number(row, "connections"), control_number(row, "requests"),
           control_number(row, "failures"), slow, age);
}

static int wider(int width, const char *text)
{
    int len = (int)strlen(text);
    return len > width ? len : width;
}

static int print_table(const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "servers");
    size_t count = json_array_size(rows);
    if (count == 0) {
        puts("no servers");
        return CLI_OK;
    }
    const json_t **sorted = calloc(count, sizeof(const json_t *));
    if (sorted == NULL) {
        return CLI_FAILURE;
    }
    struct widths w = {8, 7, 5};
    for (size_t i = 0; i < count; i++) {
        char state[STATE_MAX];
        sorted[i] = json_array_get(rows, i);
        cli_server_state(sorted[i], state, sizeof state);
        w.upstream = wider(w.upstream, control_text(sorted[i], "upstream"));
        w.address = wider(w.address, control_text(sorted[i], "address"));
        w.state = wider(w.state, state);
    }
    qsort(sorted, count, sizeof(const json_t *), by_upstream);
    printf("%-*s  %-*s  %-*s  %6s  %6s  %5s  %10s  %8s  %9s  %s\n", w.upstream, "UPSTREAM",
           w.address, "ADDRESS", w.state, "STATE", "WEIGHT", "ACTIVE", "CONNS", "REQUESTS",
           "FAILURES", "LATENCY", "SINCE");
    for (size_t i = 0; i < count; i++) {
        print_row(sorted[i], &w);
    }
    free((void *)sorted);
    cli_server_drift(json_object_get(answer, "overrides"), control_text(answer, "asked"));
    return CLI_OK;
}

void cli_server_drift(const json_t *overrides, const char *upstream)
{
    size_t i = 0;
    json_t *o = NULL;
    json_array_foreach(overrides, i, o)
    {
        const char *weight = control_text(o, "weight");
        if (upstream[0] != '\0' && strcmp(upstream, control_text(o, "upstream")) != 0) {
            continue;
        }
        printf("by command   %s %s:%s%s%s%s%s%s\n", control_text(o, "upstream"),
               control_text(o, "at"), json_object_get(o, "added") != NULL ? " added" : "",
               json_object_get(o, "removed") != NULL ? " removed" : "",
               control_text(o, "state")[0] != '\0' ? " " : "", control_text(o, "state"),
               weight[0] != '\0' ? " weight " : "", weight);
    }
}

static int list(const struct cli_parsed *p)
{
    char command[COMMAND_MAX];
    const char *upstream = p->count > 1 ? p->arguments[1] : "";
    int len = snprintf(command, sizeof command, "server list %s", upstream);
    if (p->count > 2 || len < 0 || len >= COMMAND_MAX) {
        return cli_usage_error(p->command, "list takes one upstream, or nothing for all");
    }
    json_t *answer = ask(p, command);
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    int code = CLI_OK;
    if (cli_given(p, "json")) {
        code = control_print(answer);
    } else if (json_is_true(json_object_get(answer, "ok"))) {
        (void)json_object_set_new(answer, "asked", json_string(upstream));
        code = print_table(answer);
    } else {
        (void)fprintf(stderr, "adit: %s\n", control_text(answer, "error"));
        code = CLI_FAILURE;
    }
    json_decref(answer);
    return code;
}

// ---- changes ------------------------------------------------------------------------------------

struct verb {
    const char *name;
    const char *usage;
    const char *did; // with the address and the upstream
    int words_min;   // after it
    int words_max;
};

static const struct verb verbs[] = {
    {"add", "UPSTREAM ADDRESS [weight=N]", "%s is a server of %s now", 2, 3},
    {"remove", "UPSTREAM ADDRESS", "%s is no server of %s any more", 2, 2},
    {"drain", "UPSTREAM ADDRESS",
     "%s of %s gets no new clients; those that belong to it are still served", 2, 2},
    {"ready", "UPSTREAM ADDRESS", "%s of %s is asked again", 2, 2},
    {"maintenance", "UPSTREAM ADDRESS", "%s of %s is not asked by anybody", 2, 2},
    {"weight", "UPSTREAM ADDRESS N", "%s of %s has another weight now", 3, 3},
};

static void tell_done(const struct verb *v, const json_t *answer)
{
    const char *address = control_text(answer, "address");
    const char *upstream = control_text(answer, "upstream");
    const char *rest = strstr(v->did, "%s");
    const char *second = rest != NULL ? strstr(rest + 2, "%s") : NULL;
    if (second != NULL) {
        printf("%s%.*s%s%s\n", address, (int)(second - rest - 2), rest + 2, upstream, second + 2);
    }
    if (!json_is_true(json_object_get(answer, "in_force"))) {
        puts("  the worker has not taken it up yet; it does as soon as it can");
    }
}

static int change(const struct cli_parsed *p, const struct verb *v)
{
    char command[COMMAND_MAX];
    int words = p->count - 1;
    if (words < v->words_min || words > v->words_max) {
        return cli_usage_error(p->command, "adit server %s %s", v->name, v->usage);
    }
    for (int i = 1; i < p->count; i++) {
        if (strpbrk(p->arguments[i], " \r\n") != NULL || p->arguments[i][0] == '\0') {
            return cli_usage_error(p->command, "`%s` is no word", p->arguments[i]);
        }
    }
    int len = snprintf(command, sizeof command, "server %s %s %s%s%s", v->name, p->arguments[1],
                       p->arguments[2], words > 2 ? " " : "", words > 2 ? p->arguments[3] : "");
    if (len < 0 || len >= COMMAND_MAX) {
        return cli_usage_error(p->command, "that is too long");
    }
    json_t *answer = ask(p, command);
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (cli_given(p, "json")) {
        (void)control_print(answer);
    } else if (ok) {
        tell_done(v, answer);
    } else {
        (void)fprintf(stderr, "adit: %s\n", control_text(answer, "error"));
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILURE;
}

static int run(const struct cli_parsed *p)
{
    if (p->count == 0 || strcmp(p->arguments[0], "list") == 0) {
        return list(p);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(p->arguments[0], verbs[i].name) == 0) {
            return change(p, &verbs[i]);
        }
    }
    return cli_usage_error(p->command,
                           "`%s`: say list, add, remove, drain, ready, maintenance or weight",
                           p->arguments[0]);
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = NULL},
};

const struct cli_command cli_server = {
    .name = "server",
    .arguments = "[list [UPSTREAM] | COMMAND UPSTREAM ADDRESS [N]]",
    .text = "lists the servers of upstreams, adds one, takes one out of use",
    .more =
        "Commands: `add` (with weight=N if you like), `remove`, `drain` (no new clients), "
        "`maintenance`\n"
        "(nobody), `ready` (asked again), `weight` N. They are in force at once and stay so "
        "over reloads\n"
        "and restarts, until `ready`, `add` or `remove` take them back or the server leaves the "
        "configuration;\n"
        "`adit status` shows them.\n",
    .max = 4,
    .options = options,
    .run = run,
};
