// SPDX-License-Identifier: Apache-2.0
//
// The worker as the supervisor sees it: its start with counters, listeners and the edition in force,
// its results, and its death, which is seen in two ways: its last words on the channel, sent before a
// core file is written, and its exit status. Whichever comes first starts the next one.

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "obs/log.h"
#include "os/clock.h"
#include "super/super_int.h"

struct ipc_identity super_identity(const struct os_identity *who)
{
    return (struct ipc_identity){who->change, who->uid, who->gid};
}

void super_send_doc(struct child *to, const struct edition *e)
{
    struct ipc_message m;
    ipc_init(&m, IPC_doc);
    m.u.doc.generation = e->generation;
    m.u.doc.credentials = e->credentials_number;
    int fds[2] = {e->doc, e->credentials};
    child_send(to, &m, fds, e->credentials >= 0 ? 2 : 1);
}

void super_send_listener(struct super *s, uint32_t index)
{
    const struct listener *l = &s->listeners.at[index];
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    m.u.listener.index = index;
    m.u.listener.backlog = l->backlog;
    m.u.listener.speech = l->speech;
    m.u.listener.addr = l->bound;
    child_send(&s->worker, &m, &l->fd, 1);
}

void super_start_worker(struct super *s, const struct edition *e)
{
    bool was_ready = s->worker.ready;
    int error = child_start(&s->worker, s->exe, os_clock_ms());
    if (error != 0) {
        super_give_up(s, SUPER_EXIT_FAILURE, "cannot start the worker");
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_start_worker);
    struct ipc_start_worker *w = &m.u.start_worker;
    w->parent = getpid();
    w->cores = s->cores;
    w->log_level = e->plan.log_level;
    w->connections = e->plan.connections;
    w->memory_bytes = e->plan.memory_bytes;
    w->identity = super_identity(&s->worker_identity);
    int fds[2] = {s->counters, e->access};
    child_send(&s->worker, &m, fds, e->access >= 0 ? 2 : 1);
    tunnels_begin(s, was_ready);
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        const struct listener *l = &s->listeners.at[i];
        if (l->used && (e == &s->next ? l->wanted : !l->fresh)) {
            super_send_listener(s, i);
        }
    }
    ports_send(&s->ports, e == &s->next, &s->worker);
    news_send(s);
    super_send_doc(&s->worker, e);
}

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

// The first word of the worker of a program that takes over.
static void on_proof(struct super *s, const struct ipc_result *r)
{
    if (r->error != 0) {
        takeover_back(s, r->text);
    }
    s->worker.ready = true;
    tunnels_tell(s);
    if (s->applying) {
        edition_commit(s);
    }
    takeover_done(s);
}

static void on_first_result(struct super *s, const struct ipc_result *r)
{
    if (proving(s)) {
        on_proof(s, r);
        return;
    }
    if (r->error != 0 && !s->served) {
        super_give_up(s, r->error == E_CONFIG ? SUPER_EXIT_CONFIG : SUPER_EXIT_FAILURE, r->text);
        return;
    }
    if (r->error != 0) { // what it could do before it cannot do now: as bad as a crash
        log_line(LOG_ERROR, "worker: cannot take up its work again: %s", r->text);
        child_kill(&s->worker);
        return;
    }
    s->worker.ready = true;
    tunnels_tell(s);
    listeners_tell(&s->listeners);
    if (s->served) {
        log_line(LOG_INFO, "worker: serving again pid=%d", s->worker.pid);
        renewal_send(s);
        return;
    }
    s->served = true;
    s->applying = false;
    tell_weaker(s);
    log_line(LOG_INFO, "serving generation=%u workers=%u pid=%d", s->now.generation, s->cores,
             s->worker.pid);
    super_tell_keeper(s, 0, s->now.generation, SLICE(""));
    if (s->options->on_serving != NULL) {
        s->options->on_serving();
    }
}

void super_on_worker_gone(struct super *s)
{
    if (proving(s)) {
        takeover_back(s, "the new worker died before it served");
    }
    if (s->applying && s->served) {
        edition_undo(s, E_INTERNAL, SLICE("the worker died; the old configuration stays"));
    }
    if (s->renewal.sent) {
        renewal_drop(s, E_INTERNAL, "the worker died; the credentials before stay");
    }
    news_worker_gone(s);
    int64_t delay = child_died(&s->worker, os_clock_ms());
    if (s->draining) {
        super_end_when_drained(s);
    } else if (!s->served) {
        super_give_up(s, SUPER_EXIT_FAILURE, "the worker could not start");
    } else if (delay < 0) {
        super_give_up(
            s, SUPER_EXIT_FAILURE,
            "the worker dies again and again; giving up. The lines above say how it died");
    } else if (delay == 0) {
        super_start_worker(s, &s->now);
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
    super_on_worker_gone(s);
}

// The worker is trusted with what the plan allows, and with nothing else.
static void on_port_request(struct super *s, const struct ipc_port_request *p)
{
    if (p->stream == 0) {
        if (!ports_close_one(&s->ports, p->index)) {
            log_line(LOG_ERROR, "worker: asked to close what is no port of a tunnel");
        }
        return;
    }
    // While a configuration is tried, the ranges in force may be over in a moment.
    bool busy = s->draining || proving(s) || s->applying || !s->worker.ready;
    int index = busy ? E_AGAIN : ports_open(&s->ports, &s->now.plan, p);
    if (index >= 0) {
        log_line(LOG_INFO, "tunnel port %u open protocol=%s", p->port,
                 p->datagram != 0 ? "udp" : "tcp");
        ports_send_one(&s->ports, (uint32_t)index, &s->worker);
    } else {
        ports_explain(&s->ports, p, index, s->descriptors);
    }
    struct ipc_message m;
    ipc_init(&m, IPC_port);
    m.u.port.number = p->number;
    m.u.port.error = index < 0 ? index : 0;
    child_send(&s->worker, &m, NULL, 0);
}

void super_on_worker(struct super *s, const struct ipc_message *m)
{
    if (m->type == IPC_port_request) {
        on_port_request(s, &m->u.port_request);
        return;
    }
    if (m->type == IPC_death) {
        on_death(s, &m->u.death);
        return;
    }
    if (m->type == IPC_in_force) {
        renewal_done(s, &m->u.in_force);
        return;
    }
    if (m->type == IPC_servers_done) {
        news_done(s, &m->u.servers_done);
        return;
    }
    if (m->type == IPC_grants_done) {
        news_access_done(s, &m->u.grants_done);
        return;
    }
    if (m->type == IPC_kicked) {
        news_kicked(s, m);
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
            edition_commit(s);
            return;
        }
        log_line(LOG_ERROR, "reload refused: %s", r->text);
        super_send_logs(s, &s->now);
        for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
            if (s->listeners.at[i].fresh) {
                struct ipc_message out;
                ipc_init(&out, IPC_unlisten);
                out.u.unlisten.index = i;
                child_send(&s->worker, &out, NULL, 0);
            }
        }
        edition_undo(s, r->error, slice_str(r->text));
    }
}
