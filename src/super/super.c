// SPDX-License-Identifier: Apache-2.0
//
// The supervisor's loop: signals, the messages of its children, what is due, the end. What the
// messages mean is in keeper_side.c, worker_side.c, editions.c and renewal.c.

#include "super/super.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "obs/log.h"
#include "obs/panic.h"
#include "os/clock.h"
#include "super/super_int.h"

enum { DRAIN_GRACE_MS = 2000 }; // after the drain limit, for the worker to say goodbye

void super_give_up(struct super *s, int code, const char *why)
{
    (void)fprintf(stderr, "adit: %s\n", why);
    if (s->exit_code == SUPER_RUNNING) {
        s->exit_code = code;
    }
}

// ---- events -------------------------------------------------------------------------------------

static void take_message(struct super *s, struct child *c)
{
    struct ipc_message m;
    struct ipc_fds fds;
    int error = ipc_recv(c->channel, c->role, &m, &fds, 0);
    if (error == E_AGAIN) {
        return;
    }
    if (error == E_EOF) { // its exit status will say more
        (void)close(c->channel);
        c->channel = -1;
        return;
    }
    if (error != 0) {
        log_line(LOG_ERROR, "supervisor: %s sent a malformed message, ending it", c->argv0);
        child_kill(c);
        return;
    }
    if (c->role == IPC_KEEPER) {
        super_on_keeper(s, &m, &fds);
    } else {
        super_on_worker(s, &m);
    }
    ipc_drop(&fds);
}

static void begin_drain(struct super *s)
{
    s->draining = true;
    if (s->worker.pid == 0) {
        s->exit_code = SUPER_EXIT_OK;
        return;
    }
    uint64_t limit = s->now.plan.drain_ms;
    s->drain_end_ms = os_clock_ms() + limit + DRAIN_GRACE_MS;
    log_line(LOG_INFO, "stopping: waiting up to %llu s for what is under way",
             (unsigned long long)(limit / 1000));
    struct ipc_message m;
    ipc_init(&m, IPC_drain);
    m.u.drain.limit_ms = limit;
    child_send(&s->worker, &m, NULL, 0);
    // Ours only: the worker takes what waits in the queues before it closes its own.
    listeners_close(&s->listeners);
}

static void on_signal(struct super *s, uint32_t number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT:
        if (s->draining || !s->served) {
            s->exit_code = SUPER_EXIT_OK;
        } else {
            begin_drain(s);
        }
        break;
    case SIGHUP:
        if (s->served && !s->draining) {
            struct ipc_message m;
            ipc_init(&m, IPC_load);
            s->files_left = FILES_PER_LOAD;
            child_send(&s->keeper, &m, NULL, 0);
        }
        break;
    case SIGUSR1:
        super_reopen_logs(s);
        break;
    default:
        break;
    }
}

// Messages that a dead child left in its channel come before the news of its death.
static void empty_channel(struct super *s, struct child *c, pid_t pid)
{
    for (int i = 0; i < IPC_LISTENERS_MAX && c->pid == pid && c->channel >= 0; i++) {
        take_message(s, c);
    }
}

static void log_exit(const struct child *c, pid_t pid, int status)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        log_line(LOG_ERROR, "%s died pid=%d signal=%d (%s)%s%s", c->argv0, pid, WTERMSIG(status),
                 name != NULL ? name : "?", WTERMSIG(status) == SIGSYS ? ", by its sandbox" : "",
                 WCOREDUMP(status) ? ", core file written" : "");
    } else if (WEXITSTATUS(status) != 0) {
        log_line(LOG_ERROR, "%s ended pid=%d code=%d", c->argv0, pid, WEXITSTATUS(status));
    }
}

static void reap(struct super *s)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) {
            return;
        }
        struct ipc_message m;
        ipc_init(&m, IPC_hook);
        if (hooks_ended(&s->hooks, pid, status, &m.u.hook)) {
            child_send(&s->keeper, &m, NULL, 0);
            continue;
        }
        struct child *c = pid == s->keeper.pid   ? &s->keeper
                          : pid == s->worker.pid ? &s->worker
                                                 : NULL;
        if (c == NULL) {
            continue; // its last words came before, another has taken over
        }
        empty_channel(s, c, pid);
        if (c->pid != pid) {
            continue;
        }
        log_exit(c, pid, status);
        if (c == &s->keeper) {
            super_on_keeper_gone(s);
        } else {
            super_on_worker_gone(s);
        }
    }
}

static void take_signals(struct super *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            reap(s);
        } else {
            on_signal(s, info.ssi_signo);
        }
    }
}

// Milliseconds until something is due, -1 when nothing is.
static int next_due(struct super *s, uint64_t now)
{
    uint64_t due = hooks_expire(&s->hooks, now);
    due = s->worker.restart_at_ms != 0 ? num_min_u64(due, s->worker.restart_at_ms) : due;
    due = s->keeper.restart_at_ms != 0 ? num_min_u64(due, s->keeper.restart_at_ms) : due;
    due = s->draining ? num_min_u64(due, s->drain_end_ms) : due;
    due = s->renewal.sent ? num_min_u64(due, s->renewal.end_ms) : due;
    due = s->applying ? num_min_u64(due, s->apply_end_ms) : due;
    if (due == UINT64_MAX) {
        return -1;
    }
    return due > now ? (int)num_min_u64(due - now, INT32_MAX) : 0;
}

static void on_time(struct super *s)
{
    uint64_t now = os_clock_ms();
    if (s->draining && now >= s->drain_end_ms) {
        log_line(LOG_WARN, "stopping: the drain limit has passed, what is left is cut");
        s->exit_code = SUPER_EXIT_OK;
        return;
    }
    if ((s->applying && now >= s->apply_end_ms) || (s->renewal.sent && now >= s->renewal.end_ms)) {
        log_line(LOG_ERROR,
                 "worker: hangs: it has not taken up the configuration in %d s, ending it",
                 APPLY_LIMIT_MS / 1000);
        s->apply_end_ms = UINT64_MAX;
        s->renewal.end_ms = UINT64_MAX;
        child_kill(&s->worker);
    }
    if (!s->draining && s->worker.restart_at_ms != 0 && now >= s->worker.restart_at_ms) {
        super_start_worker(s);
    }
    if (s->keeper.restart_at_ms != 0 && now >= s->keeper.restart_at_ms) {
        super_start_keeper(s);
    }
}

static void turn(struct super *s)
{
    struct pollfd p[3 + HOOKS_MAX] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = s->worker.channel, .events = POLLIN},
        {.fd = s->keeper.channel, .events = POLLIN},
    };
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        const struct hook *h = &s->hooks.at[i];
        p[3 + i] = (struct pollfd){.fd = h->pid != 0 ? h->output : -1, .events = POLLIN};
    }
    int n = poll(p, array_len(p), next_due(s, os_clock_ms()));
    if (n > 0 && p[1].revents != 0 && p[1].fd == s->worker.channel) {
        take_message(s, &s->worker);
    }
    if (n > 0 && p[2].revents != 0 && p[2].fd == s->keeper.channel) {
        take_message(s, &s->keeper);
    }
    for (size_t i = 0; n > 0 && i < HOOKS_MAX; i++) {
        if (p[3 + i].revents != 0) {
            hooks_read(&s->hooks.at[i]);
        }
    }
    if (n > 0 && p[0].revents != 0) {
        take_signals(s);
    }
    on_time(s);
}

// ---- begin and end ------------------------------------------------------------------------------

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    static const int taken[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    for (size_t i = 0; i < array_len(taken); i++) {
        (void)sigaddset(&set, taken[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

// Descriptors 0 to 3 must not be taken by anything of ours: they are what children begin with.
static bool hold_low_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd < IPC_CHANNEL);
    return fd >= 0; // one is left open on purpose when it is descriptor 3
}

// Without it everything works, but nothing that the keeper gets or makes outlives the edge; the
// keeper says so when there is something to keep.
static void open_state(struct super *s)
{
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    if (s->options->state == NULL) {
        super_state_default(s->state_path);
    } else {
        ipc_set_text(s->state_path, sizeof s->state_path, slice_str(s->options->state));
    }
    if (s->state_path[0] == '\0') {
        return;
    }
    s->state = state_open(s->state_path, &s->keeper_identity, &why);
    if (s->state < 0) {
        log_line(LOG_WARN, "no state directory: %.*s", (int)why.len, why.ptr);
    }
}

static bool begin(struct super *s)
{
    if (!hold_low_descriptors()) {
        super_give_up(s, SUPER_EXIT_FAILURE, "cannot open /dev/null");
        return false;
    }
    s->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    s->signals = open_signals();
    if (s->exe < 0 || s->signals < 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "cannot open /proc/self/exe: is /proc mounted?");
        return false;
    }
    if (os_identity_find("", &s->keeper_identity) != 0) {
        super_give_up(s, SUPER_EXIT_FAILURE,
                      "started as root, but there is neither a user `adit` nor "
                      "`nobody` to run as");
        return false;
    }
    s->descriptors = os_raise_descriptors();
    open_state(s);
    return true;
}

static void end(struct super *s)
{
    hooks_kill(&s->hooks);
    if (s->worker.pid > 0) {
        child_kill(&s->worker);
        (void)waitpid(s->worker.pid, NULL, 0);
    }
    super_end_keeper(s);
    listeners_close(&s->listeners);
    edition_close(&s->now);
    edition_close(&s->next);
    if (s->control_path[0] != '\0') {
        (void)unlink(s->control_path);
    }
}

int super_run(const struct super_options *options)
{
    static struct super super;
    struct super *s = &super;
    *s = (struct super){
        .options = options,
        .exit_code = SUPER_RUNNING,
        .now = edition_none,
        .next = edition_none,
        .renewal = {.fd = -1},
        .counters = -1,
        .control = -1,
        .state = -1,
        .started_wall_ms = os_clock_wall_ms(),
    };
    panic_install("supervisor");
    child_init(&s->keeper, IPC_KEEPER, KEEPER_ARGV0);
    child_init(&s->worker, IPC_WORKER, WORKER_ARGV0);
    if (begin(s)) {
        super_start_keeper(s);
    }
    while (s->exit_code == SUPER_RUNNING) {
        turn(s);
    }
    end(s);
    return s->exit_code;
}
