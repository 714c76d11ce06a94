// SPDX-License-Identifier: Apache-2.0
//
// The listening sockets of the edge. They belong to the supervisor, so a worker's death loses no
// connection that waits in an accept queue. A new plan is tried first: what it adds is bound, what it
// drops stays until the worker runs the new configuration; then it is committed or undone.

#pragma once

#include "base/ensure.h"
#include "ipc/messages.h"

struct ports;
struct text;

struct listener {
    bool used;
    bool fresh;  // opened for the plan that is being tried
    bool wanted; // by the plan that is being tried
    bool told;   // its address was printed
    struct ipc_speech speech;
    int fd;
    uint32_t backlog;
    struct os_addr asked;      // as configured: port 0 means any
    struct os_addr asked_next; // by the plan that is being tried
    struct os_addr bound;
};

struct listeners {
    struct listener at[IPC_LISTENERS_MAX];
    const struct ports *ports; // of tunnels; NULL: there are none
};

/** Tries a plan, after ports_try(): a port that it takes from tunnels changes hands without being
 * closed. On failure nothing has changed and `why` says what to do about it. */
int listeners_try(struct listeners *ls, const struct ipc_listener *wanted, uint32_t count,
                  struct text *why) must_check;
/** The plan holds: closes what it does not want, which the worker has been told to leave before. */
void listeners_commit(struct listeners *ls);
/** The plan does not: closes what was opened for it. */
void listeners_undo(struct listeners *ls);
/** Closes all; files of Unix sockets are removed. */
void listeners_close(struct listeners *ls);
/** Prints "listening on http://127.0.0.1:8080" for those not printed yet. */
void listeners_tell(struct listeners *ls);
