// SPDX-License-Identifier: Apache-2.0
//
// The sandbox: after it, a process can do what its role needs and nothing else. Two layers that do
// not depend on each other: seccomp decides which system calls exist, Landlock which files, TCP
// ports and processes can be reached by those that do. docs/design/processes.md has the lists and
// the reasons.
//
// A system call that only an attacker would make (exec, fork, ptrace, mount, loading code into the
// kernel) kills the process; one that a library may try by habit (open, an exotic ioctl) fails with
// an error, so that the library goes on without it.

#pragma once

#include "base/ensure.h"

enum sandbox_role {
    SANDBOX_WORKER, // sockets, threads, the JIT of regular expressions; no files
    // Its channel, the control socket, memory files, threads; connections to the outside; reading
    // what libraries need of the system (certificates, shared libraries, /etc), writing in its state directory.
    SANDBOX_KEEPER,
};

/** What was in force afterwards. */
struct sandbox_report {
    const char *filter; // name of the seccomp filter, NULL: this kernel has none
    int landlock_abi;   // 0: this kernel has none
};

/** Closes the sandbox around the whole process; there is no way out. `state`: a directory beneath which
 * a keeper may read and write, -1: none. Call it with one thread and
 * after os_privileges_drop(); threads that begin later are inside. A kernel without one of the layers
 * is reported, not an error; a layer that is there and cannot be set is E_DENIED. */
int os_sandbox_enter(enum sandbox_role role, int state, struct sandbox_report *report) must_check;
