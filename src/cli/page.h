// SPDX-License-Identifier: Apache-2.0
//
// The pages about directives and commands, made from the rows: for a terminal (adit help NAME) and
// as Markdown (docs/reference, adit help --markdown).

#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "conf/schema.h"

/** A directive's page for a terminal. `name` is how it was asked for: "timeouts.connect". */
void cli_page_terminal(FILE *to, const struct conf_directive *row, const char *name, bool colour);
/** One line for each directive, by where it may stand. */
void cli_page_list(FILE *to);

struct cli_reference {
    const char *file; // of docs/reference
    void (*write)(FILE *to);
};
/** The reference pages; ended by one without file. */
extern const struct cli_reference cli_references[];
