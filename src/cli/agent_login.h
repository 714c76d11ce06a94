// SPDX-License-Identifier: Apache-2.0
//
// What `adit login` keeps: an edge and the token for it, in $XDG_CONFIG_HOME/adit/login (else
// ~/.config/adit/login), readable by its owner alone. A file that others can read is refused, for then
// the token may be known to them. The token goes to that edge and to no other.

#pragma once

#include <stddef.h>

#include "base/ensure.h"

enum { AGENT_LOGIN_TEXT_MAX = 320, AGENT_LOGIN_PATH_MAX = 4096 };

struct agent_login {
    char server[AGENT_LOGIN_TEXT_MAX];
    char token[AGENT_LOGIN_TEXT_MAX];
};

/** Where it is. False: neither XDG_CONFIG_HOME nor HOME is set. */
bool agent_login_path(char out[AGENT_LOGIN_PATH_MAX]);
/** 0, E_NOT_FOUND, E_DENIED (others may read it, or it is not ours), E_INVALID, E_IO. */
int agent_login_read(const char *path, struct agent_login *out) must_check;
/** Replaces it in one step; makes its folders. 0, E_DENIED, E_IO. */
int agent_login_write(const char *path, const struct agent_login *in) must_check;
