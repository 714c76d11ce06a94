// SPDX-License-Identifier: Apache-2.0
//
// net/outbound_step: the way is walked on real sockets, whatever pieces the answers come in.

#include "net/outbound_step.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

static struct {
    struct sys *sys;
    struct loop loop;
    struct transport_core core;
    struct outbound_step step;
    struct transport *t;
    int peer;
    int done;
    int error;
} w;

static void on_done(struct outbound_step *s, int error)
{
    CHECK(s == &w.step);
    CHECK(s->t == NULL);
    w.done++;
    w.error = error;
}

static void setup(const char *proxy)
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
    struct outbound o;
    const char *why = NULL;
    REQUIRE(outbound_parse(slice_str(proxy), &o, &why) == 0);
    REQUIRE(outbound_talk_begin(&w.step.talk, &o, SLICE("edge"), 443) == 0);
    outbound_step_begin(&w.step, w.t, on_done);
    CHECK_EQ_INT(w.done, 0);
}

static void teardown(void)
{
    outbound_step_stop(&w.step);
    transport_close(w.t, false);
    if (w.peer >= 0) {
        (void)close(w.peer);
    }
    loop_turn(&w.loop, 0);
    transport_core_fini(&w.core);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
}

static void turn(void)
{
    loop_turn(&w.loop, 0);
    loop_turn(&w.loop, 0);
}

static void say(const char *bytes, size_t len)
{
    REQUIRE(write(w.peer, bytes, len) == (ssize_t)len);
    turn();
}

static void hear(const char *want, size_t len)
{
    char got[512];
    turn();
    ssize_t n = read(w.peer, got, sizeof(got));
    CHECK_BYTES(got, n < 0 ? 0 : (size_t)n, want, len);
}

#define SAY(lit)  say(lit, sizeof(lit) - 1)
#define HEAR(lit) hear(lit, sizeof(lit) - 1)

static void a_way_through_connect(void)
{
    setup("http://proxy");
    HEAR("CONNECT edge:443 HTTP/1.1\r\nHost: edge:443\r\n\r\n");
    SAY("HTTP/1.1 200");
    CHECK_EQ_INT(w.done, 0);
    SAY(" OK\r\n\r\n");
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, 0);
    teardown();
}

static void a_way_through_socks(void)
{
    setup("socks5://ann:x@proxy");
    HEAR("\x05\x02\x00\x02");
    SAY("\x05");
    SAY("\x02");
    HEAR("\x01\x03"
         "ann\x01x");
    SAY("\x01\x00");
    HEAR("\x05\x01\x00\x03\x04"
         "edge\x01\xbb");
    SAY("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00");
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, 0);
    teardown();
}

static void no_way(void)
{
    setup("http://proxy");
    turn();
    SAY("HTTP/1.1 407 No\r\n\r\n");
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, E_OUTBOUND_LOGIN);
    teardown();
    setup("http://proxy");
    HEAR("CONNECT edge:443 HTTP/1.1\r\nHost: edge:443\r\n\r\n");
    SAY("HTTP/1.1 200 OK\r\n");
    (void)close(w.peer);
    w.peer = -1;
    turn();
    CHECK_EQ_INT(w.done, 1);
    CHECK_EQ_INT(w.error, E_OUTBOUND_CLOSED);
    teardown();
}

static void one_that_is_stopped_says_no_more(void)
{
    setup("http://proxy");
    outbound_step_stop(&w.step); // before its first word
    teardown();
    CHECK_EQ_INT(w.done, 0);
    setup("socks5://proxy");
    turn();
    outbound_step_stop(&w.step);
    teardown();
    CHECK_EQ_INT(w.done, 0);
}

TAP_MAIN(a_way_through_connect, a_way_through_socks, no_way, one_that_is_stopped_says_no_more)
