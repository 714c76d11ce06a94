// SPDX-License-Identifier: Apache-2.0
//
// What changes between configurations and belongs to none: the texts by which names are resolved, and
// the servers document of watched files and commands, and who may have tunnels. The supervisor keeps
// the newest, never looks into it, gives it to the worker at once and to each one that begins; and the
// documents to a keeper that takes over, which may have nowhere else to know from what was commanded.

#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"
#include "super/super_int.h"

enum {
    LOOKS_PER_SECOND = 256, // watched files, twice each when they change
    SECOND_MS = 1000,
};

static void keep(int *at, int fd)
{
    if (*at >= 0) {
        (void)close(*at);
    }
    *at = fd;
}

static void send_names(struct super *s)
{
    struct ipc_message m;
    ipc_init(&m, IPC_names);
    child_send(&s->worker, &m, s->news.names, 2);
}

static void send_servers(struct super *s, struct child *to)
{
    struct ipc_message m;
    ipc_init(&m, IPC_servers);
    m.u.servers.number = s->news.servers.number;
    child_send(to, &m, &s->news.servers.fd, 1);
}

static void send_access(struct super *s, struct child *to)
{
    struct ipc_message m;
    ipc_init(&m, IPC_grants);
    m.u.grants.number = s->news.access.number;
    child_send(to, &m, &s->news.access.fd, 1);
}

void news_on_names(struct super *s, struct ipc_fds *fds)
{
    keep(&s->news.names[0], fds->fd[0]);
    keep(&s->news.names[1], fds->fd[1]);
    fds->count = 0;
    if (s->worker.channel >= 0) {
        send_names(s);
    }
}

static void keep_doc(struct news_doc *doc, uint64_t number, struct ipc_fds *fds)
{
    keep(&doc->fd, fds->fd[0]);
    doc->number = number;
    fds->count = 0;
}

void news_on_servers(struct super *s, uint64_t number, struct ipc_fds *fds)
{
    keep_doc(&s->news.servers, number, fds);
    s->news.servers.asked = true;
    if (s->worker.channel >= 0) {
        send_servers(s, &s->worker);
    } else {
        news_worker_gone(s);
    }
}

void news_on_access(struct super *s, uint64_t number, struct ipc_fds *fds)
{
    keep_doc(&s->news.access, number, fds);
    s->news.access.asked = true;
    if (s->worker.channel >= 0) {
        send_access(s, &s->worker);
    } else {
        news_worker_gone(s);
    }
}

void news_send(struct super *s)
{
    if (s->news.names[0] >= 0) {
        send_names(s);
    }
    if (s->news.servers.fd >= 0) {
        send_servers(s, &s->worker);
    }
    if (s->news.access.fd >= 0) {
        send_access(s, &s->worker);
    }
}

void news_send_keeper(struct super *s)
{
    if (s->news.servers.fd >= 0) {
        send_servers(s, &s->keeper);
    }
    if (s->news.access.fd >= 0) {
        send_access(s, &s->keeper);
    }
}

static bool take_word(struct news_doc *doc, const struct ipc_done *r)
{
    bool asked = doc->asked && r->number == doc->number;
    doc->asked = doc->asked && !asked;
    return asked;
}

void news_done(struct super *s, const struct ipc_done *r)
{
    struct ipc_message m;
    if (take_word(&s->news.servers, r)) {
        ipc_init(&m, IPC_servers_done);
        m.u.servers_done = *r;
        child_send(&s->keeper, &m, NULL, 0);
    }
}

void news_access_done(struct super *s, const struct ipc_done *r)
{
    struct ipc_message m;
    if (take_word(&s->news.access, r)) {
        ipc_init(&m, IPC_grants_done);
        m.u.grants_done = *r;
        child_send(&s->keeper, &m, NULL, 0);
    }
}

void news_on_kick(struct super *s, const struct ipc_message *m)
{
    s->news.kick = m->u.kick.number;
    if (s->worker.channel >= 0) {
        child_send(&s->worker, m, NULL, 0);
    } else {
        news_worker_gone(s);
    }
}

void news_kicked(struct super *s, const struct ipc_message *m)
{
    if (s->news.kick != 0 && m->u.kicked.number == s->news.kick) {
        s->news.kick = 0;
        child_send(&s->keeper, m, NULL, 0);
    }
}

void news_worker_gone(struct super *s)
{
    struct ipc_done servers = {.number = s->news.servers.number, .error = E_AGAIN};
    struct ipc_done access = {.number = s->news.access.number, .error = E_AGAIN};
    struct ipc_message m;
    ipc_init(&m, IPC_kicked);
    m.u.kicked.number = s->news.kick;
    m.u.kicked.error = E_AGAIN;
    news_done(s, &servers);
    news_access_done(s, &access);
    news_kicked(s, &m);
}

bool news_may_look(struct super *s)
{
    struct news *n = &s->news;
    uint64_t now = os_clock_ms();
    if (now - n->looks_at_ms >= SECOND_MS) {
        n->looks_at_ms = now;
        n->looks = LOOKS_PER_SECOND;
    }
    if (n->looks == 0) {
        return false;
    }
    n->looks--;
    return true;
}

void news_close(struct news *n)
{
    keep(&n->names[0], -1);
    keep(&n->names[1], -1);
    keep(&n->servers.fd, -1);
    keep(&n->access.fd, -1);
}
