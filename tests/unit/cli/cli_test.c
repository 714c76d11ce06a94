// SPDX-License-Identifier: Apache-2.0
//
// Finding commands: the overview, --help of each, and names that are not there.

#include "cli_help.h"

static void shows_an_overview(void)
{
    CHECK_EQ_INT(ADIT("--help"), CLI_OK);
    CHECK(contains(captured_out, "usage: adit COMMAND"));
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        CHECK(contains(captured_out, cli_commands[i]->text));
    }
    CHECK_EQ_INT(ADIT("--version"), CLI_OK);
    CHECK_STR(captured_out, "adit " ADIT_VERSION "\n");
    const char *alone[] = {"adit"};
    CHECK_EQ_INT(adit(1, alone), CLI_USAGE);
}

static void every_command_has_help(void)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        CHECK_EQ_INT(ADIT(cli_commands[i]->name, "--help"), CLI_OK);
        CHECK(contains(captured_out, "usage: adit "));
        CHECK(contains(captured_out, "--help"));
        CHECK(cli_find(cli_commands[i]->name) == cli_commands[i]);
    }
}

static void suggests_commands(void)
{
    CHECK_EQ_INT(ADIT("chekc"), CLI_USAGE);
    CHECK_STR(captured_err, "adit: there is no command `chekc`, did you mean `check`?\n"
                            "  `adit help` lists what there is\n");
    CHECK_EQ_INT(ADIT("--josn"), CLI_USAGE);
    CHECK(cli_find("nothing") == NULL);
}

TAP_MAIN(shows_an_overview, every_command_has_help, suggests_commands)
