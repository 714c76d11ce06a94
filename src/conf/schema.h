// SPDX-License-Identifier: Apache-2.0
//
// The table that makes the configuration language: one row per directive. The parser's check, the
// messages, the JSON Schema, the reference pages, `adit help NAME` and the completion all come from
// these rows. conf knows no feature: modules bring their rows, src/main/modules.c joins the tables.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum conf_type {
    CONF_TYPE_BOOL,     // on, off, true, false
    CONF_TYPE_INT,      // digits, min..max
    CONF_TYPE_DURATION, // 10s, 500ms, 1m, 1h, 1d; off when `off_ok`
    CONF_TYPE_SIZE,     // 512, 4KiB, 1MiB, 1GiB, 10KB
    CONF_TYPE_STRING,
    CONF_TYPE_TEMPLATE, // with $variables; conf checks names against conf_variables
    CONF_TYPE_ENUM,     // one of `words`
    CONF_TYPE_ADDRESS,  // host:port, PORT, :PORT, [v6]:port, unix:/path, http://host[:port]
    CONF_TYPE_LISTEN,
    CONF_TYPE_CIDR, // network, or `not` network
    CONF_TYPE_HOST, // name, wildcard, or `default`
    CONF_TYPE_PATH, // path match: /exact /prefix/* glob or ~ regex
    CONF_TYPE_REGEX,
    CONF_TYPE_METHOD,
    CONF_TYPE_FIELD,    // field name
    CONF_TYPE_STATUS,   // 100..599 or a class "5xx" when `classes_ok`
    CONF_TYPE_FILE,     // a path, relative to the file it stands in
    CONF_TYPE_OBJECT,   // map with rows of its own (`rows`)
    CONF_TYPE_MAP,      // free keys of `key_type`, values by the one row in `rows`
    CONF_TYPE_UPSTREAM, // name of an upstream, or an address list
};

enum conf_context {
    CONF_IN_TOP = 1,
    CONF_IN_SITE = 2,
    CONF_IN_ROUTE = 4,
    CONF_IN_UPSTREAM = 8,
    CONF_IN_OBJECT = 16, // rows of an object
    CONF_IN_ROUTING = CONF_IN_SITE | CONF_IN_ROUTE,
    CONF_IN_ALL = CONF_IN_TOP | CONF_IN_SITE | CONF_IN_ROUTE,
};

enum conf_merge {
    CONF_MERGE_REPLACE, // the nearest wins, per key of an object
    CONF_MERGE_ADD,     // lists are joined, outer first
    CONF_MERGE_ALL,     // every level applies by itself
};

enum conf_reload { CONF_RELOAD_LIVE, CONF_RELOAD_RESTART };

struct conf_diags;
struct conf_node;

struct conf_directive {
    const char *name;
    uint16_t contexts; // enum conf_context
    uint8_t type;      // enum conf_type
    uint8_t merge;     // enum conf_merge
    uint8_t reload;    // enum conf_reload
    bool list;         // one value or a list of them
    bool off_ok;       // `off` is a value
    bool action;       // says what happens to a request: one per route
    bool required;     // in its object
    uint8_t key_type;  // CONF_TYPE_MAP
    int64_t min;
    int64_t max;
    const char *unit;
    const char *fallback;              // default as text, for the documentation and the compile
    const char *const *words;          // CONF_TYPE_ENUM, NULL-terminated
    const struct conf_directive *rows; // CONF_TYPE_OBJECT and MAP, ended by a row without name
    const char *shorthand;             // name of the row that a bare scalar or list stands for
    const char *since;
    const char *text;    // one line of prose
    const char *example; // YAML that parses, for the page and its test
    /** What a table cannot say; reports through `d`. May be NULL. */
    void (*check)(struct conf_diags *d, struct conf_node value);
};

#define CONF_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }
