// SPDX-License-Identifier: Apache-2.0
//
// Asking a running edge over its control socket.

#pragma once

#include <jansson.h>

/** Sends one command and takes the answer. `path` NULL: the default place. On failure it has said why
 * on stderr and returns NULL. The answer is the caller's to json_decref(). */
json_t *control_ask(const char *path, const char *command);
