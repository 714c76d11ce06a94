// SPDX-License-Identifier: Apache-2.0
//
// Byte streams in WebSocket messages over real sockets: two ends of ours with one another, one with a
// peer that writes frames by hand, closes of every kind, and a change of core.

#include "http/websocket_transport.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/rng.h"
#include "tap.h"

enum { STREAM_BYTES = 300000 };

struct side {
    struct transport *t; // NULL: closed
    size_t sent;
    size_t got;
    bool eof;
    int error;
    int events;
};

static struct {
    struct sys *sys;
    struct loop loop;
    struct transport_core core;
    struct websocket_core sockets;
    struct side side[2]; // client, server
    int peer;            // with one side only
} w;

static char pattern(size_t at, int side)
{
    return (char)(at * 31 + at / 251 + (size_t)side * 7);
}

static void on_ready(struct transport *t, unsigned events)
{
    struct side *s = t->owner;
    (void)events;
    s->events++;
}

static void setup_world(void)
{
    static const struct loop_limits limits = {64, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    transport_core_init(&w.core, &w.loop, 8);
    websocket_core_init(&w.sockets, &w.core, 8);
    w.peer = -1;
}

static void wrap(int side, int fd, const char *first)
{
    int error = 0;
    struct transport *below = transport_new(&w.core, fd, &error);
    REQUIRE(below != NULL);
    struct chunk *c = NULL;
    if (first != NULL) {
        c = chunk_new(&w.loop.chunks);
        REQUIRE(c != NULL);
        memcpy(c->data, first, strlen(first));
        c->used = (uint32_t)strlen(first);
    }
    w.side[side].t = websocket_wrap(below, side == 0, c, 2);
    REQUIRE(w.side[side].t != NULL);
    transport_set_owner(w.side[side].t, &w.side[side], on_ready);
}

static void setup_pair(void)
{
    int fds[2];
    setup_world();
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    wrap(0, fds[0], NULL);
    wrap(1, fds[1], NULL);
}

static void setup_one(int side, const char *first)
{
    int fds[2];
    setup_world();
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    wrap(side, fds[0], first);
    w.peer = fds[1];
}

static void teardown(void)
{
    for (int i = 0; i < 2; i++) {
        if (w.side[i].t != NULL) {
            transport_close(w.side[i].t, true);
        }
    }
    loop_turn(&w.loop, 0);
    websocket_core_fini(&w.sockets);
    loop_turn(&w.loop, 0);
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    transport_core_fini(&w.core);
    CHECK_EQ_INT(w.loop.wheel.count, 0);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
    if (w.peer >= 0) {
        (void)close(w.peer);
    }
}

/** Writes the next bytes of the pattern in up to three pieces. */
static void send_some(int which, size_t most, struct rng *r)
{
    struct side *s = &w.side[which];
    static char bytes[60000];
    size_t n = most < STREAM_BYTES - s->sent ? most : STREAM_BYTES - s->sent;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = pattern(s->sent + i, which);
    }
    size_t a = n > 0 ? (size_t)rng_below(r, n) : 0;
    struct iovec iov[3] = {{bytes, a}, {bytes + a, 0}, {bytes + a, n - a}};
    struct io_result got = transport_write(s->t, iov, 3, false);
    REQUIRE(got.status == IO_OK || got.status == IO_AGAIN);
    s->sent += got.status == IO_OK ? got.n : 0;
}

static void read_some(int which, size_t most)
{
    struct side *s = &w.side[which];
    static char bytes[60000];
    struct iovec iov[2] = {{bytes, most / 3}, {bytes + most / 3, most - most / 3}};
    struct io_result got = transport_read(s->t, iov, 2);
    if (got.status == IO_OK) {
        for (size_t i = 0; i < got.n; i++) {
            REQUIRE(bytes[i] == pattern(s->got + i, 1 - which));
        }
        s->got += got.n;
    } else if (got.status == IO_EOF) {
        s->eof = true;
    } else if (got.status == IO_ERROR) {
        s->error = got.error;
    }
}

static void both_ends_hear_each_other(void)
{
    setup_pair();
    struct rng r;
    rng_seed(&r, 7);
    int turns = 0;
    for (; turns < 20000 && (w.side[0].got < STREAM_BYTES || w.side[1].got < STREAM_BYTES);
         turns++) {
        for (int i = 0; i < 2; i++) {
            struct side *s = &w.side[i];
            if (s->t->writable && s->sent < STREAM_BYTES) {
                send_some(i, (size_t)rng_below(&r, 50000) + 1, &r);
            }
            if (s->t->readable && rng_chance(&r, 0.7)) {
                read_some(i, (size_t)rng_below(&r, 40000) + 3);
            }
        }
        loop_turn(&w.loop, 0);
    }
    CHECK_EQ_INT(w.side[0].got, STREAM_BYTES);
    CHECK_EQ_INT(w.side[1].got, STREAM_BYTES);
    transport_close(w.side[0].t, false);
    w.side[0].t = NULL;
    loop_turn(&w.loop, 0);
    loop_turn(&w.loop, 0);
    read_some(1, 100);
    CHECK(w.side[1].eof); // a close frame, not a cut
    teardown();
}

static void what_was_written_before_a_close_arrives(void)
{
    setup_pair();
    struct rng r;
    rng_seed(&r, 7);
    while (w.side[0].t->writable && w.side[0].sent < STREAM_BYTES) {
        send_some(0, 50000, &r);
    }
    CHECK(!w.side[0].t->writable); // the socket is full
    transport_close(w.side[0].t, false);
    w.side[0].t = NULL;
    for (int i = 0; i < 1000 && !w.side[1].eof && w.side[1].error == 0; i++) {
        loop_turn(&w.loop, 0);
        if (w.side[1].t->readable) {
            read_some(1, 30000);
        }
    }
    CHECK(w.side[1].eof);
    CHECK_EQ_INT(w.side[1].got, w.side[0].sent);
    teardown();
}

static void who_has_gone_is_not_waited_for(void)
{
    setup_pair();
    struct rng r;
    rng_seed(&r, 7);
    while (w.side[0].t->writable && w.side[0].sent < STREAM_BYTES) {
        send_some(0, 50000, &r);
    }
    transport_close(w.side[0].t, false);
    w.side[0].t = NULL;
    CHECK_EQ_INT(w.loop.wheel.count, 1);
    transport_close(w.side[1].t, true);
    w.side[1].t = NULL;
    loop_turn(&w.loop, 0);
    CHECK_EQ_INT(w.loop.wheel.count, 0); // there is nobody to linger for
    teardown();
}

static void half_a_close(void)
{
    setup_pair();
    struct rng r;
    rng_seed(&r, 7);
    CHECK_EQ_INT(transport_shutdown_write(w.side[0].t), 0);
    loop_turn(&w.loop, 0);
    read_some(1, 100);
    CHECK(w.side[1].eof);
    send_some(1, 1000, &r); // the other direction goes on
    loop_turn(&w.loop, 0);
    read_some(0, 2000);
    CHECK_EQ_INT(w.side[0].got, 1000);
    teardown();
}

static void say(const char *bytes, size_t len)
{
    REQUIRE(write(w.peer, bytes, len) == (ssize_t)len);
    loop_turn(&w.loop, 0);
}

static void hear(const char *want, size_t len)
{
    char got[100];
    loop_turn(&w.loop, 0);
    ssize_t n = read(w.peer, got, sizeof(got));
    CHECK_BYTES(got, n < 0 ? 0 : (size_t)n, want, len);
}

static void hear_text(const char *want)
{
    char got[100];
    struct iovec iov = {got, sizeof(got)};
    struct io_result r = transport_read(w.side[1].t, &iov, 1);
    CHECK_TEXT(got, r.status == IO_OK ? r.n : 0, want);
}

static void pings_are_answered(void)
{
    setup_one(1, "..\x82"); // the first byte of a frame came with the handshake
    CHECK(w.side[1].t->readable);
    say("\x81\0\0\0\0h\x89\x83\0\0\0\0one\x89\x83\0\0\0\0two\x82\x82\0\0\0\0ey", 32);
    hear_text("hey");
    CHECK(!w.side[1].t->readable);
    hear("\x8a\x03two", 5); // the last one only
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    teardown();
}

static const struct {
    const char *bytes;
    size_t len;
    bool closes; // the socket, behind them
    int error;   // 0: the end of input
} ends[] = {
    {"\x88\x80\0\0\0\0", 6, false, 0},
    {"\x88\x82\0\0\0\0\x03\xe8", 8, true, 0},
    {"", 0, true, E_EARLY_CLOSE},
    {"\x82", 1, true, E_EARLY_CLOSE},
    {"\x81\x80\0\0\0\0", 6, false, E_BAD_WEBSOCKET},
    {"\x82\x00", 2, false, E_BAD_WEBSOCKET},
};

static void ends_are_told_apart(void)
{
    for (size_t i = 0; i < array_len(ends); i++) {
        setup_one(1, NULL);
        say("\x82\x82\0\0\0\0hi", 8);
        if (ends[i].len > 0) {
            say(ends[i].bytes, ends[i].len);
        }
        if (ends[i].closes) {
            (void)close(w.peer);
            w.peer = -1;
            loop_turn(&w.loop, 0);
        }
        hear_text("hi");
        CHECK(w.side[1].t->readable);
        read_some(1, 100);
        if (!CHECK_EQ_INT(w.side[1].error, ends[i].error)) {
            printf("# row %zu\n", i);
        }
        CHECK_EQ_INT(w.side[1].eof, ends[i].error == 0);
        transport_close(w.side[1].t, false);
        w.side[1].t = NULL;
        if (ends[i].error == E_BAD_WEBSOCKET) {
            hear("\x88\x02\x03\xea", 4); // it is told why
        }
        teardown();
    }
}

static void goes_to_another_core_with_what_it_has(void)
{
    setup_one(1, NULL);
    say("\x82\x85\0\0\0\0abcde\x82\x81\0\0\0\0", 17);
    char two[2];
    struct iovec iov = {two, 2};
    CHECK_EQ_INT(transport_read(w.side[1].t, &iov, 1).n, 2);
    struct transport_parcel parcel;
    struct transport_core other;
    struct websocket_core others;
    int error = 0;
    transport_core_init(&other, &w.loop, 8);
    websocket_core_init(&others, &other, 8);
    REQUIRE(transport_pack(w.side[1].t, &parcel) == 0);
    w.side[1].t = transport_unpack(&other, &parcel, &error);
    REQUIRE(w.side[1].t != NULL);
    transport_set_owner(w.side[1].t, &w.side[1], on_ready);
    CHECK(w.side[1].t->readable);
    say("f", 1);
    hear_text("cdef");
    REQUIRE(transport_pack(w.side[1].t, &parcel) == 0);
    w.side[1].t = NULL;
    transport_parcel_drop(&parcel, w.sys);
    loop_turn(&w.loop, 0);
    websocket_core_fini(&others);
    transport_core_fini(&other);
    teardown();
}

TAP_MAIN(both_ends_hear_each_other, what_was_written_before_a_close_arrives,
         who_has_gone_is_not_waited_for, half_a_close, pings_are_answered, ends_are_told_apart,
         goes_to_another_core_with_what_it_has)
