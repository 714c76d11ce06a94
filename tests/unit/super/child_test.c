// SPDX-License-Identifier: Apache-2.0
//
// When a child that died is started again, and when not any more.

#include "super/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/error.h"

#include "tap.h"

static void deaths_in_a_row_slow_the_restarts_down(void)
{
    static const int64_t delays[] = {0, 0, 0, 0, 0, 250, 500, 1000, 2000, 2000, 2000, -1};
    struct child c;
    child_init(&c, IPC_WORKER, WORKER_ARGV0);
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        c.started_ms = 1000;
        CHECK_EQ_INT(child_died(&c, 1010), delays[i]);
        CHECK_EQ_INT(c.restart_at_ms == 0, delays[i] < 0);
        c.restart_at_ms = 0;
    }
}

static void a_time_of_peace_is_forgiving(void)
{
    struct child c;
    child_init(&c, IPC_WORKER, WORKER_ARGV0);
    for (int i = 0; i < CHILD_GIVE_UP - 1; i++) {
        c.started_ms = 1000;
        (void)child_died(&c, 1010);
    }
    c.started_ms = 1000;
    CHECK_EQ_INT(child_died(&c, 1000 + CHILD_PEACE_MS), 0);
    CHECK_EQ_INT(c.deaths, 1);
}

static void a_child_has_a_channel_and_dies(void)
{
    int low = open("/bin/true", O_RDONLY | O_CLOEXEC);
    int exe = fcntl(low, F_DUPFD_CLOEXEC, 10);
    (void)close(low);
    struct child c;
    child_init(&c, IPC_WORKER, WORKER_ARGV0);
    REQUIRE(child_start(&c, exe, 5) == 0);
    CHECK(c.pid > 0);
    CHECK_EQ_INT(c.started_ms, 5);
    // The program ignores its channel and ends, which is seen as the end of the channel.
    struct ipc_message m;
    struct ipc_fds fds;
    CHECK_EQ_INT(ipc_recv(c.channel, IPC_WORKER, &m, &fds, 5000), E_EOF);
    int status = 1;
    CHECK(waitpid(c.pid, &status, 0) == c.pid);
    CHECK_EQ_INT(status, 0);
    (void)child_died(&c, 6);
    CHECK_EQ_INT(c.channel, -1);
    CHECK_EQ_INT(c.pid, 0);
    (void)close(exe);
}

static void a_worker_sees_almost_no_environment(void)
{
    int out[2];
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    (void)setenv("ADIT_TEST_SECRET", "hidden", 1);
    (void)setenv("TSAN_OPTIONS", "adit_test=1", 0);
    (void)fflush(NULL);
    int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    (void)dup2(out[1], STDOUT_FILENO);
    int low = open("/usr/bin/env", O_RDONLY | O_CLOEXEC);
    int exe = fcntl(low, F_DUPFD_CLOEXEC, 10);
    struct child c;
    child_init(&c, IPC_WORKER, WORKER_ARGV0);
    int error = child_start(&c, exe, 0);
    (void)dup2(saved, STDOUT_FILENO);
    (void)close(out[1]);
    REQUIRE(error == 0);
    char buffer[4096];
    size_t have = 0;
    ssize_t n;
    while ((n = read(out[0], buffer + have, sizeof buffer - 1 - have)) > 0) {
        have += (size_t)n;
    }
    buffer[have] = '\0';
    CHECK(strstr(buffer, "TSAN_OPTIONS=") != NULL);
    CHECK(strstr(buffer, "ADIT_TEST_SECRET") == NULL);
    CHECK(strstr(buffer, "PATH=") == NULL);
    (void)waitpid(c.pid, NULL, 0);
    (void)child_died(&c, 1);
    (void)close(exe);
    (void)close(low);
    (void)close(saved);
    (void)close(out[0]);
}

static void who_does_not_take_messages_is_killed(void)
{
    int low = open("/bin/sleep", O_RDONLY | O_CLOEXEC);
    int exe = fcntl(low, F_DUPFD_CLOEXEC, 10);
    (void)close(low);
    struct child c;
    child_init(&c, IPC_WORKER, WORKER_ARGV0);
    // A stopped process takes nothing.
    REQUIRE(child_start(&c, exe, 0) == 0);
    (void)kill(c.pid, SIGSTOP);
    struct ipc_message m;
    ipc_init(&m, IPC_drain);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDERR_FILENO);
    int status = 0;
    for (int i = 0; i < 100000 && waitpid(c.pid, &status, WNOHANG) == 0; i++) {
        child_send(&c, &m, NULL, 0);
    }
    (void)dup2(saved, STDERR_FILENO);
    // `sleep` without an argument may have ended by itself before it was stopped.
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WIFEXITED(status));
    (void)child_died(&c, 1);
    (void)close(saved);
    (void)close(null);
    (void)close(exe);
}

TAP_MAIN(deaths_in_a_row_slow_the_restarts_down, a_time_of_peace_is_forgiving,
         a_child_has_a_channel_and_dies, a_worker_sees_almost_no_environment,
         who_does_not_take_messages_is_killed)
