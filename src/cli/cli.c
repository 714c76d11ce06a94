// SPDX-License-Identifier: Apache-2.0
//
// The list of subcommands and how one is found (cli/cli.h).

#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/nearest.h"

#include "cli/agent_words.h"

const struct cli_command *const cli_commands[] = {
    &cli_http,     &cli_tcp,    &cli_udp,     &cli_start,      &cli_diagnose,
    &cli_login,    &cli_logout, &cli_serve,   &cli_proxy,      &cli_check,
    &cli_reload,   &cli_status, &cli_upgrade, &cli_drain,      &cli_cert,
    &cli_server,   &cli_token,  &cli_name,    &cli_tunnels,    &cli_kick,
    &cli_password, &cli_help,   &cli_schema,  &cli_completion, NULL,
};

const struct cli_command *cli_find(const char *name)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

const char *cli_default_config(void)
{
    static const char *const paths[] = {"./adit.yaml", "/etc/adit/adit.yaml"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (access(paths[i], F_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

void cli_overview(void)
{
    puts("adit " ADIT_VERSION ": the way in to what you run\n\nusage: adit COMMAND [ARGUMENTS]\n"
         "       adit PORT    (adit 3000: a public URL for what listens on port 3000 here)\n");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("  %-12s  %s\n", cli_commands[i]->name, cli_commands[i]->text);
    }
    puts(
        "\n`adit COMMAND --help` says more about a command, `adit help NAME` about a directive of\n"
        "the configuration, `adit help directives` lists them.");
}

static int unknown_command(const char *name)
{
    struct conf_nearest nearest = conf_nearest_to(slice_str(name));
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        conf_nearest_offer(&nearest, slice_str(cli_commands[i]->name));
    }
    (void)fprintf(stderr, "adit: there is no command `%s`", name);
    if (nearest.best.len > 0) {
        (void)fprintf(stderr, ", did you mean `%.*s`?", SLICE_ARG(nearest.best));
    }
    (void)fputs("\n  `adit help` lists what there is\n", stderr);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_overview();
        return argc > 1 ? CLI_OK : CLI_USAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("adit " ADIT_VERSION);
        return CLI_OK;
    }
    const struct cli_command *command = cli_find(name);
    if (command != NULL) {
        return cli_run(command, argc - 2, argv + 2);
    }
    if (agent_word_is_target(slice_str(name))) {
        return cli_run(&cli_http, argc - 1, argv + 1);
    }
    if (name[0] == '-' && name[1] == 'c') {
        return cli_run(&cli_start, argc - 1, argv + 1); // adit -c adit-agent.yaml
    }
    if (name[0] == '-') {
        return cli_usage_error(NULL, "unknown option %s before the command", name);
    }
    return unknown_command(name);
}
