// SPDX-License-Identifier: Apache-2.0
//
// adit completion: a script for each shell that names commands, options and directives.

#include "cli_help.h"

static void writes_scripts(void)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        CHECK_EQ_INT(ADIT("completion", shells[i]), CLI_OK);
        CHECK(contains(captured_out, "check"));
        CHECK(contains(captured_out, "json"));
        CHECK(contains(captured_out, "timeouts"));
    }
}

static void bash_takes_its_script(void)
{
    CHECK_EQ_INT(ADIT("completion", "bash"), CLI_OK);
    FILE *bash = popen("bash -n 2>&1", "w");
    if (CHECK(bash != NULL)) {
        (void)fputs(captured_out, bash);
        CHECK_EQ_INT(pclose(bash), 0);
    }
}

static void refuses_others(void)
{
    CHECK_EQ_INT(ADIT("completion", "tcsh"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("completion"), CLI_USAGE);
}

TAP_MAIN(writes_scripts, bash_takes_its_script, refuses_others)
