// SPDX-License-Identifier: Apache-2.0
//
// Command line options, the same for every subcommand: --name VALUE, --name=VALUE, -n VALUE, -nVALUE,
// switches without value, `--` ends them. --help is there everywhere. A mistake is told with the
// nearest known name and exit code CLI_USAGE.

#pragma once

#include <stdbool.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILURE = 1,   // it was understood, and went wrong
    CLI_USAGE = 2,     // the command line is wrong
    CLI_CONFIG = 3,    // the configuration is wrong
    CLI_DISMISSED = 4, // an agent's: the edge has ended its tunnels for good (agent/agent.h)
};

enum { CLI_OPTIONS_MAX = 24, CLI_ARGUMENTS_MAX = 64 };

struct cli_option {
    const char *name;  // without dashes
    const char *value; // what it takes, for the help: "FILE"; NULL: a switch
    const char *text;  // one line
    char letter;       // short form, or NUL
    bool optional;     // the value may be left out: it is attached (--name=VALUE) or not there
    bool secret; // the value is not to be seen in a list of processes: it is overwritten there
};

struct cli_parsed {
    const struct cli_command *command;
    const char
        *values[CLI_OPTIONS_MAX]; // by index in command->options; "" for a switch; NULL: not given
    const char *arguments[CLI_ARGUMENTS_MAX];
    int count; // of arguments
};

struct cli_command {
    const char *name;
    const char *arguments;            // for the help: "[FILE]"; NULL: none
    const char *text;                 // one line
    const char *more;                 // further lines for --help, or NULL
    const struct cli_option *options; // ended by one without name; NULL: none but --help
    const struct cli_command *kin;    // whose other options are told of; NULL: nobody's
    int min;                          // arguments
    int max;
    /** Returns the exit code. */
    int (*run)(const struct cli_parsed *p);
};

/** Parses argv (behind the command's name) and runs the command; returns the exit code. */
int cli_run(const struct cli_command *command, int argc, char **argv);
/** The value of an option, "" for a switch that was given, NULL when it was not. */
const char *cli_value(const struct cli_parsed *p, const char *name);
/** The same of an option that not all commands of its kin have: then NULL. */
const char *cli_value_if_any(const struct cli_parsed *p, const char *name);
static inline bool cli_given(const struct cli_parsed *p, const char *name)
{
    return cli_value(p, name) != (const char *)0;
}
/** Says on stderr what is wrong with the command line and where the help is; returns CLI_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** True when stdout / stderr are terminals that may be coloured (NO_COLOR is respected). */
bool cli_colour_stdout(void);
bool cli_colour_stderr(void);
