// SPDX-License-Identifier: Apache-2.0
//
// adit serve: runs the edge on a configuration file, or the demo when there is none.
//
// Which file: the one that is named, else ./adit.yaml, else /etc/adit/adit.yaml. The process becomes
// the supervisor (super/super.h), so nothing is read or checked here: the keeper does that, and its
// messages are the same at the start and at a reload.

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/edge.h"

static int run(const struct cli_parsed *p)
{
    const char *path = cli_value(p, "config");
    if (path == NULL && p->count > 0) {
        path = p->arguments[0];
    }
    if (path == NULL) {
        path = cli_default_config();
    }
    if (cli_given(p, "check")) {
        const struct cli_parsed none = {.command = &cli_check};
        return path == NULL ? cli_check.run(&none) : cli_check_edge(path);
    }
    if (path == NULL) {
        (void)fputs("adit: no ./adit.yaml and no /etc/adit/adit.yaml, so this is the demo\n",
                    stderr);
        return edge_run_demo();
    }
    const char *state = cli_value(p, "state");
    if (state == NULL) {
        state = getenv("ADIT_STATE");
    }
    return edge_run_file(path, state);
}

static const struct cli_option options[] = {
    {.name = "config",
     .letter = 'c',
     .value = "FILE",
     .text = "the configuration; the same as FILE"},
    {.name = "state",
     .value = "DIR",
     .text = "where certificates and keys are kept; else $ADIT_STATE, else /var/lib/adit"},
    {.name = "check", .text = "only check it, as `adit check` does"},
    {.name = NULL},
};

const struct cli_command cli_serve = {
    .name = "serve",
    .arguments = "[FILE]",
    .text = "runs the edge",
    .more =
        "FILE is ./adit.yaml or /etc/adit/adit.yaml when none is named; without either, a demo\n"
        "edge starts on 127.0.0.1:8080 and says what to try.\n"
        "\n"
        "Certificates that adit gets, their keys and its accounts are kept in DIR; not started as\n"
        "root, that is $XDG_STATE_HOME/adit or ~/.local/state/adit when nothing is said.\n"
        "\n"
        "SIGHUP or `adit reload` takes over a changed configuration, SIGUSR1 reopens the access\n"
        "log, SIGTERM or Ctrl-C lets what is under way end (`drain:`), the second one ends at\n"
        "once. Exit code 0: told to end; 1: could not start, or the worker died again and again;\n"
        "3: the configuration has errors.\n",
    .options = options,
    .max = 1,
    .run = run,
};
