// SPDX-License-Identifier: Apache-2.0
//
// A configuration document: one flat, position-independent block of nodes and text that the keeper
// makes (conf/load.h) and a worker reads from a sealed memfd. Immutable once made.
//
// What is in it after the check is canonical (conf/schema.h says how each type looks): includes and
// snippets are merged, shorthands are in their long form, names are known and values are in range;
// so whoever compiles it asserts rather than reports. What $env() and $file() stood for is text in
// here for now, so the block is as secret as the files. A block that came over a descriptor is
// verified (conf_doc_open) before use.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum conf_kind { CONF_SCALAR, CONF_LIST, CONF_MAP };

struct conf_doc;

/** A place in a document; node 0 does not exist. Passed by value. */
struct conf_node {
    const struct conf_doc *doc;
    uint32_t index;
};

/** Checks every offset of a block of `len` bytes that must stay mapped while the document is used.
 * 0 or E_INVALID. */
int conf_doc_open(const void *bytes, size_t len, const struct conf_doc **out) must_check;
struct conf_node conf_root(const struct conf_doc *doc);
/** The block's bytes, for a memfd. */
struct slice conf_doc_bytes(const struct conf_doc *doc);
/** Hash of a subtree's meaning (keys, kinds, values; not its place): parts of snapshots are shared
 * by it. */
uint64_t conf_hash(struct conf_node n);

static inline bool conf_exists(struct conf_node n)
{
    return n.index != 0;
}
enum conf_kind conf_kind_of(struct conf_node n);
/** Its key in the map that holds it; empty in a list. */
struct slice conf_key(struct conf_node n);
/** Text of a scalar. */
struct slice conf_text(struct conf_node n);
/** Child of a map; does not exist when n does not, or has no such key. */
struct conf_node conf_get(struct conf_node n, const char *key);
struct conf_node conf_get_slice(struct conf_node n, struct slice key);
/** Children of a map or list in order. */
struct conf_node conf_first(struct conf_node n);
struct conf_node conf_next(struct conf_node n);
uint32_t conf_count(struct conf_node n);
#define conf_each(child, parent)                                                                   \
    for (struct conf_node child = conf_first(parent); conf_exists(child); child = conf_next(child))

/** "file:line:col" parts. */
struct conf_place {
    struct slice file;
    uint32_t line; // from 1
    uint32_t column;
};
struct conf_place conf_place_of(struct conf_node n);

// Typed values of checked nodes; `fallback` when the node does not exist. They assert that the text
// is of the type (the check has seen to it).
bool conf_bool(struct conf_node n, bool fallback);
int64_t conf_int(struct conf_node n, int64_t fallback);
/** Milliseconds; "off" is 0. */
uint64_t conf_duration_ms(struct conf_node n, uint64_t fallback_ms);
/** "off" is 0. */
uint32_t conf_percent(struct conf_node n, uint32_t fallback);
/** Bytes; "off" is UINT64_MAX. */
uint64_t conf_size(struct conf_node n, uint64_t fallback);
struct slice conf_string(struct conf_node n, const char *fallback);
bool conf_is_off(struct conf_node n);

/** The nodes in which a directive may stand for one route, nearest first. */
struct conf_scope {
    struct conf_node level[4]; // route, site, top; then not existing
};
/** Merge "replace": the nearest level that has the key, a dotted path ("timeouts.connect") is
 * resolved per key. */
struct conf_node conf_scope_get(const struct conf_scope *s, const char *path);
