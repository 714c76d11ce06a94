// SPDX-License-Identifier: Apache-2.0
//
// The last words of a worker. A fatal signal's handler tells the supervisor over the channel before
// the kernel begins to write a core file, which may take seconds, so that the next worker is there
// meanwhile.

#pragma once

#include "base/ensure.h"

/** Installs the handlers for the whole process. `channel` stays open for its life. */
void death_install(int channel);
/** Gives the calling thread a stack of its own for the handler, so that it can run after an overflow
 * of the normal one. Lives as long as the thread; death_fini_thread() gives it back. */
int death_init_thread(void) must_check;
void death_fini_thread(void);
