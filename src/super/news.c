// SPDX-License-Identifier: Apache-2.0
//
// What changes between configurations and belongs to none: the texts by which names are resolved, and
// the servers document of watched files and commands. The supervisor keeps the newest, never looks
// into it, gives it to the worker at once and to each one that begins; and the servers document to a
// keeper that takes over, which has nowhere else to know from what was commanded.

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
    m.u.servers.number = s->news.number;
    child_send(to, &m, &s->news.servers, 1);
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

static void tell_done(struct super *s, uint64_t number, int error)
{
    struct ipc_message m;
    ipc_init(&m, IPC_servers_done);
    m.u.servers_done.number = number;
    m.u.servers_done.error = error;
    child_send(&s->keeper, &m, NULL, 0);
}

void news_on_servers(struct super *s, uint64_t number, struct ipc_fds *fds)
{
    keep(&s->news.servers, fds->fd[0]);
    s->news.number = number;
    fds->count = 0;
    if (s->worker.channel >= 0) {
        send_servers(s, &s->worker);
        s->news.asked = true;
    } else {
        tell_done(s, number, E_AGAIN);
    }
}

void news_send(struct super *s)
{
    if (s->news.names[0] >= 0) {
        send_names(s);
    }
    if (s->news.servers >= 0) {
        send_servers(s, &s->worker);
    }
}

void news_send_keeper(struct super *s)
{
    if (s->news.servers >= 0) {
        send_servers(s, &s->keeper);
    }
}

void news_done(struct super *s, const struct ipc_servers_done *r)
{
    if (!s->news.asked || r->number != s->news.number) {
        return;
    }
    s->news.asked = false;
    struct ipc_message m;
    ipc_init(&m, IPC_servers_done);
    m.u.servers_done = *r;
    child_send(&s->keeper, &m, NULL, 0);
}

void news_worker_gone(struct super *s)
{
    if (s->news.asked) {
        s->news.asked = false;
        tell_done(s, s->news.number, E_AGAIN);
    }
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
    keep(&n->servers, -1);
}
