// SPDX-License-Identifier: Apache-2.0
//
// Messages with descriptors. The head on the wire is three words; the descriptors go as SCM_RIGHTS
// of the same packet. The receiver counts what came against what the head says and closes all of it
// when they differ, so that a truncated message can never leak descriptors.

#include "os/fdpass.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"

struct wire_head {
    uint32_t magic;
    uint32_t type;
    uint32_t number;
    uint32_t fd_count;
};

enum {
    FDPASS_MAGIC = 0x0fd9a550,
    // What may wait to be read, twice of it with what the kernel adds: all that a process which begins
    // is told before it reads. More is not to be had without privileges (net.core.wmem_max).
    QUEUE_BYTES = 208 << 10,
};

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * FDPASS_FDS_MAX)];
};

int fdpass_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        return error_from_errno(errno);
    }
    for (int i = 0; i < 2; i++) { // with less it works as well, only sooner full
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){QUEUE_BYTES}, sizeof(int));
    }
    return 0;
}

int fdpass_send(int fd, uint32_t type, uint32_t number, struct slice bytes, const int *fds,
                uint32_t fd_count)
{
    if (bytes.len > FDPASS_BYTES_MAX || fd_count > FDPASS_FDS_MAX) {
        return E_TOO_LARGE;
    }
    struct wire_head head = {FDPASS_MAGIC, type, number, fd_count};
    struct iovec iov[2] = {{&head, sizeof(head)}};
    memcpy(&iov[1].iov_base, &bytes.ptr, sizeof(bytes.ptr)); // the kernel only reads it
    iov[1].iov_len = bytes.len;
    union control control;
    memset(&control, 0, sizeof(control));
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = bytes.len > 0 ? 2 : 1};
    if (fd_count > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? 0 : error_from_errno(errno);
}

// Takes the descriptors out of the control data, at most FDPASS_FDS_MAX of them.
static void take_fds(struct msghdr *m, struct fdpass_msg *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (out->fd_count < FDPASS_FDS_MAX) {
                out->fds[out->fd_count++] = fd;
            } else {
                (void)close(fd);
            }
        }
    }
}

int fdpass_recv(int fd, struct fdpass_msg *out)
{
    struct wire_head head;
    struct iovec iov[2] = {{&head, sizeof(head)}, {out->bytes, sizeof(out->bytes)}};
    union control control;
    struct msghdr m = {
        .msg_iov = iov,
        .msg_iovlen = 2,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    out->fd_count = 0;
    ssize_t n;
    do {
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == ECONNRESET ? E_EOF : error_from_errno(errno);
    }
    take_fds(&m, out);
    if (n == 0 && out->fd_count == 0) {
        return E_EOF;
    }
    bool whole = (size_t)n >= sizeof(head) && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
                 head.magic == FDPASS_MAGIC && head.fd_count == out->fd_count;
    if (!whole) {
        fdpass_drop(out);
        return E_INVALID;
    }
    out->type = head.type;
    out->number = head.number;
    out->len = (uint32_t)((size_t)n - sizeof(head));
    return 0;
}

void fdpass_drop(struct fdpass_msg *m)
{
    for (uint32_t i = 0; i < m->fd_count; i++) {
        if (m->fds[i] >= 0) {
            (void)close(m->fds[i]);
            m->fds[i] = -1;
        }
    }
    m->fd_count = 0;
}

bool fdpass_wait(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t begin = os_clock_ms();
    int left = timeout_ms;
    int n = 0;
    while ((n = poll(&p, 1, left)) < 0 && errno == EINTR) { // also when it was stopped and goes on
        uint64_t waited = os_clock_ms() - begin;
        if (timeout_ms >= 0) {
            left = waited < (uint64_t)timeout_ms ? timeout_ms - (int)waited : 0;
        }
    }
    return n > 0;
}
