// SPDX-License-Identifier: Apache-2.0
//
// What an agent proves itself with where that is no token: an Ed25519 key, or a client certificate with
// its key. Both come from files, and a private key that others can read is refused.

#pragma once

#include <sys/types.h>

#include "cli/agent_plan.h"

/** A file that an option names. */
struct agent_file {
    const char *option;
    const char *path;
    size_t bytes_max;
    // What was found.
    struct slice bytes;
    mode_t mode;
};

/** Reads it whole, onto the arena; an empty one is refused. CLI_OK, or the exit code after the reason was
 * printed. */
int agent_file_read(struct agent_words *w, const struct cli_parsed *p, struct agent_file *f);

/** Reads what --key and --cert name, or else the agent's file. CLI_OK, or the exit code after the reason
 * was printed. */
int agent_proof_read(struct agent_words *w, const struct cli_parsed *p);
