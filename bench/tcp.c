// SPDX-License-Identifier: Apache-2.0
//
// Both ends of proxied TCP, see tcp.h. The pattern of the stream repeats every 64 KiB, so that a reader
// knows what comes at any offset; messages carry the pattern too, each from another place.
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "histogram.h"
#include "source.h"

enum { PATTERN_BYTES = 65536, STALL_MS = 5000, MIB = 1 << 20, AT_ONCE_MAX = 8 };

enum { EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

static unsigned char pattern[2 * PATTERN_BYTES + TCP_MESSAGE_BYTES_MAX];

// Both ends share a thread: one of them must not go on for as long as the other side can. What is left
// is reported again.
static void come_back(int epoll, int fd, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) {
        bench_die("epoll_ctl");
    }
}

static void make_pattern(void)
{
    if (pattern[1] == 0) {
        bench_fill_body(pattern, PATTERN_BYTES);
        for (size_t i = PATTERN_BYTES; i < sizeof pattern; i++) {
            pattern[i] = pattern[i - PATTERN_BYTES];
        }
        pattern[1] |= pattern[1] == 0;
    }
}

// ---- the origin ---------------------------------------------------------------------------------

struct server_conn {
    struct source source;
    int fd;
    char mode; // 0: not known yet, 'e' echo, 's' stream
    uint64_t sent;
    size_t held; // bytes that are still to be echoed
    unsigned char buffer[TCP_MESSAGE_BYTES_MAX];
};

static struct {
    struct source source;
    int epoll;
    int fd;
} listener;

// False when it is over.
static bool send_stream(struct server_conn *conn)
{
    for (int i = 0; i < AT_ONCE_MAX; i++) {
        const unsigned char *at = pattern + conn->sent % PATTERN_BYTES;
        ssize_t n = send(conn->fd, at, PATTERN_BYTES, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN;
        }
        conn->sent += (uint64_t)n;
    }
    come_back(listener.epoll, conn->fd, &conn->source, EVENTS);
    return true;
}

static bool echo(struct server_conn *conn)
{
    for (;;) {
        while (conn->held > 0) {
            ssize_t n = send(conn->fd, conn->buffer, conn->held, MSG_NOSIGNAL);
            if (n < 0) {
                return errno == EAGAIN;
            }
            conn->held -= (size_t)n;
            memmove(conn->buffer, conn->buffer + n, conn->held);
        }
        ssize_t n = recv(conn->fd, conn->buffer, sizeof conn->buffer, 0);
        if (n <= 0) {
            return n < 0 && errno == EAGAIN;
        }
        conn->held = (size_t)n;
        if ((size_t)n < sizeof conn->buffer) { // a short read has drained the socket
            ssize_t sent = send(conn->fd, conn->buffer, conn->held, MSG_NOSIGNAL);
            if (sent == n) {
                conn->held = 0;
                return true;
            }
            if (sent < 0 && errno != EAGAIN) {
                return false;
            }
            conn->held -= sent > 0 ? (size_t)sent : 0;
            memmove(conn->buffer, conn->buffer + (sent > 0 ? sent : 0), conn->held);
            return true; // the rest goes with the next edge
        }
    }
}

static void on_server_conn(struct source *source, uint32_t events)
{
    struct server_conn *conn = (struct server_conn *)source; // the source is its first member
    bool alive = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) == 0;
    if (alive && conn->mode == 0 && (events & EPOLLIN) != 0) {
        alive = recv(conn->fd, &conn->mode, 1, 0) == 1;
    }
    if (alive && conn->mode != 0) {
        alive = conn->mode == 's' ? send_stream(conn) : echo(conn);
    }
    if (!alive) {
        close(conn->fd);
        source->magic = 0;
        free(conn);
    }
}

static void on_listener(struct source *source, uint32_t events)
{
    (void)source;
    (void)events;
    for (;;) {
        int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct server_conn *conn = calloc(1, sizeof *conn);
        if (conn == NULL) {
            bench_die("out of memory");
        }
        conn->fd = fd;
        source_open(&conn->source, listener.epoll, fd, EVENTS, on_server_conn);
    }
}

void tcp_origin_open(int epoll, const struct sockaddr_in *address)
{
    make_pattern();
    listener.epoll = epoll;
    listener.fd = bench_listen(address);
    source_open(&listener.source, epoll, listener.fd, EPOLLIN, on_listener);
}

// ---- the client ---------------------------------------------------------------------------------

struct client_conn {
    struct source source;
    int fd;
    bool waiting; // a message is on its way
    uint64_t got; // bytes of the stream, or of the message
    size_t from;  // where the message begins in the pattern
    uint64_t begun_ns;
};

static struct {
    struct tcp_plan plan;
    int epoll;
    struct client_conn *conns;
    unsigned char *buffer;
    uint64_t ask_until_ns;
    uint64_t messages;
    uint64_t bytes;
    unsigned waiting;
    unsigned errors;
    struct histogram latency;
} run;

static void fail(struct client_conn *conn, const char *why)
{
    if (run.errors++ == 0) {
        fprintf(stderr, "tcp: %s\n", why);
    }
    run.waiting -= conn->waiting;
    conn->waiting = false;
    close(conn->fd);
    conn->fd = -1;
}

static void say(struct client_conn *conn)
{
    conn->from = (conn->from + 7919) % PATTERN_BYTES;
    conn->got = 0;
    conn->begun_ns = bench_now_ns();
    ssize_t n = send(conn->fd, pattern + conn->from, run.plan.message_bytes, MSG_NOSIGNAL);
    run.waiting += !conn->waiting;
    conn->waiting = true;
    if (n != (ssize_t)run.plan.message_bytes) {
        fail(conn, "a message was not taken whole");
    }
}

static void take_message(struct client_conn *conn, size_t n)
{
    if (conn->got + n > run.plan.message_bytes ||
        memcmp(run.buffer, pattern + conn->from + conn->got, n) != 0) {
        fail(conn, "an echo is wrong");
        return;
    }
    conn->got += n;
    if (conn->got < run.plan.message_bytes) {
        return;
    }
    uint64_t now_ns = bench_now_ns();
    histogram_add(&run.latency, now_ns - conn->begun_ns);
    run.messages++;
    conn->waiting = false;
    run.waiting--;
    if (now_ns < run.ask_until_ns) {
        say(conn);
    }
}

static void take_stream(struct client_conn *conn, size_t n)
{
    if (memcmp(run.buffer, pattern + conn->got % PATTERN_BYTES, n) != 0) {
        fail(conn, "the stream is wrong");
        return;
    }
    conn->got += n;
    run.bytes += n;
}

static void on_client_conn(struct source *source, uint32_t events)
{
    struct client_conn *conn = (struct client_conn *)source; // the source is its first member
    (void)events;
    for (int i = 0; i < AT_ONCE_MAX && conn->fd >= 0; i++) {
        ssize_t n = recv(conn->fd, run.buffer, PATTERN_BYTES, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            fail(conn, n == 0 ? "the other side closed" : "the connection broke");
            return;
        }
        if (run.plan.message_bytes > 0) {
            take_message(conn, (size_t)n);
        } else {
            take_stream(conn, (size_t)n);
        }
        if (n < PATTERN_BYTES) {
            return; // a short read has drained the socket
        }
    }
    if (conn->fd >= 0) {
        come_back(run.epoll, conn->fd, &conn->source, EVENTS & ~(uint32_t)EPOLLOUT);
    }
}

static void connect_one(int epoll, struct client_conn *conn)
{
    const int one = 1;
    const char mode = run.plan.message_bytes > 0 ? 'e' : 's';
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 ||
        connect(conn->fd, (const struct sockaddr *)&run.plan.to, sizeof run.plan.to) != 0) {
        bench_die("connect to port %u", ntohs(run.plan.to.sin_port));
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (send(conn->fd, &mode, 1, MSG_NOSIGNAL) != 1) {
        bench_die("the first byte was not taken");
    }
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    source_open(&conn->source, epoll, conn->fd, EVENTS & ~(uint32_t)EPOLLOUT, on_client_conn);
}

static void print_result(uint64_t took_ns)
{
    double seconds = (double)took_ns / 1e9;
    double units =
        run.plan.message_bytes > 0 ? (double)run.messages : (double)run.bytes / (double)MIB;
    printf("{\"requests\": %.3f, \"errors\": %u, \"seconds\": %.6f, \"rate\": %.3f", units,
           run.errors, seconds, units / seconds);
    if (run.plan.message_bytes > 0) {
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f",
               (double)histogram_quantile(&run.latency, 0.5) / 1e3,
               (double)histogram_quantile(&run.latency, 0.99) / 1e3,
               (double)histogram_quantile(&run.latency, 0.999) / 1e3);
    }
    printf("}\n");
    fflush(stdout);
}

static void turn(int epoll, uint64_t *last_ns)
{
    if (source_turn(epoll, (uint64_t)STALL_MS * 1000000U) == 0) {
        fprintf(stderr, "tcp: nothing came for %d ms\n", STALL_MS);
        run.errors++;
    }
    *last_ns = bench_now_ns();
}

void tcp_run(int epoll, const struct tcp_plan *plan)
{
    memset(&run, 0, sizeof run);
    run.plan = *plan;
    run.epoll = epoll;
    run.conns = calloc(plan->connections, sizeof *run.conns);
    run.buffer = malloc(PATTERN_BYTES);
    if (run.conns == NULL || run.buffer == NULL) {
        bench_die("out of memory");
    }
    for (unsigned i = 0; i < plan->connections; i++) {
        connect_one(epoll, &run.conns[i]);
        source_turn(epoll, 0); // the origin accepts meanwhile
    }
    uint64_t start_ns = bench_now_ns();
    uint64_t now_ns = start_ns;
    run.ask_until_ns = start_ns + (uint64_t)(plan->seconds * 1e9);
    for (unsigned i = 0; plan->message_bytes > 0 && i < plan->connections; i++) {
        say(&run.conns[i]);
    }
    while (run.errors == 0 && (now_ns < run.ask_until_ns || run.waiting > 0)) {
        turn(epoll, &now_ns);
    }
    for (unsigned i = 0; i < plan->connections; i++) {
        if (run.conns[i].fd >= 0) {
            close(run.conns[i].fd);
        }
    }
    while (source_turn(epoll, 10000000U) >
           0) { // the origin hears of it, before the next command comes
    }
    print_result(now_ns - start_ns);
    free(run.buffer);
    free(run.conns);
}
