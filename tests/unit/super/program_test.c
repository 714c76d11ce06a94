// SPDX-License-Identifier: Apache-2.0
//
// Which programs may take the edge over.

#include "super/program.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "ipc/messages.h"

#include "tap.h"

static char buffer[2048];

static int open_it(const char *path)
{
    struct text why = text_on(buffer, sizeof buffer - 1);
    int fd = program_open(path, &why);
    buffer[why.len] = '\0';
    CHECK(fd >= 0 || why.len > 0);
    return fd;
}

static void our_own_is_known_and_good(void)
{
    char path[IPC_PATH_MAX];
    program_own_path(path, sizeof path);
    CHECK(path[0] == '/');
    CHECK(strstr(path, "program") != NULL);
    int fd = open_it("/bin/true");
    CHECK(fd > IPC_CHANNEL);
    CHECK_EQ_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    (void)close(fd);
}

static void what_cannot_be_run_is_refused(void)
{
    CHECK_EQ_INT(open_it("/etc/passwd"), E_INVALID);
    CHECK_EQ_INT(open_it("/tmp"), E_INVALID);
    CHECK_EQ_INT(open_it("/dev/null"), E_INVALID);
    CHECK_EQ_INT(open_it("/no/such/file"), E_NOT_FOUND);
    CHECK_EQ_INT(open_it("bin/true"), E_INVALID);
    CHECK_EQ_INT(open_it(""), E_INVALID);
}

static void what_others_can_write_is_refused(void)
{
    char path[] = "/tmp/adit-program-test.XXXXXX";
    int made = mkstemp(path);
    REQUIRE(made >= 0);
    static const struct {
        mode_t mode;
        int error;
    } rows[] = {{0755, 0}, {0700, 0}, {0644, E_INVALID}, {0775, E_DENIED}, {0757, E_DENIED}};
    for (size_t i = 0; i < array_len(rows); i++) {
        CHECK(fchmod(made, rows[i].mode) == 0);
        int fd = open_it(path);
        CHECK_EQ_INT(fd < 0 ? fd : 0, rows[i].error);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (geteuid() == 0) {
        CHECK(fchmod(made, 0755) == 0);
        CHECK(fchown(made, 65534, 65534) == 0);
        CHECK_EQ_INT(open_it(path), E_DENIED);
    }
    (void)close(made);
    (void)unlink(path);
}

TAP_MAIN(our_own_is_known_and_good, what_cannot_be_run_is_refused, what_others_can_write_is_refused)
