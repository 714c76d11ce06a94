// SPDX-License-Identifier: Apache-2.0
//
// net/proxy_reader: the header goes and nothing else does, on real sockets.

#include "net/proxy_reader.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

static struct {
    struct sys *sys;
    struct loop loop;
    struct transport_core core;
    struct counters counters;
    struct proxy_reader reader;
    struct transport *t;
    int peer;
    int done;
    int error;
    struct proxy_header header;
} w;

static void on_done(struct proxy_reader *r, int error, const struct proxy_header *header)
{
    CHECK(r == &w.reader);
    CHECK(r->t == NULL);
    w.done++;
    w.error = error;
    w.header = *header;
}

static void on_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static void setup(void)
{
    static const struct loop_limits limits = {8, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    transport_core_init(&w.core, &w.loop, 4);
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int error = 0;
    w.t = transport_new(&w.core, fds[0], &error);
    w.peer = fds[1];
    REQUIRE(w.t != NULL);
    proxy_reader_begin(&w.reader, w.t, &w.counters, on_done);
    CHECK_EQ_INT(w.done, 0);
}

static void teardown(void)
{
    proxy_reader_stop(&w.reader);
    transport_close(w.t, false);
    if (w.peer >= 0) {
        (void)close(w.peer);
    }
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    transport_core_fini(&w.core);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
}

static void send_bytes(struct slice s)
{
    REQUIRE(write(w.peer, s.ptr, s.len) == (ssize_t)s.len);
    loop_turn(&w.loop, 1000);
}

static uint64_t count(enum counter id)
{
    return atomic_load(&w.counters.v[id]);
}

static void what_follows_is_left(void)
{
    setup();
    send_bytes(SLICE("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\nGET /"));
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, 0);
    CHECK_EQ_INT(w.header.from.port, 1234);
    CHECK(w.t->readable); // nobody tells the next owner
    transport_set_owner(w.t, NULL, on_ready);
    char room[16];
    struct iovec iov = {room, sizeof(room)};
    struct io_result r = transport_read(w.t, &iov, 1);
    CHECK_TEXT(room, r.n, "GET /");
    CHECK_EQ_INT(count(COUNTER_proxy_headers), 1);
    teardown();
}

static void byte_by_byte(void)
{
    setup();
    struct slice line = SLICE("PROXY TCP6 2001:db8::1 ::1 1234 80\r\n");
    for (size_t i = 0; i < line.len; i++) {
        CHECK_EQ_INT(w.done, 0);
        send_bytes(slice_sub(line, i, 1));
    }
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, 0);
    transport_set_owner(w.t, NULL, on_ready);
    teardown();
}

static void something_else_is_refused_at_its_first_byte(void)
{
    setup();
    send_bytes(SLICE("G"));
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, E_PROXY_MISSING);
    CHECK_EQ_INT(count(COUNTER_proxy_header_missing), 1);
    teardown();
}

static void who_goes_away_is_counted(void)
{
    setup();
    send_bytes(SLICE("PROXY TCP4 10."));
    CHECK_EQ_INT(w.done, 0);
    (void)close(w.peer);
    w.peer = -1;
    loop_turn(&w.loop, 1000);
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, E_EOF);
    CHECK_EQ_INT(count(COUNTER_proxy_header_closed), 1);
    teardown();
}

static void who_is_too_slow_is_counted(void)
{
    setup();
    send_bytes(SLICE("PROXY TCP4 10."));
    proxy_reader_stop(&w.reader);
    proxy_reader_stop(&w.reader); // nothing
    CHECK_EQ_INT(count(COUNTER_proxy_header_late), 1);
    CHECK_EQ_INT(w.done, 0);
    teardown();
}

static void every_error_has_its_counter(void)
{
    static const struct {
        struct slice bytes;
        int error;
        enum counter counter;
    } rows[] = {
        {SLICE_INIT("PROXY TCP9 10.0.0.1 "), E_PROXY_MALFORMED, COUNTER_proxy_header_malformed},
        {SLICE_INIT("\r\n\r\n\0\r\nQUIT\n\x2f\0\0\0"), E_PROXY_UNSUPPORTED,
         COUNTER_proxy_header_unsupported},
        {SLICE_INIT("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13"
                    "123412341122\x03\0\x04\0\0\0\0"),
         E_PROXY_CHECKSUM, COUNTER_proxy_header_checksum},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        setup();
        send_bytes(rows[i].bytes);
        CHECK_EQ_INT(w.error, rows[i].error);
        CHECK_EQ_INT(count(rows[i].counter), 1);
        CHECK_EQ_INT(w.header.version, 0);
        teardown();
    }
}

static void without_memory_it_ends(void)
{
    setup();
    REQUIRE(write(w.peer, "PROXY ", 6) == 6);
    alloc_fail_nth(1);
    loop_turn(&w.loop, 1000);
    alloc_fail_nth(0);
    CHECK_EQ_INT(w.error, E_NO_MEMORY);
    teardown();
}

TAP_MAIN(what_follows_is_left, byte_by_byte, something_else_is_refused_at_its_first_byte,
         who_goes_away_is_counted, who_is_too_slow_is_counted, every_error_has_its_counter,
         without_memory_it_ends)
