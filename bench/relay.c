// SPDX-License-Identifier: Apache-2.0
//
// The floor of the benchmark: a relay that only moves bytes. Each client connection gets one
// origin connection of its own, kept as long as the client stays; nothing is parsed. What this
// program costs is what the kernel charges any proxy, so ratios to it say what a proxy adds.
//
// It is meant to be as fast as a single epoll thread can be: edge-triggered, one epoll_ctl per
// descriptor in its life, a read shorter than its buffer counts as drained, small data goes
// through one shared buffer, and a direction that once filled that buffer is spliced from then on.
//
//   relay IPv4:PORT ORIGIN-IPv4:PORT
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

enum {
    EVENTS_MAX = 256,
    COPY_BYTES = 65536,
    PIPE_BYTES = 256 * 1024,
    DESCRIPTORS_MAX = 65536,
    PAIR_MAGIC = 0x72656c79,
};

struct pair;

// One end of a pair, and the direction whose bytes are read from it.
struct side {
    struct pair *pair;
    int fd;
    bool readable; // an edge said so, and no short read has drained it since
    bool writable; // connected, and the last write was whole
    bool hung_up;  // the peer has closed: read to the end, whatever short reads say
    bool ended;    // end of input was read and passed on
    bool bulk;     // this direction is spliced
    int pipe[2];   // bytes on their way to the other side, when bulk
    size_t piped_bytes;
    unsigned char *rest; // what the other side did not take of a copied block
    size_t rest_at;
    size_t rest_bytes;
};

struct pair {
    uint32_t magic;
    bool broken;
    struct side side[2]; // client, origin
    struct pair *next_broken;
};

static unsigned char copy_buffer[COPY_BYTES];
static struct pair *broken_pairs; // freed after the batch of events that may still name them

static struct side *other(struct side *side)
{
    struct pair *pair = side->pair;
    return side == &pair->side[0] ? &pair->side[1] : &pair->side[0];
}

static void pair_break(struct pair *pair)
{
    if (!pair->broken) {
        pair->broken = true;
        pair->next_broken = broken_pairs;
        broken_pairs = pair;
    }
}

static void free_broken(void)
{
    while (broken_pairs != NULL) {
        struct pair *pair = broken_pairs;
        broken_pairs = pair->next_broken;
        for (int i = 0; i < 2; i++) {
            struct side *side = &pair->side[i];
            close(side->fd);
            if (side->bulk) {
                close(side->pipe[0]);
                close(side->pipe[1]);
            }
            free(side->rest);
        }
        pair->magic = 0;
        free(pair);
    }
}

static void side_end(struct side *from, struct side *to)
{
    from->readable = false;
    from->ended = true;
    shutdown(to->fd, SHUT_WR);
    if (to->ended) {
        pair_break(from->pair);
    }
}

// A read or write gave nothing: either it would block, which clears *ready, or the pair is lost.
static void stall(struct side *side, bool *ready)
{
    if (errno == EAGAIN) {
        *ready = false;
    } else {
        pair_break(side->pair);
    }
}

// Keeps what was not written; it goes out first at the next edge.
static void keep_rest(struct side *from, const unsigned char *data, size_t bytes)
{
    from->rest = malloc(bytes);
    if (from->rest == NULL) {
        pair_break(from->pair);
        return;
    }
    memcpy(from->rest, data, bytes);
    from->rest_at = 0;
    from->rest_bytes = bytes;
}

static void flush_rest(struct side *from, struct side *to)
{
    ssize_t n = send(to->fd, from->rest + from->rest_at, from->rest_bytes - from->rest_at, 0);
    if (n < 0) {
        stall(to, &to->writable);
        return;
    }
    from->rest_at += (size_t)n;
    if (from->rest_at < from->rest_bytes) {
        to->writable = false;
        return;
    }
    free(from->rest);
    from->rest = NULL;
}

static void go_bulk(struct side *from)
{
    if (pipe2(from->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        return; // copying goes on
    }
    // Without the larger size it only takes more calls.
    (void)fcntl(from->pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
    from->bulk = true;
}

static void move_spliced(struct side *from, struct side *to)
{
    if (from->piped_bytes == 0) {
        ssize_t n = splice(from->fd, NULL, from->pipe[1], NULL, PIPE_BYTES,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0) {
            stall(from, &from->readable);
            return;
        }
        if (n == 0) {
            side_end(from, to);
            return;
        }
        from->piped_bytes = (size_t)n;
    }
    ssize_t n = splice(from->pipe[0], NULL, to->fd, NULL, from->piped_bytes,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0) {
        stall(to, &to->writable);
        return;
    }
    from->piped_bytes -= (size_t)n;
}

static void move_copied(struct side *from, struct side *to)
{
    ssize_t n = recv(from->fd, copy_buffer, sizeof copy_buffer, 0);
    if (n < 0) {
        stall(from, &from->readable);
        return;
    }
    if (n == 0) {
        side_end(from, to);
        return;
    }
    if ((size_t)n == sizeof copy_buffer) {
        go_bulk(from);
    } else if (!from->hung_up) {
        from->readable = false;
    }
    ssize_t sent = send(to->fd, copy_buffer, (size_t)n, 0);
    if (sent < 0) {
        stall(to, &to->writable);
        sent = 0;
    }
    if (sent < n && !from->pair->broken) {
        to->writable = false;
        keep_rest(from, copy_buffer + sent, (size_t)(n - sent));
    }
}

static void move(struct side *from, struct side *to)
{
    while (to->writable && !from->pair->broken) {
        if (from->rest != NULL) {
            flush_rest(from, to);
        } else if (from->bulk && (from->readable || from->piped_bytes > 0)) {
            move_spliced(from, to);
        } else if (from->readable) {
            move_copied(from, to);
        } else {
            return;
        }
    }
}

static void on_event(struct side *side, uint32_t events)
{
    if (side->pair->magic != PAIR_MAGIC) {
        bench_die("event for a freed pair");
    }
    if (side->pair->broken) {
        return;
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        side->readable = !side->ended;
        side->hung_up = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        move(side, other(side));
    }
    if ((events & (EPOLLOUT | EPOLLERR)) != 0 && !side->writable) {
        side->writable = true;
        move(other(side), side);
    }
}

static void pair_open(int epoll, int client, const struct sockaddr_in *address)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    const int one = 1;
    int origin = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pair *pair = calloc(1, sizeof *pair);
    if (origin < 0 || pair == NULL) {
        bench_die("cannot open an origin connection");
    }
    setsockopt(origin, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(origin, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno != EINPROGRESS) {
        bench_die("connect");
    }
    pair->magic = PAIR_MAGIC;
    pair->side[0] = (struct side){.pair = pair, .fd = client};
    pair->side[1] = (struct side){.pair = pair, .fd = origin};
    bench_watch(epoll, client, events, &pair->side[0]);
    bench_watch(epoll, origin, events, &pair->side[1]);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relay IPv4:PORT ORIGIN-IPv4:PORT\n");
        return 2;
    }
    struct sockaddr_in listen_address = bench_address(argv[1]);
    struct sockaddr_in origin_address = bench_address(argv[2]);
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_follow_parent();
    bench_raise_descriptors(DESCRIPTORS_MAX);
    int listener = bench_listen(&listen_address);
    bench_watch(epoll, listener, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                on_event(events[i].data.ptr, events[i].events);
                continue;
            }
            int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            while (client >= 0) {
                pair_open(epoll, client, &origin_address);
                client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            }
        }
        free_broken();
    }
}
