// SPDX-License-Identifier: Apache-2.0
//
// The supervisor: the process that the user started. It keeps what must outlive a crash (listeners,
// the last good document, the counters), starts keeper and worker, and restarts them. It never parses
// a byte that a peer or the user wrote: configuration files pass through it as descriptors.
// docs/design/processes.md tells the whole story.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"

struct super_options {
    const char *path;  // main configuration file as the user named it
    struct slice text; // its bytes when it is built in and not in a file; .ptr NULL otherwise
    const char *state; // the state directory; NULL: where it usually is, "": none
    /** Called once, when the edge serves for the first time, after the addresses were printed. May be
     * NULL. */
    void (*on_serving)(void);
};

enum super_exit {
    SUPER_EXIT_OK = 0,
    SUPER_EXIT_FAILURE = 1, // could not start, or the worker dies again and again
    SUPER_EXIT_CONFIG = 3,  // the configuration does not check out
};

/** Runs an edge until it is told to end; the result is the exit code. The process must have one
 * thread. SIGHUP: reload. SIGUSR1: reopen the access log. SIGUSR2: upgrade. SIGTERM, SIGINT: drain, the second one ends
 * at once. */
int super_run(const struct super_options *options);

/** The life of a program that was started to take an edge over, to be tried for that, or to take it
 * back (super/upgrade.c). main() comes here when argv[0] is SUPERVISOR_ARGV0 (super/exec.h); the
 * result is the process's exit code. */
int super_main(int argc, char **argv);

enum { SUPER_PATH_MAX = 108 };

/** Where the control socket is when nothing is said: /run/adit/control.sock for root, else
 * $XDG_RUNTIME_DIR/adit.sock; empty when that is not set. */
void super_control_default(char path[SUPER_PATH_MAX]);
