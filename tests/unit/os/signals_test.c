// SPDX-License-Identifier: Apache-2.0
//
// Signals that are read.

#include "tap.h"

#include <signal.h>

#include "os/signals.h"

static void takes_what_came(void)
{
    static const int signals[] = {SIGHUP, SIGTERM, 0};
    int fd = os_signals_open(signals);
    REQUIRE(fd >= 0);
    CHECK_EQ_INT(os_signals_take(fd), 0);
    CHECK_EQ_INT(raise(SIGHUP), 0);
    CHECK_EQ_INT(os_signals_take(fd), SIGHUP);
    CHECK_EQ_INT(os_signals_take(fd), 0);
    CHECK_EQ_INT(close(fd), 0);
}

TAP_MAIN(takes_what_came)
