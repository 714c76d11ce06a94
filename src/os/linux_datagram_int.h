// SPDX-License-Identifier: Apache-2.0
//
// Datagrams of the real kernel: the calls of struct sys_ops that linux.c lists. Private to src/os.

#pragma once

#include "os/sys.h"

int linux_connect_datagrams(struct sys *s, const struct os_addr *to);
int linux_receive(struct sys *s, int fd, struct sys_datagram *d, unsigned n);
int linux_send(struct sys *s, int fd, const struct sys_datagram *d, unsigned n);
