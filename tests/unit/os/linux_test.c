// SPDX-License-Identifier: Apache-2.0
//
// The Linux sys on real sockets of this machine's loopback.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/error.h"
#include "os/listen.h"
#include "os/sys.h"
#include "tap.h"

static struct sys *s;
static int tags[8];

struct pair {
    int listener;
    int client;
    int server;
    struct os_addr at;
    struct os_addr peer;
};

static struct sys_event wait_for(void *data)
{
    struct sys_event got = {NULL, 0};
    for (int round = 0; round < 50 && got.data == NULL; round++) {
        struct sys_event events[8];
        int n = s->ops->wait(s, events, 8, 100);
        for (int i = 0; i < n; i++) {
            if (events[i].data == data) {
                got = events[i];
            }
        }
    }
    CHECK(got.data == data);
    return got;
}

// A connection over TCP, both ends watched: the client under tags[1], the server under tags[2].
static void connect_pair(struct pair *p, const char *where)
{
    struct os_listen l = {.backlog = 8};
    REQUIRE(os_addr_parse_listen(slice_str(where), &l.addr) == 0);
    p->listener = os_listen_open(&l);
    REQUIRE(p->listener >= 0);
    REQUIRE(os_listen_addr(p->listener, &p->at) == 0);
    CHECK_EQ_INT(s->ops->watch(s, p->listener, &tags[0], true), 0);
    CHECK_EQ_INT(s->ops->accept(s, p->listener, &p->peer), E_AGAIN);
    struct sys_connect c = {.to = p->at};
    p->client = s->ops->connect(s, &c);
    REQUIRE(p->client >= 0);
    CHECK_EQ_INT(s->ops->watch(s, p->client, &tags[1], false), 0);
    CHECK((wait_for(&tags[0]).events & SYS_READ) != 0);
    p->server = s->ops->accept(s, p->listener, &p->peer);
    REQUIRE(p->server >= 0);
    CHECK_EQ_INT(s->ops->watch(s, p->server, &tags[2], false), 0);
    CHECK_EQ_INT(s->ops->connect_result(s, p->client), 0);
}

static void close_pair(struct pair *p)
{
    CHECK_EQ_INT(s->ops->unwatch(s, p->listener), 0);
    s->ops->close(s, p->listener, false);
    s->ops->close(s, p->client, false);
    s->ops->close(s, p->server, false);
}

static struct io_result put(int fd, const char *text)
{
    char copy[64];
    size_t n = strlen(text);
    memcpy(copy, text, n);
    struct iovec iov[2] = {{copy, n / 2}, {copy + n / 2, n - n / 2}};
    return n > 1 ? s->ops->write(s, fd, iov, 2, false) : s->ops->write(s, fd, iov + 1, 1, false);
}

static void expect(int fd, const char *want)
{
    char buffer[64];
    struct iovec iov[2] = {{buffer, 2}, {buffer + 2, 62}};
    struct io_result r = s->ops->read(s, fd, iov, 2);
    CHECK_EQ_INT(r.status, IO_OK);
    CHECK_TEXT(buffer, r.n, want);
    iov[0].iov_len = 1;
    CHECK_EQ_INT(s->ops->read(s, fd, iov, 1).status, IO_AGAIN);
}

static void carries_bytes_over(const char *where)
{
    struct pair p;
    connect_pair(&p, where);
    CHECK_EQ_INT(put(p.client, "hello").n, 5);
    CHECK((wait_for(&tags[2]).events & SYS_READ) != 0);
    expect(p.server, "hello");
    CHECK_EQ_INT(s->ops->shutdown_write(s, p.client), 0);
    CHECK((wait_for(&tags[2]).events & SYS_HANGUP) != 0);
    struct iovec iov = {(char[8]){0}, 8};
    CHECK_EQ_INT(s->ops->read(s, p.server, &iov, 1).status, IO_EOF);
    CHECK_EQ_INT(put(p.server, "x").n, 1);
    (void)wait_for(&tags[1]);
    expect(p.client, "x");
    close_pair(&p);
}

static void carries_bytes(void)
{
    carries_bytes_over("127.0.0.1:0");
    carries_bytes_over(":0");
    carries_bytes_over("unix:@adit-linux-test");
}

static void knows_its_peer(void)
{
    struct pair p;
    connect_pair(&p, ":0");
    struct os_addr local;
    REQUIRE(os_listen_addr(p.client, &local) == 0);
    CHECK(os_addr_eq(&p.peer, &local));
    int nodelay = 0;
    socklen_t len = sizeof(nodelay);
    (void)getsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
    CHECK_EQ_INT(nodelay != 0, 1);
    CHECK((fcntl(p.server, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(p.server, F_GETFD) & FD_CLOEXEC) != 0);
    close_pair(&p);
}

static void reports_room_on_an_edge(void)
{
    struct pair p;
    connect_pair(&p, "127.0.0.1:0");
    static char big[65536];
    struct iovec iov = {big, sizeof(big)};
    size_t sent = 0;
    struct io_result r;
    while ((r = s->ops->write(s, p.client, &iov, 1, true)).status == IO_OK) {
        sent += r.n;
    }
    CHECK_EQ_INT(r.status, IO_AGAIN);
    (void)wait_for(&tags[2]);
    size_t got = 0;
    while (got < sent) {
        r = s->ops->read(s, p.server, &iov, 1);
        if (r.status == IO_AGAIN) {
            (void)wait_for(&tags[2]);
            continue;
        }
        REQUIRE(r.status == IO_OK);
        got += r.n;
    }
    CHECK((wait_for(&tags[1]).events & SYS_WRITE) != 0);
    close_pair(&p);
}

static void tells_a_reset(void)
{
    struct pair p;
    connect_pair(&p, "127.0.0.1:0");
    s->ops->close(s, p.client, true);
    struct sys_event e = wait_for(&tags[2]);
    CHECK((e.events & (SYS_HANGUP | SYS_ERROR)) != 0 && (e.events & SYS_READ) != 0);
    struct iovec iov = {(char[8]){0}, 8};
    struct io_result r = s->ops->read(s, p.server, &iov, 1);
    CHECK_EQ_INT(r.status, IO_ERROR);
    CHECK_EQ_INT(r.error, E_RESET);
    CHECK_EQ_INT(put(p.server, "x").error, E_RESET);
    s->ops->close(s, p.server, false);
    s->ops->close(s, p.listener, false);
}

static void tells_why_a_connect_failed(void)
{
    struct os_listen l = {.backlog = 1};
    REQUIRE(os_addr_parse(SLICE("127.0.0.1:0"), &l.addr) == 0);
    int listener = os_listen_open(&l);
    struct sys_connect c = {0};
    REQUIRE(listener >= 0 && os_listen_addr(listener, &c.to) == 0);
    s->ops->close(s, listener, false);
    struct os_addr from;
    REQUIRE(os_addr_parse(SLICE("127.0.0.1:0"), &from) == 0);
    c.from = &from;
    int fd = s->ops->connect(s, &c);
    if (fd >= 0) {
        CHECK_EQ_INT(s->ops->watch(s, fd, &tags[3], false), 0);
        (void)wait_for(&tags[3]);
        CHECK_EQ_INT(s->ops->connect_result(s, fd), E_REFUSED);
        s->ops->close(s, fd, false);
    } else {
        CHECK_EQ_INT(fd, E_REFUSED);
    }
    c = (struct sys_connect){0};
    REQUIRE(os_addr_parse(SLICE("unix:/nonexistent/socket"), &c.to) == 0);
    CHECK_EQ_INT(s->ops->connect(s, &c), E_REFUSED);
}

static void splices(void)
{
    struct pair a;
    connect_pair(&a, "127.0.0.1:0");
    int pipe[2];
    size_t capacity = 0;
    REQUIRE(s->ops->pipe_open(s, pipe, &capacity) == 0);
    CHECK(capacity >= 4096);
    CHECK_EQ_INT(s->ops->splice(s, a.server, pipe[1], 100, false).status, IO_AGAIN);
    CHECK_EQ_INT(put(a.client, "through a pipe").n, 14);
    (void)wait_for(&tags[2]);
    CHECK_EQ_INT(s->ops->splice(s, a.server, pipe[1], 7, false).n, 7);
    CHECK_EQ_INT(s->ops->splice(s, a.server, pipe[1], 100, false).n, 7);
    CHECK_EQ_INT(s->ops->splice(s, pipe[0], a.server, 100, false).n, 14);
    (void)wait_for(&tags[1]);
    expect(a.client, "through a pipe");
    CHECK_EQ_INT(s->ops->shutdown_write(s, a.client), 0);
    (void)wait_for(&tags[2]);
    CHECK_EQ_INT(s->ops->splice(s, a.server, pipe[1], 100, false).status, IO_EOF);
    s->ops->close(s, pipe[0], false);
    s->ops->close(s, pipe[1], false);
    close_pair(&a);
}

static void *wake_it(void *arg)
{
    struct sys *target = arg;
    target->ops->wake(target);
    return NULL;
}

static void wakes_up(void)
{
    struct sys_event events[4];
    for (int round = 0; round < 3; round++) {
        pthread_t t;
        REQUIRE(pthread_create(&t, NULL, wake_it, s) == 0);
        uint64_t before = s->ops->now_ns(s);
        CHECK_EQ_INT(s->ops->wait(s, events, 4, 5000), 0);
        CHECK(s->ops->now_ns(s) - before < UINT64_C(4000000000));
        (void)pthread_join(t, NULL);
    }
    uint64_t before = s->ops->now_ns(s);
    CHECK_EQ_INT(s->ops->wait(s, events, 4, 10), 0);
    CHECK(s->ops->now_ns(s) - before >= UINT64_C(9000000));
    CHECK(s->ops->wall_ms(s) > UINT64_C(1600000000000));
}

static void gives_entropy(void)
{
    uint64_t a = 0;
    uint64_t b = 0;
    s->ops->random(s, &a, sizeof(a));
    s->ops->random(s, &b, sizeof(b));
    CHECK(a != b);
}

static void setup(void)
{
    s = os_linux_new();
    REQUIRE(s != NULL);
}

static void teardown(void)
{
    os_linux_free(s);
    CHECK(true);
}

TAP_MAIN(setup, carries_bytes, knows_its_peer, reports_room_on_an_edge, tells_a_reset,
         tells_why_a_connect_failed, splices, wakes_up, gives_entropy, teardown)
