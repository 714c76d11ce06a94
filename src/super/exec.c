// SPDX-License-Identifier: Apache-2.0
//
// Executing a program that goes on with our descriptors (super/exec.h).

#include "super/exec.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "super/handover.h"

extern char **environ;

static void set_keep(void *arg, int fd)
{
    const bool *keep = arg;
    if (fd > STDERR_FILENO) {
        (void)fcntl(fd, F_SETFD, *keep ? 0 : FD_CLOEXEC);
    }
}

void exec_keep(const struct handover *h, bool keep)
{
    handover_each_fd(h, set_keep, &keep);
}

void exec_program(int program, const char *what, const struct handover *h, int state, int reason)
{
    char name[] = SUPERVISOR_ARGV0;
    char order[16];
    char number[16];
    char why[16] = "";
    (void)snprintf(order, sizeof order, "%s", what);
    (void)snprintf(number, sizeof number, "%d", state);
    if (reason >= 0) {
        (void)snprintf(why, sizeof why, "%d", reason);
    }
    bool keep = true;
    exec_keep(h, keep);
    set_keep(&keep, state);
    set_keep(&keep, reason);
    char *argv[] = {name, order, number, reason >= 0 ? why : NULL, NULL};
    (void)execveat(program, "", argv, environ, AT_EMPTY_PATH);
    keep = false;
    exec_keep(h, keep);
    set_keep(&keep, state);
    set_keep(&keep, reason);
}
