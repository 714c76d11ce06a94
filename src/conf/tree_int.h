// SPDX-License-Identifier: Apache-2.0
//
// The tree that a configuration is while it is being loaded: parse.c makes it from YAML, merge.c joins
// includes and snippets, check.c brings it into canonical form, flatten.c writes the document. It
// lives in the arena of the load and is never seen outside this folder.

#pragma once

#include "base/arena.h"
#include "conf/diag.h"
#include "conf/doc_int.h"
#include "conf/load.h"
#include "conf/schema.h"

struct conf_item {
    struct conf_item *next;
    struct conf_item *first; // children
    struct conf_item *last;
    struct slice key;
    struct slice text; // of a scalar
    struct conf_spot key_spot;
    struct conf_spot spot;            // of the value
    const struct conf_directive *row; // set by the check
    uint32_t count;
    uint32_t index; // of its cell, set by flatten
    uint8_t kind;   // enum conf_kind
    bool plain;     // a scalar that was not quoted
    bool flow;      // written in [ ] or { }
    bool wrong;     // something in it was reported: its own check is not run
};

struct conf_build {
    struct arena *arena;
    struct conf_diags *diags;
    struct conf_source *source;
    conf_tables_t tables;
    uint32_t items;
    uint32_t files;
    uint16_t contexts; // the check: innermost context, whatever objects are in between
    bool out_of_memory;
    struct conf_item *root;
    struct slice root_key; // the main file is the value of this key; empty: it holds keys itself
    struct slice files_dir[CONF_FILES_MAX]; // directory of each file, for relative paths
};

/** NULL when out of memory or over CONF_NODES_MAX (reported). */
struct conf_item *conf_item_new(struct conf_build *b, enum conf_kind kind, struct conf_spot spot);
void conf_item_append(struct conf_item *parent, struct conf_item *child);
/** Takes a child out. */
void conf_item_remove(struct conf_item *parent, struct conf_item *child);
struct conf_item *conf_item_get(const struct conf_item *map, const char *key);
struct conf_item *conf_item_get_slice(const struct conf_item *map, struct slice key);
/** A deep copy, or NULL when out of memory. */
struct conf_item *conf_item_copy(struct conf_build *b, const struct conf_item *from);
/** The spot of its key when it has one, else its own. */
struct conf_spot conf_item_spot(const struct conf_item *item);
/** Text formatted into the arena. */
struct slice conf_build_text(struct conf_build *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void conf_build_no_memory(struct conf_build *b);

/** YAML to a tree whose root is a map; NULL when something was reported. */
struct conf_item *conf_parse(struct conf_build *b, uint16_t file, struct slice text);
/** Reads a file, makes it known and parses it. `from` is where it was asked for. */
struct conf_item *conf_parse_file(struct conf_build *b, struct slice path, struct conf_spot from);
/** Makes a file known by its path. */
uint16_t conf_build_file(struct conf_build *b, struct slice path, struct slice text);
/** `path` as seen from the directory of a file. */
struct slice conf_path_join(struct conf_build *b, uint16_t file, struct slice path);

/** Joins the files that `include` names into b->root. */
void conf_merge_includes(struct conf_build *b);
/** Puts snippets where `use` asks for them. */
void conf_merge_snippets(struct conf_build *b);

/** Checks the tree against the rows and brings it into canonical form. */
void conf_check(struct conf_build *b);
/** What holds between directives: names of upstreams, hosts of sites, order of routes. */
void conf_check_whole(struct conf_build *b);
/** Checks and rewrites one scalar by its type. False: reported. */
bool conf_check_scalar(struct conf_build *b, struct conf_item *item,
                       const struct conf_directive *row);
/** The same for the key of an entry of a map. */
bool conf_check_key(struct conf_build *b, struct conf_item *entry, enum conf_type type);

/** Writes the document; NULL when out of memory. The caller frees it with mem_free(). */
struct conf_doc *conf_flatten(struct conf_build *b);
