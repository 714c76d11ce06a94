// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor's parts share: its state and what they ask of each other. One thread, one
// loop (super.c).

#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/ensure.h"
#include "ipc/messages.h"
#include "os/privileges.h"
#include "super/child.h"
#include "super/hook.h"
#include "super/listeners.h"
#include "super/state.h"
#include "super/super.h"

enum {
    FILES_PER_LOAD = 65536, // requests the keeper may make for one configuration
    APPLY_LIMIT_MS = 30000, // for a worker to take up a configuration; one that does not hangs
    SUPER_RUNNING = -1,     // not an exit code
};

struct edition {
    uint32_t generation; // 0: none
    int doc;
    int credentials; // -1: none came with it
    uint64_t credentials_number;
    int access;
    uint64_t loaded_wall_ms;
    struct ipc_plan plan;
};

static const struct edition edition_none = {.doc = -1, .credentials = -1, .access = -1};

// Credentials that came without a document, until the worker has taken them up.
struct renewal {
    int fd; // -1: none
    uint64_t number;
    bool sent;
    uint64_t end_ms;
};

struct super {
    const struct super_options *options;
    int exe;
    int signals;
    int exit_code; // SUPER_RUNNING until the end is decided
    struct child keeper;
    struct child worker;
    struct listeners listeners;
    struct edition now;
    struct edition next;
    struct renewal renewal;
    struct hooks hooks;
    bool applying;
    uint64_t apply_end_ms;
    bool served; // a worker has been ready once
    bool draining;
    uint64_t drain_end_ms;
    uint32_t files_left; // requests the keeper may still make
    uint32_t planned;    // listeners announced for the coming plan
    struct ipc_listener plan_listeners[IPC_LISTENERS_MAX];
    struct os_identity keeper_identity;
    struct os_identity worker_identity;
    uint32_t cores;
    int counters;
    int control;
    int state; // directory, -1: none
    char state_path[STATE_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
    uint64_t started_wall_ms;
    uint64_t descriptors; // that a process may have
};

/** Ends the edge with a message on stderr. */
void super_give_up(struct super *s, int code, const char *why);

// ---- keeper_side.c ------------------------------------------------------------------------------

void super_start_keeper(struct super *s);
void super_on_keeper(struct super *s, const struct ipc_message *m, struct ipc_fds *fds);
/** It is dead: decides about the next one. */
void super_on_keeper_gone(struct super *s);
/** Ends it and waits for that. */
void super_end_keeper(struct super *s);

// ---- worker_side.c ------------------------------------------------------------------------------

struct ipc_identity super_identity(const struct os_identity *who);
void super_send_doc(struct child *to, const struct edition *e);
void super_send_listener(struct super *s, uint32_t index);
void super_start_worker(struct super *s);
void super_on_worker(struct super *s, const struct ipc_message *m);
/** It is dead, or said that it is about to die: decides about the next one. */
void super_on_worker_gone(struct super *s);

// ---- editions.c ---------------------------------------------------------------------------------

/** A plan of the keeper's, with its document and credentials: tries it. */
void edition_plan(struct super *s, const struct ipc_plan *plan, struct ipc_fds *fds);
/** The worker runs `next`: what only the old edition needed is closed. */
void edition_commit(struct super *s);
/** `next` is not to be: undoes what was opened for it and says why. */
void edition_undo(struct super *s, int error, struct slice why);
void edition_close(struct edition *e);
/** What became of a plan. */
void super_tell_keeper(struct super *s, int error, uint32_t generation, struct slice why);
void super_send_logs(struct super *s, const struct edition *e);
void super_reopen_logs(struct super *s);

// ---- renewal.c ----------------------------------------------------------------------------------

/** Credentials came alone; the descriptor is taken over. */
void renewal_begin(struct super *s, uint64_t number, struct ipc_fds *fds);
/** Gives them to the worker when it can take them now. */
void renewal_send(struct super *s);
/** They are not to be; the keeper is told why. */
void renewal_drop(struct super *s, int error, const char *why);
/** The worker's word on them. */
void renewal_done(struct super *s, const struct ipc_in_force *r);
