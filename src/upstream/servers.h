// SPDX-License-Identifier: Apache-2.0
//
// Lists of servers as they are written: the rows of an entry, watched files, and the *servers
// document*, which holds what is not in the configuration: the content of the watched files and what
// `adit server` has said. The keeper makes it, the workers read it; it is a checked document
// (conf/doc.h) in a sealed memory file like the configuration itself.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "conf/doc.h"
#include "conf/schema.h"

struct conf_diags;

enum {
    SERVERS_WEIGHT_MAX = 1000,
    SERVERS_PRIORITY_MAX = 254,
    SERVERS_ENTRIES_MAX = 1024,       // of one list in the configuration
    SERVERS_LISTED_MAX = 1024,        // in one watched file
    SERVERS_FILES_MAX = 64,           // watched files
    SERVERS_FILE_BYTES_MAX = 1 << 20, // of one of them
    SERVERS_OVERRIDES_MAX = 1024,     // of all upstreams
    SERVERS_DOC_BYTES_MAX = 16 << 20,
};

/** An entry of `servers` in the configuration, and the check of the list. */
extern const struct conf_directive servers_rows[];
void servers_check(struct conf_diags *d, struct conf_node servers);

/** A watched file: a list under the key "servers" (conf_load.root). */
extern const struct conf_directive *const servers_file_tables[];
/** The servers document, as text before it is checked: JSON,
 *
 *     {"files": [{"path": "/etc/app.yaml", "servers": [{"at": "10.0.0.1:80", ...}, ...]}],
 *      "overrides": [{"upstream": "app", "at": "10.0.0.1:80", "of": "app.internal:80",
 *                     "added": "on", "removed": "on", "weight": 3, "state": "drain"}]} */
extern const struct conf_directive *const servers_doc_tables[];

/** What a command has said about a server. */
struct servers_override {
    struct slice at; // as it is in the list, or one address of a name in it
    struct slice of; // then: the name's entry; else empty
    bool added;      // it is in no list
    bool removed;
    uint32_t weight;    // 0: nothing said
    struct slice state; // "ready", "drain", "maintenance"; empty: nothing said
};

void servers_override_read(struct conf_node n, struct servers_override *out);
/** The list of a watched file in a servers document; does not exist when there is none. */
struct conf_node servers_doc_file(const struct conf_doc *doc, struct slice path);
