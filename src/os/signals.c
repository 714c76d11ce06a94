// SPDX-License-Identifier: Apache-2.0
//
// Signals by signalfd(2) (os/signals.h).

#include "os/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"

static void make_set(sigset_t *set, const int *signals)
{
    (void)sigemptyset(set);
    for (const int *s = signals; *s != 0; s++) {
        ensure(sigaddset(set, *s) == 0);
    }
}

int os_signals_open(const int *signals)
{
    sigset_t set;
    make_set(&set, signals);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    ensure(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    return fd;
}

int os_signals_take(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

bool os_terminal_is_gone(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}
