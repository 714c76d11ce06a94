// SPDX-License-Identifier: Apache-2.0
//
// What is said to words of other programs; none of them is a word of ours.

#include "cli_help.h"

#include <sys/stat.h>

#include "cli/foreign.h"

static void says_what_to_write_instead(void)
{
    CHECK_EQ_INT(ADIT("authtoken"), CLI_USAGE);
    CHECK(contains(captured_err, "adit login"));
    CHECK_EQ_INT(ADIT("tunnel", "--url", "http://localhost:3000"), CLI_USAGE);
    CHECK(contains(captured_err, "adit 3000"));
    CHECK_EQ_INT(ADIT("3000", "--subdomain", "myapp"), CLI_USAGE);
    CHECK(contains(captured_err, "adit 3000 as NAME"));
    CHECK_EQ_INT(ADIT("check", "--subdomain", "myapp"), CLI_USAGE);
    CHECK(!contains(captured_err, "adit 3000 as NAME"));
    CHECK(cli_foreign_command("serve") == NULL);
    CHECK(cli_foreign_option("server") == NULL);
}

static void knows_targets_that_lack_something(void)
{
    CHECK_EQ_INT(ADIT("localhost"), CLI_USAGE);
    CHECK(contains(captured_err, "adit localhost:3000"));
    CHECK_EQ_INT(ADIT("app.internal"), CLI_USAGE);
    CHECK(contains(captured_err, "adit app.internal:3000"));
    char folder[] = "/tmp/adit-foreign-XXXXXX";
    REQUIRE(mkdtemp(folder) != NULL && chdir(folder) == 0);
    REQUIRE(mkdir("dist", 0700) == 0);
    CHECK_EQ_INT(ADIT("dist"), CLI_USAGE);
    CHECK(contains(captured_err, "adit ./dist"));
    FILE *file = fopen("agent.yaml", "w");
    REQUIRE(file != NULL && fclose(file) == 0);
    CHECK_EQ_INT(ADIT("agent.yaml"), CLI_USAGE);
    CHECK(contains(captured_err, "adit start agent.yaml"));
    CHECK(unlink("agent.yaml") == 0 && rmdir("dist") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
}

static void no_word_is_ours(void)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        CHECK(cli_foreign_command(cli_commands[i]->name) == NULL);
        const struct cli_option *o = cli_find("http")->options;
        for (; o->name != NULL; o++) {
            CHECK(cli_foreign_option(o->name) == NULL);
        }
    }
}

TAP_MAIN(says_what_to_write_instead, knows_targets_that_lack_something, no_word_is_ours)
