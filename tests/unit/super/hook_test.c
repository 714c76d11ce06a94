// SPDX-License-Identifier: Apache-2.0
//
// Hooks: what they are given, how their end is told, what is not run.

#include "super/hook.h"

#include <poll.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "os/clock.h"

#include "tap.h"

static struct hooks hooks;
static char path[] = "/tmp/adit-hook-XXXXXX";
static char reason[IPC_TEXT_MAX];
static struct os_identity me;

static void setup(void)
{
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    (void)close(fd);
    me = (struct os_identity){false, geteuid(), getegid()};
}

static int start(const char *script, const char *domain, const char *value)
{
    FILE *f = fopen(path, "we");
    REQUIRE(f != NULL);
    (void)fputs(script, f);
    (void)fclose(f);
    (void)chmod(path, 0700);
    struct ipc_hook_request r = {.number = 7, .action = IPC_HOOK_PRESENT};
    ipc_set_text(r.command, sizeof r.command, slice_str(path));
    ipc_set_text(r.domain, sizeof r.domain, slice_str(domain));
    ipc_set_text(r.value, sizeof r.value, slice_str(value));
    struct text why = text_on(reason, sizeof reason - 1);
    int error = hooks_start(&hooks, &r, &me, os_clock_ms(), &why);
    reason[why.len] = '\0';
    return error;
}

static struct ipc_hook wait_end(void)
{
    struct ipc_hook answer = {0};
    struct hook *one = &hooks.at[0];
    pid_t pid = one->pid;
    while (one->output >= 0) {
        struct pollfd p = {.fd = one->output, .events = POLLIN};
        if (poll(&p, 1, 10000) <= 0) {
            break;
        }
        hooks_read(one);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(hooks_ended(&hooks, pid, status, &answer));
    CHECK_EQ_INT(hooks.at[0].pid, 0);
    return answer;
}

static void it_is_told_what_to_do(void)
{
    REQUIRE(start("#!/bin/sh\necho \"$#:$1:$2:$3\"\necho $ADIT_ACTION $ADIT_NAME $ADIT_VALUE "
                  "$ADIT_DOMAIN >&2\n",
                  "example.com", "abc_-X") == 0);
    struct ipc_hook answer = wait_end();
    CHECK_EQ_INT(answer.error, 0);
    CHECK_EQ_INT(answer.number, 7);
    CHECK_STR(answer.text, ": 3:present:_acme-challenge.example.com:abc_-X present "
                           "_acme-challenge.example.com abc_-X example.com ");
}

static void its_failure_is_explained(void)
{
    REQUIRE(start("#!/bin/sh\necho no such zone\nexit 3\n", "example.com", "x") == 0);
    struct ipc_hook answer = wait_end();
    CHECK(answer.error != 0);
    CHECK_STR(answer.text, "exit code 3: no such zone ");
    REQUIRE(start("#!/no/such/interpreter\n", "example.com", "x") == 0);
    answer = wait_end();
    CHECK(answer.error != 0);
    CHECK(strstr(answer.text, "127") != NULL);
    REQUIRE(start("#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 10; do "
                  "printf '%0200d' $i; done\nkill -9 $$\n",
                  "example.com", "x") == 0);
    answer = wait_end();
    CHECK(strstr(answer.text, "signal 9") != NULL);
    CHECK(strlen(answer.text) < 700);
}

static void one_that_hangs_is_ended(void)
{
    REQUIRE(start("#!/bin/sh\nsleep 1000\n", "example.com", "x") == 0);
    CHECK(hooks_expire(&hooks, os_clock_ms()) < UINT64_MAX);
    CHECK(hooks_expire(&hooks, os_clock_ms() + HOOK_LIMIT_MS + 1) == UINT64_MAX);
    struct ipc_hook answer = wait_end();
    CHECK(strstr(answer.text, "longer than 300 s") != NULL);
    REQUIRE(start("#!/bin/sh\nsleep 1000\n", "example.com", "x") == 0);
    hooks_kill(&hooks);
    CHECK_EQ_INT(hooks.at[0].pid, 0);
}

static void what_others_can_change_is_not_run(void)
{
    struct ipc_hook_request r = {.domain = "example.com", .value = "x"};
    ipc_set_text(r.command, sizeof r.command, slice_str(path));
    struct text why = text_on(reason, sizeof reason - 1);
    (void)chmod(path, 0777);
    CHECK_EQ_INT(hooks_start(&hooks, &r, &me, 0, &why), E_DENIED);
    (void)chmod(path, 0600);
    CHECK_EQ_INT(hooks_start(&hooks, &r, &me, 0, &why), E_INVALID);
    ipc_set_text(r.command, sizeof r.command, SLICE("hook"));
    CHECK_EQ_INT(hooks_start(&hooks, &r, &me, 0, &why), E_INVALID);
    ipc_set_text(r.command, sizeof r.command, SLICE("/no/such/hook"));
    CHECK_EQ_INT(hooks_start(&hooks, &r, &me, 0, &why), E_NOT_FOUND);
}

static void arguments_have_a_form(void)
{
    static const char *const bad[] = {"", "-rf", "a b", "a;b", "../x", "A.test", "a$b", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ_INT(start("#!/bin/sh\n", bad[i], "x"), E_INVALID);
    }
    CHECK_EQ_INT(start("#!/bin/sh\n", "example.com", "x y"), E_INVALID);
    CHECK_EQ_INT(start("#!/bin/sh\n", "example.com", ""), E_INVALID);
    REQUIRE(start("#!/bin/sh\n", "example.com", "-x") == 0); // a digest may begin so
    CHECK_EQ_INT(wait_end().error, 0);
    struct ipc_hook answer;
    CHECK(!hooks_ended(&hooks, 1, 0, &answer));
    (void)unlink(path);
}

TAP_MAIN(setup, it_is_told_what_to_do, its_failure_is_explained, one_that_hangs_is_ended,
         what_others_can_change_is_not_run, arguments_have_a_form)
