// SPDX-License-Identifier: Apache-2.0
//
// adit reload: makes the running edge take over its changed configuration, and tells what came of
// it. The work is the keeper's, over the control socket; here is only how the answer is shown: what is
// wrong with a configuration as the check words it, on stderr, and an exit code that says which kind
// of failure it was. With --json the answer is passed on as it came.

#include <stdio.h>

#include "cli/cli.h"
#include "cli/control.h"

static int run(const struct cli_parsed *p)
{
    json_t *answer = control_ask(cli_value(p, "control"), "reload");
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    const char *diagnostics = json_string_value(json_object_get(answer, "diagnostics"));
    const char *error = json_string_value(json_object_get(answer, "error"));
    bool ok = json_is_true(json_object_get(answer, "ok"));
    bool config = json_is_true(json_object_get(answer, "config"));
    if (cli_given(p, "json")) {
        (void)control_print(answer);
    } else {
        (void)fputs(diagnostics != NULL ? diagnostics : "", stderr);
        if (ok) {
            printf("reloaded, generation %d\n",
                   (int)json_integer_value(json_object_get(answer, "generation")));
        } else {
            (void)fprintf(stderr, "adit: not reloaded: %s; the edge goes on as it was\n",
                          error != NULL ? error : "no reason given");
        }
    }
    json_decref(answer);
    return ok ? CLI_OK : config ? CLI_CONFIG : CLI_FAILURE;
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "the answer as one JSON object"},
    {.name = NULL},
};

const struct cli_command cli_reload = {
    .name = "reload",
    .text = "makes the running edge take over its changed configuration",
    .more = "When it is done, the new configuration is in force. One with errors changes nothing:\n"
            "they are shown and the exit code is 3.\n",
    .options = options,
    .run = run,
};
