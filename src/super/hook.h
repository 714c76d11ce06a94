// SPDX-License-Identifier: Apache-2.0
//
// Commands of the user that the edge runs: today the hook that puts a TXT record for DNS-01 into the
// DNS and takes it away again (docs/guide/certificates.md has the contract). The keeper asks; since it
// may have been taken over, what can be run is narrow: a file that only root or the user who started
// the edge can write to, with arguments of a fixed form, as the keeper's own user, without any way to
// gain rights, in a process group of its own and for a limited time.

#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/ensure.h"
#include "ipc/messages.h"
#include "os/privileges.h"

enum {
    HOOKS_MAX = 8,          // at once
    HOOK_LIMIT_MS = 300000, // a hook may wait until all name servers have the record
    HOOK_TAIL_MAX = 600,    // bytes of its output that are kept: the last ones
};

struct hook {
    pid_t pid; // 0: this place is free
    int output;
    uint64_t number;
    uint64_t end_ms;
    bool late; // killed by the time limit
    size_t tail_len;
    char tail[HOOK_TAIL_MAX];
};

struct hooks {
    struct hook at[HOOKS_MAX];
};

/** Starts what is asked for. 0, or a negative code with the reason in `why`. */
int hooks_start(struct hooks *h, const struct ipc_hook_request *r, const struct os_identity *who,
                uint64_t now_ms, struct text *why) must_check;
/** The hook of a process that has ended, or NULL. Fills the answer and frees the place. */
bool hooks_ended(struct hooks *h, pid_t pid, int status, struct ipc_hook *answer);
/** Takes what a hook has written. */
void hooks_read(struct hook *h);
/** Ends those whose time is over. Returns when the next one is, UINT64_MAX when none runs. */
uint64_t hooks_expire(struct hooks *h, uint64_t now_ms);
/** Ends them all. */
void hooks_kill(struct hooks *h);
