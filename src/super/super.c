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
#include "os/signals.h"
#include "super/program.h"
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

void super_end_when_drained(struct super *s)
{
    if (s->worker.pid == 0 && old_count(s) == 0 && s->exit_code == SUPER_RUNNING) {
        s->exit_code = SUPER_EXIT_OK;
    }
}

static void log_limit(uint64_t limit_ms)
{
    enum { MS_PER_S = 1000 };
    bool whole = limit_ms % MS_PER_S == 0;
    log_line(LOG_INFO, "stopping: waiting up to %llu %s for what is under way",
             (unsigned long long)(whole ? limit_ms / MS_PER_S : limit_ms), whole ? "s" : "ms");
}

static void begin_drain(struct super *s)
{
    upgrade_drop(s, "the edge is stopping");
    s->draining = true;
    uint64_t limit = s->now.plan.drain_ms;
    s->drain_end_ms = os_clock_ms() + limit + DRAIN_GRACE_MS;
    log_limit(limit);
    (void)manager_tell(s, os_clock_ms()); // an idle worker may have ended before the next turn
    struct ipc_message m;
    ipc_init(&m, IPC_drain);
    m.u.drain.limit_ms = limit;
    m.u.drain.patient = IPC_DRAIN_AT_ONCE;
    child_send(&s->worker, &m, NULL, 0);
    old_drain_all(s, limit);
    // Ours only: the worker takes what waits in the queues before it closes its own.
    listeners_close(&s->listeners);
    ports_close(&s->ports);
    super_end_when_drained(s);
}

void super_stop(struct super *s)
{
    if (proving(s)) {                  // who still serves is the program before
        (void)kill(getpid(), SIGTERM); // blocked: it is found there
        takeover_back(s, "the edge is stopping");
    }
    if (s->draining || !s->served) {
        s->exit_code = SUPER_EXIT_OK;
    } else {
        begin_drain(s);
    }
}

/** HUP means reload, but not when it says that the terminal which we were started in has gone: from
 * the kernel, or passed on by the shell there. */
static bool is_hangup(const struct super *s, const struct signalfd_siginfo *info)
{
    if (info->ssi_signo != SIGHUP || s->outlives_terminal) {
        return false;
    }
    bool from_shell = s->terminal >= 0 && info->ssi_pid == (uint32_t)getsid(0);
    return info->ssi_code == SI_KERNEL || (from_shell && os_terminal_is_gone(s->terminal));
}

static void on_signal(struct super *s, const struct signalfd_siginfo *info)
{
    if (is_hangup(s, info)) {
        super_stop(s);
        return;
    }
    switch (info->ssi_signo) {
    case SIGTERM:
    case SIGINT:
        super_stop(s);
        break;
    case SIGHUP:
        if (proving(s)) {
            s->upgrade.held |= UINT64_C(1) << SIGHUP;
        } else if (s->served && !s->draining) {
            struct ipc_message m;
            ipc_init(&m, IPC_load);
            s->files_left = FILES_PER_LOAD;
            child_send(&s->keeper, &m, NULL, 0);
        }
        break;
    case SIGUSR1:
        super_reopen_logs(s);
        break;
    case SIGUSR2:
        if (!proving(s)) {
            upgrade_request(s, "", -1);
        }
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
        if (upgrade_ended(s, pid, status)) {
            continue;
        }
        if (old_ended(s, pid, status)) {
            if (s->draining) {
                super_end_when_drained(s);
            }
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
            on_signal(s, &info);
        }
    }
}

// Milliseconds until something is due, -1 when nothing is.
static int next_due(struct super *s, uint64_t now)
{
    uint64_t due = num_min_u64(hooks_expire(&s->hooks, now), old_expire(s, now));
    due = num_min_u64(due, upgrade_go_on(s, now));
    due = s->worker.restart_at_ms != 0 ? num_min_u64(due, s->worker.restart_at_ms) : due;
    due = s->keeper.restart_at_ms != 0 ? num_min_u64(due, s->keeper.restart_at_ms) : due;
    due = s->draining ? num_min_u64(due, s->drain_end_ms) : due;
    due = s->renewal.sent ? num_min_u64(due, s->renewal.end_ms) : due;
    due = s->applying && !proving(s) ? num_min_u64(due, s->apply_end_ms) : due;
    due = num_min_u64(due, manager_tell(s, now));
    if (due == UINT64_MAX) {
        return -1;
    }
    return due > now ? (int)num_min_u64(due - now, INT32_MAX) : 0;
}

static void on_time(struct super *s)
{
    uint64_t now = os_clock_ms();
    if (s->upgrade.step == UPGRADE_LEAVING && (now >= s->upgrade.end_ms || old_have_left(s))) {
        takeover_left(s);
    }
    if (proving(s) && now >= s->upgrade.end_ms) {
        takeover_back(s, "the new worker was not ready in time");
    }
    if (s->draining && now >= s->drain_end_ms) {
        log_line(LOG_WARN, "stopping: the drain limit has passed, what is left is cut");
        s->exit_code = SUPER_EXIT_OK;
        return;
    }
    bool hangs = s->applying && !proving(s) && now >= s->apply_end_ms;
    if (hangs || (s->renewal.sent && now >= s->renewal.end_ms)) {
        log_line(LOG_ERROR,
                 "worker: hangs: it has not taken up the configuration in %d s, ending it",
                 APPLY_LIMIT_MS / 1000);
        s->apply_end_ms = UINT64_MAX;
        s->renewal.end_ms = UINT64_MAX;
        child_kill(&s->worker);
    }
    if (!s->draining && s->worker.restart_at_ms != 0 && now >= s->worker.restart_at_ms) {
        super_start_worker(s, &s->now);
    }
    if (s->keeper.restart_at_ms != 0 && now >= s->keeper.restart_at_ms) {
        super_start_keeper(s);
    }
}

static struct pollfd readable(int fd)
{
    return (struct pollfd){.fd = fd, .events = POLLIN};
}

// What old workers say; not while an upgrade is proved, for then it is for the program before, should
// it come back, and so are the descriptors of those that end.
static void discard_old(struct super *s, const struct pollfd p[OLD_WORKERS_MAX])
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (p[i].revents != 0 && p[i].fd == s->old[i].child.channel) {
            old_discard(&s->old[i]);
        }
    }
}

static void turn(struct super *s)
{
    enum { HOOKS = 4, OLD = HOOKS + HOOKS_MAX };
    int due = next_due(s, os_clock_ms());
    struct pollfd p[OLD + OLD_WORKERS_MAX] = {
        readable(s->signals),
        readable(s->worker.channel),
        readable(s->keeper.channel),
        readable(s->upgrade.output),
    };
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        const struct hook *h = &s->hooks.at[i];
        p[HOOKS + i] = readable(h->pid != 0 ? h->output : -1);
    }
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        const struct old_worker *o = &s->old[i];
        p[OLD + i] = readable(proving(s) ? -1 : o->child.channel);
    }
    int n = s->exit_code == SUPER_RUNNING ? poll(p, array_len(p), due) : 0;
    if (n > 0 && p[1].revents != 0 && p[1].fd == s->worker.channel) {
        take_message(s, &s->worker);
    }
    if (n > 0 && p[2].revents != 0 && p[2].fd == s->keeper.channel) {
        take_message(s, &s->keeper);
    }
    if (n > 0 && p[3].revents != 0 && p[3].fd == s->upgrade.output) {
        upgrade_read(s);
    }
    for (size_t i = 0; n > 0 && i < HOOKS_MAX; i++) {
        if (p[HOOKS + i].revents != 0) {
            hooks_read(&s->hooks.at[i]);
        }
    }
    if (n > 0) {
        discard_old(s, &p[OLD]);
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
    static const int taken[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
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
    s->state = super_state_open(s->state_path, &s->keeper_identity, &why);
    if (s->state < 0) {
        log_line(LOG_WARN, "no state directory: %.*s", (int)why.len, why.ptr);
    }
}

struct super *super_begin(const struct super_options *options)
{
    static struct super super;
    struct super *s = &super;
    *s = (struct super){
        .options = options,
        .exe = -1,
        .exit_code = SUPER_RUNNING,
        .now = edition_none,
        .next = edition_none,
        .news = news_none,
        .renewal = {.fd = -1},
        .counters = -1,
        .tunnels = -1,
        .tunnels_before = -1,
        .control = -1,
        .state = -1,
        .upgrade = upgrade_none,
        .started_wall_ms = os_clock_wall_ms(),
    };
    panic_install("supervisor");
    child_init(&s->keeper, IPC_KEEPER, KEEPER_ARGV0);
    child_init(&s->worker, IPC_WORKER, WORKER_ARGV0);
    old_init(s);
    const char *trouble = NULL;
    if (!hold_low_descriptors()) {
        trouble = "cannot open /dev/null";
    } else if ((s->signals = open_signals()) < 0) {
        trouble = "cannot watch signals";
    } else if (os_identity_find("", &s->keeper_identity) != 0) {
        trouble = "started as root, but there is neither a user `adit` nor `nobody` to run as";
    }
    if (trouble != NULL) {
        super_give_up(s, SUPER_EXIT_FAILURE, trouble);
        return NULL;
    }
    s->descriptors = os_raise_descriptors();
    s->listeners.ports = &s->ports;
    if (ports_init(&s->ports, ports_limit(s->descriptors)) != 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "no memory for the ports of tunnels");
        return NULL;
    }
    struct sigaction hup;
    s->outlives_terminal = sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler == SIG_IGN;
    bool shown = getsid(0) != getpid() && isatty(STDERR_FILENO) == 1;
    s->terminal = shown ? STDERR_FILENO : -1;
    manager_begin(&s->manager);
    return s;
}

static void end(struct super *s)
{
    hooks_kill(&s->hooks);
    if (s->worker.pid > 0) {
        child_kill(&s->worker);
        (void)waitpid(s->worker.pid, NULL, 0);
    }
    old_kill(s);
    super_end_keeper(s);
    listeners_close(&s->listeners);
    ports_close(&s->ports);
    edition_close(&s->now);
    edition_close(&s->next);
    news_close(&s->news);
    tunnels_close(s);
    if (s->control_path[0] != '\0') {
        (void)unlink(s->control_path);
    }
}

int super_loop(struct super *s)
{
    while (s->exit_code == SUPER_RUNNING) {
        turn(s);
    }
    end(s);
    return s->exit_code;
}

int super_run(const struct super_options *options)
{
    struct super *s = super_begin(options);
    if (s == NULL) {
        return SUPER_EXIT_FAILURE;
    }
    s->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (s->exe < 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "cannot open /proc/self/exe: is /proc mounted?");
        return SUPER_EXIT_FAILURE;
    }
    program_own_path(s->exe_path, sizeof s->exe_path);
    open_state(s);
    super_start_keeper(s);
    return super_loop(s);
}
