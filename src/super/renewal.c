// SPDX-License-Identifier: Apache-2.0
//
// Credentials that came without a document: they are given to the worker and become the edition's
// when it says that it uses them. Should it die of them, the next one gets what was in force before.
// Only one is under way at a time, and none while a configuration is.

#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"
#include "super/super_int.h"

static void tell_in_force(struct super *s, uint64_t number, int error, const char *why)
{
    struct ipc_message m;
    ipc_init(&m, IPC_in_force);
    m.u.in_force.number = number;
    m.u.in_force.error = error;
    ipc_set_text(m.u.in_force.text, IPC_TEXT_MAX, slice_str(why));
    child_send(&s->keeper, &m, NULL, 0);
}

void renewal_send(struct super *s)
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

void renewal_drop(struct super *s, int error, const char *why)
{
    if (s->renewal.fd < 0) {
        return;
    }
    (void)close(s->renewal.fd);
    uint64_t number = s->renewal.number;
    s->renewal = (struct renewal){.fd = -1};
    tell_in_force(s, number, error, why);
}

void renewal_begin(struct super *s, uint64_t number, struct ipc_fds *fds)
{
    if (s->now.generation == 0 || s->applying || s->draining || proving(s)) {
        tell_in_force(s, number, E_AGAIN, "not now");
        return;
    }
    renewal_drop(s, E_AGAIN, "newer ones came");
    s->renewal = (struct renewal){.fd = fds->fd[0], .number = number};
    fds->count = 0;
    renewal_send(s);
}

void renewal_done(struct super *s, const struct ipc_done *r)
{
    if (s->renewal.fd < 0 || !s->renewal.sent || r->number != s->renewal.number) {
        return;
    }
    if (r->error != 0) {
        renewal_drop(s, r->error, r->text);
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
