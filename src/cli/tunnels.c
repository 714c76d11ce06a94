// SPDX-License-Identifier: Apache-2.0
//
// adit tunnels, adit kick: which tunnels the running edge has, and the end of one of them.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/tables.h"

enum { COMMAND_MAX = 1400, NUMBER_MAX = 24 };

static const char *number(const json_t *row, const char *key, char out[NUMBER_MAX])
{
    (void)snprintf(out, NUMBER_MAX, "%" PRId64, control_number(row, key));
    return out;
}

/** "18.3 ms"; empty: not known. */
static const char *trip(const json_t *row, char out[NUMBER_MAX])
{
    int64_t us = control_number(row, "rtt_us");
    out[0] = '\0';
    if (us > 0) {
        (void)snprintf(out, NUMBER_MAX, "%.1f ms", (double)us / 1000);
    }
    return out;
}

static void row_cells(const json_t *row, const char *cells[CLI_COLUMNS_MAX])
{
    static char since[CLI_CELL_MAX];
    static char numbers[4][NUMBER_MAX];
    static char in[CLI_CELL_MAX];
    static char out[CLI_CELL_MAX];
    const char *owner = control_text(row, "owner");
    cli_since(control_number(row, "since_ms"), since);
    cli_bytes(control_number(row, "bytes_in"), in);
    cli_bytes(control_number(row, "bytes_out"), out);
    cells[0] = control_text(row, "url");
    cells[1] = owner[0] != '\0' ? owner : "(anonymous)";
    cells[2] = control_text(row, "state");
    cells[3] = number(row, "instances", numbers[0]);
    cells[4] = number(row, "connections", numbers[1]);
    cells[5] = trip(row, numbers[3]);
    cells[6] = number(row, "requests", numbers[2]);
    cells[7] = in;
    cells[8] = out;
    cells[9] = since;
    cells[10] = control_text(row, "from");
}

static void tell_list(const json_t *answer)
{
    static const struct cli_table table = {
        .heads = {"URL", "OWNER", "STATE", "AGENTS", "CONNS", "RTT", "REQUESTS", "IN", "OUT",
                  "SINCE", "FROM"},
        .columns = 11,
        .cells = row_cells,
        .none = "no tunnels",
    };
    cli_table_print(&table, json_object_get(answer, "tunnels"));
}

static int run_tunnels(const struct cli_parsed *p)
{
    return cli_order(p, "tunnels", tell_list);
}

static void tell_kicked(const json_t *answer)
{
    int64_t count = control_number(answer, "tunnels");
    printf("%" PRId64 " tunnel%s ended\n", count, count == 1 ? "" : "s");
}

static int run_kick(const struct cli_parsed *p)
{
    char command[COMMAND_MAX];
    const char *reason = cli_value(p, "reason");
    if (strpbrk(p->arguments[0], " \r\n") != NULL || p->arguments[0][0] == '\0' ||
        (reason != NULL && strpbrk(reason, "\r\n") != NULL)) {
        return cli_usage_error(p->command, "a name is one word, a reason one line");
    }
    int len = snprintf(command, sizeof command, "kick %s%s%s", p->arguments[0],
                       reason != NULL ? " " : "", reason != NULL ? reason : "");
    if (len < 0 || len >= COMMAND_MAX) {
        return cli_usage_error(p->command, "that is too long");
    }
    return cli_order(p, command, tell_kicked);
}

static const struct cli_option list_options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = NULL},
};

static const struct cli_option kick_options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = "reason", .value = "TEXT", .text = "what the agent is told"},
    {.name = NULL},
};

const struct cli_command cli_tunnels = {
    .name = "tunnels",
    .text = "lists the tunnels of the running edge",
    .more = "`parked`: its agent was lost a moment ago, visitors wait for it to come back.\n"
            "`RTT`: to the nearest of its agents and back, as PINGs measure it.\n",
    .options = list_options,
    .run = run_tunnels,
};

const struct cli_command cli_kick = {
    .name = "kick",
    .arguments = "NAME",
    .text = "ends a tunnel; its agent does not come back by itself",
    .more = "NAME is the tunnel's name, with or without its zone, or the id of a token: then all "
            "its tunnels\n"
            "end. To keep somebody out, revoke the token.\n",
    .min = 1,
    .max = 1,
    .options = kick_options,
    .run = run_kick,
};
