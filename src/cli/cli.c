// SPDX-License-Identifier: Apache-2.0
//
// The list of subcommands and how one is found (cli/cli.h).

#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/nearest.h"

#include "cli/agent_words.h"
#include "cli/foreign.h"

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

/** What the commands from here on are about, or NULL. */
static const char *heading_at(const struct cli_command *command)
{
    return command == &cli_http       ? "tunnels from this machine"
           : command == &cli_serve    ? "an edge, or a reverse proxy"
           : command == &cli_token    ? "tunnels at a running edge"
           : command == &cli_password ? "more"
                                      : NULL;
}

void cli_overview(void)
{
    puts("adit " ADIT_VERSION ": the way in to what you run\n\nusage: adit COMMAND [ARGUMENTS]\n"
         "       adit PORT    (adit 3000: a public URL for what listens on port 3000 here)");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *heading = heading_at(cli_commands[i]);
        if (heading != NULL) {
            printf("\n%s\n", heading);
        }
        printf("  %-12s  %s\n", cli_commands[i]->name, cli_commands[i]->text);
    }
    puts(
        "\n`adit COMMAND --help` says more about a command, `adit help NAME` about a directive of\n"
        "the configuration, `adit help directives` lists them.");
}

/** What somebody meant who wrote a target or a word of another program, or NULL. */
static const char *meant(const char *name, char *room, size_t size)
{
    struct stat st;
    bool there = stat(name, &st) == 0;
    bool folder = there && S_ISDIR(st.st_mode);
    if (there && S_ISREG(st.st_mode) && strchr(name, '.') != NULL) {
        (void)snprintf(room, size, "`adit serve %s` for an edge, `adit start %s` for an agent",
                       name, name);
        return room;
    }
    if (folder || strcmp(name, "localhost") == 0 || strchr(name, '.') != NULL) {
        (void)snprintf(room, size,
                       folder ? "for what is in the folder: adit ./%s"
                              : "a target needs its port: adit %s:3000",
                       name);
        return room;
    }
    return cli_foreign_command(name);
}

static int unknown_command(const char *name)
{
    char room[512];
    const char *ours = meant(name, room, sizeof room);
    if (ours != NULL) {
        (void)fprintf(stderr, "adit: there is no command `%s`\n  here it is: %s\n", name, ours);
        return CLI_USAGE;
    }
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
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "-v") == 0 ||
        strcmp(name, "version") == 0) {
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
