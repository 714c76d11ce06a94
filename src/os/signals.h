// SPDX-License-Identifier: Apache-2.0
//
// Signals as something to read, for a program whose loop waits for descriptors. They are blocked
// for the calling thread (and those it starts later) and come one by one.

#pragma once

#include "base/ensure.h"

/** `signals`: ended by 0. They stay blocked when it is closed: a process that is ending is not to be
 * killed by the second of two. A descriptor that does not block and closes with exec, or a negative code. */
int os_signals_open(const int *signals) must_check;
/** The next one that has come, or 0. */
int os_signals_take(int fd);
/** Whether a terminal has hung up: its window was closed, its line cut. HUP says that too, but is also
 * sent by people. */
bool os_terminal_is_gone(int fd);
