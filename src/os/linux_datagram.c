// SPDX-License-Identifier: Apache-2.0
//
// Datagrams in batches (os/sys.h). The peer's address is kept in the kernel's own form: it is only
// compared, hashed and given back, and so a socket of both families needs no mapping to and fro.
// The address that a datagram was sent to comes as IP_PKTINFO or IPV6_PKTINFO and goes back with the
// answer, whose source it becomes.

#include "os/linux_datagram_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

static_assert(sizeof(struct sockaddr_in6) <= sizeof(((struct sys_way *)0)->peer), "it fits");
static_assert(sizeof(struct in6_pktinfo) <= sizeof(((struct sys_way *)0)->local), "it fits");
static_assert(sizeof(struct in_pktinfo) < sizeof(struct in6_pktinfo),
              "the length tells them apart");

/** Ancillary data of one datagram. */
union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

void os_way_peer(const struct sys_way *way, struct os_addr *out)
{
    struct sockaddr_storage storage = {0};
    memcpy(&storage, way->peer, way->peer_len);
    *out = (struct os_addr){0};
    if (way->peer_len > 0) {
        os_addr_from_sockaddr(out, (struct sockaddr *)&storage, way->peer_len);
    }
}

int linux_connect_datagrams(struct sys *s, const struct os_addr *to)
{
    (void)s;
    int family = to->kind == OS_ADDR_V4 ? AF_INET : to->kind == OS_ADDR_V6 ? AF_INET6 : AF_UNIX;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    struct sockaddr_storage storage;
    socklen_t len = os_addr_to_sockaddr(to, &storage);
    if (connect(fd, (struct sockaddr *)&storage, len) != 0) {
        int e = error_from_errno(errno);
        (void)close(fd);
        return e;
    }
    return fd;
}

/** Which of our addresses it was sent to. */
static void take_local(struct msghdr *m, struct sys_way *way)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
        bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO;
        if (v4) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            info.ipi_spec_dst = info.ipi_addr; // the source of the answer
            info.ipi_ifindex = 0;
            way->local_len = sizeof(info);
            memcpy(way->local, &info, sizeof(info));
        } else if (v6) {
            way->local_len = sizeof(struct in6_pktinfo);
            memcpy(way->local, CMSG_DATA(c), sizeof(struct in6_pktinfo));
        }
    }
}

int linux_receive(struct sys *s, int fd, struct sys_datagram *d, unsigned n)
{
    (void)s;
    ensure(n > 0 && n <= SYS_DATAGRAMS_MAX);
    struct mmsghdr m[SYS_DATAGRAMS_MAX];
    struct iovec iov[SYS_DATAGRAMS_MAX];
    union control control[SYS_DATAGRAMS_MAX];
    struct sockaddr_in6 peer[SYS_DATAGRAMS_MAX];
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){d[i].bytes, d[i].room};
        m[i].msg_hdr = (struct msghdr){.msg_name = &peer[i],
                                       .msg_namelen = sizeof(peer[i]),
                                       .msg_iov = &iov[i],
                                       .msg_iovlen = 1,
                                       .msg_control = &control[i],
                                       .msg_controllen = sizeof(control[i])};
    }
    int got;
    do {
        got = recvmmsg(fd, m, n, 0, NULL);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return error_from_errno(errno);
    }
    for (int i = 0; i < got; i++) {
        struct sys_way *way = &d[i].way;
        d[i].len = m[i].msg_len;
        d[i].cut = (m[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        way->local_len = 0;
        way->peer_len =
            m[i].msg_hdr.msg_namelen <= sizeof(way->peer) ? (uint8_t)m[i].msg_hdr.msg_namelen : 0;
        memcpy(way->peer, &peer[i], way->peer_len);
        take_local(&m[i].msg_hdr, way);
    }
    return got;
}

static void put_local(struct msghdr *m, union control *control, const struct sys_way *way)
{
    bool v6 = way->local_len == sizeof(struct in6_pktinfo);
    memset(control, 0, sizeof(*control));
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(way->local_len);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(way->local_len);
    memcpy(CMSG_DATA(c), way->local, way->local_len);
}

int linux_send(struct sys *s, int fd, const struct sys_datagram *d, unsigned n)
{
    (void)s;
    ensure(n > 0 && n <= SYS_DATAGRAMS_MAX);
    struct mmsghdr m[SYS_DATAGRAMS_MAX];
    struct iovec iov[SYS_DATAGRAMS_MAX];
    union control control[SYS_DATAGRAMS_MAX];
    struct sockaddr_in6 peer[SYS_DATAGRAMS_MAX];
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){d[i].bytes, d[i].len};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
        if (d[i].way.peer_len > 0) {
            memcpy(&peer[i], d[i].way.peer, d[i].way.peer_len);
            m[i].msg_hdr.msg_name = &peer[i];
            m[i].msg_hdr.msg_namelen = d[i].way.peer_len;
        }
        if (d[i].way.local_len > 0) {
            put_local(&m[i].msg_hdr, &control[i], &d[i].way);
        }
    }
    int sent;
    do {
        sent = sendmmsg(fd, m, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : error_from_errno(errno);
}
