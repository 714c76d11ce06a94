// SPDX-License-Identifier: Apache-2.0
//
// slow-link: a relay that plays a long link for TCP connections, for kernels without netem. Each
// direction has a rate that all connections share, a delay, and a buffer before the link that holds
// one bandwidth-delay product unless told otherwise; who sends more is not read. Some packets may come
// late, as one that is lost and sent again does: everything behind it waits, and comes with it at once.
//
//   slow-link --to ADDRESS:PORT --rate BYTES --delay MS
//             [--listen PORT] [--buffer BYTES] [--late SHARE] [--late-by MS] [--seed N]
//
// `--rate` is bytes per second in each direction, `--delay` that of one way. `--late 0.01` makes one
// packet in a hundred late by `--late-by` (a round trip). It prints the port that it listens on
// (127.0.0.1) and ends with its standard input.

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 16 * 1024,
    PACKET_BYTES = 1448,
    PAIRS_MAX = 512,
    EVENTS_MAX = 64,
    SOCKET_BYTES =
        128 * 1024, // of a socket's input: what waits is to wait in the buffer of the link
};

#define SECOND UINT64_C(1000000000)

struct block {
    struct block *next;
    uint64_t due_ns;
    uint32_t len; // 0: the end
    uint32_t off;
    char bytes[];
};

/** One direction of a connection. */
struct flow {
    int from;
    int to;
    bool readable;
    bool writable;
    bool read_end; // the end was read
    bool ended;    // and passed on
    uint64_t queued;
    uint64_t last_due_ns;
    struct block *first;
    struct block *last;
};

struct pair {
    bool used;
    struct flow flows[2];
};

/** One direction of the link. */
struct link {
    uint64_t free_ns; // when all that it was given is on its way
};

static struct {
    int epoll;
    int listener;
    struct sockaddr_in to;
    uint64_t rate;
    uint64_t delay_ns;
    uint64_t buffer;
    uint64_t late_ns;
    double late;
    uint64_t random;
    struct link links[2];
    struct pair pairs[PAIRS_MAX];
} world;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static double draw(void)
{
    world.random ^= world.random << 13; // xorshift64
    world.random ^= world.random >> 7;
    world.random ^= world.random << 17;
    return (double)(world.random >> 11) / (double)(UINT64_C(1) << 53);
}

// ---- pairs -------------------------------------------------------------------------------------------

static void watch(int fd, struct pair *p, unsigned end)
{
    uint64_t index = (uint64_t)(p - world.pairs) * 2 + end;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = index};
    if (epoll_ctl(world.epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        die("epoll_ctl");
    }
}

static void set_int(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) {
        die("setsockopt");
    }
}

static void open_pair(int client)
{
    struct pair *p = world.pairs;
    while (p < world.pairs + PAIRS_MAX && p->used) {
        p++;
    }
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p == world.pairs + PAIRS_MAX || server < 0) {
        close(client);
        return;
    }
    set_int(server, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES);
    set_int(server, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(client, IPPROTO_TCP, TCP_NODELAY, 1);
    if (connect(server, (struct sockaddr *)&world.to, sizeof(world.to)) != 0 &&
        errno != EINPROGRESS) {
        close(server);
        close(client);
        return;
    }
    *p = (struct pair){.used = true};
    p->flows[0] = (struct flow){.from = client, .to = server};
    p->flows[1] = (struct flow){.from = server, .to = client};
    watch(client, p, 0);
    watch(server, p, 1);
}

static void close_pair(struct pair *p)
{
    close(p->flows[0].from);
    close(p->flows[1].from);
    for (int i = 0; i < 2; i++) {
        while (p->flows[i].first != NULL) {
            struct block *b = p->flows[i].first;
            p->flows[i].first = b->next;
            free(b);
        }
    }
    p->used = false;
}

// ---- the link ----------------------------------------------------------------------------------------

static void put(struct flow *f, struct link *l, struct block *b, uint64_t now)
{
    if (l->free_ns < now) {
        l->free_ns = now;
    }
    l->free_ns += (uint64_t)b->len * SECOND / world.rate;
    b->due_ns = l->free_ns + world.delay_ns;
    for (uint32_t done = 0; done < b->len && world.late > 0; done += PACKET_BYTES) {
        if (draw() < world.late) {
            b->due_ns += world.late_ns;
            break;
        }
    }
    if (b->due_ns < f->last_due_ns) {
        b->due_ns = f->last_due_ns; // bytes come in their order
    }
    f->last_due_ns = b->due_ns;
    f->queued += b->len;
    b->next = NULL;
    if (f->first == NULL) {
        f->first = b;
    } else {
        f->last->next = b;
    }
    f->last = b;
}

/** When the buffer of the link has room for a block; 0: it has. */
static uint64_t full_until(const struct link *l, uint64_t now)
{
    uint64_t hold_ns =
        (world.buffer > BLOCK_BYTES ? world.buffer - BLOCK_BYTES : 0) * SECOND / world.rate;
    return l->free_ns > now + hold_ns ? l->free_ns - hold_ns : 0;
}

/** What one connection may have on its way when nobody takes it at the other end. */
static bool is_stuffed(const struct flow *f)
{
    uint64_t under_way = (world.delay_ns + world.late_ns) / 1000 * world.rate / (SECOND / 1000);
    return f->queued > under_way + world.buffer + BLOCK_BYTES;
}

/** Reads one block. False: the connection is broken. */
static bool take_block(struct flow *f, struct link *l, uint64_t now)
{
    struct block *b = malloc(sizeof(*b) + BLOCK_BYTES);
    if (b == NULL) {
        die("malloc");
    }
    ssize_t n = recv(f->from, b->bytes, BLOCK_BYTES, 0);
    if (n < 0) {
        free(b);
        f->readable = false;
        return errno == EAGAIN || errno == EINTR;
    }
    f->read_end = n == 0;
    b->len = (uint32_t)n;
    b->off = 0;
    put(f, l, b, now);
    return true;
}

/** Writes what is due. False: the connection is broken. */
static bool give_due(struct flow *f, uint64_t now)
{
    while (f->writable && f->first != NULL && f->first->due_ns <= now) {
        struct block *b = f->first;
        if (b->len == 0) {
            f->ended = true;
            (void)shutdown(f->to, SHUT_WR);
        } else {
            ssize_t n = send(f->to, b->bytes + b->off, b->len - b->off, MSG_NOSIGNAL);
            if (n < 0) {
                f->writable = false;
                return errno == EAGAIN || errno == EINTR;
            }
            b->off += (uint32_t)n;
            f->queued -= (uint64_t)n;
            if (b->off < b->len) {
                continue;
            }
        }
        f->first = b->next;
        free(b);
    }
    return true;
}

static void sooner(uint64_t *next, uint64_t at)
{
    if (at != 0 && (*next == 0 || at < *next)) {
        *next = at;
    }
}

/** One round over all connections, a block each. Returns when to look again; 0: when something happens,
 * and `now`: at once. */
static uint64_t relay(uint64_t now)
{
    uint64_t next = 0;
    for (struct pair *p = world.pairs; p < world.pairs + PAIRS_MAX; p++) {
        for (int i = 0; i < 2 && p->used; i++) {
            struct flow *f = &p->flows[i];
            struct link *l = &world.links[i];
            bool wants = f->readable && !f->read_end && !is_stuffed(f);
            uint64_t wait = full_until(l, now);
            bool good = !wants || wait != 0 || take_block(f, l, now);
            if (!good || !give_due(f, now) || (p->flows[0].ended && p->flows[1].ended)) {
                close_pair(p);
                break;
            }
            if (wants) {
                sooner(&next, wait != 0 ? wait : now);
            }
            if (f->writable && f->first != NULL) {
                sooner(&next, f->first->due_ns);
            }
        }
    }
    return next;
}

// ---- the loop ----------------------------------------------------------------------------------------

enum { LISTENER = UINT32_MAX, STDIN = UINT32_MAX - 1 };

static void on_event(const struct epoll_event *e)
{
    if (e->data.u64 == (uint32_t)LISTENER) {
        int fd;
        while ((fd = accept4(world.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
            open_pair(fd);
        }
        return;
    }
    if (e->data.u64 == (uint32_t)STDIN) {
        char c;
        if (read(STDIN_FILENO, &c, 1) <= 0) {
            exit(0);
        }
        return;
    }
    struct pair *p = &world.pairs[e->data.u64 / 2];
    unsigned end = e->data.u64 % 2;
    if (!p->used) {
        return; // closed earlier in this batch
    }
    if ((e->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        p->flows[end].readable = true;
    }
    if ((e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        p->flows[1 - end].writable = true;
    }
}

static void run(void)
{
    uint64_t next = 0;
    for (;;) {
        uint64_t now = now_ns();
        uint64_t wait = next > now ? next - now : 0;
        struct timespec t = {(time_t)(wait / SECOND), (long)(wait % SECOND)};
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_pwait2(world.epoll, events, EVENTS_MAX, next == 0 ? NULL : &t, NULL);
        if (n < 0 && errno != EINTR) {
            die("epoll_pwait2");
        }
        for (int i = 0; i < n; i++) {
            on_event(&events[i]);
        }
        next = relay(now_ns());
    }
}

static void listen_at(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    world.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    set_int(world.listener, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(world.listener, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES);
    if (bind(world.listener, (struct sockaddr *)&at, len) != 0 ||
        listen(world.listener, 128) != 0 ||
        getsockname(world.listener, (struct sockaddr *)&at, &len) != 0) {
        die("listen");
    }
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint32_t)LISTENER};
    struct epoll_event in = {.events = EPOLLIN, .data.u64 = (uint32_t)STDIN};
    world.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(world.epoll, EPOLL_CTL_ADD, world.listener, &e) != 0) {
        die("epoll_ctl");
    }
    (void)epoll_ctl(world.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in); // not of a plain file
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
}

static void parse_target(const char *text)
{
    char address[64] = {0};
    const char *colon = strrchr(text, ':');
    world.to.sin_family = AF_INET;
    if (colon == NULL || (size_t)(colon - text) >= sizeof(address)) {
        fputs("slow-link: --to ADDRESS:PORT\n", stderr);
        exit(2);
    }
    memcpy(address, text, (size_t)(colon - text));
    world.to.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, address, &world.to.sin_addr) != 1) {
        fputs("slow-link: the address is to be one of IPv4\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},
        {"delay", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"buffer", required_argument, NULL, 'b'},
        {"late", required_argument, NULL, 's'},
        {"late-by", required_argument, NULL, 'S'},
        {"seed", required_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    uint16_t port = 0;
    double late_ms = -1;
    world.random = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 't':
            parse_target(optarg);
            break;
        case 'r':
            world.rate = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            world.delay_ns = (uint64_t)(atof(optarg) * 1e6);
            break;
        case 'l':
            port = (uint16_t)atoi(optarg);
            break;
        case 'b':
            world.buffer = strtoull(optarg, NULL, 10);
            break;
        case 's':
            world.late = atof(optarg);
            break;
        case 'S':
            late_ms = atof(optarg);
            break;
        case 'x':
            world.random = strtoull(optarg, NULL, 10) * 2 + 1;
            break;
        default:
            return 2;
        }
    }
    if (world.rate == 0 || world.to.sin_port == 0) {
        fputs("slow-link: --to and --rate are needed\n", stderr);
        return 2;
    }
    world.late_ns = late_ms < 0 ? 2 * world.delay_ns : (uint64_t)(late_ms * 1e6);
    if (world.late == 0) {
        world.late_ns = 0;
    }
    if (world.buffer == 0) {
        world.buffer = 2 * world.delay_ns / 1000 * world.rate / (SECOND / 1000);
        world.buffer = world.buffer < 4 * BLOCK_BYTES ? 4 * BLOCK_BYTES : world.buffer;
    }
    listen_at(port);
    run();
}
