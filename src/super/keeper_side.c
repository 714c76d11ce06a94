// SPDX-License-Identifier: Apache-2.0
//
// The keeper as the supervisor sees it: its start, what it asks for and what it announces, its end.
// It reads what users and authorities wrote, so it is believed no more than its messages allow: it may
// ask for files while it loads, and each thing it asks for is judged here or where it is done.

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"
#include "super/files.h"
#include "super/super_int.h"

enum { KEEPER_GOODBYE_MS = 2000 };

void super_start_keeper(struct super *s)
{
    int error = child_start(&s->keeper, s->exe, os_clock_ms());
    if (error != 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "cannot start the keeper");
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_start_keeper);
    m.u.start_keeper.parent = getpid();
    m.u.start_keeper.load = s->now.generation == 0;
    m.u.start_keeper.identity = super_identity(&s->keeper_identity);
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
        super_send_doc(&s->keeper, &s->now);
    }
    news_send_keeper(s);
    tunnels_tell(s);
}

static void on_file_request(struct super *s, const struct ipc_file_request *request)
{
    struct ipc_message m;
    ipc_init(&m, IPC_file);
    struct text why = text_on(m.u.file.text, IPC_TEXT_MAX - 1);
    int fd = E_DENIED;
    if (s->files_left > 0 || (s->now.generation != 0 && news_may_look(s))) {
        s->files_left -= s->files_left > 0;
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
    status->old_workers = old_count(s);
    status->upgrades = s->upgrades;
    ipc_set_text(status->path, IPC_PATH_MAX, slice_str(s->options->path));
    ipc_set_text(status->program, IPC_PATH_MAX, slice_str(s->exe_path));
    status->ports[0] = s->ports.count[0];
    status->ports[1] = s->ports.count[1];
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
        m.u.listener.speech = l->speech;
        m.u.listener.addr = l->bound;
        child_send(&s->keeper, &m, NULL, 0);
    }
    old_tell(s);
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

void super_on_keeper(struct super *s, const struct ipc_message *m, struct ipc_fds *fds)
{
    switch (m->type) {
    case IPC_load:
        s->loading = true;
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
        edition_plan(s, &m->u.plan, fds);
        break;
    case IPC_load_failed:
        s->files_left = 0;
        s->planned = 0;
        s->loading = false;
        if (proving(s)) {
            takeover_fall_back(s, "the configuration on disk has errors");
        } else if (s->now.generation == 0 && s->exit_code == SUPER_RUNNING) {
            s->exit_code = SUPER_EXIT_CONFIG; // the keeper has said why
        } else {
            log_line(LOG_ERROR, "reload refused: the configuration has errors; generation %u stays",
                     s->now.generation);
        }
        break;
    case IPC_credentials:
        renewal_begin(s, m->u.credentials.number, fds);
        break;
    case IPC_names:
        news_on_names(s, fds);
        break;
    case IPC_servers:
        news_on_servers(s, m->u.servers.number, fds);
        break;
    case IPC_grants:
        news_on_access(s, m->u.grants.number, fds);
        break;
    case IPC_tunnels_kept:
        tunnels_keep(s, fds);
        break;
    case IPC_kick:
        news_on_kick(s, m);
        break;
    case IPC_hook_request:
        on_hook_request(s, &m->u.hook_request);
        break;
    case IPC_upgrade_request:
        upgrade_request(s, m->u.upgrade_request.path, fds->fd[0]);
        fds->count = 0;
        break;
    case IPC_drain_request:
        super_stop(s);
        break;
    case IPC_status_request:
        on_status_request(s);
        break;
    case IPC_reopen_request:
        super_reopen_logs(s);
        break;
    default:
        break;
    }
}

void super_on_keeper_gone(struct super *s)
{
    if (proving(s)) {
        takeover_back(s, "the new keeper died");
    }
    if (upgrade_keeper_gone(s)) {
        return;
    }
    s->loading = false;
    int64_t delay = child_died(&s->keeper, os_clock_ms());
    if (s->now.generation == 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "the keeper could not start");
    } else if (delay < 0) {
        log_line(LOG_ERROR, "the keeper dies again and again; the edge goes on without reload and "
                            "status");
    } else if (delay == 0) {
        super_start_keeper(s);
    }
}

void super_end_keeper(struct super *s)
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
    s->keeper.pid = 0;
    s->loading = false;
}
