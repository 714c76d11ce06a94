// SPDX-License-Identifier: Apache-2.0
//
// Becoming another supervisor, and how it is told: argv[0] says that it is one, argv[1] what it is to
// do, argv[2] the descriptor of the state (super/handover.h). These words, and the first ones of the
// answer of a trial, are between programs of different versions: they stay as they are.

#pragma once

#include "base/ensure.h"

struct handover;

#define SUPERVISOR_ARGV0 "adit: supervisor"
#define EXEC_TRIAL       "trial"     // say whether you understand this state, on stdout
#define EXEC_TAKE_OVER   "take-over" // it is yours
#define EXEC_GO_BACK     "go-back" // it was yours and is again; argv[3]: the reason, in a descriptor
#define EXEC_YES         "adit-upgrade yes"  // the version may follow
#define EXEC_NO          "adit-upgrade no: " // the reason follows

enum { EXEC_FAILED = 127 };

/** Executes a program with everything the state names kept open. Comes back only when that failed;
 * then all of it is close-on-exec again. `reason`: a descriptor, or -1. */
void exec_program(int program, const char *what, const struct handover *h, int state, int reason);
/** Makes all descriptors of a state close-on-exec, or not. Standard ones are left alone. */
void exec_keep(const struct handover *h, bool keep);
