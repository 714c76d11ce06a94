// SPDX-License-Identifier: Apache-2.0
//
// Which CPUs this process may use, and pinning a thread to one of them.

#pragma once

#include <stdint.h>

#include "base/ensure.h"

/** How many CPUs this process may run on (affinity mask; at least 1). */
uint32_t os_cpu_count(void);
/** Pins the calling thread to the CPU with this index among the allowed ones (modulo their number).
 * 0 or a negative code; running unpinned is only slower. */
int os_cpu_pin(uint32_t index) must_check;
/** Names the calling thread, as tools show it; cut to 15 bytes. */
void os_thread_name(const char *name);
