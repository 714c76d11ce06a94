// SPDX-License-Identifier: Apache-2.0
//
// Sending and checking messages by the table. A packet's body is exactly the struct of its type.
//
// The check looks at nothing but form: who sends, how long, how many descriptors, texts that end, and
// enums and bools in addresses that the rest of the program switches on. What the values mean is
// judged by who acts on them.

#include "ipc/messages.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "os/fdpass.h"

struct ipc_row {
    const char *name;
    size_t size; // of the body
    unsigned senders;
    unsigned fds_min;
    unsigned fds_max;
};

#define IPC_BODY(name) sizeof(((struct ipc_message *)NULL)->u.name)

static const struct ipc_row ipc_rows[] = {[IPC_none] = {"none", 0, 0, 0, 0},
#define IPC_ROW(name, senders, fds_min, fds_max)                                                   \
    [IPC_##name] = {#name, IPC_BODY(name), senders, fds_min, fds_max},
                                          IPC_TABLE(IPC_ROW)
#undef IPC_ROW
};

static_assert(array_len(ipc_rows) == IPC_TYPE_COUNT, "one row per message");

static_assert(IPC_drain == 1 && IPC_logs == 2 && IPC_left == 3,
              "workers of other versions know them by number");

static_assert(sizeof(struct ipc_message) <= FDPASS_BYTES_MAX, "every message fits a packet");
static_assert((int)IPC_PORTS_BATCH <= (int)FDPASS_FDS_MAX, "as many descriptors as a packet takes");

const char *ipc_name(uint32_t type)
{
    return type < IPC_TYPE_COUNT ? ipc_rows[type].name : "unknown";
}

void ipc_init(struct ipc_message *m, enum ipc_type type)
{
    ensure(type > IPC_none);
    ensure(type < IPC_TYPE_COUNT);
    memset(m, 0, sizeof *m);
    m->type = (uint32_t)type;
}

void ipc_set_text(char *field, size_t size, struct slice text)
{
    ensure(size > 0);
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len > 0) {
        memcpy(field, text.ptr, len);
    }
    memset(field + len, 0, size - len);
}

#define TERMINATED(field) (memchr((field), '\0', sizeof(field)) != NULL)

static bool addr_ok(const struct os_addr *a)
{
    unsigned char dual; // a bool of another value must not even be read as one
    memcpy(&dual, &a->dual, sizeof dual);
    return dual <= 1 && a->kind <= OS_ADDR_UNIX && a->path_len <= OS_ADDR_PATH_MAX;
}

static bool speech_ok(const struct ipc_speech *s)
{
    bool ok = s->secure <= 1 && s->proxy_count <= IPC_PROXIES_MAX;
    for (uint32_t i = 0; ok && i < s->proxy_count; i++) {
        const struct os_cidr *c = &s->proxies[i];
        ok = (c->kind == OS_ADDR_V4 && c->bits <= 32) ||
             (c->kind == OS_ADDR_V6 && c->bits <= 128) || c->kind == OS_ADDR_UNIX;
    }
    return ok;
}

static bool ranges_ok(const struct ipc_plan *p)
{
    bool ok = p->port_ranges <= IPC_PORT_RANGES_MAX;
    for (uint32_t i = 0; ok && i < p->port_ranges; i++) {
        const struct os_addr *a = &p->ranges[i].first;
        ok = addr_ok(a) && (a->kind == OS_ADDR_V4 || a->kind == OS_ADDR_V6);
    }
    return ok;
}

static bool texts_ok(const struct ipc_message *m)
{
    switch (m->type) {
    case IPC_start_keeper:
        return TERMINATED(m->u.start_keeper.path) && TERMINATED(m->u.start_keeper.state);
    case IPC_file:
        return TERMINATED(m->u.file.text);
    case IPC_result:
        return TERMINATED(m->u.result.text);
    case IPC_status:
        return TERMINATED(m->u.status.path) && TERMINATED(m->u.status.program);
    case IPC_upgrade_request:
        return TERMINATED(m->u.upgrade_request.path);
    case IPC_old_worker:
        return TERMINATED(m->u.old_worker.version);
    case IPC_file_request:
        return TERMINATED(m->u.file_request.path);
    case IPC_plan:
        return ranges_ok(&m->u.plan) && TERMINATED(m->u.plan.user) &&
               TERMINATED(m->u.plan.access_path) && TERMINATED(m->u.plan.control_path);
    case IPC_listener:
        return addr_ok(&m->u.listener.addr) && speech_ok(&m->u.listener.speech);
    case IPC_in_force:
        return TERMINATED(m->u.in_force.text);
    case IPC_servers_done:
        return TERMINATED(m->u.servers_done.text);
    case IPC_grants_done:
        return TERMINATED(m->u.grants_done.text);
    case IPC_kick:
        return TERMINATED(m->u.kick.zone) && TERMINATED(m->u.kick.name) &&
               TERMINATED(m->u.kick.text);
    case IPC_want:
        return TERMINATED(m->u.want.name);
    case IPC_hook_request:
        return TERMINATED(m->u.hook_request.command) && TERMINATED(m->u.hook_request.domain) &&
               TERMINATED(m->u.hook_request.value);
    case IPC_hook:
        return TERMINATED(m->u.hook.text);
    case IPC_death:
        return TERMINATED(m->u.death.text);
    default:
        return true;
    }
}

int ipc_check(const struct ipc_message *m, size_t len, unsigned fds, enum ipc_peer from)
{
    if (m->type == IPC_none || m->type >= IPC_TYPE_COUNT) {
        return E_INVALID;
    }
    const struct ipc_row *row = &ipc_rows[m->type];
    if (len != row->size || (row->senders & (unsigned)from) == 0) {
        return E_INVALID;
    }
    if (fds < row->fds_min || fds > row->fds_max) {
        return E_INVALID;
    }
    return texts_ok(m) ? 0 : E_INVALID;
}

int ipc_send(int channel, const struct ipc_message *m, const int *fds, unsigned count)
{
    ensure(m->type > IPC_none);
    ensure(m->type < IPC_TYPE_COUNT);
    const struct ipc_row *row = &ipc_rows[m->type];
    ensure(count >= row->fds_min);
    ensure(count <= row->fds_max);
    return fdpass_send(channel, m->type, 0, slice_of((const char *)&m->u, row->size), fds, count);
}

void ipc_drop(struct ipc_fds *fds)
{
    for (uint32_t i = 0; i < fds->count; i++) {
        if (fds->fd[i] >= 0) {
            (void)close(fds->fd[i]);
            fds->fd[i] = -1;
        }
    }
    fds->count = 0;
}

int ipc_recv(int channel, enum ipc_peer from, struct ipc_message *m, struct ipc_fds *fds,
             int timeout_ms)
{
    struct fdpass_msg packet;
    fds->count = 0;
    int error = fdpass_recv(channel, &packet);
    if (error == E_AGAIN && timeout_ms != 0) {
        error = fdpass_wait(channel, timeout_ms) ? fdpass_recv(channel, &packet) : E_AGAIN;
    }
    if (error != 0) {
        return error;
    }
    memset(m, 0, sizeof *m);
    m->type = packet.type;
    size_t len = packet.len < sizeof m->u ? packet.len : sizeof m->u;
    memcpy(&m->u, packet.bytes, len);
    if (ipc_check(m, packet.len, packet.fd_count, from) != 0) {
        fdpass_drop(&packet);
        return E_INVALID;
    }
    ensure(packet.fd_count <= array_len(fds->fd));
    memcpy(fds->fd, packet.fds, packet.fd_count * sizeof(int));
    fds->count = packet.fd_count;
    return 0;
}
