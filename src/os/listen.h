// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets. Made by the supervisor, which keeps them open for as long as it lives; workers
// get duplicates (os/fdpass.h) and put them into their loops as listeners.
//
// One socket per address, whatever the number of cores: docs/design/loop.md says how connections are
// spread and why not by SO_REUSEPORT.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "os/addr.h"

enum { OS_LISTEN_BACKLOG = 4096, OS_LISTEN_UNIX_MODE = 0666 };

struct os_listen {
    struct os_addr addr; // port 0: the kernel chooses
    int backlog;         // connections that wait to be accepted; the kernel caps it (somaxconn)
    bool datagram; // UDP: bound and told where each datagram was sent to; `backlog` is not used
    uint32_t unix_mode; // permission bits of a Unix socket's file; 0: OS_LISTEN_UNIX_MODE
};

/** A non-blocking listening descriptor (close-on-exec), or a negative code: E_IN_USE (somebody
 * listens there), E_DENIED, E_NO_PORTS (the address is not this machine's), ... A Unix socket's file
 * that nobody listens on any more is replaced. `dual` addresses fall back to IPv4 where there is no
 * IPv6. Accepted sockets have TCP_NODELAY. */
int os_listen_open(const struct os_listen *l) must_check;
/** A second descriptor of the same socket, or a negative code. */
int os_listen_dup(int fd) must_check;
/** The address a socket is bound to (the port the kernel chose). */
int os_listen_addr(int fd, struct os_addr *out) must_check;
/** Removes the file of a Unix listener whose socket is closed for good; nothing for others. */
void os_listen_remove(const struct os_addr *a);
