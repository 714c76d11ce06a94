// SPDX-License-Identifier: Apache-2.0
//
// The relay on real sockets: what passes, back-pressure, half-close, resets, and that nothing is held
// when nothing passes.

#include "l4/relay.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

struct world {
    struct sys *sys;
    struct loop loop;
    struct transport_core core;
    struct relay relay;
    enum relay_state state;
    int peer[2];
};

static struct world w;

static void on_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
    bool moved;
    w.state = relay_pump(&w.relay, &moved);
}

static void setup(void)
{
    static const struct loop_limits limits = {8, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    transport_core_init(&w.core, &w.loop, 2);
    struct transport *t[2];
    for (unsigned i = 0; i < 2; i++) {
        int fds[2];
        int error = 0;
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
        t[i] = transport_new(&w.core, fds[0], &error);
        REQUIRE(t[i] != NULL);
        transport_set_owner(t[i], NULL, on_ready);
        w.peer[i] = fds[1];
    }
    relay_init(&w.relay, &w.loop, t[0], t[1]);
}

static void turn(void)
{
    loop_turn(&w.loop, 0);
}

static bool holds_nothing(void)
{
    const struct relay_flow *f = w.relay.flow;
    return f[0].held == NULL && f[1].held == NULL && f[0].pipe == NULL && f[1].pipe == NULL;
}

static void teardown(void)
{
    relay_fini(&w.relay);
    CHECK(holds_nothing());
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    for (unsigned i = 0; i < 2; i++) {
        transport_close(w.relay.end[i], false);
        if (w.peer[i] >= 0) {
            (void)close(w.peer[i]);
        }
    }
    transport_core_fini(&w.core);
    kernel_pipe_core_fini(&w.loop);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
}

static void a_message_passes_both_ways(void)
{
    char got[16];
    setup();
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(write(w.peer[i], "hello", 5) == 5);
        turn();
        CHECK_EQ_INT(read(w.peer[1 - i], got, sizeof(got)), 5);
        CHECK_EQ_INT(w.relay.flow[i].bytes, 5);
        CHECK(holds_nothing());
    }
    teardown();
}

/** Writes as much as goes, with a pattern that goes on from `sent`. */
static uint64_t push(int fd, uint64_t sent, uint64_t most)
{
    static char bytes[65536];
    uint64_t n = 0;
    while (n < most) {
        size_t want = most - n < sizeof(bytes) ? (size_t)(most - n) : sizeof(bytes);
        for (size_t i = 0; i < want; i++) {
            bytes[i] = (char)((sent + n + i) * 31 >> 3);
        }
        ssize_t put = write(fd, bytes, want);
        if (put <= 0) {
            break;
        }
        n += (uint64_t)put;
    }
    return n;
}

static uint64_t pull(int fd, uint64_t got)
{
    static char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != (char)((got + (uint64_t)i) * 31 >> 3)) {
            CHECK(false); // the bytes are those that were sent
            return 0;
        }
    }
    return n > 0 ? (uint64_t)n : 0;
}

static void a_slow_reader_holds_the_sender_up(void)
{
    enum { ALL = 8 << 20 };
    uint64_t sent = 0;
    uint64_t got = 0;
    bool stood = false;
    setup();
    while (got < ALL) {
        uint64_t n = push(w.peer[0], sent, ALL - sent);
        sent += n;
        stood = stood || (n == 0 && sent < ALL);
        turn();
        CHECK(sent - got < 3 << 20); // sockets and one pipe
        got += pull(w.peer[1], got);
        turn();
    }
    CHECK(stood);
    CHECK(w.relay.flow[0].bulk);
    turn();
    CHECK(holds_nothing());
    CHECK_EQ_INT(w.relay.flow[0].bytes, ALL);
    teardown();
}

static void small_pieces_end_a_bulk_transfer(void)
{
    char got[65536];
    setup();
    (void)push(w.peer[0], 0, 100000);
    for (int i = 0; i < 10; i++) {
        turn();
        while (read(w.peer[1], got, sizeof(got)) > 0) {
        }
    }
    CHECK(w.relay.flow[0].bulk);
    for (int i = 0; i < RELAY_SMALL_AFTER; i++) {
        REQUIRE(write(w.peer[0], "x", 1) == 1);
        turn();
        CHECK_EQ_INT(read(w.peer[1], got, sizeof(got)), 1);
        CHECK(holds_nothing());
    }
    CHECK(!w.relay.flow[0].bulk);
    teardown();
}

static void each_direction_ends_by_itself(void)
{
    char got[16];
    setup();
    REQUIRE(write(w.peer[0], "last", 4) == 4);
    REQUIRE(shutdown(w.peer[0], SHUT_WR) == 0);
    turn();
    CHECK_EQ_INT(read(w.peer[1], got, sizeof(got)), 4);
    CHECK_EQ_INT(read(w.peer[1], got, sizeof(got)), 0);
    CHECK_EQ_INT(w.state, RELAY_WAITS);
    REQUIRE(write(w.peer[1], "answer", 6) == 6);
    turn();
    CHECK_EQ_INT(read(w.peer[0], got, sizeof(got)), 6);
    REQUIRE(shutdown(w.peer[1], SHUT_WR) == 0);
    turn();
    CHECK_EQ_INT(w.state, RELAY_ENDED);
    CHECK_EQ_INT(read(w.peer[0], got, sizeof(got)), 0);
    teardown();
}

static void a_peer_that_is_gone_is_a_failure(void)
{
    setup();
    REQUIRE(write(w.peer[0], "x", 1) == 1);
    (void)close(w.peer[1]);
    w.peer[1] = -1;
    turn();
    turn();
    CHECK_EQ_INT(w.state, RELAY_FAILED);
    CHECK(w.relay.error < 0);
    CHECK_EQ_INT(w.relay.where, 1);
    teardown();
}

static void no_memory_is_a_failure_of_ours(void)
{
    setup();
    REQUIRE(write(w.peer[0], "x", 1) == 1);
    struct chunk *all[8];
    for (unsigned i = 0; i < 8; i++) {
        all[i] = chunk_new(&w.loop.chunks);
        REQUIRE(all[i] != NULL);
    }
    turn();
    for (unsigned i = 0; i < 8; i++) {
        chunk_unref(all[i]);
    }
    CHECK_EQ_INT(w.state, RELAY_FAILED);
    CHECK_EQ_INT(w.relay.error, E_NO_MEMORY);
    teardown();
}

TAP_MAIN(a_message_passes_both_ways, a_slow_reader_holds_the_sender_up,
         small_pieces_end_a_bulk_transfer, each_direction_ends_by_itself,
         a_peer_that_is_gone_is_a_failure, no_memory_is_a_failure_of_ours)
