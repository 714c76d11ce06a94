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
#include "super/handover.h"
#include "super/hook.h"
#include "super/listeners.h"
#include "super/ports.h"
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

// A worker of before an upgrade: it takes no connections any more and ends with its last one.
struct old_worker {
    struct child child; // .pid 0: this place is free
    int counters;       // -1: of another program, whose table is not ours
    uint32_t cores;
    uint64_t drain_end_ms; // 0: it still serves, until the new one has shown that it can
    bool left;             // its listeners
    char version[HANDOVER_VERSION_MAX];
};

enum { OLD_WORKERS_MAX = HANDOVER_WORKERS_MAX - 1, UPGRADE_SAID_MAX = 512 };

enum upgrade_step {
    UPGRADE_NONE,
    UPGRADE_TRIAL,   // the new program is being asked whether it understands our state
    UPGRADE_WAITING, // it does; a reload, a hook or a renewal has to end first
    UPGRADE_KEEPER,  // none of that is, and the keeper has been told to end
    UPGRADE_PROVING, // we are the new program; our worker has not been ready yet
    UPGRADE_LEAVING, // it serves; the old one has not left its listeners yet
};

struct upgrade {
    enum upgrade_step step;
    int program; // the new one while we are the old one, else the old one: the way back
    char path[IPC_PATH_MAX];
    int client; // who waits for an answer, -1: nobody
    uint64_t end_ms;
    pid_t trial;
    int output; // of the trial
    size_t said_len;
    char said[UPGRADE_SAID_MAX];
    int handed;     // while proving: the state as it came, for the way back
    bool fell_back; // while proving: the configuration as it is on disk is not to be had
    uint64_t held;  // while proving: signals to act on afterwards, a bit each
    char was[HANDOVER_VERSION_MAX]; // the version before
};

static const struct upgrade upgrade_none = {
    .program = -1, .client = -1, .output = -1, .handed = -1};

// What does not belong to an edition: the newest counts, whatever configuration is in force.
struct news_doc {
    int fd; // -1: none came
    uint64_t number;
    bool asked; // the worker has not said what became of it
};

struct news {
    int names[2];            // texts of resolv.conf and hosts, -1: none came
    struct news_doc servers; // what watched files and commands say of servers
    struct news_doc access;  // who may have tunnels
    uint64_t kick;           // number of the one that the worker has not answered, 0: none
    uint32_t looks;          // files the keeper may look at without a load
    uint64_t looks_at_ms;    // when they were counted anew
};

static const struct news news_none = {
    .names = {-1, -1}, .servers = {.fd = -1}, .access = {.fd = -1}};

enum manager_state { MANAGER_STARTING, MANAGER_SERVING, MANAGER_CHANGING, MANAGER_STOPPING };

// What the service manager was told.
struct manager {
    bool said; // it has taken the last one
    enum manager_state state;
    uint32_t generation;
    uint64_t beat_ms; // between signs of life; 0: it wants none
    uint64_t next_beat_ms;
};

struct super {
    const struct super_options *options;
    int exe;
    char exe_path[IPC_PATH_MAX];
    int signals;
    int exit_code; // SUPER_RUNNING until the end is decided
    struct child keeper;
    struct child worker;
    struct old_worker old[OLD_WORKERS_MAX];
    struct upgrade upgrade;
    uint32_t upgrades; // so far
    struct listeners listeners;
    struct ports ports; // of tunnels
    struct edition now;
    struct edition next;
    struct renewal renewal;
    struct news news;
    struct hooks hooks;
    struct manager manager;
    bool outlives_terminal; // HUP was ignored when we were started, as by nohup
    int terminal;           // where a shell of ours passes HUP on from; -1: none
    bool loading;           // the keeper reads a configuration
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
    int tunnels;        // rows of the worker in force, -1: none
    int tunnels_before; // of the last one that was ready; for the next one, should that not get so far
    int control;
    int state; // directory, -1: none
    char state_path[STATE_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
    uint64_t started_wall_ms;
    uint64_t descriptors; // that a process may have
};

/** Ends the edge with a message on stderr. */
void super_give_up(struct super *s, int code, const char *why);
/** A supervisor with nothing in it yet, but its signals are watched; NULL, and a message was printed.
 * Once per process. */
struct super *super_begin(const struct super_options *options);
/** Runs until the edge ends; the exit code. */
int super_loop(struct super *s);
/** Drains and ends; asked for a second time it ends at once. */
void super_stop(struct super *s);
/** Ends the edge if no worker is left. */
void super_end_when_drained(struct super *s);

// ---- manager.c ----------------------------------------------------------------------------------

void manager_begin(struct manager *m);
/** Tells the service manager how things are, if it does not know. Returns when to come again, UINT64_MAX
 * when something has to happen first. */
uint64_t manager_tell(struct super *s, uint64_t now_ms);

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
/** Starts one for an edition: the one in force, or, when an upgrade is being proved, the next. */
void super_start_worker(struct super *s, const struct edition *e);
void super_on_worker(struct super *s, const struct ipc_message *m);
/** It is dead, or said that it is about to die: decides about the next one. */
void super_on_worker_gone(struct super *s);

// ---- tunnels.c ----------------------------------------------------------------------------------

/** Makes rows for a worker that begins and sends it those of the one before. `was_ready`: that one had
 * got so far. */
void tunnels_begin(struct super *s, bool was_ready);
/** The rows of the worker in force, to the keeper; nothing while there is no such worker. */
void tunnels_tell(struct super *s);
/** Rows of the edge before, by its keeper: those of the worker before when there was none. */
void tunnels_keep(struct super *s, struct ipc_fds *fds);
void tunnels_close(struct super *s);

// ---- editions.c ---------------------------------------------------------------------------------

/** A plan of the keeper's, with its document and credentials: tries it. */
void edition_plan(struct super *s, const struct ipc_plan *plan, struct ipc_fds *fds);
/** The worker runs `next`: what only the old edition needed is closed. */
void edition_commit(struct super *s);
/** What the next worker needs of a plan: its user, its threads, counters for them. 0, or a negative
 * code with the reason in `why`. */
int edition_prepare_worker(struct super *s, const struct ipc_plan *plan, struct text *why)
    must_check;
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
void renewal_done(struct super *s, const struct ipc_done *r);

// ---- old.c --------------------------------------------------------------------------------------

void old_init(struct super *s);
/** A free place, or NULL. */
struct old_worker *old_place(struct super *s);
unsigned old_count(const struct super *s);
/** Tells one to leave its listeners and to end within limit_ms; a patient one lets idle clients ask
 * once more. */
void old_drain(struct old_worker *o, uint64_t limit_ms, bool patient);
/** None of those that run listens any more. */
bool old_have_left(const struct super *s);
/** The same for all. */
void old_drain_all(struct super *s, uint64_t limit_ms);
/** Takes what it says, of which only one thing concerns us: it may be of another version. */
void old_discard(struct old_worker *o);
/** True when it was one of them that ended. */
bool old_ended(struct super *s, pid_t pid, int status);
/** Ends those whose time is over. Returns when the next one is, UINT64_MAX when none drains. */
uint64_t old_expire(struct super *s, uint64_t now_ms);
/** Ends them all and waits for that. */
void old_kill(struct super *s);
/** Tells the keeper of each, for `adit status`. */
void old_tell(struct super *s);
/** The access log's new descriptor. */
void old_send_logs(struct super *s, const struct edition *e);

// ---- upgrade.c: in the program that is to be replaced -------------------------------------------

/** Somebody wants the program at `path` (empty: where ours came from) to take over. `client`, -1 for
 * none, gets the answer and is taken over. */
void upgrade_request(struct super *s, const char *path, int client);
/** The trial has written something, or ended it. */
void upgrade_read(struct super *s);
/** The keeper has ended. True when that was wanted. */
bool upgrade_keeper_gone(struct super *s);
/** True when it was the trial that ended. */
bool upgrade_ended(struct super *s, pid_t pid, int status);
/** Goes on when nothing is under way any more; gives up when the time is over. Returns when that is,
 * UINT64_MAX when no upgrade is. */
uint64_t upgrade_go_on(struct super *s, uint64_t now_ms);
/** It is not to be; the client is told why. */
void upgrade_drop(struct super *s, const char *why);
/** One line of JSON to who asked, and the end of it. */
void upgrade_answer(struct super *s, const char *error, const char *note);

// ---- takeover.c: in the program that takes over -------------------------------------------------

static inline bool proving(const struct super *s)
{
    return s->upgrade.step == UPGRADE_PROVING;
}
/** The configuration as it is on disk is not to be had: the one that was handed over serves on. */
void takeover_fall_back(struct super *s, const char *why);
/** The new worker serves: the old one is told to drain. */
void takeover_done(struct super *s);
/** The old worker has left its listeners, has ended, or takes too long: the upgrade is over. */
void takeover_left(struct super *s);
/** Goes back to the program before, which never stopped serving. Does not return. */
_Noreturn void takeover_back(struct super *s, const char *why);

// ---- news.c -------------------------------------------------------------------------------------

/** The keeper has new ones; the descriptors are taken over. */
void news_on_names(struct super *s, struct ipc_fds *fds);
void news_on_servers(struct super *s, uint64_t number, struct ipc_fds *fds);
void news_on_access(struct super *s, uint64_t number, struct ipc_fds *fds);
/** What there is, to a worker that begins. */
void news_send(struct super *s);
/** The documents, to a keeper that takes over. */
void news_send_keeper(struct super *s);
/** The worker's word on a servers document. */
void news_done(struct super *s, const struct ipc_done *m);
/** The same on who may have tunnels. */
void news_access_done(struct super *s, const struct ipc_done *m);
/** The keeper wants a tunnel ended; the worker says how that went. */
void news_on_kick(struct super *s, const struct ipc_message *m);
void news_kicked(struct super *s, const struct ipc_message *m);
/** The worker has died: whoever waits for its word has it from us. */
void news_worker_gone(struct super *s);
/** May the keeper look at one more file although it loads nothing? */
bool news_may_look(struct super *s);
void news_close(struct news *n);
