// SPDX-License-Identifier: Apache-2.0
//
// Showing the diagnostics of a configuration, for all commands that load one.

#pragma once

#include <stdbool.h>

struct conf_diags;

/** On stderr, in colour where that is wanted, with a last line of counts. Nothing when there are
 * none. */
void cli_report_text(const struct conf_diags *d);
/** One JSON object on stdout. */
void cli_report_json(const struct conf_diags *d, const char *file, bool ok);
