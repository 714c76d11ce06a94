// SPDX-License-Identifier: Apache-2.0
//
// How `adit server` and `adit status` speak of servers.

#pragma once

#include <jansson.h>
#include <stddef.h>

/** "healthy", "ejected for 12 s more", "down: connection refused, backup" of a row. */
void cli_server_state(const json_t *row, char *out, size_t size);
/** A line for each thing that commands have said; `upstream` empty: of all. */
void cli_server_drift(const json_t *overrides, const char *upstream);
