// SPDX-License-Identifier: Apache-2.0
//
// From where this machine would send, and a descriptor that says when that may have changed.

#include "tap.h"

#include "base/error.h"
#include "os/network.h"

static void knows_its_source(void)
{
    struct os_addr to;
    struct os_addr from;
    REQUIRE(os_addr_parse(SLICE("127.0.0.1:9"), &to) == 0);
    CHECK_EQ_INT(os_network_source(&to, &from), 0);
    CHECK(os_addr_same_ip(&from, &to));
}

static void nothing_has_changed_yet(void)
{
    int fd = os_network_open();
    if (fd < 0) {
        CHECK(fd == E_DENIED || fd == E_UNSUPPORTED); // a sandbox without route messages
        return;
    }
    (void)os_network_changed(fd); // the machine under test may be busy
    CHECK_EQ_INT(close(fd), 0);
}

TAP_MAIN(knows_its_source, nothing_has_changed_yet)
