// SPDX-License-Identifier: Apache-2.0
//
// Editions: a configuration as the keeper planned it, with what the supervisor opened for it. `now`
// is in force; `next` is being tried while `applying`. An edition becomes `now` when the worker has
// said that it runs it; until then its listeners and its log can be undone. The first edition is put
// in force at once, and if its worker does not come up there is no edge.

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/server_rows.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/shared.h"
#include "super/files.h"
#include "super/super_int.h"

void edition_close(struct edition *e)
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
    *e = edition_none;
}

void super_tell_keeper(struct super *s, int error, uint32_t generation, struct slice why)
{
    struct ipc_message m;
    ipc_init(&m, IPC_result);
    m.u.result.error = error;
    m.u.result.generation = generation;
    ipc_set_text(m.u.result.text, IPC_TEXT_MAX, why);
    child_send(&s->keeper, &m, NULL, 0);
}

void edition_undo(struct super *s, int error, struct slice why)
{
    listeners_undo(&s->listeners);
    ports_undo(&s->ports);
    edition_close(&s->next);
    s->applying = false;
    super_tell_keeper(s, error, s->now.generation, why);
}

void super_send_logs(struct super *s, const struct edition *e)
{
    struct ipc_message m;
    ipc_init(&m, IPC_logs);
    m.u.logs.log_level = e->plan.log_level;
    child_send(&s->worker, &m, &e->access, e->access >= 0 ? 1 : 0);
}

// The worker runs `next`: what only the old edition needed is closed.
void edition_commit(struct super *s)
{
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        // The worker of a program that takes over was never given them.
        if (s->listeners.at[i].used && !s->listeners.at[i].wanted && !proving(s)) {
            struct ipc_message m;
            ipc_init(&m, IPC_unlisten);
            m.u.unlisten.index = i;
            child_send(&s->worker, &m, NULL, 0);
        }
    }
    if (!proving(s)) {
        ports_send_unwanted(&s->ports, &s->worker);
    }
    listeners_commit(&s->listeners);
    ports_commit(&s->ports);
    edition_close(&s->now);
    s->now = s->next;
    s->next = edition_none;
    s->now.loaded_wall_ms = os_clock_wall_ms();
    s->applying = false;
    log_set_level((enum log_level)s->now.plan.log_level);
    listeners_tell(&s->listeners);
    log_line(LOG_INFO, "configuration in force generation=%u", s->now.generation);
    super_tell_keeper(s, 0, s->now.generation, SLICE(""));
}

int edition_prepare_worker(struct super *s, const struct ipc_plan *plan, struct text *why)
{
    int error = os_identity_find(plan->user, &s->worker_identity);
    if (error != 0) {
        text_str(why, "user: ");
        text_str(why, plan->user[0] != '\0' ? plan->user : "adit, nobody");
        text_str(why, error == E_NOT_FOUND ? ": no such user"
                      : error == E_INVALID ? ": the worker must not run as root"
                                           : ": only root can run the worker as another user");
        return error;
    }
    if (s->counters >= 0) {
        (void)close(s->counters);
    }
    s->cores = plan->workers != 0 ? plan->workers : os_cpu_count();
    s->cores = (uint32_t)num_min_u64(s->cores, IPC_CORES_MAX);
    s->counters = os_shared_make("adit-counters", server_rows_block_bytes(s->cores));
    if (s->counters < 0) {
        text_str(why, "no memory for counters");
        return s->counters;
    }
    return 0;
}

// What is decided once, by the first configuration.
static int prepare_edge(struct super *s, struct text *why)
{
    int error = files_open_control(&s->next.plan, s->control_path, &s->control, why);
    if (error == 0) {
        error = edition_prepare_worker(s, &s->next.plan, why);
    }
    if (error == 0 && s->control >= 0) {
        struct ipc_message m;
        ipc_init(&m, IPC_control);
        child_send(&s->keeper, &m, &s->control, 1);
    }
    return error;
}

static void warn_fixed(const struct super *s)
{
    const struct ipc_plan *old = &s->now.plan;
    const struct ipc_plan *new = &s->next.plan;
    bool control =
        old->control != new->control || strcmp(old->control_path, new->control_path) != 0;
    if (proving(s)) { // a new worker takes over the rest
        if (control) {
            log_line(LOG_WARN, "control changes when adit is started again");
        }
    } else if (old->workers != new->workers || strcmp(old->user, new->user) != 0 || control ||
               old->connections != new->connections || old->memory_bytes != new->memory_bytes) {
        log_line(LOG_WARN,
                 "workers, user, connections and memory change with `adit upgrade` or when "
                 "adit is started again, control with the latter; the rest is taken over "
                 "now");
    }
}

static int try_next(struct super *s, struct text *why)
{
    ports_try(&s->ports, &s->next.plan);
    int error = listeners_try(&s->listeners, s->plan_listeners, s->planned, why);
    if (error == 0) {
        error = files_open_access(&s->next.plan, &s->next.access, why);
    }
    if (error == 0 && s->now.generation == 0) {
        error = prepare_edge(s, why);
    }
    if (error == 0 && proving(s)) {
        error = edition_prepare_worker(s, &s->next.plan, why);
    }
    return error;
}

static void put_first_in_force(struct super *s)
{
    listeners_commit(&s->listeners);
    s->now = s->next;
    s->next = edition_none;
    s->now.loaded_wall_ms = os_clock_wall_ms();
    log_set_level((enum log_level)s->now.plan.log_level);
    super_start_worker(s, &s->now);
}

static bool plan_ok(const struct super *s, const struct ipc_plan *plan)
{
    return plan->listeners == s->planned && s->planned > 0 && plan->workers <= IPC_CORES_MAX &&
           plan->log_level <= LOG_ERROR && plan->access <= IPC_ACCESS_FILE &&
           plan->control <= IPC_CONTROL_PATH && plan->connections > 0;
}

static void refuse_next(struct super *s, int error, const char *why)
{
    if (s->now.generation == 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, why);
    } else if (!proving(s)) {
        log_line(LOG_ERROR, "reload refused: %s", why);
    }
    edition_undo(s, error, slice_str(why));
    if (proving(s)) {
        takeover_fall_back(s, why);
    }
}

// Why a plan cannot be tried now, or NULL.
static const char *plan_objection(const struct super *s, const struct ipc_plan *plan)
{
    if (s->draining) {
        return "the edge is stopping";
    }
    if (proving(s) && s->worker.pid != 0) {
        return "an upgrade is under way";
    }
    if (s->served && !proving(s) && s->worker.pid == 0) {
        return "the worker is being started again; try it in a moment";
    }
    return s->applying || !plan_ok(s, plan) ? "a plan was refused" : NULL;
}

void edition_plan(struct super *s, const struct ipc_plan *plan, struct ipc_fds *fds)
{
    const char *objection = plan_objection(s, plan);
    s->loading = false;
    if (objection != NULL) {
        s->planned = 0;
        super_tell_keeper(s, E_INVALID, s->now.generation, slice_str(objection));
        if (proving(s)) {
            takeover_fall_back(s, objection);
        }
        return;
    }
    renewal_drop(s, E_AGAIN, "a configuration came");
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
        refuse_next(s, error, buffer);
        return;
    }
    if (s->now.generation == 0) {
        put_first_in_force(s);
        return;
    }
    warn_fixed(s);
    if (proving(s)) {
        super_start_worker(s, &s->next);
        return;
    }
    super_send_logs(s, &s->next);
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (s->listeners.at[i].fresh) {
            super_send_listener(s, i);
        }
    }
    super_send_doc(&s->worker, &s->next);
}

void super_reopen_logs(struct super *s)
{
    if (proving(s)) { // the way back needs what is open now
        s->upgrade.held |= UINT64_C(1) << SIGUSR1;
        return;
    }
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
    super_send_logs(s, &s->now);
    old_send_logs(s, &s->now);
}
