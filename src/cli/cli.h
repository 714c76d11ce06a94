// SPDX-License-Identifier: Apache-2.0
//
// The subcommands of adit, a file each. cli_main() finds the one that is meant and runs it.

#pragma once

#include "cli/options.h"

extern const struct cli_command cli_http;
extern const struct cli_command cli_tcp;
extern const struct cli_command cli_udp;
extern const struct cli_command cli_start;
extern const struct cli_command cli_diagnose;
extern const struct cli_command cli_login;
extern const struct cli_command cli_logout;
extern const struct cli_command cli_serve;
extern const struct cli_command cli_proxy;
extern const struct cli_command cli_check;
extern const struct cli_command cli_reload;
extern const struct cli_command cli_upgrade;
extern const struct cli_command cli_drain;
extern const struct cli_command cli_status;
extern const struct cli_command cli_cert;
extern const struct cli_command cli_server;
extern const struct cli_command cli_password;
extern const struct cli_command cli_token;
extern const struct cli_command cli_name;
extern const struct cli_command cli_tunnels;
extern const struct cli_command cli_kick;
extern const struct cli_command cli_schema;
extern const struct cli_command cli_help;
extern const struct cli_command cli_completion;

/** All of them, in the order of the overview; NULL-terminated. */
extern const struct cli_command *const cli_commands[];

/** The command of a name, or NULL. */
const struct cli_command *cli_find(const char *name);
/** The whole program: returns the exit code. */
int cli_main(int argc, char **argv);
/** `adit` without more, and `adit help`: what there is. */
void cli_overview(void);

/** The configuration file that is meant when none is named: ./adit.yaml, else /etc/adit/adit.yaml,
 * else NULL. */
const char *cli_default_config(void);

/** `adit check` for who is about to serve the file: an agent's is none. The exit code. */
int cli_check_edge(const char *path);
