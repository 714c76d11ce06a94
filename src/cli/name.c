// SPDX-License-Identifier: Apache-2.0
//
// adit name: names that are kept for an owner, and domains that are an owner's own.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/tables.h"

enum { COMMAND_MAX = 600 };

static void row_cells(const json_t *row, const char *cells[CLI_COLUMNS_MAX])
{
    static char asked[CLI_CELL_MAX];
    static char state[256];
    bool domain = strcmp(control_text(row, "kind"), "domain") == 0;
    bool proved = json_is_true(json_object_get(row, "proved"));
    const char *why = control_text(row, "why");
    cli_ago(control_number(row, "asked_ms"), asked);
    if (!domain) {
        (void)snprintf(state, sizeof state, "reserved");
    } else {
        (void)snprintf(state, sizeof state, "%s%s%s", proved ? "proved" : "not proved",
                       why[0] != '\0' ? ": " : "", why);
    }
    cells[0] = control_text(row, "name");
    cells[1] = control_text(row, "owner");
    cells[2] = domain ? asked : "-";
    cells[3] = state;
}

static void tell_list(const json_t *answer)
{
    static const struct cli_table table = {
        .heads = {"NAME", "OWNER", "CHECKED", "STATE"},
        .columns = 4,
        .cells = row_cells,
        .none = "no names are reserved",
    };
    cli_table_print(&table, json_object_get(answer, "names"));
}

static void tell_reserved(const json_t *answer)
{
    puts("reserved");
    cli_tell_notes(answer);
}

static void tell_released(const json_t *answer)
{
    puts("released");
    cli_tell_notes(answer);
}

static void tell_domain(const json_t *answer)
{
    const json_t *d = json_object_get(answer, "domain");
    printf("%s belongs to %s as long as the DNS has this record:\n\n  %s. TXT \"%s\"\n\n",
           control_text(d, "name"), control_text(d, "owner"), control_text(d, "record"),
           control_text(d, "value"));
    puts("It is looked for now, soon again, and then once a day; `adit name list` shows what was "
         "found,\n`adit name check` looks at once.");
}

struct verb {
    const char *name;
    bool owned;
    void (*tell)(const json_t *answer);
};

static const struct verb verbs[] = {
    {"reserve", true, tell_reserved},
    {"release", false, tell_released},
    {"add-domain", true, tell_domain},
    {"check", false, tell_domain},
};

static int change(const struct cli_parsed *p, const struct verb *v)
{
    char command[COMMAND_MAX];
    const char *owner = cli_value(p, "owner");
    const char *name = p->arguments[1];
    if (p->count != 2 || strpbrk(name, " \r\n") != NULL ||
        (owner != NULL && strpbrk(owner, " \r\n") != NULL)) {
        return cli_usage_error(p->command, "adit name %s NAME%s", v->name,
                               v->owned ? " --owner OWNER" : "");
    }
    if (v->owned != (owner != NULL)) {
        return cli_usage_error(p->command, v->owned ? "whose is it to be? --owner NAME"
                                                    : "--owner goes with reserve and add-domain");
    }
    int len = snprintf(command, sizeof command, "name %s %s%s%s", v->name, name,
                       owner != NULL ? " " : "", owner != NULL ? owner : "");
    if (len < 0 || len >= COMMAND_MAX) {
        return cli_usage_error(p->command, "that is too long");
    }
    return cli_order(p, command, v->tell);
}

static int run(const struct cli_parsed *p)
{
    const char *verb = p->count > 0 ? p->arguments[0] : "list";
    if (strcmp(verb, "list") == 0 && p->count <= 1) {
        return cli_order(p, "name list", tell_list);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].name) == 0 && p->count == 2) {
            return change(p, &verbs[i]);
        }
    }
    return cli_usage_error(
        p->command, "say list, reserve NAME, release NAME, add-domain DOMAIN or check DOMAIN");
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = "owner", .value = "NAME", .text = "reserve, add-domain: whose it is to be"},
    {.name = NULL},
};

const struct cli_command cli_name = {
    .name = "name",
    .arguments = "[list | reserve NAME | release NAME | add-domain DOMAIN | check DOMAIN]",
    .text = "keeps names of tunnels for their owners, and proves their own domains",
    .more = "A reserved name is its owner's before the first use and while no agent is there. A "
            "domain such as\n"
            "app.customer.com, with all names below it, is its owner's once the TXT record that "
            "`add-domain`\n"
            "prints is in the DNS; when the record is gone, so is the domain. An owner is what "
            "`adit token\n"
            "create --owner` says.\n",
    .max = 2,
    .options = options,
    .run = run,
};
