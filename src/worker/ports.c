// SPDX-License-Identifier: Apache-2.0
//
// Questions and answers about ports (worker/ports.h). What cannot be sent is lost with the supervisor
// that did not read it, which shows on the next receive.

#include "worker/ports.h"

#include "os/clock.h"

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

void ports_ask(struct tunnel_ports *p)
{
    struct tunnel_port_request r;
    if (tunnel_ports_next(p, os_clock_ms(), &r)) {
        send_request(&r);
    }
}

void ports_answered(struct tunnel_ports *p, const struct ipc_port *m)
{
    struct tunnel_port_request r;
    if (tunnel_ports_done(p, m->number, m->error, &r)) {
        send_request(&r);
    } else {
        ports_ask(p);
    }
}

void ports_give_back(uint32_t index)
{
    struct ipc_message m;
    ipc_init(&m, IPC_port_request);
    m.u.port_request.index = index;
    send_message(&m);
}
