// SPDX-License-Identifier: Apache-2.0
//
// Public ports of tunnels (tunnel/ports.h), which are bound when the worker asks for one and closed
// when it gives it back. Like the listeners of the configuration they belong to the supervisor, so
// that visitors wait in the accept queue while a worker is replaced; there may be thousands, so they
// are a table of their own with small rows, and travel many at a time.
//
// The worker is trusted with the ranges of the plan in force and with nothing else.

#pragma once

#include "base/ensure.h"
#include "ipc/messages.h"

struct child;

struct port {
    bool used;
    bool wanted; // by the plan that is being tried
    bool datagram;
    bool dual; // `at` is every address of both families
    int fd;
    uint64_t stream;   // key
    struct os_peer at; // that was asked for
};

/** All zero: none are open, and none may be. */
struct ports {
    struct port *at; // by index, less IPC_LISTENERS_MAX
    uint32_t end;    // behind the last one in use
    uint32_t max;
    uint32_t count[2]; // open: TCP, UDP
};

/** How many may be open, with so many descriptors for a process. A quarter of them: the rest is for
 * those who connect. */
uint32_t ports_limit(uint64_t descriptors);
/** Makes room; so many may be open. 0 or E_NO_MEMORY. */
int ports_init(struct ports *p, uint32_t max) must_check;
/** Opens a port that the plan allows; its index. E_DENIED (no range has it, or no privilege), E_IN_USE,
 * E_TOO_LARGE (as many are open as there may be), or why it cannot be bound. */
int ports_open(struct ports *p, const struct ipc_plan *plan, const struct ipc_port_request *what)
    must_check;
/** Closes one; false: there is none with that index. */
bool ports_close_one(struct ports *p, uint32_t index);
/** Takes over one that is open, at its index. E_INVALID: there is no room for it, or it is taken. */
int ports_adopt(struct ports *p, uint32_t index, const struct port *one) must_check;
/** The one that was opened at an address; NULL: none was. */
const struct port *ports_find(const struct ports *p, const struct os_addr *at, bool datagram);
/** A plan is tried: notes which ports it still allows. */
void ports_try(struct ports *p, const struct ipc_plan *plan);
/** The plan holds: closes those that it does not allow, which the worker has been told to leave. */
void ports_commit(struct ports *p);
/** It does not: all stay. */
void ports_undo(struct ports *p);
void ports_close(struct ports *p);
/** Sends one to the worker. */
void ports_send_one(const struct ports *p, uint32_t index, struct child *to);
/** Sends all that are open, or those alone that the plan which is tried allows. */
void ports_send(const struct ports *p, bool wanted, struct child *to);
/** Tells the worker to leave those that the plan which is tried does not allow. */
void ports_send_unwanted(const struct ports *p, struct child *to);
/** Logs why a port cannot be opened; once in a while when too many are. */
void ports_explain(const struct ports *p, const struct ipc_port_request *what, int error,
                   uint64_t descriptors);
