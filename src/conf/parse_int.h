// SPDX-License-Identifier: Apache-2.0
//
// Between parse.c and parse_syntax.c: libfyaml's syntax errors in our words.

#pragma once

#include "conf/tree_int.h"

enum { CONF_SYNTAX_TEXT_MAX = 256 };

/** What libfyaml prints, as far as it fits; only the first line counts. */
struct conf_syntax_error {
    char text[CONF_SYNTAX_TEXT_MAX];
    size_t len;
    bool complete;
};

void conf_syntax_collect(struct conf_syntax_error *e, struct slice piece);
/** Reports it; `open` is the innermost list or map that is not closed, or NULL. */
void conf_syntax_report(struct conf_build *b, uint16_t file, struct slice text,
                        const struct conf_syntax_error *e, const struct conf_item *open);
/** False (reported): a byte that no configuration may hold. */
bool conf_syntax_bytes(struct conf_build *b, uint16_t file, struct slice text);
