// SPDX-License-Identifier: Apache-2.0
//
// Servers that are not in the configuration: lists in files that are watched, and what `adit server`
// has said. Both become the servers document (upstream/servers.h), which goes to the worker by way of
// the supervisor whenever something in it changes. resolv.conf and hosts are followed alike.
//
// Files are looked at once a second, opened by the supervisor, since the keeper may not: that sees
// files that are replaced, written in place, linked or mounted, all the same. A change counts when a
// second look a moment later sees the same file, so that half of a write is not taken for a list.
//
// What commands have said is kept in the state directory (servers.json), and in the supervisor's copy
// of the document for a keeper that takes over.

#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "conf/source.h"
#include "ipc/messages.h"
#include "upstream/servers.h"

struct keeper;

/** What a file was when it was last looked at. */
struct watch_mark {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t changed_ns;
    int64_t modified_ns;
};

struct watched_file {
    char path[IPC_PATH_MAX];
    bool wanted; // by the document that is being looked through
    bool secure; // all who use it can speak TLS with what is in it
    bool broken; // and the log says so
    struct watch_mark seen;
    struct watch_mark taken;
    json_t *list; // NULL: none yet
};

struct keeper_servers {
    json_t *known; // by name of the upstream: {"secure": bool, "at": {ADDRESS: entry}, "files": []}
    json_t *staged;    // the same of a document that is being put in force
    json_t *overrides; // as in the servers document
    struct watched_file files[SERVERS_FILES_MAX];
    uint32_t file_count;
    struct watched_file names[2]; // resolv.conf, hosts
    bool names_sent;              // by this keeper
    uint64_t number;              // of the newest document that was sent
    bool loaded;                  // servers.json was read
    uint64_t look_at_ms;
    uint64_t names_at_ms;
};

void servers_init(struct keeper_servers *s);
void servers_fini(struct keeper_servers *s);

/** Reads and checks the watched files of a document, for `adit check` and for a load. */
int servers_check_files(const struct conf_doc *doc, struct conf_source *source,
                        struct conf_diags *d) must_check;
/** A load has a checked document: reads files that are new in it and sends the servers document. 0, or
 * E_CONFIG with diagnostics. */
int servers_stage(struct keeper *k, const struct conf_doc *doc, struct conf_diags *d) must_check;
/** The document is in force: drops what nobody refers to any more. */
void servers_commit(struct keeper *k);
/** Takes over what a keeper before this one left: the document in force, the servers document. The
 * descriptors stay the caller's. */
void servers_recover_document(struct keeper *k, int fd);
void servers_recover(struct keeper *k, uint64_t number, int fd);

/** What is due: looks at files. */
void servers_tick(struct keeper *k);
/** Milliseconds until then, -1: nothing is watched. */
int servers_wait_ms(const struct keeper *k);

/** Must a server that is written so be spoken to by TLS? */
bool servers_is_secure(struct slice at);
/** Sends the servers document as it is now. True: every core uses it. */
bool servers_send(struct keeper *k, bool wait);
/** Writes servers.json. */
void servers_save(const struct keeper *k);

/** "server ..." of the control socket, without that word (server_commands.c). */
json_t *server_command(struct keeper *k, struct slice words) must_check;
/** For `adit status`: servers that are not healthy, and what commands have said. */
json_t *server_summary(const struct keeper *k, int block, uint32_t cores) must_check;
