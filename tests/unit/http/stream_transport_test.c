// SPDX-License-Identifier: Apache-2.0
//
// Transports over streams, with two real sessions of HTTP/2 between them: requests and refusals, bytes
// both ways, half-closes, resets from either end, back-pressure, the end of the session, and that
// nothing is left.

#include "http/stream_transport.h"

#include <sys/socket.h>

#include "base/error.h"
#include "h2/session.h"
#include "tap.h"

struct end {
    struct transport *t;
    unsigned events;
    size_t got;
    size_t sent;
    bool eof;
    int error;
    uint64_t sum;
};

struct world {
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct down_core down;
    struct transport_core transports;
    struct stream_transports streams;
    struct h2_windows windows;
    struct h2_core *h2;
    struct up_session *session;
    struct http_handler handler;
    struct http_head head;
    struct arena arena;
    struct end up;
    struct end agent;
    bool agrees;
    bool takes_datagrams;
    char authority[64];
    char protocol[32];
    char forwarded[64];
    int answer; // 1: none yet
    bool session_gone;
};

static struct world w;
static char x_byte[1] = {0};

// ---- the far side ---------------------------------------------------------------------------------

static void on_ready(struct transport *t, unsigned events)
{
    struct end *e = t->owner;
    e->events |= events;
}

static void text(char *to, size_t size, struct slice from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;
    if (n > 0) {
        memcpy(to, from.ptr, n);
    }
    to[n] = '\0';
}

static void on_head(struct http_stream *s, struct http_head *h)
{
    CHECK_EQ_INT(h->method, HTTP_METHOD_CONNECT);
    text(w.authority, sizeof(w.authority), h->authority);
    text(w.protocol, sizeof(w.protocol), h->upgrade);
    text(w.forwarded, sizeof(w.forwarded), fields_get_id(&h->fields, HTTP_FORWARDED));
    if (s->peer->stream == 0) { // as an exchange does
        w.head.status = 405;
        w.head.has_length = true;
        s->ops->send_head(s, &w.head, NULL);
        return;
    }
    w.agent.t = stream_transport_take(&w.streams, s, h->upgrade.len > 0);
    REQUIRE(w.agent.t != NULL);
    transport_set_owner(w.agent.t, &w.agent, on_ready);
    if (w.agrees) {
        stream_transport_agree(w.agent.t);
    }
}

static void on_bad(struct http_stream *s, int error)
{
    s->ops->reset(s, error);
}

static void on_error(struct http_stream *s, int error)
{
    (void)s;
    (void)error;
}

static void on_closed(struct http_stream *s)
{
    (void)s;
}

static const struct http_stream_events far_events = {.on_head = on_head,
                                                     .on_bad_message = on_bad,
                                                     .on_error = on_error,
                                                     .on_sent = on_closed,
                                                     .on_closed = on_closed};

static int begin(struct http_handler *h, struct http_stream *s)
{
    (void)h;
    s->events = &far_events;
    s->receive_head = &w.head;
    return 0;
}

// ---- the near side --------------------------------------------------------------------------------

static void on_room(struct up_session *s, void *owner)
{
    (void)s;
    (void)owner;
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    (void)s;
    (void)owner;
    (void)error;
    w.session_gone = true;
}

static const struct up_session_owner owner = {.on_room = on_room, .on_gone = on_gone};

static void on_answer(void *arg, struct transport *t, int error)
{
    CHECK(arg == &w);
    w.answer = error;
    w.up.t = t;
    if (t != NULL) {
        transport_set_owner(t, &w.up, on_ready);
    }
}

static void turns(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        loop_turn(&w.loop, 0);
    }
}

static void setup(bool takes)
{
    static const struct loop_limits limits = {2000, 8};
    memset(&w, 0, sizeof(w));
    w.agrees = true;
    w.answer = 1;
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    w.handler.begin = begin;
    down_core_init(&w.down, &w.loop, &w.counters, &w.handler);
    w.down.settings = (struct http_settings){.header_ms = 10000,
                                             .head_bytes = 16384,
                                             .target_bytes = 1024,
                                             .fields = 50,
                                             .connection_bytes = 4 * 1024 * 1024,
                                             .streams_max = 10};
    transport_core_init(&w.transports, &w.loop, 8);
    stream_transports_init(&w.streams, &w.transports, 4);
    REQUIRE(h2_core_new(&w.loop, &w.counters, &w.down, &w.windows, 4, &w.h2) == 0);
    arena_init(&w.arena, NULL, 0, &w.loop.chunks, 256 * 1024);
    http_head_init(&w.head, &w.arena, 16384, 50);
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int error = 0;
    struct transport *far = transport_new(&w.transports, fds[0], &error);
    struct transport *near = transport_new(&w.transports, fds[1], &error);
    REQUIRE(far != NULL && near != NULL);
    const struct http_peer peer = {.stream = takes ? 1 : 0};
    REQUIRE(h2_down_open(w.h2, far, &peer, NULL, 0) == 0);
    const struct up_session_terms terms = {.peer = &peer, .owner = &owner};
    w.session = h2_up_open(w.h2, near, &terms, &error);
    REQUIRE(w.session != NULL);
    turns(4);
}

static void close_end(struct end *e, bool reset)
{
    if (e->t != NULL) {
        transport_close(e->t, reset);
        e->t = NULL;
    }
}

/** Ends everything; nothing may be left. */
static void finish(void)
{
    close_end(&w.up, true);
    close_end(&w.agent, true);
    turns(4);
    down_core_abort(&w.down);
    turns(4);
    CHECK(w.session_gone);
    arena_fini(&w.arena);
    h2_core_free(w.h2);
    stream_transports_fini(&w.streams);
    transport_core_fini(&w.transports);
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
}

static struct stream_transport *ask(const char *protocol)
{
    const struct stream_order order = {
        .authority = SLICE("tunnel.example.com:20001"),
        .protocol = slice_str(protocol),
        .path = SLICE("/.well-known/masque/udp/tunnel.example.com/20001/"),
        .forwarded = SLICE("for=\"192.0.2.7:4711\""),
        .on_answer = on_answer,
        .arg = &w,
    };
    int error = 0;
    struct http_stream *s = w.session->ops->take(w.session);
    REQUIRE(s != NULL);
    struct stream_transport *st = stream_transport_ask(&w.streams, s, &order, &error);
    CHECK(st != NULL);
    return st;
}

static void open_both(void)
{
    setup(true);
    (void)ask("");
    turns(6);
    CHECK_EQ_INT(w.answer, 0);
    REQUIRE(w.up.t != NULL && w.agent.t != NULL);
}

static void say(struct end *e, const char *words)
{
    struct iovec iov = {(void *)(uintptr_t)words, strlen(words)};
    struct io_result r = transport_write(e->t, &iov, 1, false);
    CHECK_EQ_INT(r.status, IO_OK);
    CHECK_EQ_INT(r.n, strlen(words));
    turns(4);
}

static void receives(struct end *e, const char *words)
{
    char bytes[100];
    struct iovec iov = {bytes, sizeof(bytes)};
    CHECK(e->t->readable);
    struct io_result r = transport_read(e->t, &iov, 1);
    CHECK_EQ_INT(r.status, IO_OK);
    CHECK_TEXT(bytes, r.n, words);
}

static enum io_status reads(struct end *e)
{
    char bytes[100];
    struct iovec iov = {bytes, sizeof(bytes)};
    return (enum io_status)transport_read(e->t, &iov, 1).status;
}

// ---- cases ----------------------------------------------------------------------------------------

static void carries_bytes_both_ways(void)
{
    open_both();
    CHECK_STR(w.authority, "tunnel.example.com:20001");
    CHECK_STR(w.forwarded, "for=\"192.0.2.7:4711\"");
    CHECK_STR(w.protocol, "");
    CHECK(!w.up.t->clear && w.up.t->io.fd == -1);
    CHECK(w.up.t->writable && w.agent.t->writable && !w.up.t->readable && !w.agent.t->readable);
    say(&w.up, "hello");
    CHECK((w.agent.events & SYS_READ) != 0);
    receives(&w.agent, "hello");
    CHECK(reads(&w.agent) == IO_AGAIN);
    say(&w.agent, "good day");
    receives(&w.up, "good day");
    finish();
}

static void half_closes_either_way(void)
{
    for (int first = 0; first < 2; first++) {
        open_both();
        struct end *a = first == 0 ? &w.up : &w.agent;
        struct end *b = first == 0 ? &w.agent : &w.up;
        say(a, "last words");
        CHECK_EQ_INT(transport_shutdown_write(a->t), 0);
        turns(4);
        receives(b, "last words");
        CHECK(b->t->hung_up);
        CHECK(reads(b) == IO_EOF);
        say(b, "still here");
        receives(a, "still here");
        CHECK_EQ_INT(transport_shutdown_write(b->t), 0);
        turns(4);
        CHECK(reads(a) == IO_EOF);
        close_end(a, false);
        close_end(b, false);
        turns(2);
        CHECK_EQ_INT(w.session->streams, 0);
        finish();
    }
}

static void passes_resets_on(void)
{
    for (int first = 0; first < 2; first++) {
        open_both();
        struct end *a = first == 0 ? &w.up : &w.agent;
        struct end *b = first == 0 ? &w.agent : &w.up;
        say(a, "before");
        close_end(a, true);
        turns(4);
        CHECK((b->events & SYS_ERROR) != 0);
        receives(b, "before");
        CHECK(reads(b) == IO_ERROR);
        struct iovec iov = {x_byte, 1};
        CHECK_EQ_INT(transport_write(b->t, &iov, 1, false).status, IO_ERROR);
        finish();
    }
}

static void sends_what_was_written_before_a_close(void)
{
    open_both();
    static char block[100 * 1024];
    struct iovec iov = {block, sizeof(block)};
    struct io_result r = transport_write(w.up.t, &iov, 1, false);
    CHECK_EQ_INT(r.status, IO_OK);
    close_end(&w.up, false);
    size_t got = 0;
    char bytes[4096];
    enum io_status status = IO_AGAIN;
    for (int i = 0; i < 1000 && status != IO_EOF && status != IO_ERROR; i++) {
        turns(1);
        struct iovec to = {bytes, sizeof(bytes)};
        struct io_result x = transport_read(w.agent.t, &to, 1);
        status = (enum io_status)x.status;
        got += status == IO_OK ? x.n : 0;
    }
    CHECK(status == IO_EOF);
    CHECK_EQ_INT(got, r.n);
    // Nobody will read what comes now.
    struct iovec late = {x_byte, 1};
    (void)transport_write(w.agent.t, &late, 1, false);
    turns(6);
    CHECK((w.agent.events & SYS_ERROR) != 0);
    finish();
}

static void refuses_when_closed_before_it_agreed(void)
{
    setup(true);
    w.agrees = false;
    (void)ask("");
    turns(4);
    CHECK_EQ_INT(w.answer, 1);
    REQUIRE(w.agent.t != NULL);
    CHECK(!w.agent.t->writable && !w.agent.t->readable);
    struct iovec iov = {x_byte, 1};
    CHECK_EQ_INT(transport_write(w.agent.t, &iov, 1, false).status, IO_AGAIN);
    close_end(&w.agent, true);
    turns(6);
    CHECK_EQ_INT(w.answer, E_REFUSED);
    CHECK(w.up.t == NULL);
    finish();
}

static void agrees_later(void)
{
    setup(true);
    w.agrees = false;
    (void)ask("connect-udp");
    turns(4);
    CHECK_STR(w.protocol, "connect-udp");
    CHECK_EQ_INT(w.answer, 1);
    stream_transport_agree(w.agent.t);
    turns(6);
    CHECK_EQ_INT(w.answer, 0);
    say(&w.up, "hello");
    receives(&w.agent, "hello");
    finish();
}

static void can_be_given_up(void)
{
    setup(true);
    w.agrees = false;
    struct stream_transport *st = ask("");
    turns(4);
    stream_transport_cancel(st);
    turns(4);
    CHECK_EQ_INT(w.answer, 1);
    CHECK((w.agent.events & SYS_ERROR) != 0);
    CHECK_EQ_INT(w.session->streams, 0);
    finish();
}

static void fails_with_its_session(void)
{
    open_both();
    say(&w.up, "hello");
    down_core_abort(&w.down);
    turns(6);
    CHECK((w.up.events & SYS_ERROR) != 0);
    CHECK((w.agent.events & SYS_ERROR) != 0);
    receives(&w.agent, "hello");
    CHECK(reads(&w.agent) == IO_ERROR);
    CHECK(reads(&w.up) == IO_ERROR);
    finish();
}

static bool push(struct end *e, size_t total)
{
    static char block[8000];
    while (e->sent < total && e->t->writable) {
        for (size_t i = 0; i < sizeof(block); i++) {
            block[i] = (char)((e->sent + i) * 31 >> 3);
        }
        size_t n = total - e->sent < sizeof(block) ? total - e->sent : sizeof(block);
        struct iovec iov = {block, n};
        struct io_result r = transport_write(e->t, &iov, 1, false);
        if (r.status != IO_OK) {
            return r.status == IO_AGAIN;
        }
        e->sent += r.n;
    }
    return true;
}

static void pull(struct end *e)
{
    static char block[9000];
    while (e->t->readable) {
        struct iovec iov = {block, sizeof(block)};
        struct io_result r = transport_read(e->t, &iov, 1);
        if (r.status != IO_OK) {
            return;
        }
        for (size_t i = 0; i < r.n; i++) {
            if (!CHECK(block[i] == (char)((e->got + i) * 31 >> 3))) {
                return;
            }
        }
        e->got += r.n;
    }
}

static void waits_when_the_other_side_does_not_read(void)
{
    open_both();
    enum { TOTAL = 8 * 1024 * 1024 };
    for (int i = 0; i < 200; i++) {
        CHECK(push(&w.up, TOTAL));
        turns(1);
    }
    CHECK(!w.up.t->writable);
    CHECK(w.up.sent < 2 * 1024 * 1024);
    for (int i = 0; i < 20000 && w.agent.got < TOTAL; i++) {
        pull(&w.agent);
        turns(1);
        CHECK(push(&w.up, TOTAL));
    }
    CHECK_EQ_INT(w.agent.got, TOTAL);
    finish();
}

// Its owner closes it with more unread than the pipe held, and both ends have said all: throwing that away
// is the stream's end, and there is nothing left to wait for.
static void may_end_by_being_closed(void)
{
    for (int first = 0; first < 2; first++) {
        open_both();
        struct end *closes = first == 0 ? &w.up : &w.agent;
        struct end *writes = first == 0 ? &w.agent : &w.up;
        CHECK_EQ_INT(transport_shutdown_write(closes->t), 0);
        turns(4);
        for (size_t i = 1; i <= 60; i++) { // pieces that each take a place in the pipe
            CHECK(push(writes, i * 2100));
            turns(2);
        }
        CHECK_EQ_INT(transport_shutdown_write(writes->t), 0);
        turns(4);
        CHECK(closes->t->readable && !closes->t->hung_up);
        close_end(closes, false);
        turns(4);
        CHECK(reads(writes) == IO_EOF);
        finish();
    }
}

static void is_refused_where_it_is_not_wanted(void)
{
    static const char *const protocols[] = {"", "connect-udp"};
    for (size_t i = 0; i < 2; i++) {
        setup(false);
        struct stream_transport *st = ask(protocols[i]);
        CHECK(st != NULL);
        turns(6);
        CHECK_EQ_INT(w.answer, i == 0 ? E_WRONG_PROTOCOL : E_STREAM_RESET);
        CHECK(w.agent.t == NULL && w.up.t == NULL);
        finish();
    }
}

TAP_MAIN(carries_bytes_both_ways, half_closes_either_way, passes_resets_on,
         sends_what_was_written_before_a_close, refuses_when_closed_before_it_agreed, agrees_later,
         can_be_given_up, fails_with_its_session, waits_when_the_other_side_does_not_read,
         may_end_by_being_closed, is_refused_where_it_is_not_wanted)
