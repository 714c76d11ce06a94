// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets.
//
// TCP_DEFER_ACCEPT is not used: a connection that has not sent anything would be invisible to the
// header time-out and to the limits on connections, the kernel's own time-out for it is coarse, and
// after the time-out it is handed over anyway. SO_REUSEADDR is: a restart must not wait for
// connections of the last run to leave TIME_WAIT. On Linux it does not let two sockets listen.
//
// The file of a Unix socket outlives its owner. Whether it is stale is found out by connecting to
// it: refused means that nobody listens, and then the file may go. Its mode is set between bind and
// listen, when nobody can connect yet.

#include "os/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

enum { DATAGRAM_BUFFER = 4 << 20 };

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : error_from_errno(errno);
}

static int set_options(int fd, const struct os_addr *a)
{
    if (a->kind == OS_ADDR_UNIX) {
        return 0;
    }
    int rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0) {
        rc = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (rc == 0 && a->kind == OS_ADDR_V6) {
        rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->dual ? 0 : 1);
    }
    return rc;
}

// An answer leaves from the address that was asked, which the kernel tells with each datagram. Without
// SO_REUSEADDR: with it two programs could be bound to one port and one of them would hear nothing.
static int set_datagram_options(int fd, const struct os_addr *a)
{
    bool v6 = a->kind == OS_ADDR_V6;
    int rc = v6 ? set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->dual ? 0 : 1) : 0;
    if (rc == 0) {
        rc = v6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    // A burst must not be lost while the loop does something else; the kernel caps it.
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){DATAGRAM_BUFFER}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){DATAGRAM_BUFFER}, sizeof(int));
    return rc;
}

// True when the socket's file is there and nobody listens on it.
static bool is_stale(const struct os_addr *a)
{
    struct stat st;
    if (a->u.path[0] != '/' || lstat(a->u.path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_storage to;
    socklen_t len = os_addr_to_sockaddr(a, &to);
    bool refused = connect(fd, (struct sockaddr *)&to, len) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static int bind_to(int fd, const struct os_addr *a)
{
    struct sockaddr_storage storage;
    socklen_t len = os_addr_to_sockaddr(a, &storage);
    if (bind(fd, (struct sockaddr *)&storage, len) == 0) {
        return 0;
    }
    if (errno == EADDRINUSE && a->kind == OS_ADDR_UNIX && is_stale(a)) {
        (void)unlink(a->u.path);
        if (bind(fd, (struct sockaddr *)&storage, len) == 0) {
            return 0;
        }
    }
    return error_from_errno(errno);
}

static int open_at(const struct os_listen *l, const struct os_addr *a)
{
    int family = a->kind == OS_ADDR_V4 ? AF_INET : a->kind == OS_ADDR_V6 ? AF_INET6 : AF_UNIX;
    int type = l->datagram ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int rc = l->datagram ? set_datagram_options(fd, a) : set_options(fd, a);
    if (rc == 0) {
        rc = bind_to(fd, a);
    }
    bool bound = rc == 0;
    if (rc == 0 && a->kind == OS_ADDR_UNIX && a->u.path[0] == '/') {
        mode_t mode = l->unix_mode != 0 ? l->unix_mode : OS_LISTEN_UNIX_MODE;
        rc = chmod(a->u.path, mode) == 0 ? 0 : error_from_errno(errno);
    }
    if (rc == 0 && !l->datagram &&
        listen(fd, l->backlog > 0 ? l->backlog : OS_LISTEN_BACKLOG) != 0) {
        rc = error_from_errno(errno);
    }
    if (rc == 0) {
        return fd;
    }
    (void)close(fd);
    if (bound) {
        os_listen_remove(a);
    }
    return rc;
}

int os_listen_open(const struct os_listen *l)
{
    ensure(l->addr.kind != OS_ADDR_NONE);
    int fd = open_at(l, &l->addr);
    if (l->addr.dual && (fd == E_UNSUPPORTED || fd == E_NO_PORTS)) {
        struct os_addr v4 = {.kind = OS_ADDR_V4, .port = l->addr.port};
        fd = open_at(l, &v4);
    }
    return fd;
}

int os_listen_dup(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? copy : error_from_errno(errno);
}

int os_listen_addr(int fd, struct os_addr *out)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0) {
        return error_from_errno(errno);
    }
    os_addr_from_sockaddr(out, (struct sockaddr *)&storage, len);
    return 0;
}

void os_listen_remove(const struct os_addr *a)
{
    if (a->kind == OS_ADDR_UNIX && a->u.path[0] == '/') {
        (void)unlink(a->u.path);
    }
}
