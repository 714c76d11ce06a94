// SPDX-License-Identifier: Apache-2.0
//
// adit help: a page for each directive and each of its keys, by name.

#include "cli_help.h"
#include "conf/schema.h"

static void shows_directives(void)
{
    CHECK_EQ_INT(ADIT("help", "timeouts.connect"), CLI_OK);
    CHECK_STR(captured_out,
              "timeouts.connect\n\n"
              "  Time for a connection to an origin; then the next server, or 504.\n\n"
              "  type      duration\n"
              "  range     10ms to 1d\n"
              "  default   5s\n"
              "  reload    takes effect with a reload\n");
    CHECK_EQ_INT(ADIT("help", "connect"), CLI_OK); // a key by itself
    CHECK(contains(captured_out, "timeouts.connect\n"));
    CHECK_EQ_INT(ADIT("help", "connections"), CLI_OK); // two directives of one name
    CHECK(contains(captured_out, "stands in the top level"));
    CHECK(contains(captured_out, "stands in an upstream"));
    CHECK_EQ_INT(ADIT("help", "errors.body"), CLI_OK);
}

static void shows_every_directive(void)
{
    CHECK_EQ_INT(ADIT("help", "directives"), CLI_OK);
    conf_each_row(it, conf_tables)
    {
        if ((it.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0) {
            CHECK_EQ_INT(ADIT("help", it.row->name), CLI_OK);
            CHECK(contains(captured_out, "example:"));
        }
    }
}

static void shows_commands(void)
{
    CHECK_EQ_INT(ADIT("help", "check"), CLI_OK);
    CHECK(contains(captured_out, "usage: adit check"));
    CHECK_EQ_INT(ADIT("help"), CLI_OK);
    CHECK(contains(captured_out, "usage: adit COMMAND"));
}

static void suggests_names(void)
{
    CHECK_EQ_INT(ADIT("help", "timeuts"), CLI_USAGE);
    CHECK(contains(captured_err, "did you mean `timeouts`?"));
    CHECK_EQ_INT(ADIT("help", "zzzzzz"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("help", "timeouts.nothing"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("help", "--markdown", "/nonexistent"), CLI_FAILURE);
}

TAP_MAIN(shows_directives, shows_every_directive, shows_commands, suggests_names)
