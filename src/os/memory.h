// SPDX-License-Identifier: Apache-2.0
//
// Giving memory back that only start-up needed, for a process that is to be small for a long time.

#pragma once

/** Free memory of the allocator goes back to the system, and code and constants (of the program and its
 * libraries) leave this process until they are used again: the kernel has them in its cache. Takes
 * some milliseconds; what runs next faults its pages in. Not from several threads at once. */
void os_memory_trim(void);
