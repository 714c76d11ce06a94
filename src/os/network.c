// SPDX-License-Identifier: Apache-2.0
//
// Route messages of the kernel (rtnetlink(7)). What they say in detail is of no interest: who is told
// asks the routing table itself, by connecting a datagram socket, which sends nothing.

#include "os/network.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

int os_network_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    struct sockaddr_nl at = {
        .nl_family = AF_NETLINK,
        .nl_groups =
            RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
    };
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        int e = error_from_errno(errno);
        (void)close(fd);
        return e;
    }
    return fd;
}

bool os_network_changed(int fd)
{
    bool changed = false;
    char buffer[4096];
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n > 0 || (n < 0 && errno == ENOBUFS)) {
            changed = true; // lost messages are messages
        } else if (n == 0 || errno != EINTR) {
            return changed;
        }
    }
}

int os_network_source(const struct os_addr *to, struct os_addr *out)
{
    struct sockaddr_storage storage;
    unsigned len = os_addr_to_sockaddr(to, &storage);
    int fd = socket(to->kind == OS_ADDR_V6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    struct sockaddr_storage own;
    socklen_t own_len = sizeof(own);
    int e = 0;
    if (connect(fd, (const struct sockaddr *)&storage, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &own_len) != 0) {
        e = error_from_errno(errno);
    } else {
        os_addr_from_sockaddr(out, (const struct sockaddr *)&own, own_len);
    }
    (void)close(fd);
    return e;
}
