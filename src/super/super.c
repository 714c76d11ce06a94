// SPDX-License-Identifier: Apache-2.0
//
// The supervisor's loop: signals, the messages of keeper and worker, restarts, the end.
//
// Editions: a configuration as the keeper planned it, with what the supervisor opened for it. `now`
// is in force; `next` is being tried while `applying`. An edition becomes `now` when the worker has
// said that it runs it; until then its listeners and its log can be undone. The first edition is put
// in force at once, and if its worker does not come up there is no edge.
//
// A child's death is seen in two ways: its last words on the channel, sent before a core file is
// written, and its exit status. Whichever comes first starts the next one.

#include "super/super.h"

#include <errno.h>
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
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/panic.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/privileges.h"
#include "os/shared.h"
#include "super/child.h"
#include "super/files.h"
#include "super/hook.h"
#include "super/listeners.h"
#include "super/state.h"

enum {
    FILES_PER_LOAD = 65536, // requests the keeper may make for one configuration
    DRAIN_GRACE_MS = 2000,  // after the drain limit, for the worker to say goodbye
    APPLY_LIMIT_MS = 30000, // for a worker to take up a configuration; one that does not hangs
    KEEPER_GOODBYE_MS = 2000,
    RUNNING = -1, // not an exit code
};

struct edition {
    uint32_t generation; // 0: none
    int doc;
    int credentials; // -1: none came with it
    uint64_t credentials_number;
    int access;
    uint64_t loaded_wall_ms;
    struct ipc_plan plan;
};

static const struct edition no_edition = {.doc = -1, .credentials = -1, .access = -1};

// Credentials that came without a document, until the worker has taken them up.
struct renewal {
    int fd; // -1: none
    uint64_t number;
    bool sent;
    uint64_t end_ms;
};

struct super {
    const struct super_options *options;
    int exe;
    int signals;
    int exit_code; // RUNNING until the end is decided
    struct child keeper;
    struct child worker;
    struct listeners listeners;
    struct edition now;
    struct edition next;
    struct renewal renewal;
    struct hooks hooks;
    bool applying;
    uint64_t apply_end_ms;
    bool served; // a worker has been ready once
    bool draining;
    uint64_t drain_end_ms;
    uint32_t files_left; // requests the keeper may still make
    uint32_t planned;    // listeners announced for the coming plan
    struct ipc_listener plan_listeners[IPC_LISTENERS_MAX];
    struct os_identity keeper_identity;
    struct os_identity worker_identity;
    uint32_t cores;
    int counters;
    int control;
    int state; // directory, -1: none
    char state_path[STATE_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
    uint64_t started_wall_ms;
    uint64_t descriptors; // that a process may have
};

static void give_up(struct super *s, int code, const char *why)
{
    (void)fprintf(stderr, "adit: %s\n", why);
    if (s->exit_code == RUNNING) {
        s->exit_code = code;
    }
}

// ---- starting children --------------------------------------------------------------------------

static struct ipc_identity identity_message(const struct os_identity *who)
{
    return (struct ipc_identity){who->change, who->uid, who->gid};
}

static void send_doc(struct child *to, const struct edition *e)
{
    struct ipc_message m;
    ipc_init(&m, IPC_doc);
    m.u.doc.generation = e->generation;
    m.u.doc.credentials = e->credentials_number;
    int fds[2] = {e->doc, e->credentials};
    child_send(to, &m, fds, e->credentials >= 0 ? 2 : 1);
}

static void start_keeper(struct super *s)
{
    int error = child_start(&s->keeper, s->exe, os_clock_ms());
    if (error != 0) {
        give_up(s, SUPER_EXIT_FAILURE, "cannot start the keeper");
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_start_keeper);
    m.u.start_keeper.parent = getpid();
    m.u.start_keeper.load = s->now.generation == 0;
    m.u.start_keeper.identity = identity_message(&s->keeper_identity);
    ipc_set_text(m.u.start_keeper.path, IPC_PATH_MAX, slice_str(s->options->path));
    ipc_set_text(m.u.start_keeper.state, IPC_PATH_MAX, slice_str(s->state_path));
    int fds[2];
    unsigned count = 0;
    m.u.start_keeper.has_control = s->control >= 0;
    m.u.start_keeper.has_state = s->state >= 0;
    if (s->control >= 0) {
        fds[count++] = s->control;
    }
    if (s->state >= 0) {
        fds[count++] = s->state;
    }
    s->planned = 0;
    s->files_left = FILES_PER_LOAD;
    child_send(&s->keeper, &m, fds, count);
    if (s->now.generation != 0) {
        send_doc(&s->keeper, &s->now);
    }
}

static void send_listener(struct super *s, uint32_t index)
{
    const struct listener *l = &s->listeners.at[index];
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    m.u.listener.index = index;
    m.u.listener.backlog = l->backlog;
    m.u.listener.secure = l->secure;
    m.u.listener.addr = l->bound;
    child_send(&s->worker, &m, &l->fd, 1);
}

static void start_worker(struct super *s)
{
    int error = child_start(&s->worker, s->exe, os_clock_ms());
    if (error != 0) {
        give_up(s, SUPER_EXIT_FAILURE, "cannot start the worker");
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_start_worker);
    struct ipc_start_worker *w = &m.u.start_worker;
    w->parent = getpid();
    w->cores = s->cores;
    w->log_level = s->now.plan.log_level;
    w->connections = s->now.plan.connections;
    w->memory_bytes = s->now.plan.memory_bytes;
    w->identity = identity_message(&s->worker_identity);
    int fds[2] = {s->counters, s->now.access};
    child_send(&s->worker, &m, fds, s->now.access >= 0 ? 2 : 1);
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (s->listeners.at[i].used && !s->listeners.at[i].fresh) {
            send_listener(s, i);
        }
    }
    send_doc(&s->worker, &s->now);
}

// ---- credentials --------------------------------------------------------------------------------
// Those that came without a document are given to the worker and become the edition's when it says
// that it uses them. Should it die of them, the next one gets what was in force before.

static void tell_in_force(struct super *s, uint64_t number, int error, const char *why)
{
    struct ipc_message m;
    ipc_init(&m, IPC_in_force);
    m.u.in_force.number = number;
    m.u.in_force.error = error;
    ipc_set_text(m.u.in_force.text, IPC_TEXT_MAX, slice_str(why));
    child_send(&s->keeper, &m, NULL, 0);
}

static void send_renewal(struct super *s)
{
    struct renewal *r = &s->renewal;
    if (r->fd < 0 || r->sent || !s->worker.ready || s->applying) {
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_credentials);
    m.u.credentials.number = r->number;
    child_send(&s->worker, &m, &r->fd, 1);
    r->sent = true;
    r->end_ms = os_clock_ms() + APPLY_LIMIT_MS;
}

static void drop_renewal(struct super *s, int error, const char *why)
{
    if (s->renewal.fd < 0) {
        return;
    }
    (void)close(s->renewal.fd);
    uint64_t number = s->renewal.number;
    s->renewal = (struct renewal){.fd = -1};
    tell_in_force(s, number, error, why);
}

static void on_credentials(struct super *s, uint64_t number, struct ipc_fds *fds)
{
    if (s->now.generation == 0 || s->applying || s->draining) {
        tell_in_force(s, number, E_AGAIN, "not now");
        return;
    }
    drop_renewal(s, E_AGAIN, "newer ones came");
    s->renewal = (struct renewal){.fd = fds->fd[0], .number = number};
    fds->count = 0;
    send_renewal(s);
}

static void on_in_force(struct super *s, const struct ipc_in_force *r)
{
    if (s->renewal.fd < 0 || !s->renewal.sent || r->number != s->renewal.number) {
        return;
    }
    if (r->error != 0) {
        drop_renewal(s, r->error, r->text);
        return;
    }
    if (s->now.credentials >= 0) {
        (void)close(s->now.credentials);
    }
    s->now.credentials = s->renewal.fd;
    s->now.credentials_number = r->number;
    s->renewal = (struct renewal){.fd = -1};
    tell_in_force(s, r->number, 0, "");
}

// ---- editions -----------------------------------------------------------------------------------

static void edition_close(struct edition *e)
{
    if (e->doc >= 0) {
        (void)close(e->doc);
    }
    if (e->credentials >= 0) {
        (void)close(e->credentials);
    }
    if (e->access > STDERR_FILENO) {
        (void)close(e->access);
    }
    *e = no_edition;
}

static void tell_keeper(struct super *s, int error, uint32_t generation, struct slice why)
{
    struct ipc_message m;
    ipc_init(&m, IPC_result);
    m.u.result.error = error;
    m.u.result.generation = generation;
    ipc_set_text(m.u.result.text, IPC_TEXT_MAX, why);
    child_send(&s->keeper, &m, NULL, 0);
}

static void undo_next(struct super *s, int error, struct slice why)
{
    listeners_undo(&s->listeners);
    edition_close(&s->next);
    s->applying = false;
    tell_keeper(s, error, s->now.generation, why);
}

static void send_logs(struct super *s, const struct edition *e)
{
    struct ipc_message m;
    ipc_init(&m, IPC_logs);
    m.u.logs.log_level = e->plan.log_level;
    child_send(&s->worker, &m, &e->access, e->access >= 0 ? 1 : 0);
}

// The worker runs `next`: what only the old edition needed is closed.
static void commit_next(struct super *s)
{
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (s->listeners.at[i].used && !s->listeners.at[i].wanted) {
            struct ipc_message m;
            ipc_init(&m, IPC_unlisten);
            m.u.unlisten.index = i;
            child_send(&s->worker, &m, NULL, 0);
        }
    }
    listeners_commit(&s->listeners);
    edition_close(&s->now);
    s->now = s->next;
    s->next = no_edition;
    s->now.loaded_wall_ms = os_clock_wall_ms();
    s->applying = false;
    log_set_level((enum log_level)s->now.plan.log_level);
    listeners_tell(&s->listeners);
    log_line(LOG_INFO, "configuration in force generation=%u", s->now.generation);
    tell_keeper(s, 0, s->now.generation, SLICE(""));
}

// What is decided once, by the first configuration.
static int prepare_edge(struct super *s, struct text *why)
{
    const struct ipc_plan *plan = &s->next.plan;
    int error = os_identity_find(plan->user, &s->worker_identity);
    if (error != 0) {
        text_str(why, "user: ");
        text_str(why, plan->user[0] != '\0' ? plan->user : "adit, nobody");
        text_str(why, error == E_NOT_FOUND ? ": no such user"
                      : error == E_INVALID ? ": the worker must not run as root"
                                           : ": only root can run the worker as another user");
        return error;
    }
    error = files_open_control(plan, s->control_path, &s->control, why);
    if (error != 0) {
        return error;
    }
    s->cores = plan->workers != 0 ? plan->workers : os_cpu_count();
    s->cores = (uint32_t)num_min_u64(s->cores, IPC_CORES_MAX);
    s->counters = os_shared_make("adit-counters", counters_block_bytes(s->cores));
    if (s->counters < 0) {
        text_str(why, "no memory for counters");
        return s->counters;
    }
    if (s->control >= 0) {
        struct ipc_message m;
        ipc_init(&m, IPC_control);
        child_send(&s->keeper, &m, &s->control, 1);
    }
    return 0;
}

static void warn_fixed(const struct super *s)
{
    const struct ipc_plan *old = &s->now.plan;
    const struct ipc_plan *new = &s->next.plan;
    if (old->workers != new->workers || strcmp(old->user, new->user) != 0 ||
        old->control != new->control || strcmp(old->control_path, new->control_path) != 0 ||
        old->connections != new->connections || old->memory_bytes != new->memory_bytes) {
        log_line(LOG_WARN, "workers, user, control, connections and memory change when adit is "
                           "started again; the rest is taken over now");
    }
}

static int try_next(struct super *s, struct text *why)
{
    int error = listeners_try(&s->listeners, s->plan_listeners, s->planned, why);
    if (error == 0) {
        error = files_open_access(&s->next.plan, &s->next.access, why);
    }
    if (error == 0 && s->now.generation == 0) {
        error = prepare_edge(s, why);
    }
    return error;
}

static void put_first_in_force(struct super *s)
{
    listeners_commit(&s->listeners);
    s->now = s->next;
    s->next = no_edition;
    s->now.loaded_wall_ms = os_clock_wall_ms();
    log_set_level((enum log_level)s->now.plan.log_level);
    start_worker(s);
}

static bool plan_ok(const struct super *s, const struct ipc_plan *plan)
{
    return plan->listeners == s->planned && s->planned > 0 && plan->workers <= IPC_CORES_MAX &&
           plan->log_level <= LOG_ERROR && plan->access <= IPC_ACCESS_FILE &&
           plan->control <= IPC_CONTROL_PATH && plan->connections > 0;
}

static void on_plan(struct super *s, const struct ipc_plan *plan, struct ipc_fds *fds)
{
    if (s->applying || s->draining || !plan_ok(s, plan)) {
        s->planned = 0;
        tell_keeper(s, E_INVALID, s->now.generation,
                    s->draining ? SLICE("the edge is stopping") : SLICE("a plan was refused"));
        return;
    }
    drop_renewal(s, E_AGAIN, "a configuration came");
    s->next = (struct edition){
        .generation = s->now.generation + 1,
        .doc = fds->fd[0],
        .credentials = fds->count > 1 ? fds->fd[1] : -1,
        .credentials_number = plan->credentials,
        .access = -1,
        .plan = *plan,
    };
    fds->count = 0;
    s->applying = true;
    s->apply_end_ms = os_clock_ms() + APPLY_LIMIT_MS;
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    int error = try_next(s, &why);
    s->planned = 0;
    if (error != 0) {
        buffer[why.len] = '\0';
        if (s->now.generation == 0) {
            give_up(s, SUPER_EXIT_FAILURE, buffer);
        } else {
            log_line(LOG_ERROR, "reload refused: %s", buffer);
        }
        undo_next(s, error, text_slice(&why));
        return;
    }
    if (s->now.generation == 0) {
        put_first_in_force(s);
        return;
    }
    warn_fixed(s);
    send_logs(s, &s->next);
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (s->listeners.at[i].fresh) {
            send_listener(s, i);
        }
    }
    send_doc(&s->worker, &s->next);
}

// ---- what the keeper says -----------------------------------------------------------------------

static void on_file_request(struct super *s, const struct ipc_file_request *request)
{
    struct ipc_message m;
    ipc_init(&m, IPC_file);
    struct text why = text_on(m.u.file.text, IPC_TEXT_MAX - 1);
    int fd = E_DENIED;
    if (s->files_left > 0) {
        s->files_left--;
        bool built_in =
            s->options->text.ptr != NULL && strcmp(request->path, s->options->path) == 0;
        fd = built_in ? files_text(s->options->text) : files_open(request, &why);
    }
    m.u.file.error = fd < 0 ? fd : 0;
    child_send(&s->keeper, &m, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void on_status_request(struct super *s)
{
    struct ipc_message m;
    ipc_init(&m, IPC_status);
    struct ipc_status *status = &m.u.status;
    status->supervisor = getpid();
    status->keeper = s->keeper.pid;
    status->worker = s->worker.pid;
    status->cores = s->cores;
    status->generation = s->now.generation;
    status->worker_restarts = s->worker.starts > 0 ? s->worker.starts - 1 : 0;
    status->draining = s->draining;
    status->started_wall_ms = s->started_wall_ms;
    status->loaded_wall_ms = s->now.loaded_wall_ms;
    ipc_set_text(status->path, IPC_PATH_MAX, slice_str(s->options->path));
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        status->listeners += s->listeners.at[i].used;
    }
    child_send(&s->keeper, &m, &s->counters, s->counters >= 0 ? 1 : 0);
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        const struct listener *l = &s->listeners.at[i];
        if (!l->used) {
            continue;
        }
        ipc_init(&m, IPC_listener);
        m.u.listener.index = i;
        m.u.listener.backlog = l->backlog;
        m.u.listener.secure = l->secure;
        m.u.listener.addr = l->bound;
        child_send(&s->keeper, &m, NULL, 0);
    }
}

static void reopen_logs(struct super *s)
{
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    int fd = -1;
    if (s->now.generation == 0 || files_open_access(&s->now.plan, &fd, &why) != 0) {
        log_line(LOG_ERROR, "the access log stays as it is: %.*s", (int)why.len, why.ptr);
        return;
    }
    if (s->now.access > STDERR_FILENO) {
        (void)close(s->now.access);
    }
    s->now.access = fd;
    send_logs(s, &s->now);
}

static void on_hook_request(struct super *s, const struct ipc_hook_request *r)
{
    struct ipc_message m;
    ipc_init(&m, IPC_hook);
    struct text why = text_on(m.u.hook.text, IPC_TEXT_MAX - 1);
    int error = s->draining ? E_DRAINING
                            : hooks_start(&s->hooks, r, &s->keeper_identity, os_clock_ms(), &why);
    if (error != 0) {
        m.u.hook.number = r->number;
        m.u.hook.error = error;
        child_send(&s->keeper, &m, NULL, 0);
    }
}

static void on_keeper(struct super *s, const struct ipc_message *m, struct ipc_fds *fds)
{
    switch (m->type) {
    case IPC_load:
        s->files_left = FILES_PER_LOAD;
        s->planned = 0;
        break;
    case IPC_file_request:
        on_file_request(s, &m->u.file_request);
        break;
    case IPC_listener:
        if (s->planned < IPC_LISTENERS_MAX && fds->count == 0) {
            s->plan_listeners[s->planned++] = m->u.listener;
        }
        break;
    case IPC_plan:
        s->files_left = 0;
        on_plan(s, &m->u.plan, fds);
        break;
    case IPC_load_failed:
        s->files_left = 0;
        s->planned = 0;
        if (s->now.generation == 0 && s->exit_code == RUNNING) {
            s->exit_code = SUPER_EXIT_CONFIG; // the keeper has said why
        } else {
            log_line(LOG_ERROR, "reload refused: the configuration has errors; generation %u stays",
                     s->now.generation);
        }
        break;
    case IPC_credentials:
        on_credentials(s, m->u.credentials.number, fds);
        break;
    case IPC_hook_request:
        on_hook_request(s, &m->u.hook_request);
        break;
    case IPC_status_request:
        on_status_request(s);
        break;
    case IPC_reopen_request:
        reopen_logs(s);
        break;
    default:
        break;
    }
}

// ---- what the worker says -----------------------------------------------------------------------

// Once, at the start: what this machine or this user does not give us.
static void tell_weaker(const struct super *s)
{
    if (!s->worker_identity.change) {
        log_line(LOG_INFO, "not started as root: worker and keeper run as the same user as the "
                           "supervisor, only their sandboxes keep them apart");
    }
    // A proxied connection has two ends; the rest is for listeners, logs and the loops.
    uint64_t room = s->descriptors > 256 ? (s->descriptors - 256) / 2 : 0;
    if (room < s->now.plan.connections) {
        log_line(LOG_INFO,
                 "the limit of open files (%llu) allows some %llu proxied connections, fewer than "
                 "`connections: %u`",
                 (unsigned long long)s->descriptors, (unsigned long long)room,
                 s->now.plan.connections);
    }
}

static void on_first_result(struct super *s, const struct ipc_result *r)
{
    if (r->error != 0 && !s->served) {
        give_up(s, r->error == E_CONFIG ? SUPER_EXIT_CONFIG : SUPER_EXIT_FAILURE, r->text);
        return;
    }
    if (r->error != 0) { // what it could do before it cannot do now: as bad as a crash
        log_line(LOG_ERROR, "worker: cannot take up its work again: %s", r->text);
        child_kill(&s->worker);
        return;
    }
    s->worker.ready = true;
    listeners_tell(&s->listeners);
    if (s->served) {
        log_line(LOG_INFO, "worker: serving again pid=%d", s->worker.pid);
        send_renewal(s);
        return;
    }
    s->served = true;
    s->applying = false;
    tell_weaker(s);
    log_line(LOG_INFO, "serving generation=%u workers=%u pid=%d", s->now.generation, s->cores,
             s->worker.pid);
    tell_keeper(s, 0, s->now.generation, SLICE(""));
    if (s->options->on_serving != NULL) {
        s->options->on_serving();
    }
}

static void on_worker_gone(struct super *s)
{
    if (s->applying && s->served) {
        undo_next(s, E_INTERNAL, SLICE("the worker died; the old configuration stays"));
    }
    if (s->renewal.sent) {
        drop_renewal(s, E_INTERNAL, "the worker died; the credentials before stay");
    }
    int64_t delay = child_died(&s->worker, os_clock_ms());
    if (s->draining) {
        s->exit_code = s->exit_code == RUNNING ? SUPER_EXIT_OK : s->exit_code;
    } else if (!s->served) {
        give_up(s, SUPER_EXIT_FAILURE, "the worker could not start");
    } else if (delay < 0) {
        give_up(s, SUPER_EXIT_FAILURE,
                "the worker dies again and again; giving up. The lines above say how it died");
    } else if (delay == 0) {
        start_worker(s);
    } else {
        log_line(LOG_WARN, "worker: restarting in %lld ms, death %u in a row", (long long)delay,
                 s->worker.deaths);
    }
}

static void on_death(struct super *s, const struct ipc_death *d)
{
    log_line(LOG_ERROR, "worker: died pid=%d signal=%d (%s) core=%d address=0x%llx%s%s",
             s->worker.pid, d->signal,
             sigabbrev_np(d->signal) != NULL ? sigabbrev_np(d->signal) : "?", d->core,
             (unsigned long long)d->address, d->text[0] != '\0' ? " broke=" : "", d->text);
    on_worker_gone(s);
}

static void on_worker(struct super *s, const struct ipc_message *m)
{
    if (m->type == IPC_death) {
        on_death(s, &m->u.death);
        return;
    }
    if (m->type == IPC_in_force) {
        on_in_force(s, &m->u.in_force);
        return;
    }
    if (m->type == IPC_want) {
        child_send(&s->keeper, m, NULL, 0);
        return;
    }
    const struct ipc_result *r = &m->u.result;
    if (m->type != IPC_result) {
        return;
    }
    if (!s->worker.ready) {
        on_first_result(s, r);
    } else if (s->applying && r->generation == s->next.generation) {
        if (r->error == 0) {
            commit_next(s);
            return;
        }
        log_line(LOG_ERROR, "reload refused: %s", r->text);
        send_logs(s, &s->now);
        for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
            if (s->listeners.at[i].fresh) {
                struct ipc_message out;
                ipc_init(&out, IPC_unlisten);
                out.u.unlisten.index = i;
                child_send(&s->worker, &out, NULL, 0);
            }
        }
        undo_next(s, r->error, slice_str(r->text));
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
        on_keeper(s, &m, &fds);
    } else {
        on_worker(s, &m);
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
        reopen_logs(s);
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

static void on_keeper_gone(struct super *s)
{
    int64_t delay = child_died(&s->keeper, os_clock_ms());
    if (s->now.generation == 0) {
        give_up(s, SUPER_EXIT_FAILURE, "the keeper could not start");
    } else if (delay < 0) {
        log_line(LOG_ERROR, "the keeper dies again and again; the edge goes on without reload and "
                            "status");
    } else if (delay == 0) {
        start_keeper(s);
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
            on_keeper_gone(s);
        } else {
            on_worker_gone(s);
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
        start_worker(s);
    }
    if (s->keeper.restart_at_ms != 0 && now >= s->keeper.restart_at_ms) {
        start_keeper(s);
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
        give_up(s, SUPER_EXIT_FAILURE, "cannot open /dev/null");
        return false;
    }
    s->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    s->signals = open_signals();
    if (s->exe < 0 || s->signals < 0) {
        give_up(s, SUPER_EXIT_FAILURE, "cannot open /proc/self/exe: is /proc mounted?");
        return false;
    }
    if (os_identity_find("", &s->keeper_identity) != 0) {
        give_up(s, SUPER_EXIT_FAILURE,
                "started as root, but there is neither a user `adit` nor "
                "`nobody` to run as");
        return false;
    }
    s->descriptors = os_raise_descriptors();
    open_state(s);
    return true;
}

static void end_keeper(struct super *s)
{
    if (s->keeper.pid == 0) {
        return;
    }
    if (s->keeper.channel >= 0) {
        (void)close(s->keeper.channel); // it ends by itself when it sees this
        s->keeper.channel = -1;
    }
    uint64_t end = os_clock_ms() + KEEPER_GOODBYE_MS;
    while (waitpid(s->keeper.pid, NULL, WNOHANG) == 0) {
        if (os_clock_ms() >= end) {
            child_kill(&s->keeper);
        }
        (void)poll(NULL, 0, 1);
    }
}

static void end(struct super *s)
{
    hooks_kill(&s->hooks);
    if (s->worker.pid > 0) {
        child_kill(&s->worker);
        (void)waitpid(s->worker.pid, NULL, 0);
    }
    end_keeper(s);
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
        .exit_code = RUNNING,
        .now = no_edition,
        .next = no_edition,
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
        start_keeper(s);
    }
    while (s->exit_code == RUNNING) {
        turn(s);
    }
    end(s);
    return s->exit_code;
}
