// SPDX-License-Identifier: Apache-2.0
//
// Starting an edge from the command line: from a file, from a text made of arguments, or the demo.

#pragma once

#include "base/slice.h"

/** Runs an edge on a configuration file until it ends; the process's exit code. `state`: its state
 * directory, NULL for the usual place. */
int edge_run_file(const char *path, const char *state);
/** The same with a configuration that is in memory; `name` stands for the file in messages.
 * `on_serving` may be NULL: called once when the edge serves. */
int edge_run_text(const char *name, struct slice text, void (*on_serving)(void));
/** The built-in demo: an edge on 127.0.0.1:8080 (or the next free port) before an origin of its own. */
int edge_run_demo(void);
