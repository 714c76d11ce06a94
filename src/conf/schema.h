// SPDX-License-Identifier: Apache-2.0
//
// The table that makes the configuration language: one row per directive. The parser's check, the
// messages, the JSON Schema, the reference pages, `adit help NAME` and the completion all come from
// these rows. conf knows no feature: modules bring their rows, src/main/modules.c joins the tables.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

// What stands in a checked document for each type ("canonical"):
//
//   BOOL      on | off
//   INT, DURATION, SIZE, PERCENT, STATUS   as written; conf_int() and the like read them; or a word of `words`
//   TEMPLATE  the template with $env() and $file() already put in (conf/template.h compiles it)
//   ADDRESS   IP:PORT, [v6]:PORT, NAME:PORT or unix:/path, whatever short form was written; with
//             https:// or h2c:// in front where that was
//   LISTEN    IP:PORT, [v6]:PORT or unix:/path; a bare port is [::]:PORT, every address; with udp:// in
//             front where `datagrams_ok` and that was
//   CIDR      as os_cidr_parse() reads it, after an optional "not "
//   HOST      lower case: name, *.name or default; an IPv6 address in brackets
//   PATTERN   exact text, `~ REGEX` with one blank, or on (present) | off (absent)
//   FILE      the content of the file, not its name
//   FILE_PATH the path of a file, seen from the directory of the file it was written in
//   OBJECT    a map, whatever shorthand was written; or off, where that is a value
//   UPSTREAM  the name of an upstream, or a map of the rows of an upstream
//
// Where `list` is set there is always a list, even of one.
enum conf_type {
    CONF_TYPE_BOOL,     // on, off, true, false
    CONF_TYPE_INT,      // digits, min..max
    CONF_TYPE_DURATION, // 10s, 500ms, 1m30s, 1h, 1d; off when `off_ok`; min and max in ms
    CONF_TYPE_SIZE,     // 512, 4KiB, 1MiB, 1GiB, 10KB; min and max in bytes
    CONF_TYPE_PERCENT,  // 20%, 0%; whole; min and max in percent
    CONF_TYPE_STRING,
    CONF_TYPE_TEMPLATE, // with $variables (conf/template.h)
    CONF_TYPE_ENUM,     // one of `words`
    CONF_TYPE_ADDRESS,  // host:port, PORT, :PORT, [v6]:port, unix:/path, SCHEME://host[:port]
    CONF_TYPE_LISTEN,   // PORT, :PORT, IP:PORT, [v6]:PORT, unix:/path
    CONF_TYPE_CIDR,     // network, or `not` network
    CONF_TYPE_HOST,     // name, wildcard, or `default`
    CONF_TYPE_PATH,     // path match: /exact /prefix/* glob or ~ regex
    CONF_TYPE_REGEX,
    CONF_TYPE_PATTERN, // exact text, ~ regex, on, off
    CONF_TYPE_METHOD,
    CONF_TYPE_FIELD,     // field name
    CONF_TYPE_STATUS,    // a status within min..max, or a class "5xx" when `classes_ok`
    CONF_TYPE_FILE,      // a path, relative to the file it stands in; read with the configuration
    CONF_TYPE_FILE_PATH, // the same, but the path itself is the value: who uses it reads the file
    CONF_TYPE_NAME,      // a name of the user's own: letters, digits, - _ .
    CONF_TYPE_OBJECT,    // map with rows of its own (`rows`, or those of the context `inner`)
    CONF_TYPE_MAP,       // free keys of `key_type`, values by the one row in `rows`
    CONF_TYPE_UPSTREAM,  // name of an upstream, or an address list, or rows of an upstream; or an
                         // object of `rows`, when it has the first of them
    CONF_TYPE_COUNT,
};

enum conf_context {
    CONF_IN_TOP = 1,
    CONF_IN_SITE = 2,
    CONF_IN_ROUTE = 4,
    CONF_IN_UPSTREAM = 8,
    CONF_IN_OBJECT = 16, // rows of an object
    CONF_IN_TUNNELS = 32,
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
    bool on_ok;        // OBJECT: `on` stands for it with nothing said
    bool top_only;     // in an object that stands at other levels as well: only at the top one
    bool condition;    // narrows what a route takes
    bool classes_ok;   // STATUS: 5xx as well
    bool not_ok;       // CIDR: `not` in front as well, which a condition always may have
    bool datagrams_ok; // LISTEN: udp:// in front as well
    uint8_t key_type;  // CONF_TYPE_MAP
    uint16_t inner;    // OBJECT: its rows are those of this context
    int64_t min;       // in the type's unit; both 0: no bounds but the type's own
    int64_t max;
    const char *unit;
    const char *fallback;              // default as text, for the documentation and the compile
    const char *const *words;          // ENUM, or further values of a scalar; NULL-terminated
    const struct conf_directive *rows; // OBJECT, MAP, UPSTREAM; ended by a row without name
    const char *shorthand;             // name of the row that a bare scalar or list stands for
    const char *aka; // what other programs call it, blank-separated: for "did you mean"
    const char *since;
    const char *text;    // one line of prose
    const char *example; // YAML that parses, for the page and its test
    /** What a table cannot say, on the canonical value; reports through `d` (conf/diag.h). May be
     * NULL. */
    void (*check)(struct conf_diags *d, struct conf_node value);
};

/** The tables of a program: each ended by CONF_END, the list by NULL. */
typedef const struct conf_directive *const *conf_tables_t;

/** The tables of adit, defined in src/main/modules.c. */
extern const struct conf_directive *const conf_tables[];

/** The rows of the language itself: include, snippets, use. A table that every program lists. */
extern const struct conf_directive conf_language[];

/** What holds between directives of several tables: run on the finished document of `conf_tables` when
 * nothing else is wrong in it. Ended by NULL; defined in src/main/modules.c. */
typedef void conf_check_fn(struct conf_diags *d, struct conf_node root);
extern conf_check_fn *const conf_checks[];

/** Iteration over all rows of all tables: start with conf_rows(), ends when ->row is NULL. */
struct conf_rows {
    conf_tables_t table;
    const struct conf_directive *row;
};
struct conf_rows conf_rows(conf_tables_t tables);
void conf_rows_next(struct conf_rows *it);
#define conf_each_row(it, tables)                                                                  \
    for (struct conf_rows it = conf_rows(tables); (it).row != NULL; conf_rows_next(&(it)))

/** The row of a name in any of the contexts, or NULL. */
const struct conf_directive *conf_row_find(conf_tables_t tables, unsigned contexts,
                                           struct slice name);
/** The same within the rows of one object. */
const struct conf_directive *conf_row_in(const struct conf_directive *rows, struct slice name);
/** "duration", "list of addresses": what the pages and messages call the row's type. Static or in
 * `buffer`. */
const char *conf_type_text(const struct conf_directive *row, char *buffer, size_t size);
/** "10s" and the like for messages: an example of a value of the type. */
const char *conf_type_sample(enum conf_type type);
/** "the top level, a site or a route". In `buffer`. */
const char *conf_contexts_text(unsigned contexts, char *buffer, size_t size);

#define CONF_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }
