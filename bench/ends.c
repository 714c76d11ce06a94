// SPDX-License-Identifier: Apache-2.0
//
// Both ends of a proxy in one thread: the origin that it asks and the client that asks it. Being
// one thread, they need one CPU without ever waiting for each other's turn on it, so the latency
// that is measured is the proxy's.
//
//   bench-ends IPv4:PORT [IPv4:PORT]
//
// The origin answers on that address for as long as the program runs, and on three more of 127.0.0.x
// when it is 127.0.0.1, so that there are several servers to choose from. On the second address there
// is an origin for bare TCP (tcp.h). Commands come on standard
// input, a line each; each is answered by a line of JSON (load.h):
//
//   load PORT PATH SIZE CONNECTIONS SECONDS RATE      rate 0: closed loop
//   hold PORT PATH SIZE CONNECTIONS
//   release
//   tls-load, tls-hold                                the same over TLS 1.3
//   handshakes PORT CONNECTIONS SECONDS VERSION RESUME
//   tcp PORT CONNECTIONS SECONDS MESSAGE_BYTES       0: a stream without end on each
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "commands.h"
#include "common.h"
#include "handshake.h"
#include "load.h"
#include "origin.h"
#include "source.h"
#include "tcp.h"

enum {
    DESCRIPTORS_MAX = 65536,
};

static void run_handshakes(int epoll, const char *line)
{
    struct handshake_plan plan = {0};
    unsigned port = 0;
    int resume = 0;
    if (sscanf(line, "handshakes %u %u %lf %d %d", &port, &plan.connections, &plan.seconds,
               &plan.version, &resume) != 5 ||
        port == 0 || port > UINT16_MAX || plan.connections == 0 ||
        plan.connections > HANDSHAKE_CONNECTIONS_MAX || plan.seconds > 600) {
        errno = 0;
        bench_die("cannot read '%s'", line);
    }
    plan.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    plan.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    plan.resume = resume != 0;
    handshake_run(epoll, &plan);
}

static void run_tcp(int epoll, const char *line)
{
    struct tcp_plan plan = {0};
    unsigned port = 0;
    if (sscanf(line, "tcp %u %u %lf %u", &port, &plan.connections, &plan.seconds,
               &plan.message_bytes) != 4 ||
        port == 0 || port > UINT16_MAX || plan.connections == 0 || plan.seconds > 600 ||
        plan.connections > TCP_CONNECTIONS_MAX || plan.message_bytes > TCP_MESSAGE_BYTES_MAX) {
        errno = 0;
        bench_die("cannot read '%s'", line);
    }
    plan.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    plan.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp_run(epoll, &plan);
}

static void run_command(int epoll, const char *line)
{
    struct load_plan plan = {0};
    unsigned port = 0;
    char verb[16] = {0};
    int count = sscanf(line, "%15s %u %63s %zu %u %lf %lf", verb, &port, plan.path, &plan.size,
                       &plan.connections, &plan.seconds, &plan.rate);
    if (count == 1 && strcmp(verb, "release") == 0) {
        load_release();
        return;
    }
    if (strcmp(verb, "handshakes") == 0) {
        run_handshakes(epoll, line);
        return;
    }
    if (strcmp(verb, "tcp") == 0) {
        run_tcp(epoll, line);
        return;
    }
    plan.tls = strncmp(verb, "tls-", 4) == 0;
    const char *plain_verb = plan.tls ? verb + 4 : verb;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    plan.to = bench_address(address);
    errno = 0;
    if (count < 5 || plan.size > BENCH_BODY_BYTES_MAX || plan.connections == 0 ||
        plan.connections > LOAD_CONNECTIONS_MAX || plan.seconds > 600) {
        bench_die("cannot read '%s'", line);
    }
    if (count == 7 && strcmp(plain_verb, "load") == 0) {
        load_run(epoll, &plan);
    } else if (count == 5 && strcmp(plain_verb, "hold") == 0) {
        load_hold(epoll, &plan);
    } else {
        bench_die("cannot read '%s'", line);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: bench-ends IPv4:PORT [IPv4:PORT]\n");
        return 2;
    }
    struct sockaddr_in address = bench_address(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_follow_parent();
    bench_raise_descriptors(DESCRIPTORS_MAX);
    prctl(PR_SET_TIMERSLACK, 1UL); // the open loop sleeps between requests
    const unsigned origins = address.sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? 4 : 1;
    for (unsigned i = 0; i < origins; i++) {
        origin_open(epoll, &address);
        address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + 1);
    }
    if (argc == 3) {
        struct sockaddr_in tcp = bench_address(argv[2]);
        tcp_origin_open(epoll, &tcp);
    }
    commands_open(epoll);
    while (!commands_ended()) {
        source_turn(epoll, 1000000000U);
        const char *line = commands_next();
        if (line != NULL) {
            run_command(epoll, line);
        }
    }
    return 0;
}
