// SPDX-License-Identifier: Apache-2.0
//
// A process of the edge as the supervisor sees it: pid, channel, and the history that decides when it
// is started again.

#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/ensure.h"
#include "ipc/messages.h"

enum {
    // A child that has lived so long died of something new.
    CHILD_PEACE_MS = 30000,
    // So many deaths in a row are answered by an immediate restart; a peer that found a way to crash
    // a worker makes it pay with a new connection each time, the others lose nothing but theirs.
    CHILD_AT_ONCE = 5,
    CHILD_BACKOFF_FIRST_MS = 250, // doubled from death to death
    CHILD_BACKOFF_LAST_MS = 2000,
    CHILD_GIVE_UP = 12, // by then it has been tried for eight seconds
};

struct child {
    enum ipc_peer role;
    const char *argv0;
    pid_t pid;   // 0: not running
    int channel; // -1: none
    bool ready;
    uint32_t starts;
    uint32_t deaths; // in a row
    uint64_t started_ms;
    uint64_t restart_at_ms; // 0: no restart is due
};

void child_init(struct child *c, enum ipc_peer role, const char *argv0);
/** Starts it: forks, executes the program of `exe` (a descriptor) under argv0, with its channel at
 * IPC_CHANNEL and, but for the keeper, almost no environment. 0 or a negative code. */
int child_start(struct child *c, int exe, uint64_t now_ms) must_check;
/** It is dead (or as good as): forgets pid and channel and decides about a restart. Returns the delay
 * in ms, or -1 to give up. */
int64_t child_died(struct child *c, uint64_t now_ms);
/** Sends; a child that does not take its messages is broken and gets killed. */
void child_send(struct child *c, const struct ipc_message *m, const int *fds, unsigned count);
void child_kill(struct child *c);
