// SPDX-License-Identifier: Apache-2.0
//
// The process that carries all traffic. It is started by the supervisor (src/super) with nothing but
// a channel, opens what it needs, closes the sandbox behind itself and then does what messages say.

#pragma once

/** The whole life of a worker; its result is the process's exit code. main() comes here when argv[0]
 * is WORKER_ARGV0 (ipc/messages.h). */
int worker_main(void);
