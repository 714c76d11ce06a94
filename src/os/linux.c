// SPDX-License-Identifier: Apache-2.0
//
// The real kernel behind sys: epoll, edge-triggered, and an eventfd to be woken by.
//
// What keeps a request cheap here: an accepted socket takes TCP_NODELAY from its listener, so accept
// is one call; a single buffer goes through recv/send, which spare the kernel the copy of an iovec;
// the eventfd is edge-triggered too and never read; epoll reports both directions from one
// registration, so there is no epoll_ctl but the first; close alone takes a socket out of the set.
//
// Every call is made by the core that owns the sys, but wake().

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "os/linux_datagram_int.h"
#include "os/sys.h"

enum {
    LINUX_MAGIC = 0x05110001,
    LINUX_EVENTS_MAX = 256,
    // As much as may be taken from one side ahead of the other. The kernel refuses more than its
    // per-user share; the pipe then keeps the size it has.
    LINUX_PIPE_BYTES = 256 * 1024,
};

struct os_linux {
    struct sys sys;
    uint32_t magic;
    int epoll_fd;
    int wake_fd;
};

static struct os_linux *self(struct sys *s)
{
    struct os_linux *l = container_of(s, struct os_linux, sys);
    ensure_magic(l, LINUX_MAGIC);
    return l;
}

// ---- results ---------------------------------------------------------------------------------------

static struct io_result io_failed(int errnum)
{
    if (likely(errnum == EAGAIN)) {
        return (struct io_result){0, IO_AGAIN, 0};
    }
    return (struct io_result){0, IO_ERROR, (int16_t)error_from_errno(errnum)};
}

// `zero` is what a count of none means: the end for reads, nothing for writes.
static inline struct io_result io_moved(ssize_t n, enum io_status zero)
{
    if (likely(n > 0)) {
        return (struct io_result){(size_t)n, IO_OK, 0};
    }
    return n == 0 ? (struct io_result){0, (int16_t)zero, 0} : io_failed(errno);
}

// ---- time ------------------------------------------------------------------------------------------

static uint64_t linux_now_ns(struct sys *s)
{
    (void)s;
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t linux_wall_ms(struct sys *s)
{
    (void)s;
    // The coarse clock is a read of memory; it is at most one timer tick (4 ms) old.
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

// ---- readiness -------------------------------------------------------------------------------------

static unsigned events_of(uint32_t e)
{
    unsigned out = 0;
    if ((e & EPOLLIN) != 0) {
        out |= SYS_READ;
    }
    if ((e & EPOLLOUT) != 0) {
        out |= SYS_WRITE;
    }
    if (unlikely((e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
        out |= SYS_READ;
        if ((e & (EPOLLRDHUP | EPOLLHUP)) != 0) {
            out |= SYS_HANGUP;
        }
        if ((e & (EPOLLHUP | EPOLLERR)) != 0) {
            out |= SYS_WRITE;
        }
        if ((e & EPOLLERR) != 0) {
            out |= SYS_ERROR;
        }
    }
    return out;
}

// ---- calls without cancellation --------------------------------------------------------------------
// As soon as a process has a second thread, the C library brackets each call that blocks with two
// atomic operations, for pthread_cancel(). Nothing here is ever cancelled, and a request makes four
// such calls. Sanitizers know the library's functions only, so with them those are called.

#if defined(ADIT_SANITIZED) || !defined(SYS_epoll_wait)
#define raw_recv       recv
#define raw_send       send
#define raw_sendmsg    sendmsg
#define raw_splice     splice
#define raw_epoll_wait epoll_wait
#else
static inline ssize_t raw_recv(int fd, void *to, size_t n, int flags)
{
    return syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL);
}

static inline ssize_t raw_send(int fd, const void *from, size_t n, int flags)
{
    return syscall(SYS_sendto, fd, from, n, flags, NULL, 0);
}

static inline ssize_t raw_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return syscall(SYS_sendmsg, fd, m, flags);
}

static inline ssize_t raw_splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t n,
                                 unsigned flags)
{
    return syscall(SYS_splice, from, from_at, to, to_at, n, flags);
}

static inline int raw_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    return (int)syscall(SYS_epoll_wait, epoll, events, max, timeout_ms);
}
#endif

static int linux_wait(struct sys *s, struct sys_event *events, int max, int timeout_ms)
{
    struct os_linux *l = self(s);
    struct epoll_event raw[LINUX_EVENTS_MAX];
    int n = raw_epoll_wait(l->epoll_fd, raw, max < LINUX_EVENTS_MAX ? max : LINUX_EVENTS_MAX,
                           timeout_ms);
    if (n < 0) {
        ensure(errno == EINTR);
        return 0;
    }
    int count = 0;
    for (int i = 0; i < n; i++) {
        // The eventfd has no owner. It is edge-triggered: each write is one event, and nothing has
        // to be read for the next to come.
        if (raw[i].data.ptr != NULL) {
            events[count++] = (struct sys_event){raw[i].data.ptr, events_of(raw[i].events)};
        }
    }
    return count;
}

static void linux_wake(struct sys *s)
{
    uint64_t one = 1;
    // Fails only when 2^64 - 2 wakes were never seen; then one is pending anyway.
    ssize_t n = write(self(s)->wake_fd, &one, sizeof(one));
    (void)n;
}

static int linux_watch(struct sys *s, int fd, void *data, bool listener)
{
    ensure(data != NULL);
    // A listener may be in the sets of all cores: exclusive, so that a connection wakes one of them
    // and not all; level-triggered, so that a core may leave some in the queue for the others.
    struct epoll_event e = {
        .events = listener ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = data,
    };
    return epoll_ctl(self(s)->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : error_from_errno(errno);
}

static int linux_unwatch(struct sys *s, int fd)
{
    return epoll_ctl(self(s)->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : error_from_errno(errno);
}

// ---- connections -----------------------------------------------------------------------------------

static int linux_accept(struct sys *s, int listener, struct os_addr *peer)
{
    (void)s;
    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (likely(fd >= 0)) {
            os_addr_from_sockaddr(peer, (struct sockaddr *)&from, len);
            return fd;
        }
        // Errors of a connection that has died in the queue are not the listener's; the next one
        // may be fine (accept(2), "Error handling").
        bool died = errno == ECONNABORTED || errno == EINTR || errno == EPROTO ||
                    errno == ENETDOWN || errno == ENOPROTOOPT || errno == EHOSTDOWN ||
                    errno == ENONET || errno == EHOSTUNREACH || errno == ENETUNREACH ||
                    errno == EPERM;
        if (!died) {
            return error_from_errno(errno);
        }
    }
}

static int set_flag(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof(one));
}

static int open_connection(const struct sys_connect *c, int fd)
{
    struct sockaddr_storage to;
    if (c->to.kind != OS_ADDR_UNIX && set_flag(fd, IPPROTO_TCP, TCP_NODELAY) != 0) {
        return error_from_errno(errno);
    }
    if (c->from != NULL) {
        // The port is chosen by connect(), which may take one that is in use towards another
        // destination; bind() alone would be out of ports after 28,000.
        struct sockaddr_storage from;
        socklen_t len = os_addr_to_sockaddr(c->from, &from);
        if (set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) != 0) { // of IPv6 sockets as well
            return error_from_errno(errno);
        }
        if (bind(fd, (struct sockaddr *)&from, len) != 0) {
            return errno == EADDRNOTAVAIL ? E_SOURCE_UNKNOWN : error_from_errno(errno);
        }
    }
    socklen_t len = os_addr_to_sockaddr(&c->to, &to);
    int rc;
    do {
        rc = connect(fd, (struct sockaddr *)&to, len);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0 || errno == EINPROGRESS) {
        return 0;
    }
    // A Unix socket says EAGAIN when the listener's queue is full, ENOENT when there is none.
    bool unix_refused = c->to.kind == OS_ADDR_UNIX && (errno == EAGAIN || errno == ENOENT);
    // TCP says EAGAIN when no local port is left for this destination.
    return unix_refused ? E_REFUSED : errno == EAGAIN ? E_NO_PORTS : error_from_errno(errno);
}

static int linux_connect(struct sys *s, const struct sys_connect *c)
{
    (void)s;
    int family = c->to.kind == OS_ADDR_V4 ? AF_INET : c->to.kind == OS_ADDR_V6 ? AF_INET6 : AF_UNIX;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int rc = open_connection(c, fd);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

static int linux_connect_result(struct sys *s, int fd)
{
    (void)s;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    return error_from_errno(error);
}

static int linux_local_addr(struct sys *s, int fd, struct os_addr *out)
{
    (void)s;
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        return error_from_errno(errno);
    }
    os_addr_from_sockaddr(out, (struct sockaddr *)&at, len);
    return 0;
}

static void linux_tune(struct sys *s, int fd, uint32_t dead_ms, uint32_t unsent_max)
{
    (void)s;
    // A Unix socket has neither.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof(unsent_max));
}

// ---- bytes -----------------------------------------------------------------------------------------

static struct io_result linux_read(struct sys *s, int fd, const struct iovec *iov, int n)
{
    (void)s;
    for (;;) {
        ssize_t got =
            likely(n == 1) ? raw_recv(fd, iov->iov_base, iov->iov_len, 0) : readv(fd, iov, n);
        if (unlikely(got < 0) && unlikely(errno == EINTR)) {
            continue;
        }
        return io_moved(got, IO_EOF);
    }
}

static struct io_result linux_peek(struct sys *s, int fd, void *to, size_t n)
{
    (void)s;
    for (;;) {
        ssize_t got = raw_recv(fd, to, n, MSG_PEEK);
        if (unlikely(got < 0) && unlikely(errno == EINTR)) {
            continue;
        }
        return io_moved(got, IO_EOF);
    }
}

static struct io_result linux_write(struct sys *s, int fd, const struct iovec *iov, int n,
                                    bool more)
{
    (void)s;
    int flags = more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    for (;;) {
        ssize_t put;
        if (likely(n == 1)) {
            put = raw_send(fd, iov->iov_base, iov->iov_len, flags);
        } else {
            struct iovec *unconst;
            memcpy(&unconst, &iov, sizeof(unconst)); // the kernel only reads it
            struct msghdr m = {.msg_iov = unconst, .msg_iovlen = (size_t)n};
            put = raw_sendmsg(fd, &m, flags);
        }
        if (unlikely(put < 0) && unlikely(errno == EINTR)) {
            continue;
        }
        return io_moved(put, IO_AGAIN);
    }
}

static int linux_shutdown_write(struct sys *s, int fd)
{
    (void)s;
    return shutdown(fd, SHUT_WR) == 0 ? 0 : error_from_errno(errno);
}

static void linux_close(struct sys *s, int fd, bool reset)
{
    (void)s;
    ensure(fd >= 0);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    // Also after EINTR the descriptor is gone (close(2)).
    (void)close(fd);
}

static int linux_pipe_open(struct sys *s, int fds[2], size_t *capacity)
{
    (void)s;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        return error_from_errno(errno);
    }
    int size = fcntl(fds[1], F_SETPIPE_SZ, (int)LINUX_PIPE_BYTES);
    if (size < 0) {
        size = fcntl(fds[1], F_GETPIPE_SZ);
    }
    *capacity = size > 0 ? (size_t)size : 4096;
    return 0;
}

static struct io_result linux_splice(struct sys *s, int from, int to, size_t n, bool more)
{
    (void)s;
    unsigned flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE | (more ? SPLICE_F_MORE : 0u);
    for (;;) {
        ssize_t moved = raw_splice(from, NULL, to, NULL, n, flags);
        if (unlikely(moved < 0) && unlikely(errno == EINTR)) {
            continue;
        }
        return io_moved(moved, IO_EOF);
    }
}

static void linux_random(struct sys *s, void *buf, size_t len)
{
    (void)s;
    char *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        ensure(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

static const struct sys_ops linux_ops = {
    .name = "linux",
    .now_ns = linux_now_ns,
    .wall_ms = linux_wall_ms,
    .wait = linux_wait,
    .wake = linux_wake,
    .watch = linux_watch,
    .unwatch = linux_unwatch,
    .accept = linux_accept,
    .connect = linux_connect,
    .connect_result = linux_connect_result,
    .local_addr = linux_local_addr,
    .tune = linux_tune,
    .read = linux_read,
    .peek = linux_peek,
    .write = linux_write,
    .shutdown_write = linux_shutdown_write,
    .close = linux_close,
    .pipe_open = linux_pipe_open,
    .splice = linux_splice,
    .connect_datagrams = linux_connect_datagrams,
    .receive = linux_receive,
    .send = linux_send,
    .random = linux_random,
};

struct sys *os_linux_new(void)
{
    struct os_linux *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    l->sys.ops = &linux_ops;
    l->magic = LINUX_MAGIC;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (l->epoll_fd < 0 || l->wake_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &e) != 0) {
        os_linux_free(&l->sys);
        return NULL;
    }
    return &l->sys;
}

void os_linux_free(struct sys *s)
{
    struct os_linux *l = self(s);
    if (l->epoll_fd >= 0) {
        (void)close(l->epoll_fd);
    }
    if (l->wake_fd >= 0) {
        (void)close(l->wake_fd);
    }
    l->magic = 0;
    mem_free(l);
}
