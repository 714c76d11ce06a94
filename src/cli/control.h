// SPDX-License-Identifier: Apache-2.0
//
// Asking a running edge over its control socket, and reading what it answered.

#pragma once

#include <jansson.h>
#include <stdint.h>

/** Sends one command and takes the answer. `path` NULL: the default place. On failure it has said why
 * on stderr and returns NULL. The answer is the caller's to json_decref(). */
json_t *control_ask(const char *path, const char *command);
/** A text of an object; empty when there is none. Lives as long as the object. */
const char *control_text(const json_t *object, const char *key);
/** A number of an object; 0 when there is none. */
int64_t control_number(const json_t *object, const char *key);
/** An answer as it came, on stdout. CLI_OK when it says `ok`, else CLI_FAILURE. */
int control_print(const json_t *answer);
