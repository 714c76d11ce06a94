// SPDX-License-Identifier: Apache-2.0
//
// Words to a service manager: over a path, over a name without one, to nobody, and to one that does
// not listen.

#include "os/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

static int listen_as(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, strlen(name));
    at.sun_path[0] = name[0] == '@' ? '\0' : name[0];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&at, len) == 0;
    return ok && setenv("NOTIFY_SOCKET", name, 1) == 0 ? fd : -1;
}

static void check_arrives(int fd)
{
    char got[64];
    REQUIRE(fd >= 0);
    CHECK(os_notify(SLICE("READY=1\nSTATUS=here\n")));
    ssize_t n = recv(fd, got, sizeof(got), 0);
    REQUIRE(n > 0);
    CHECK_TEXT(got, (size_t)n, "READY=1\nSTATUS=here\n");
}

static void arrives_by_a_path(void)
{
    char folder[] = "/tmp/adit-notify-XXXXXX";
    REQUIRE(mkdtemp(folder) != NULL);
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    int fd = listen_as(path);
    check_arrives(fd);
    (void)close(fd);
    CHECK(!os_notify(SLICE("READY=1"))); // nobody reads it any more
    CHECK_EQ_INT(unlink(path), 0);
    CHECK(!os_notify(SLICE("READY=1")));
    CHECK_EQ_INT(rmdir(folder), 0);
}

static void arrives_by_a_name(void)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "@adit-notify-%d", (int)getpid());
    int fd = listen_as(name);
    check_arrives(fd);
    (void)close(fd);
}

static void nobody_is_no_failure(void)
{
    CHECK_EQ_INT(unsetenv("NOTIFY_SOCKET"), 0);
    CHECK(os_notify(SLICE("READY=1")));
    static const char *const odd[] = {"", "@", "relative", "vsock:2:1234"};
    for (size_t i = 0; i < array_len(odd); i++) {
        CHECK_EQ_INT(setenv("NOTIFY_SOCKET", odd[i], 1), 0);
        CHECK(os_notify(SLICE("READY=1")));
    }
    char path[200] = "/";
    memset(path + 1, 'x', sizeof(path) - 2);
    CHECK_EQ_INT(setenv("NOTIFY_SOCKET", path, 1), 0);
    CHECK(os_notify(SLICE("READY=1")));
}

static void patience_is_for_one_process(void)
{
    static const struct {
        const char *patience;
        const char *whom; // NULL: this process
        uint64_t ms;
    } cases[] = {
        {"20000000", NULL, 20000}, {"20000000", "1", 0}, {"20000000", "x", 0}, {"", NULL, 0},
        {"-1", NULL, 0},           {"1e6", NULL, 0},
    };
    char own[16];
    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    for (size_t i = 0; i < array_len(cases); i++) {
        CHECK_EQ_INT(setenv("WATCHDOG_USEC", cases[i].patience, 1), 0);
        CHECK_EQ_INT(setenv("WATCHDOG_PID", cases[i].whom != NULL ? cases[i].whom : own, 1), 0);
        CHECK_EQ_INT(os_notify_patience_ms(), cases[i].ms);
    }
    CHECK_EQ_INT(unsetenv("WATCHDOG_PID"), 0);
    CHECK_EQ_INT(setenv("WATCHDOG_USEC", "3000000", 1), 0);
    CHECK_EQ_INT(os_notify_patience_ms(), 3000);
    CHECK_EQ_INT(unsetenv("WATCHDOG_USEC"), 0);
    CHECK_EQ_INT(os_notify_patience_ms(), 0);
}

TAP_MAIN(arrives_by_a_path, arrives_by_a_name, nobody_is_no_failure, patience_is_for_one_process)
