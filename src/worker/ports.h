// SPDX-License-Identifier: Apache-2.0
//
// Public ports of tunnels in the worker (tunnel/ports.h): the steward asks the supervisor for one at a
// time, keeps the descriptors that come, has all cores listen on them, and gives back what no tunnel
// needs. Main thread.

#pragma once

#include "base/ensure.h"
#include "ipc/messages.h"
#include "tunnel/ports.h"
#include "worker/cores.h"

struct worker_port {
    bool used;
    bool open; // the cores listen on it
    bool datagram;
    uint16_t port;
    int fd;
    uint64_t stream; // key
};

/** All zero: none. */
struct worker_ports {
    struct cores *cores;
    struct tunnel_ports *tunnels;
    struct worker_port *at; // by index, less IPC_LISTENERS_MAX
    uint32_t end;           // behind the last one in use
};

/** 0 or E_NO_MEMORY. */
int worker_ports_begin(struct worker_ports *p, struct cores *cores, struct tunnel_ports *tunnels)
    must_check;
/** Ports came; their descriptors are taken over. `serving`: a claim has asked, so the cores listen at
 * once; others were there before, worker_ports_open() is for them. False: one that cannot be. */
bool worker_ports_take(struct worker_ports *p, const struct ipc_ports *m, struct ipc_fds *fds,
                       bool serving);
/** The cores listen on what came before they served. 0 or E_NO_DESCRIPTORS. */
int worker_ports_open(struct worker_ports *p) must_check;
/** Those that no range has any more, or has at another address: there they are opened anew. */
void worker_ports_leave(struct worker_ports *p, const struct ipc_unlisten_ports *m);
/** Closes those that no tunnel needs and says so. */
void worker_ports_give_back(struct worker_ports *p);
/** Closes all, which the cores have left. */
void worker_ports_end(struct worker_ports *p);
/** Asks for what claims want, if nothing is being asked for. */
void worker_ports_ask(struct worker_ports *p);
/** The supervisor's answer. */
void worker_ports_answered(struct worker_ports *p, const struct ipc_port *m);
