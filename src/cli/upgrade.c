// SPDX-License-Identifier: Apache-2.0
//
// adit upgrade and adit drain: the running edge becomes another program, or stops. The work is the
// supervisor's (super/upgrade.c); here is only how it is asked for and what came of it is shown.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/control.h"

enum { COMMAND_MAX = 1088 };

static void print_answer(const json_t *answer, bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "adit: not upgraded: %s; the edge goes on as it was\n",
                      control_text(answer, "error"));
        return;
    }
    if (control_text(answer, "note")[0] != '\0') {
        (void)fprintf(stderr, "adit: %s\n", control_text(answer, "note"));
    }
    printf("upgraded from adit %s to %s, generation %" PRId64 "\n", control_text(answer, "was"),
           control_text(answer, "version"),
           (int64_t)json_integer_value(json_object_get(answer, "generation")));
}

// "upgrade" with the whole path of the file, since the edge was started elsewhere; false: told why.
static bool make_command(const char *file, char command[COMMAND_MAX])
{
    if (file == NULL) {
        (void)snprintf(command, COMMAND_MAX, "upgrade");
        return true;
    }
    char *whole = realpath(file, NULL);
    if (whole == NULL) {
        (void)fprintf(stderr, "adit: %s: %s\n", file, strerror(errno));
        return false;
    }
    int len = snprintf(command, COMMAND_MAX, "upgrade %s", whole);
    bool fits = len > 0 && len < COMMAND_MAX && strchr(whole, '\n') == NULL;
    if (!fits) {
        (void)fprintf(stderr, "adit: %s: such a path cannot be sent to the edge\n", whole);
    }
    free(whole);
    return fits;
}

static int run_upgrade(const struct cli_parsed *p)
{
    char command[COMMAND_MAX];
    if (!make_command(p->count > 0 ? p->arguments[0] : NULL, command)) {
        return CLI_FAILURE;
    }
    json_t *answer = control_ask(cli_value(p, "control"), command);
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (cli_given(p, "json")) {
        (void)control_print(answer);
    } else {
        print_answer(answer, ok);
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILURE;
}

static int run_drain(const struct cli_parsed *p)
{
    json_t *answer = control_ask(cli_value(p, "control"), "drain");
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (ok) {
        puts("stopping: the edge takes no connections any more and ends with the last one");
    } else {
        (void)fprintf(stderr, "adit: %s\n", control_text(answer, "error"));
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILURE;
}

static const struct cli_option upgrade_options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "the answer as one JSON object"},
    {.name = NULL},
};

static const struct cli_option drain_options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = NULL},
};

const struct cli_command cli_upgrade = {
    .name = "upgrade",
    .arguments = "[FILE]",
    .text = "replaces the program of the running edge, losing no connection",
    .more =
        "FILE is the new program; without it, what is now where the running one came from. The\n"
        "edge keeps its pid, its listeners and its counters. It loads its configuration anew, so\n"
        "`workers`, `user`, `connections` and `memory` are taken over as well. Connections that\n"
        "are open stay with the old worker, which ends with the last one or when `drain:` is\n"
        "over.\n"
        "\n"
        "FILE is tried first, and until its worker serves the old one does. When anything goes\n"
        "wrong the old program goes on: the reason is shown and the exit code is 1. A\n"
        "configuration with errors does not prevent the upgrade: the one in force goes on.\n"
        "SIGUSR2 to the supervisor does the same as `adit upgrade` without FILE.\n"
        "\n"
        "FILE must belong to root or to the user who started the edge, and nobody else may be\n"
        "able to write to it.\n",
    .options = upgrade_options,
    .max = 1,
    .run = run_upgrade,
};

const struct cli_command cli_drain = {
    .name = "drain",
    .text = "stops the running edge when what is under way has ended",
    .more = "The same as SIGTERM to the edge: it takes no connections any more, and ends with the\n"
            "last one, at the latest when `drain:` is over. A second time ends it at once.\n",
    .options = drain_options,
    .run = run_drain,
};
