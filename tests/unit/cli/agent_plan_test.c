// SPDX-License-Identifier: Apache-2.0
//
// Command lines of an agent that are wrong: what is said. None of these calls anybody.

#include "cli_help.h"

static void setup(void)
{
    (void)unsetenv("ADIT_SERVER");
    (void)unsetenv("ADIT_TOKEN");
    REQUIRE(setenv("XDG_CONFIG_HOME", "/nonexistent", 1) == 0);
}

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        CHECK_EQ_INT(ADIT(__VA_ARGS__), CLI_USAGE);                                                \
        if (!CHECK(contains(captured_err, words))) {                                               \
            printf("# %s", captured_err);                                                          \
        }                                                                                          \
    } while (0)

static void says_what_is_wrong(void)
{
    REFUSED("which edge?", "3000");
}

static void refuses_clear_to_other_machines(void)
{
    REFUSED("--insecure-clear", "3000", "--server", "http://tunnel.example.com");
}

static void refuses_bad_words(void)
{
    const char *s = "-shttp://localhost:1";
    REFUSED("not a name", "3000", "as", "My_App", s);
    REFUSED("as NAME", "3000", "myapp", s);
    REFUSED("needs a name", "3000", s, "as");
    REFUSED("PORT or HOST:PORT", "tcp", "./", s);
    REFUSED("PORT or HOST:PORT", "udp", "unix:/x", s);
    REFUSED("not a network", "3000", s, "--allow", "10.0.0.1/8");
    REFUSED("not USER:PASSWORD", "3000", s, "--basic-auth", "me");
    REFUSED("v1 or v2", "3000", s, "--proxy-protocol", "v3");
    REFUSED("is no host", "3000", s, "--host-header", "a b");
    REFUSED("--ca /nonexistent", "3000", s, "--ca", "/nonexistent");
    REFUSED("token", "3000", s, "--token", "a b");
    REFUSED("too many edges", "3000", "--server", "a,b,c,d,e");
    REFUSED("not an edge", "3000", "--server", "a/b");
}

TAP_MAIN(setup, says_what_is_wrong, refuses_clear_to_other_machines, refuses_bad_words)
