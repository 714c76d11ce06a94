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
// With --tls it is the floor of a proxy that speaks TLS with its clients: the same loop, with
// SSL_read and SSL_write in the place of recv and send on the client's side, nothing spliced, and the
// origin connected to when the first byte for it is there. --release gives OpenSSL's buffers back
// whenever a connection is idle, which is how idle connections are to be measured.
//
//   relay [--release] [--tls CERTIFICATE KEY] IPv4:PORT ORIGIN-IPv4:PORT
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
#include "tls.h"

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
    struct tls_link *tls; // NULL: in clear
};

struct pair {
    uint32_t magic;
    bool broken;
    struct side side[2]; // client, origin
    struct pair *next_broken;
    struct tls_link tls[]; // the client's, when there is TLS
};

// What the command line says.
static struct {
    int epoll;
    struct sockaddr_in origin;
    SSL_CTX *tls; // NULL: in clear
} relay;

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
            if (side->tls != NULL) {
                tls_close(side->tls);
            }
            if (side->fd >= 0) {
                close(side->fd);
            }
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
    if (to->fd >= 0) {
        shutdown(to->fd, SHUT_WR);
    }
    if (to->ended || to->fd < 0) {
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

// Begins to connect the origin's side.
static void open_origin(struct side *side)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    const int one = 1;
    side->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (side->fd < 0) {
        bench_die("cannot open an origin connection");
    }
    setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(side->fd, (const struct sockaddr *)&relay.origin, sizeof relay.origin) != 0 &&
        errno != EINPROGRESS) {
        bench_die("connect");
    }
    side->writable = false;
    bench_watch(relay.epoll, side->fd, events, side);
}

static ssize_t side_read(struct side *side, void *data, size_t bytes)
{
    return side->tls != NULL ? tls_read(side->tls, data, bytes) : recv(side->fd, data, bytes, 0);
}

static ssize_t side_write(struct side *side, const void *data, size_t bytes)
{
    if (side->fd < 0) {
        open_origin(side);
        errno = EAGAIN;
        return -1;
    }
    return side->tls != NULL ? tls_write(side->tls, data, bytes) : send(side->fd, data, bytes, 0);
}

static void flush_rest(struct side *from, struct side *to)
{
    ssize_t n = side_write(to, from->rest + from->rest_at, from->rest_bytes - from->rest_at);
    if (n < 0) {
        stall(to, &to->writable);
        return;
    }
    from->rest_at += (size_t)n;
    if (from->rest_at < from->rest_bytes) {
        to->writable = to->tls != NULL; // TLS wrote a record, and says itself when it is enough
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

// Writes what stands in the buffer; the rest of it, if any, is kept.
static void pass_on(struct side *from, struct side *to, size_t bytes)
{
    size_t sent = 0;
    while (sent < bytes) {
        ssize_t n = side_write(to, copy_buffer + sent, bytes - sent);
        if (n < 0) {
            stall(to, &to->writable);
            break;
        }
        sent += (size_t)n;
        if (to->tls == NULL && sent < bytes) {
            to->writable = false;
            break;
        }
    }
    if (sent < bytes && !from->pair->broken) {
        keep_rest(from, copy_buffer + sent, bytes - sent);
    }
}

static void move_copied(struct side *from, struct side *to)
{
    ssize_t n = side_read(from, copy_buffer, sizeof copy_buffer);
    if (n < 0) {
        stall(from, &from->readable);
        return;
    }
    if (n == 0) {
        side_end(from, to);
        return;
    }
    if (from->tls != NULL) {
        from->readable = tls_may_read(from->tls);
    } else if ((size_t)n < sizeof copy_buffer) {
        from->readable = from->hung_up;
    } else if (to->tls == NULL) {
        go_bulk(from);
    }
    pass_on(from, to, (size_t)n);
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
        if (side->tls != NULL) {
            tls_wake(side->tls, side->hung_up);
        }
        move(side, other(side));
    }
    if ((events & (EPOLLOUT | EPOLLERR)) != 0 && !side->writable) {
        side->writable = true;
        move(other(side), side);
    }
}

static void pair_open(int client)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    const bool tls = relay.tls != NULL;
    struct pair *pair = calloc(1, sizeof *pair + (tls ? sizeof pair->tls[0] : 0));
    if (pair == NULL) {
        bench_die("out of memory");
    }
    pair->magic = PAIR_MAGIC;
    pair->side[0] = (struct side){.pair = pair, .fd = client};
    pair->side[1] = (struct side){.pair = pair, .fd = -1};
    if (tls) {
        pair->side[0].tls = &pair->tls[0];
        pair->side[1].writable = true; // by connecting
        if (!tls_open(&pair->tls[0], relay.tls, client, true)) {
            bench_die("out of memory");
        }
    } else {
        open_origin(&pair->side[1]);
    }
    bench_watch(relay.epoll, client, events, &pair->side[0]);
}

static void accept_all(int listener)
{
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (client >= 0) {
        pair_open(client);
        client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
}

// Reads the command line; returns the index of its two addresses, 0 when it cannot be read.
static int read_options(int argc, char **argv)
{
    int at = 1;
    bool release = false;
    if (at < argc && strcmp(argv[at], "--release") == 0) {
        release = true;
        at++;
    }
    if (at + 2 < argc && strcmp(argv[at], "--tls") == 0) {
        relay.tls = tls_server_context(argv[at + 1], argv[at + 2], release);
        at += 3;
    }
    return argc - at == 2 ? at : 0;
}

int main(int argc, char **argv)
{
    int at = read_options(argc, argv);
    if (at == 0) {
        fprintf(stderr, "usage: relay [--release] [--tls CERTIFICATE KEY] IPv4:PORT "
                        "ORIGIN-IPv4:PORT\n");
        return 2;
    }
    struct sockaddr_in listen_address = bench_address(argv[at]);
    struct epoll_event events[EVENTS_MAX];
    relay.origin = bench_address(argv[at + 1]);
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_follow_parent();
    bench_raise_descriptors(DESCRIPTORS_MAX);
    int listener = bench_listen(&listen_address);
    bench_watch(relay.epoll, listener, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(relay.epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(listener);
            } else {
                on_event(events[i].data.ptr, events[i].events);
            }
        }
        free_broken();
    }
}
