// SPDX-License-Identifier: Apache-2.0
//
// Workers of before an upgrade. They have left their listeners and end with their last connection,
// or when the drain limit is over. They may be of another version, so what is said to them is only
// what ipc/messages.h promises never to change, and what they say is not listened to.
//
// Their counters are summed up with those of the worker in force, in which what they have counted is
// kept when they end, if both mean the same by them.

#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/server_rows.h"
#include "os/clock.h"
#include "os/fdpass.h"
#include "os/shared.h"
#include "super/super_int.h"

enum { OLD_GRACE_MS = 2000 }; // after the limit, to say goodbye

void old_init(struct super *s)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        s->old[i] = (struct old_worker){.counters = -1};
        child_init(&s->old[i].child, IPC_WORKER, WORKER_ARGV0);
    }
}

struct old_worker *old_place(struct super *s)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid == 0) {
            return &s->old[i];
        }
    }
    return NULL;
}

unsigned old_count(const struct super *s)
{
    unsigned count = 0;
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        count += s->old[i].child.pid != 0;
    }
    return count;
}

void old_drain(struct old_worker *o, uint64_t limit_ms, bool patient)
{
    struct ipc_message m;
    ipc_init(&m, IPC_drain);
    m.u.drain.limit_ms = limit_ms;
    m.u.drain.patient = patient;
    child_send(&o->child, &m, NULL, 0);
    uint64_t end = os_clock_ms() + limit_ms;
    o->drain_end_ms = o->drain_end_ms == 0 ? end : num_min_u64(o->drain_end_ms, end);
}

bool old_have_left(const struct super *s)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid != 0 && !s->old[i].left) {
            return false;
        }
    }
    return true;
}

void old_drain_all(struct super *s, uint64_t limit_ms)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid != 0) {
            old_drain(&s->old[i], limit_ms, false);
        }
    }
}

void old_discard(struct old_worker *o)
{
    struct fdpass_msg m;
    int error = fdpass_recv(o->child.channel, &m);
    if (error == 0) {
        o->left = o->left || m.type == IPC_left;
        fdpass_drop(&m);
    } else if (error == E_EOF) {
        (void)close(o->child.channel);
        o->child.channel = -1;
    }
}

// What it counted goes on in the worker in force.
static void keep_counts(const struct super *s, const struct old_worker *o)
{
    void *from = NULL;
    void *to = NULL;
    size_t from_bytes = server_rows_block_bytes(o->cores);
    size_t to_bytes = server_rows_block_bytes(s->cores);
    if (o->counters < 0 || os_shared_map(o->counters, from_bytes, false, &from) != 0) {
        return;
    }
    if (os_shared_map(s->counters, to_bytes, true, &to) == 0) {
        counters_retire(to, s->cores, from, o->cores);
        os_shared_unmap(to, to_bytes);
    }
    os_shared_unmap(from, from_bytes);
}

static void forget(struct old_worker *o)
{
    if (o->child.channel >= 0) {
        (void)close(o->child.channel);
    }
    if (o->counters >= 0) {
        (void)close(o->counters);
    }
    *o = (struct old_worker){.counters = -1};
    child_init(&o->child, IPC_WORKER, WORKER_ARGV0);
}

bool old_ended(struct super *s, pid_t pid, int status)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        struct old_worker *o = &s->old[i];
        if (o->child.pid != pid) {
            continue;
        }
        if (status == 0) {
            log_line(LOG_INFO, "the worker of before the upgrade has ended pid=%d version=%s", pid,
                     o->version);
        } else {
            log_line(LOG_ERROR, "the worker of before the upgrade died pid=%d version=%s %s=%d",
                     pid, o->version, WIFSIGNALED(status) ? "signal" : "code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        if (proving(s)) { // the way back needs its descriptors; takeover_done() closes them
            o->child.channel = -1;
            o->counters = -1;
        } else if (s->counters >= 0) {
            keep_counts(s, o);
        }
        forget(o);
        return true;
    }
    return false;
}

uint64_t old_expire(struct super *s, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        struct old_worker *o = &s->old[i];
        if (o->child.pid == 0 || o->drain_end_ms == 0) {
            continue;
        }
        uint64_t end = o->drain_end_ms + OLD_GRACE_MS;
        if (now_ms < end) {
            next = num_min_u64(next, end);
        } else {
            log_line(LOG_WARN, "the worker of before the upgrade does not end, it is ended pid=%d",
                     o->child.pid);
            child_kill(&o->child);
            o->drain_end_ms = now_ms + OLD_GRACE_MS; // not again at once
        }
    }
    return next;
}

void old_kill(struct super *s)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        struct old_worker *o = &s->old[i];
        if (o->child.pid != 0) {
            child_kill(&o->child);
            (void)waitpid(o->child.pid, NULL, 0);
            forget(o);
        }
    }
}

void old_tell(struct super *s)
{
    uint64_t now = os_clock_ms();
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        const struct old_worker *o = &s->old[i];
        if (o->child.pid == 0) {
            continue;
        }
        struct ipc_message m;
        ipc_init(&m, IPC_old_worker);
        struct ipc_old_worker *told = &m.u.old_worker;
        told->pid = o->child.pid;
        told->cores = o->cores;
        told->draining = o->drain_end_ms != 0;
        told->left_ms = o->drain_end_ms > now ? o->drain_end_ms - now : 0;
        ipc_set_text(told->version, sizeof told->version, slice_str(o->version));
        child_send(&s->keeper, &m, &o->counters, o->counters >= 0 ? 1 : 0);
    }
}

void old_send_logs(struct super *s, const struct edition *e)
{
    struct ipc_message m;
    ipc_init(&m, IPC_logs);
    m.u.logs.log_level = e->plan.log_level;
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid != 0) {
            child_send(&s->old[i].child, &m, &e->access, e->access >= 0 ? 1 : 0);
        }
    }
}
