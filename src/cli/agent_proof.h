// SPDX-License-Identifier: Apache-2.0
//
// What an agent proves itself with where that is no token: an Ed25519 key, or a client certificate with
// its key. Both come from files, and a private key that others can read is refused.

#pragma once

#include "cli/agent_plan.h"

/** Reads what --key and --cert name, or else the agent's file. CLI_OK, or the exit code after the reason
 * was printed. */
int agent_proof_read(struct agent_words *w, const struct cli_parsed *p);
