// SPDX-License-Identifier: Apache-2.0
//
// The file of `adit login`: who may read it, what stands in it, to whom its token goes.

#include "cli_help.h"

#include <sys/stat.h>

#include "base/error.h"
#include "cli/agent_login.h"

static char home[64];
static char path[AGENT_LOGIN_PATH_MAX];

static void setup(void)
{
    (void)snprintf(home, sizeof(home), "/tmp/adit-login-%d", (int)getpid());
    REQUIRE(mkdir(home, 0700) == 0 && setenv("XDG_CONFIG_HOME", home, 1) == 0);
    REQUIRE(agent_login_path(path));
}

static void keeps_and_forgets(void)
{
    struct agent_login l;
    CHECK_EQ_INT(agent_login_read(path, &l), E_NOT_FOUND);
    CHECK_EQ_INT(ADIT("login", "tunnel.example.com", "--token", "adit_k_secret"), CLI_OK);
    CHECK(!contains(captured_out, "secret"));
    CHECK_EQ_INT(agent_login_read(path, &l), 0);
    CHECK_STR(l.server, "tunnel.example.com");
    CHECK_STR(l.token, "adit_k_secret");
    struct stat st;
    CHECK_EQ_INT(stat(path, &st), 0);
    CHECK_EQ_INT(st.st_mode & 0777, 0600);
    CHECK_EQ_INT(ADIT("login", "other.example.com", "--token", "adit_2"), CLI_OK);
    CHECK_EQ_INT(agent_login_read(path, &l), 0);
    CHECK_STR(l.server, "other.example.com");
    CHECK_EQ_INT(ADIT("logout"), CLI_OK);
    CHECK_EQ_INT(agent_login_read(path, &l), E_NOT_FOUND);
    CHECK_EQ_INT(ADIT("logout"), CLI_OK);
}

static void refuses_what_others_can_read(void)
{
    struct agent_login l;
    CHECK_EQ_INT(ADIT("login", "tunnel.example.com", "--token", "adit_k"), CLI_OK);
    CHECK_EQ_INT(chmod(path, 0644), 0);
    CHECK_EQ_INT(agent_login_read(path, &l), E_DENIED);
    CHECK_EQ_INT(ADIT("3000"), CLI_FAILURE);
    CHECK(contains(captured_err, "others can read it"));
    CHECK_EQ_INT(chmod(path, 0600), 0);
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    (void)fputs("token: x\n", f);
    (void)fclose(f);
    CHECK_EQ_INT(agent_login_read(path, &l), E_INVALID);
}

static void refuses_bad_words(void)
{
    CHECK_EQ_INT(ADIT("login", "*.example.com", "--token", "x"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("login", "tunnel.example.com", "--token", "a b"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("login"), CLI_USAGE);
}

static void cleanup(void)
{
    char command[160];
    (void)snprintf(command, sizeof(command), "rm -r %s", home);
    CHECK_EQ_INT(system(command), 0);
}

TAP_MAIN(setup, keeps_and_forgets, refuses_what_others_can_read, refuses_bad_words, cleanup)
