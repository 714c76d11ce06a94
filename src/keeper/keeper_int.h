// SPDX-License-Identifier: Apache-2.0
//
// What the keeper's parts share: its state, and the wait for an answer of the supervisor.

#pragma once

#include <sys/types.h>

#include "base/ensure.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "conf/schema.h"
#include "conf/source.h"
#include "ipc/messages.h"
#include "keeper/certificates.h"
#include "keeper/grants.h"
#include "keeper/live.h"
#include "keeper/servers.h"

struct issuer;
struct needs;
struct text;

enum { KEEPER_MAGIC = 0x4b454550 };

struct keeper {
    uint32_t magic;
    struct conf_source source; // asks the supervisor
    conf_tables_t tables;
    char path[IPC_PATH_MAX];
    char state_path[IPC_PATH_MAX];
    int state;   // the state directory, -1: none
    int control; // listening socket, -1: none
    uid_t owner; // who started the edge: may use the control socket, as may root
    struct certificates certificates;
    struct keeper_servers servers;
    struct keeper_grants grants;
    struct keeper_live live;
    struct issuer *issuer; // NULL: nothing for it to do so far
    struct needs *loading; // of the document that is being put in force
    bool load_wanted;      // the supervisor asked while we were busy
    bool ending;           // the supervisor is gone
};

/** Start-up. */
void keeper_init(struct keeper *k);
/** Frees what it holds once issuer_stop() has said that no thread is at work. */
void keeper_fini(struct keeper *k);
/** Waits for a message of one type; orders that come in between are remembered. 0 or E_EOF. */
int keeper_await(struct keeper *k, enum ipc_type type, struct ipc_message *m, struct ipc_fds *fds)
    must_check;
/** The same for at most so long: E_AGAIN. */
int keeper_await_for(struct keeper *k, enum ipc_type type, struct ipc_message *m,
                     struct ipc_fds *fds, int timeout_ms) must_check;
/** Asks for the status: the answer, with the block of counters and rows if there is one. */
int keeper_ask_status(struct keeper *k, struct ipc_message *m, struct ipc_fds *fds) must_check;
/** Sends; when the supervisor is gone the keeper ends. 0 or an error. */
int keeper_send(struct keeper *k, const struct ipc_message *m, const int *fds, unsigned count)
    must_check;

/** Loads the configuration and asks the supervisor to put it in force. `out` gets the diagnostics, as
 * text for people, and what the supervisor or the worker objected to. 0 (*generation is in force),
 * E_CONFIG, or why it could not be put in force. */
int keeper_load(struct keeper *k, uint32_t *generation, struct text *out) must_check;
/** A file, opened by the supervisor: a descriptor or a negative code (source.c). */
int keeper_open_file(struct keeper *k, const char *path) must_check;
/** The source that asks the supervisor (source.c). */
void keeper_source_init(struct conf_source *s);

/** Sends what a checked document asks of the supervisor, with the document and the credentials that
 * it needs (plan.c). */
int keeper_plan_send(struct keeper *k, const struct conf_doc *doc, struct needs *n,
                     struct text *why) must_check;

/** A client is waiting on the control socket: serves it (control.c). */
void keeper_control(struct keeper *k);
