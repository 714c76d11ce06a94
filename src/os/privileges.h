// SPDX-License-Identifier: Apache-2.0
//
// Giving up what a process was started with: user, groups, capabilities, the way back to them, and
// the right to leave an orphan. Limits of descriptors. The sandbox (os/sandbox.h) comes after.

#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/ensure.h"

enum { OS_USER_NAME_MAX = 32 };

/** Whom a process becomes. */
struct os_identity {
    bool change; // false: we are not root and stay who we are
    uid_t uid;
    gid_t gid;
};

/** Looks a user up, "" meaning the default: `adit` if there is such a user, else `nobody`. Not as
 * root: nothing is looked up, and a name other than "" or our own is E_DENIED. E_NOT_FOUND;
 * E_INVALID for a user with uid 0. Start-up code: reads the user database. */
int os_identity_find(const char *name, struct os_identity *out) must_check;

/** Becomes `who` for good: groups, ids, no capabilities in any set, no way to gain them by exec, the
 * secure bits locked. Verified afterwards. 0 or E_DENIED. */
int os_privileges_drop(const struct os_identity *who) must_check;

/** The kernel kills this process when `parent` dies; E_EOF when it is dead already. After
 * os_privileges_drop(), which the kernel takes as a reason to forget it. */
int os_die_with_parent(pid_t parent) must_check;

/** Core files (and ptrace by the same user) only when the operator has asked for core files by a
 * limit above zero. */
void os_limit_dumps(void);

/** Raises the soft limit of descriptors to the hard one; returns the limit. */
uint64_t os_raise_descriptors(void);
