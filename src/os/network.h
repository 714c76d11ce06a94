// SPDX-License-Identifier: Apache-2.0
//
// Changes of this machine's network, for who keeps connections up over them: a laptop that moves from
// one network to another learns it from the kernel at once, from silence only after seconds.

#pragma once

#include "base/ensure.h"
#include "os/addr.h"

/** A descriptor that is readable when addresses, links or routes have changed, or a negative code. */
int os_network_open(void) must_check;
/** Reads what there is. True: something that matters has changed. */
bool os_network_changed(int fd);
/** From which address this machine would send to `to` now. 0, E_UNREACHABLE, E_... */
int os_network_source(const struct os_addr *to, struct os_addr *out) must_check;
