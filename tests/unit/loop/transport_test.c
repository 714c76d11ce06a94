// SPDX-License-Identifier: Apache-2.0
//
// transport: readiness that is remembered, filters, and the end, on real sockets.

#include "loop/transport.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

struct world {
    struct sys *sys;
    struct loop loop;
    struct transport_core core;
    struct transport *t;
    int peer;
    unsigned events;
    int calls;
};

static struct world w;

static void on_ready(struct transport *t, unsigned events)
{
    CHECK(t->owner == &w);
    w.events |= events;
    w.calls++;
}

static void setup_with(uint32_t max)
{
    static const struct loop_limits limits = {8, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    transport_core_init(&w.core, &w.loop, max);
}

static void open_pair(void)
{
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int error = 0;
    w.t = transport_new(&w.core, fds[0], &error);
    w.peer = fds[1];
    REQUIRE(w.t != NULL);
    transport_set_owner(w.t, &w, on_ready);
}

static void teardown(void)
{
    if (w.t != NULL) {
        transport_close(w.t, false);
    }
    if (w.peer > 0) {
        (void)close(w.peer);
    }
    transport_core_fini(&w.core);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
}

static struct io_result read_some(size_t n)
{
    char room[64];
    struct iovec iov = {room, n};
    return transport_read(w.t, &iov, 1);
}

static void a_short_read_has_emptied_it(void)
{
    setup_with(4);
    open_pair();
    REQUIRE(write(w.peer, "abcdef", 6) == 6);
    loop_turn(&w.loop, 1000);
    CHECK(w.t->readable);
    CHECK_EQ_INT(read_some(4).n, 4);
    CHECK(w.t->readable); // filled to the last byte: there may be more
    CHECK_EQ_INT(read_some(4).n, 2);
    CHECK(!w.t->readable);
    teardown();
}

static void after_a_hang_up_the_end_is_still_to_be_read(void)
{
    setup_with(4);
    open_pair();
    REQUIRE(write(w.peer, "ab", 2) == 2);
    (void)close(w.peer);
    w.peer = -1;
    loop_turn(&w.loop, 1000);
    CHECK(w.t->hung_up);
    CHECK_EQ_INT(read_some(10).n, 2);
    CHECK(w.t->readable);
    CHECK_EQ_INT(read_some(10).status, IO_EOF);
    CHECK(!w.t->readable);
    teardown();
}

static void a_full_socket_is_not_writable_until_it_says_so(void)
{
    setup_with(4);
    open_pair();
    static char much[1 << 20];
    struct iovec iov = {much, sizeof(much)};
    while (w.t->writable) {
        struct io_result r = transport_write(w.t, &iov, 1, false);
        CHECK(r.status == IO_OK || r.status == IO_AGAIN);
    }
    loop_turn(&w.loop, 0);
    CHECK(!w.t->writable);
    static char drain[1 << 20];
    while (read(w.peer, drain, sizeof(drain)) > 0) {
    }
    loop_turn(&w.loop, 1000);
    CHECK(w.t->writable);
    CHECK((w.events & SYS_WRITE) != 0);
    teardown();
}

// ---- a filter ---------------------------------------------------------------------------------------

static int filter_closed;
static int filter_events;

static struct io_result shout(struct transport *t, const struct iovec *iov, int n)
{
    struct io_result r = loop_read(t->core->loop, &t->io, iov, n);
    char *p = iov[0].iov_base;
    for (size_t i = 0; r.status == IO_OK && i < r.n; i++) {
        p[i] = (char)(p[i] - 'a' + 'A');
    }
    return r;
}

static void filter_close(struct transport *t, bool reset)
{
    CHECK(t->layer == &filter_closed);
    CHECK(reset);
    CHECK(t->io.fd >= 0); // last words can still be said
    filter_closed++;
}

static void filter_on_io(struct transport *t, unsigned events)
{
    filter_events++;
    t->on_ready(t, events & ~(unsigned)SYS_WRITE);
}

static const struct transport_ops filter = {
    .name = "shout", .read = shout, .close = filter_close, .on_io = filter_on_io};

static void a_filter_stands_between_descriptor_and_owner(void)
{
    setup_with(4);
    open_pair();
    transport_set_filter(w.t, &filter, &filter_closed);
    CHECK(!w.t->clear);
    REQUIRE(write(w.peer, "abc", 3) == 3);
    loop_turn(&w.loop, 1000);
    CHECK(filter_events > 0 && w.calls > 0);
    CHECK_EQ_INT(w.events & SYS_WRITE, 0);
    char room[8] = {0};
    struct iovec iov = {room, sizeof(room)};
    CHECK_EQ_INT(transport_read(w.t, &iov, 1).n, 3);
    CHECK_STR(room, "ABC");
    transport_close(w.t, true);
    CHECK_EQ_INT(filter_closed, 1);
    CHECK(w.t->dead); // readable until the turn's end
    w.t = NULL;
    loop_turn(&w.loop, 0);
    CHECK_EQ_INT(w.core.slab.in_use, 0);
    teardown();
}

static void beyond_its_limit_the_descriptor_stays_the_callers(void)
{
    setup_with(1);
    open_pair();
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int error = 0;
    CHECK(transport_new(&w.core, fds[0], &error) == NULL);
    CHECK_EQ_INT(error, E_NO_MEMORY);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    teardown();
}

static void a_connect_ends_with_an_answer(void)
{
    setup_with(2);
    struct sys_connect to = {0};
    REQUIRE(os_addr_parse(SLICE("127.0.0.1:1"), &to.to) == 0); // nobody listens there
    int error = 0;
    w.t = transport_connect(&w.core, &to, &error);
    if (w.t == NULL) {
        CHECK_EQ_INT(error, E_REFUSED);
        teardown();
        return;
    }
    transport_set_owner(w.t, &w, on_ready);
    CHECK(!w.t->writable);
    loop_turn(&w.loop, 1000);
    CHECK(w.calls > 0);
    CHECK_EQ_INT(transport_connected(w.t), E_REFUSED);
    teardown();
}

TAP_MAIN(a_short_read_has_emptied_it, after_a_hang_up_the_end_is_still_to_be_read,
         a_full_socket_is_not_writable_until_it_says_so,
         a_filter_stands_between_descriptor_and_owner,
         beyond_its_limit_the_descriptor_stays_the_callers, a_connect_ends_with_an_answer)
