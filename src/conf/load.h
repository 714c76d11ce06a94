// SPDX-License-Identifier: Apache-2.0
//
// From a file to a checked document: parse, join includes and snippets, check against the rows,
// bring into canonical form, write the block. Everything that is wrong is reported, not just the
// first; with an error there is no document.
//
// This runs in the keeper, in `adit check` and in tests; never in a worker. One thread.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "conf/schema.h"
#include "conf/source.h"

struct conf_load {
    const char *path;           // of the main file: for messages and relative paths
    struct slice text;          // its bytes; .ptr NULL: read through the source
    struct conf_source *source; // NULL: nothing can be included and no variable is set
    const char *root;           // the file is the value of this key; NULL: it holds keys itself
    conf_tables_t tables;
};

/** 0 and a document that conf_doc_free() gives back; E_CONFIG when errors were reported to `d`;
 * E_NO_MEMORY. Warnings may be reported in any case. */
int conf_load(const struct conf_load *in, struct conf_diags *d, struct conf_doc **out) must_check;
void conf_doc_free(struct conf_doc *doc);

/** How many keys at the top of the main file the tables know: for whom it was written, when that may be
 * one of several programs. 0 where it cannot be read as YAML. Reports nothing. */
unsigned conf_load_known(const struct conf_load *in);

/** The main file of a YAML text in a C string: for tests and built-in configurations. */
int conf_load_text(const char *name, const char *text, conf_tables_t tables, struct conf_diags *d,
                   struct conf_doc **out) must_check;
