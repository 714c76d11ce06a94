// SPDX-License-Identifier: Apache-2.0
//
// Starting children and the policy of restarts.
//
// A child is a fresh execution of our own program, not a bare fork: every worker gets an address
// space layout and stack canaries of its own, so that what an attacker learns from one crash is
// worthless against the next worker, and nothing of the supervisor's memory is in it. It costs a few
// milliseconds per start. The program is executed through a descriptor that was opened at our start,
// so replacing the file on disk does not mix two versions.

#include "super/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "obs/log.h"
#include "os/fdpass.h"

extern char **environ;

enum { CHILD_ENV_MAX = 16, CHILD_EXEC_FAILED = 127 };

// All that a worker may see of our environment: what the runtimes of sanitizers and coverage read.
static const char *const worker_environment[] = {
    "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=",
    "TSAN_OPTIONS=", "GCOV_PREFIX=",   "GCOV_PREFIX_STRIP=",
};

void child_init(struct child *c, enum ipc_peer role, const char *argv0)
{
    *c = (struct child){.role = role, .argv0 = argv0, .channel = -1};
}

static char **choose_environment(enum ipc_peer role, char *chosen[CHILD_ENV_MAX + 1])
{
    if (role == IPC_KEEPER) {
        return environ; // $env(NAME) in a configuration
    }
    size_t count = 0;
    for (char **e = environ; *e != NULL && count < CHILD_ENV_MAX; e++) {
        for (size_t i = 0; i < array_len(worker_environment); i++) {
            if (strncmp(*e, worker_environment[i], strlen(worker_environment[i])) == 0) {
                chosen[count++] = *e;
                break;
            }
        }
    }
    chosen[count] = NULL;
    return chosen;
}

static _Noreturn void become(const struct child *c, int exe, int channel)
{
    char argv0[32];
    ipc_set_text(argv0, sizeof argv0, slice_str(c->argv0));
    char *argv[] = {argv0, NULL};
    char *chosen[CHILD_ENV_MAX + 1];
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    // Repeated after the drop of privileges, which resets it.
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    bool placed = channel == IPC_CHANNEL ? fcntl(channel, F_SETFD, 0) == 0
                                         : dup2(channel, IPC_CHANNEL) == IPC_CHANNEL;
    if (placed) {
        (void)execveat(exe, "", argv, choose_environment(c->role, chosen), AT_EMPTY_PATH);
    }
    _exit(CHILD_EXEC_FAILED);
}

int child_start(struct child *c, int exe, uint64_t now_ms)
{
    ensure(c->pid == 0);
    ensure(c->channel == -1);
    // Descriptor 3 of the child is free for the channel because the supervisor keeps `exe` above it.
    ensure(exe > IPC_CHANNEL);
    int ends[2];
    int error = fdpass_pair(ends);
    if (error != 0) {
        return error;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(c, exe, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return error_from_errno(errno);
    }
    c->pid = pid;
    c->channel = ends[0];
    c->ready = false;
    c->starts++;
    c->started_ms = now_ms;
    c->restart_at_ms = 0;
    return 0;
}

int64_t child_died(struct child *c, uint64_t now_ms)
{
    c->pid = 0;
    if (c->channel >= 0) {
        (void)close(c->channel);
        c->channel = -1;
    }
    if (now_ms - c->started_ms >= CHILD_PEACE_MS) {
        c->deaths = 0;
    }
    c->deaths++;
    if (c->deaths >= CHILD_GIVE_UP) {
        return -1;
    }
    int64_t delay = 0;
    if (c->deaths > CHILD_AT_ONCE) {
        delay = (int64_t)CHILD_BACKOFF_FIRST_MS << (c->deaths - CHILD_AT_ONCE - 1);
        delay = delay < CHILD_BACKOFF_LAST_MS ? delay : CHILD_BACKOFF_LAST_MS;
    }
    c->restart_at_ms = now_ms + (uint64_t)delay;
    return delay;
}

void child_kill(struct child *c)
{
    if (c->pid > 0) {
        (void)kill(c->pid, SIGKILL);
    }
}

void child_send(struct child *c, const struct ipc_message *m, const int *fds, unsigned count)
{
    if (c->channel < 0) {
        return;
    }
    int error = ipc_send(c->channel, m, fds, count);
    if (error != 0 && error != E_RESET) { // E_RESET: it is dead already, the reaper will say so
        log_line(LOG_ERROR, "supervisor: %s does not take messages (%s), ending it", c->argv0,
                 error_text(error));
        child_kill(c);
    }
}
