// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's origin: fixed answers for /128, /10k and /1m over HTTP/1.1 keep-alive, as
// cheaply as can be, so that the proxy under test is what is measured.
//
// It trusts its callers: a request is whatever stands before an empty line, without a body, and
// only the path is looked at. Pipelined requests are answered in order. Every answer is one
// prebuilt block, sent as an application server would send it: by copying.
#include "origin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "source.h"

enum {
    REQUEST_BYTES_MAX = 8192,
    HEAD_BYTES_MAX = 256,
};

struct answer {
    const char *path; // as it stands in the request line, the blank after it included
    int status;
    size_t body_bytes;
    unsigned char *block; // head and body
    size_t block_bytes;
};

// What a connection still has to send of one answer.
struct sending {
    const struct answer *answer; // NULL: nothing
    size_t sent;
};

struct conn {
    struct source source;
    int fd;
    bool readable; // the last read did not drain the socket
    size_t request_bytes;
    struct sending sending;
    char request[REQUEST_BYTES_MAX];
};

static struct answer answers[] = {
    {.path = "/128 ", .status = 200, .body_bytes = 128},
    {.path = "/10k ", .status = 200, .body_bytes = 10240},
    {.path = "/1m ", .status = 200, .body_bytes = BENCH_BODY_BYTES_MAX},
    {.path = "", .status = 404, .body_bytes = 0}, // any other
};

struct listener {
    struct source source;
    int epoll;
    int fd;
};

enum { LISTENERS_MAX = 4 };

static struct listener listeners[LISTENERS_MAX];
static unsigned listener_count;

enum { ANSWER_COUNT = sizeof answers / sizeof answers[0] };

static void build_answer(struct answer *answer)
{
    char head[HEAD_BYTES_MAX];
    int head_bytes =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d %s\r\nServer: origin\r\n"
                 "Date: Mon, 05 Jan 2026 10:00:00 GMT\r\n"
                 "Content-Type: application/octet-stream\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 answer->status, answer->status == 200 ? "OK" : "Not Found", answer->body_bytes);
    answer->block_bytes = (size_t)head_bytes + answer->body_bytes;
    answer->block = malloc(answer->block_bytes);
    if (answer->block == NULL) {
        bench_die("out of memory");
    }
    memcpy(answer->block, head, (size_t)head_bytes);
    bench_fill_body(answer->block + head_bytes, answer->body_bytes);
}

static const struct answer *find_answer(const char *request, size_t bytes)
{
    const char *target = memchr(request, ' ', bytes);
    size_t left = target == NULL ? 0 : bytes - (size_t)(target + 1 - request);
    for (size_t i = 0; i < ANSWER_COUNT - 1; i++) {
        size_t path_bytes = strlen(answers[i].path);
        if (left >= path_bytes && strncmp(target + 1, answers[i].path, path_bytes) == 0) {
            return &answers[i];
        }
    }
    return &answers[ANSWER_COUNT - 1];
}

// Sends on what is begun. Returns 1 when done, 0 when the socket is full, -1 when it broke.
static int send_on(struct conn *conn)
{
    struct sending *sending = &conn->sending;
    const struct answer *answer = sending->answer;
    while (sending->sent < answer->block_bytes) {
        ssize_t n =
            send(conn->fd, answer->block + sending->sent, answer->block_bytes - sending->sent, 0);
        if (n < 0) {
            return errno == EAGAIN ? 0 : -1;
        }
        sending->sent += (size_t)n;
    }
    sending->answer = NULL;
    return 1;
}

// Answers every whole request in the buffer. Returns as send_on.
static int answer_buffered(struct conn *conn)
{
    size_t used = 0;
    int result = 1;
    while (result == 1 && used < conn->request_bytes) {
        const char *request = conn->request + used;
        size_t left = conn->request_bytes - used;
        const char *end = memmem(request, left, "\r\n\r\n", 4);
        if (end == NULL) {
            break;
        }
        size_t bytes = (size_t)(end - request) + 4;
        conn->sending = (struct sending){.answer = find_answer(request, bytes)};
        used += bytes;
        result = send_on(conn);
    }
    conn->request_bytes -= used;
    if (conn->request_bytes > 0 && used > 0) {
        memmove(conn->request, conn->request + used, conn->request_bytes);
    }
    return result;
}

// Goes on with a connection after an event. Returns false when it is over.
static bool serve(struct conn *conn)
{
    int result = conn->sending.answer == NULL ? 1 : send_on(conn);
    if (result == 1 && conn->request_bytes > 0) {
        result = answer_buffered(conn);
    }
    while (result == 1 && conn->readable) {
        size_t room = sizeof conn->request - conn->request_bytes;
        ssize_t n = room == 0 ? 0 : recv(conn->fd, conn->request + conn->request_bytes, room, 0);
        if (n <= 0) {
            conn->readable = false;
            return n < 0 && errno == EAGAIN;
        }
        conn->request_bytes += (size_t)n;
        conn->readable = (size_t)n == room; // a short read has drained the socket
        result = answer_buffered(conn);
    }
    return result >= 0;
}

static void on_conn(struct source *source, uint32_t events)
{
    struct conn *conn = (struct conn *)source; // the source is its first member
    bool over = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (over || (events & EPOLLIN) != 0) {
        conn->readable = true;
    }
    if (!serve(conn) || over) {
        close(conn->fd);
        source->magic = 0;
        free(conn);
    }
}

static void on_listener(struct source *source, uint32_t events)
{
    struct listener *listener = (struct listener *)source; // the source is its first member
    (void)events;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct conn *conn = malloc(sizeof *conn);
        if (conn == NULL) {
            bench_die("out of memory");
        }
        conn->fd = fd;
        conn->readable = false;
        conn->request_bytes = 0;
        conn->sending.answer = NULL;
        source_open(&conn->source, listener->epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    on_conn);
    }
}

void origin_open(int epoll, const struct sockaddr_in *address)
{
    for (size_t i = 0; listener_count == 0 && i < ANSWER_COUNT; i++) {
        build_answer(&answers[i]);
    }
    if (listener_count == LISTENERS_MAX) {
        errno = 0;
        bench_die("too many origins");
    }
    struct listener *listener = &listeners[listener_count++];
    listener->epoll = epoll;
    listener->fd = bench_listen(address);
    source_open(&listener->source, epoll, listener->fd, EPOLLIN, on_listener);
}
