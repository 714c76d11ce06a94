// SPDX-License-Identifier: Apache-2.0
//
// Small helpers of the benchmark programs; see common.h. Nothing here is on a hot path but
// bench_now_ns, which is a vDSO call.
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

void bench_die(const char *format, ...)
{
    int saved = errno;
    va_list args;
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (saved != 0) {
        fprintf(stderr, ": %s", strerror(saved));
    }
    fputc('\n', stderr);
    exit(1);
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

struct sockaddr_in bench_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN] = {0};
    char *end = NULL;
    errno = 0;
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        bench_die("'%s' is not IPv4:PORT", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port == 0 || port > UINT16_MAX) {
        bench_die("'%s' has no valid port", text);
    }
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        bench_die("'%s' is not an IPv4 address", host);
    }
    return address;
}

int bench_listen(const struct sockaddr_in *address)
{
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bench_die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        bench_die("bind to port %u", ntohs(address->sin_port));
    }
    if (listen(fd, SOMAXCONN) != 0) {
        bench_die("listen");
    }
    return fd;
}

void bench_watch(int epoll, int fd, uint32_t events, void *ptr)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        bench_die("epoll_ctl");
    }
}

void bench_raise_descriptors(uint64_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        bench_die("getrlimit");
    }
    const rlim_t hard = limit.rlim_max;
    limit.rlim_cur = count;
    limit.rlim_max = hard < count ? count : hard;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return;
    }
    limit.rlim_cur = hard;
    limit.rlim_max = hard;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        bench_die("setrlimit");
    }
}

void bench_fill_body(unsigned char *body, size_t bytes)
{
    // A prime period, so that no lost or repeated block of a round size goes unseen.
    for (size_t i = 0; i < bytes; i++) {
        body[i] = (unsigned char)('!' + i % 89);
    }
}

void bench_follow_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
}
