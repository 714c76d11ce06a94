// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics: what is wrong with a configuration, collected so that one run shows all of it. Each
// has a place, a message, often a hint and sometimes a second place ("first given here").
//
// Text for people:
//
//     adit.yaml:4:5: error: unknown key `prxy` in a route
//         4 |   - {prxy: app}
//           |      ^^^^
//       hint: did you mean `proxy`?
//
// One thread at a time. Running out of memory or of places (CONF_DIAGS_MAX) loses further ones, never
// the fact that there were errors.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/doc.h"

struct text;

enum { CONF_DIAGS_MAX = 100 };

enum conf_severity { CONF_ERROR, CONF_WARNING };

/** A place in a source file that the diags know (conf_diags_file), columns in code points. */
struct conf_spot {
    uint16_t file;
    uint32_t line;   // from 1; 0: the file as a whole
    uint32_t column; // from 1
    uint32_t width;  // of the caret line, at least 1
};

struct conf_diag {
    struct conf_diag *next;
    struct conf_spot spot;
    struct conf_spot other; // line 0: none
    struct slice message;
    struct slice hint;       // may be empty
    struct slice other_text; // what is at the other place: "first given here"
    uint8_t severity;        // enum conf_severity
};

struct conf_diags;

/** NULL when out of memory. */
struct conf_diags *conf_diags_new(void) must_check;
void conf_diags_free(struct conf_diags *d);
/** Makes a file known and copies its text (for the source lines); gives its number. At
 * CONF_FILES_MAX the last number is given again. */
uint16_t conf_diags_file(struct conf_diags *d, struct slice name, struct slice text);

/** Reports at a node of a document. `d` may be NULL: nothing happens. Any of these may be followed by
 * conf_hint(). A second report of the same message at the same place is dropped. */
void conf_error(struct conf_diags *d, struct conf_node at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warning(struct conf_diags *d, struct conf_node at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Reports at a place of a source file. */
void conf_report(struct conf_diags *d, enum conf_severity severity, struct conf_spot spot,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/** Says to the last report what to do about it. */
void conf_hint(struct conf_diags *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Gives the last report a second place. */
void conf_other(struct conf_diags *d, struct conf_spot spot, const char *what);

unsigned conf_diags_errors(const struct conf_diags *d);
unsigned conf_diags_warnings(const struct conf_diags *d);
/** Oldest first; sorted by file and line once conf_diags_sort() was called. */
const struct conf_diag *conf_diags_first(const struct conf_diags *d);
void conf_diags_sort(struct conf_diags *d);
struct slice conf_diags_file_name(const struct conf_diags *d, uint16_t file);

/** One diagnostic as shown above, each line ended. `colour` adds terminal colours. */
void conf_diag_text(const struct conf_diags *d, const struct conf_diag *one, bool colour,
                    struct text *out);
/** The same as a JSON object: severity, file, line, column, message, hint, source. */
void conf_diag_json(const struct conf_diags *d, const struct conf_diag *one, struct text *out);
