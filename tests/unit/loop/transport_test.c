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

// ---- from core to core ------------------------------------------------------------------------------

static int notes_dropped;

static void drop_note(struct transport_note *n)
{
    (void)n;
    notes_dropped++;
}

static void it_goes_on_on_another_core(void)
{
    setup_with(4);
    open_pair();
    static struct transport_note note = {drop_note};
    notes_dropped = 0;
    w.t->note = &note;
    REQUIRE(write(w.peer, "ab", 2) == 2);
    loop_turn(&w.loop, 1000);
    int calls = w.calls;
    struct transport_parcel p;
    CHECK_EQ_INT(transport_pack(w.t, &p), 0);
    w.t = NULL;
    REQUIRE(write(w.peer, "cd", 2) == 2); // on nobody's watch
    (void)close(w.peer);
    w.peer = -1;
    loop_turn(&w.loop, 0);
    CHECK_EQ_INT(w.calls, calls);
    CHECK_EQ_INT(w.core.slab.in_use, 0);

    struct world first = w; // its loop is empty
    setup_with(4);
    int error = 0;
    w.t = transport_unpack(&w.core, &p, &error);
    REQUIRE(w.t != NULL);
    CHECK_EQ_INT(p.fd, -1);
    transport_set_owner(w.t, &w, on_ready);
    CHECK(w.t->readable && w.t->writable && w.t->note == &note);
    loop_turn(&w.loop, 1000); // the state of the descriptor is told anew
    CHECK(w.t->hung_up);
    CHECK_EQ_INT(read_some(10).n, 4);
    CHECK_EQ_INT(read_some(10).status, IO_EOF);
    teardown();
    CHECK_EQ_INT(notes_dropped, 1);
    w = first; // as it was, at the same address
    teardown();
}

static int filter_steps; // packed 1, unpacked 10, dropped 100
static int filter_error;

static int filter_pack(struct transport *t, void **packed)
{
    CHECK(t->layer == &filter_closed);
    if (filter_error == E_UNSUPPORTED) {
        return E_UNSUPPORTED;
    }
    filter_steps += 1;
    *packed = &filter_steps;
    return 0;
}

static const struct transport_ops movable;

static int filter_unpack(struct transport *t, void *packed)
{
    CHECK(packed == &filter_steps);
    CHECK(transport_core_layer(t->core, &movable) == &filter_error);
    CHECK(transport_core_layer(t->core, &filter) == NULL);
    if (filter_error == E_NO_MEMORY) {
        return E_NO_MEMORY;
    }
    filter_steps += 10;
    transport_set_filter(t, &movable, &filter_closed);
    return 0;
}

static void filter_drop(void *packed)
{
    CHECK(packed == &filter_steps);
    filter_steps += 100;
}

static const struct transport_ops movable = {.name = "movable",
                                             .read = shout,
                                             .close = filter_close,
                                             .pack = filter_pack,
                                             .unpack = filter_unpack,
                                             .drop = filter_drop};

static void a_filter_moves_when_it_can(void)
{
    setup_with(4);
    struct transport_parcel p;
    transport_core_set_layer(&w.core, &movable, &filter_error);

    open_pair();
    transport_set_filter(w.t, &filter, &filter_closed);
    CHECK_EQ_INT(transport_pack(w.t, &p), E_UNSUPPORTED);
    filter_closed = 0;
    transport_close(w.t, true);
    CHECK_EQ_INT(filter_closed, 1);
    (void)close(w.peer);

    open_pair();
    transport_set_filter(w.t, &movable, &filter_closed);
    filter_steps = 0;
    filter_error = E_UNSUPPORTED; // not now
    CHECK_EQ_INT(transport_pack(w.t, &p), E_UNSUPPORTED);
    filter_error = 0;
    CHECK_EQ_INT(transport_pack(w.t, &p), 0);
    int error = 0;
    w.t = transport_unpack(&w.core, &p, &error);
    CHECK_EQ_INT(filter_steps, 11);
    if (CHECK(w.t != NULL)) {
        CHECK(w.t->ops == &movable && w.t->layer == &filter_closed);
        CHECK_EQ_INT(transport_pack(w.t, &p), 0);
    }
    filter_error = E_NO_MEMORY;
    w.t = transport_unpack(&w.core, &p, &error);
    CHECK(w.t == NULL);
    CHECK_EQ_INT(error, E_NO_MEMORY);
    CHECK_EQ_INT(filter_steps, 112);
    char byte;
    CHECK(read(w.peer, &byte, 1) <= 0); // it was closed
    filter_error = 0;
    teardown();
}

static void what_is_not_unpacked_is_closed(void)
{
    setup_with(1);
    open_pair();
    static struct transport_note note = {drop_note};
    notes_dropped = 0;
    w.t->note = &note;
    struct transport_parcel p;
    CHECK_EQ_INT(transport_pack(w.t, &p), 0);
    w.t = NULL;
    transport_parcel_drop(&p, w.sys);
    transport_parcel_drop(&p, w.sys); // twice is once
    CHECK_EQ_INT(notes_dropped, 1);
    char byte;
    CHECK(read(w.peer, &byte, 1) <= 0);
    loop_turn(&w.loop, 0);

    (void)close(w.peer);
    open_pair();
    CHECK_EQ_INT(transport_pack(w.t, &p), 0);
    loop_turn(&w.loop, 0);
    int moved = w.peer;
    open_pair(); // the only place
    int error = 0;
    CHECK(transport_unpack(&w.core, &p, &error) == NULL);
    CHECK_EQ_INT(error, E_NO_MEMORY);
    CHECK(read(moved, &byte, 1) <= 0);
    (void)close(moved);
    teardown();
}

TAP_MAIN(a_short_read_has_emptied_it, after_a_hang_up_the_end_is_still_to_be_read,
         a_full_socket_is_not_writable_until_it_says_so,
         a_filter_stands_between_descriptor_and_owner,
         beyond_its_limit_the_descriptor_stays_the_callers, a_connect_ends_with_an_answer,
         it_goes_on_on_another_core, a_filter_moves_when_it_can, what_is_not_unpacked_is_closed)
