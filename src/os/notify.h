// SPDX-License-Identifier: Apache-2.0
//
// Words to the service manager that started this process, as systemd's sd_notify(3) defines them: a
// datagram of lines such as READY=1 to the socket that $NOTIFY_SOCKET names. Without that variable
// nobody is told, and that is no failure.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

/** Sends `text`. Never waits. False when the manager's socket did not take it: worth another try. */
bool os_notify(struct slice text);
/** How long this process may be silent before the manager takes it for dead ($WATCHDOG_USEC, sent as
 * WATCHDOG=1), in milliseconds; 0: as long as it likes. */
uint64_t os_notify_patience_ms(void);
