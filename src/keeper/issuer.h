// SPDX-License-Identifier: Apache-2.0
//
// The issuer: threads of the keeper that get and renew certificates by ACME, refresh OCSP answers and
// ask whether names may have certificates on demand. They wait for answers of others, so that the main
// thread never does. What they find goes into the vault; what they need done (credentials given to the
// workers, a DNS hook run) they ask of the main thread.

#pragma once

#include "base/ensure.h"
#include "ipc/messages.h"

struct keeper;

/** Starts the threads when something is to be done by them and they do not run; wakes them. */
void issuer_start(struct keeper *k);
/** A client asked for a name that has no certificate. */
void issuer_want(struct keeper *k, const char *name);
/** Sends the hooks that threads want run. Main thread. */
void issuer_send_hooks(struct keeper *k);
/** How a hook ended. Main thread. */
void issuer_hook_ended(struct keeper *k, const struct ipc_hook *m);
/** The keeper ends: true when no thread is at work any more and all have ended. */
bool issuer_stop(struct keeper *k) must_check;
