// SPDX-License-Identifier: Apache-2.0
//
// The worker's side of public ports (worker/ports.h). What cannot be sent is lost with the supervisor
// that did not read it, which shows on the next receive.

#include "worker/ports.h"

#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "os/clock.h"
#include "traffic/traffic.h"

enum { WORD_BITS = 64 };

static_assert((int)TUNNEL_PORTS_MAX == (int)IPC_PORTS_MAX, "one limit");
static_assert((int)TRAFFIC_LISTENERS_MAX == (int)IPC_INDEXES_MAX, "one range of indexes");

int worker_ports_begin(struct worker_ports *p, struct cores *cores, struct tunnel_ports *tunnels)
{
    *p = (struct worker_ports){.cores = cores, .tunnels = tunnels};
    p->at = mem_zalloc(IPC_PORTS_MAX * sizeof *p->at);
    return p->at != NULL ? 0 : E_NO_MEMORY;
}

// ---- descriptors --------------------------------------------------------------------------------

static int listen_on(struct worker_ports *p, uint32_t i)
{
    struct worker_port *one = &p->at[i];
    uint32_t index = IPC_LISTENERS_MAX + i;
    struct core_order order = {
        .task = CORE_LISTEN,
        .fd = one->fd,
        .index = index,
        .listener = {.index = index,
                     .addr = {.kind = OS_ADDR_V6, .port = one->port},
                     .datagram = one->datagram,
                     .stream = one->stream},
    };
    one->open = true;
    return cores_ask(p->cores, &order) == 0 ? 0 : E_NO_DESCRIPTORS;
}

static void leave(struct worker_ports *p, uint32_t i)
{
    struct worker_port *one = &p->at[i];
    if (one->open) {
        struct core_order order = {.task = CORE_UNLISTEN, .index = IPC_LISTENERS_MAX + i};
        (void)cores_ask(p->cores, &order);
    }
    (void)close(one->fd);
    *one = (struct worker_port){.fd = -1};
    while (p->end > 0 && !p->at[p->end - 1].used) {
        p->end--;
    }
}

static void drop(struct worker_ports *p, uint32_t i)
{
    tunnel_ports_closed(p->tunnels, p->at[i].stream, p->at[i].port);
    leave(p, i);
}

static void take_one(struct worker_ports *p, const struct ipc_open_port *m, int fd, bool serving)
{
    uint32_t i = m->index - IPC_LISTENERS_MAX;
    const struct tunnel_port port = {
        .key = m->stream, .datagram = m->datagram != 0, .port = m->port, .index = m->index};
    p->at[i] = (struct worker_port){
        .used = true, .datagram = port.datagram, .port = m->port, .fd = fd, .stream = m->stream};
    p->end = i < p->end ? p->end : i + 1;
    if (serving && listen_on(p, i) != 0) {
        drop(p, i); // the claim finds that it is not open
        return;
    }
    tunnel_ports_opened(p->tunnels, &port, os_clock_ms(), !serving);
}

bool worker_ports_take(struct worker_ports *p, const struct ipc_ports *m, struct ipc_fds *fds,
                       bool serving)
{
    for (uint32_t i = 0; i < fds->count; i++) {
        uint32_t index = m->at[i].index;
        if (index < IPC_LISTENERS_MAX || index >= IPC_INDEXES_MAX ||
            p->at[index - IPC_LISTENERS_MAX].used) {
            return false;
        }
        take_one(p, &m->at[i], fds->fd[i], serving);
        fds->fd[i] = -1;
    }
    return true;
}

int worker_ports_open(struct worker_ports *p)
{
    for (uint32_t i = 0; i < p->end; i++) {
        if (p->at[i].used && !p->at[i].open && listen_on(p, i) != 0) {
            return E_NO_DESCRIPTORS;
        }
    }
    return 0;
}

void worker_ports_leave(struct worker_ports *p, const struct ipc_unlisten_ports *m)
{
    for (uint32_t i = p->end; i > 0; i--) {
        uint32_t at = i - 1;
        bool meant = (m->bits[at / WORD_BITS] & (UINT64_C(1) << (at % WORD_BITS))) != 0;
        if (meant && p->at[at].used) {
            tunnel_ports_moved(p->tunnels, p->at[at].stream, p->at[at].port);
            leave(p, at);
        }
    }
    worker_ports_ask(p);
}

void worker_ports_end(struct worker_ports *p)
{
    for (uint32_t i = p->end; i > 0; i--) {
        if (p->at[i - 1].used) {
            p->at[i - 1].open = false;
            drop(p, i - 1);
        }
    }
}

// ---- messages -----------------------------------------------------------------------------------

static void send_message(const struct ipc_message *m)
{
    int ignored = ipc_send(IPC_CHANNEL, m, NULL, 0);
    (void)ignored;
}

static void send_request(const struct tunnel_port_request *r)
{
    struct ipc_message m;
    ipc_init(&m, IPC_port_request);
    m.u.port_request.number = r->number;
    m.u.port_request.stream = r->key;
    m.u.port_request.datagram = r->datagram;
    m.u.port_request.port = r->port;
    send_message(&m);
}

void worker_ports_ask(struct worker_ports *p)
{
    struct tunnel_port_request r;
    if (tunnel_ports_next(p->tunnels, os_clock_ms(), &r)) {
        send_request(&r);
    }
}

void worker_ports_answered(struct worker_ports *p, const struct ipc_port *m)
{
    struct tunnel_port_request r;
    if (tunnel_ports_done(p->tunnels, m->number, m->error, &r)) {
        send_request(&r);
    } else {
        worker_ports_ask(p);
    }
}

void worker_ports_give_back(struct worker_ports *p)
{
    uint32_t index = 0;
    struct ipc_message m;
    while (tunnel_ports_unused(p->tunnels, os_clock_ms(), &index)) {
        ipc_init(&m, IPC_port_request);
        m.u.port_request.index = index;
        drop(p, index - IPC_LISTENERS_MAX);
        send_message(&m);
    }
}
