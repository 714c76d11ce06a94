// SPDX-License-Identifier: Apache-2.0
//
// server: how many connections are opened for how many requests, whatever protocol they speak, on
// real sockets of the loopback and with sessions that only count.

#include "upstream/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

enum { SESSIONS_MAX = 64, REQUESTS_MAX = 64 };

struct fake_session {
    struct up_session session;
    struct http_peer peer;
    struct transport *t;
    struct http_stream streams[REQUESTS_MAX];
    uint32_t taken;
    bool closed;
};

struct fake_request {
    struct upstream_request rq;
    struct http_stream *stream;
    int error;
};

struct world {
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct transport_core transports;
    struct dialer dialer;
    struct up_protocol protocols[3];
    struct upstream_registry registry;
    struct server *server;
    uint64_t next_id;
    uint32_t rooms;
    int listener; // -1: nobody listens
    uint32_t streams_max;
    struct fake_session sessions[SESSIONS_MAX];
    uint32_t session_count;
    struct fake_request requests[REQUESTS_MAX];
    uint32_t request_count;
};

static struct world w;

static struct http_stream *take(struct up_session *s)
{
    struct fake_session *f = container_of(s, struct fake_session, session);
    REQUIRE(f->taken < REQUESTS_MAX);
    s->streams++;
    s->exchanges++;
    return &f->streams[f->taken++];
}

static void close_fake(struct up_session *s)
{
    struct fake_session *f = container_of(s, struct fake_session, session);
    CHECK_EQ_INT(s->streams, 0);
    f->closed = true;
    transport_close(f->t, false);
}

static const struct up_session_ops fake_ops = {
    .protocol = "fake", .take = take, .close = close_fake};

static void not_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static struct up_session *open_fake(void *core, struct transport *t,
                                    const struct up_session_terms *terms, int *error)
{
    CHECK(core == &w);
    (void)error;
    REQUIRE(w.session_count < SESSIONS_MAX);
    struct fake_session *f = &w.sessions[w.session_count++];
    f->t = t;
    f->peer = *terms->peer;
    transport_set_owner(t, f, not_ready);
    f->session = (struct up_session){
        .ops = &fake_ops,
        .owner = terms->owner,
        .owner_arg = terms->owner_arg,
        .streams_max = w.streams_max,
        .peer = &f->peer,
    };
    list_init(&f->session.link);
    return &f->session;
}

static void on_ready(struct upstream_request *rq, struct http_stream *s)
{
    container_of(rq, struct fake_request, rq)->stream = s;
}

static void on_failed(struct upstream_request *rq, int error)
{
    container_of(rq, struct fake_request, rq)->error = error;
}

static void server_failed(struct server *s, struct upstream_request *rq, int error)
{
    CHECK(s == w.server);
    rq->on_failed(rq, error);
}

static void there_is_room(struct server *s, uint32_t core)
{
    CHECK(s == w.server && core == 0);
    w.rooms++;
}

static void server_freed(struct server *s)
{
    CHECK(s == w.server);
    w.server = NULL;
}

/** A world with an origin that accepts (or refuses), spoken to by `protocol`. */
static void setup(enum server_protocol protocol, uint32_t streams_max, bool accepts)
{
    static const struct loop_limits loop = {8, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &loop) == 0);
    transport_core_init(&w.transports, &w.loop, SESSIONS_MAX);
    w.dialer = (struct dialer){.loop = &w.loop,
                               .counters = &w.counters,
                               .transports = &w.transports,
                               .next_id = &w.next_id};
    dialer_init(&w.dialer, SESSIONS_MAX);
    w.protocols[0] = (struct up_protocol){"http/1.1", open_fake, &w};
    w.protocols[1] = (struct up_protocol){"h2", open_fake, &w};
    upstream_registry_init(&w.registry, 1);
    struct upstream_core core = {
        .loop = &w.loop, .counters = &w.counters, .dialer = &w.dialer, .protocols = w.protocols};
    upstream_registry_attach(&w.registry, 0, &core);
    w.streams_max = streams_max;

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    w.listener = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(w.listener >= 0);
    REQUIRE(bind(w.listener, (struct sockaddr *)&at, len) == 0); // a port that nobody else has
    REQUIRE(!accepts || listen(w.listener, SESSIONS_MAX) == 0);
    REQUIRE(getsockname(w.listener, (struct sockaddr *)&at, &len) == 0);
    char text[32];
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
    static const struct server_owner owner = {
        .on_failed = server_failed, .on_room = there_is_room, .on_freed = server_freed};
    const struct server_limits limits = {
        .connections_max = 8, .idle_max = 4, .idle_ms = 1000, .streams_max = 100};
    const struct server_kind kind = {.protocol = protocol};
    struct server_order order = {
        .host = slice_str(text), .kind = &kind, .limits = &limits, .owner = &owner};
    REQUIRE(os_addr_parse(slice_str(text), &order.addr) == 0);
    w.server = server_new(&w.registry, &order);
    REQUIRE(w.server != NULL);
    server_enter(w.server, 0, &limits);
}

static struct fake_request *ask(void)
{
    REQUIRE(w.request_count < REQUESTS_MAX);
    struct fake_request *r = &w.requests[w.request_count++];
    r->rq = (struct upstream_request){
        .loop = &w.loop, .connect_ms = 1000, .on_ready = on_ready, .on_failed = on_failed};
    list_init(&r->rq.link);
    int e = server_acquire(w.server, 0, &r->rq);
    if (e < 0) {
        r->error = e;
    }
    return r;
}

static uint32_t served(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w.request_count; i++) {
        n += w.requests[i].stream != NULL;
    }
    return n;
}

static uint32_t failed(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w.request_count; i++) {
        n += w.requests[i].error != 0;
    }
    return n;
}

static void settle(void)
{
    for (int i = 0; i < 1000 && served() + failed() < w.request_count; i++) {
        loop_turn(&w.loop, 10);
    }
}

/** The exchange on a session is over. */
static void give_back(struct fake_session *f)
{
    f->session.streams--;
    f->session.owner->on_room(&f->session, f->session.owner_arg);
}

static void teardown(void)
{
    for (uint32_t i = 0; i < w.session_count; i++) {
        struct fake_session *f = &w.sessions[i];
        while (!f->closed && f->session.streams > 0) {
            give_back(f);
        }
    }
    server_retire(w.server, 0);
    server_leave(w.server, 0);
    upstream_registry_close(&w.registry, 0);
    CHECK(w.server == NULL);
    upstream_registry_fini(&w.registry);
    loop_turn(&w.loop, 0);
    dialer_fini(&w.dialer);
    transport_core_fini(&w.transports);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
    (void)close(w.listener);
}

static void in_http_1_each_request_has_a_connection(void)
{
    setup(SERVER_H1, 1, true);
    for (int i = 0; i < 5; i++) {
        (void)ask();
    }
    settle();
    CHECK_EQ_INT(served(), 5);
    CHECK_EQ_INT(w.session_count, 5);
    give_back(&w.sessions[2]);
    struct fake_request *next = ask(); // no dial: one is idle
    CHECK(next->stream != NULL && next->rq.reused);
    CHECK_EQ_INT(w.session_count, 5);
    teardown();
}

static void in_http_2_many_requests_share_one(void)
{
    setup(SERVER_H2, 100, true);
    for (int i = 0; i < 30; i++) {
        (void)ask();
    }
    settle();
    CHECK_EQ_INT(served(), 30);
    CHECK_EQ_INT(w.session_count, 1);
    CHECK_EQ_INT(w.sessions[0].session.streams, 30);
    teardown();
}

static void a_peer_that_allows_few_gets_more_connections(void)
{
    setup(SERVER_H2, 4, true);
    for (int i = 0; i < 10; i++) {
        (void)ask();
    }
    settle();
    CHECK_EQ_INT(served(), 10);
    CHECK_EQ_INT(w.session_count, 3);
    teardown();
}

static void one_that_is_closing_gets_nothing_more(void)
{
    setup(SERVER_H2, 100, true);
    (void)ask();
    settle();
    struct up_session *s = &w.sessions[0].session;
    s->closing = true;
    s->owner->on_closing(s, s->owner_arg);
    (void)ask();
    settle();
    CHECK_EQ_INT(served(), 2);
    CHECK_EQ_INT(w.session_count, 2);
    give_back(&w.sessions[0]);
    CHECK(w.sessions[0].closed); // it carries nothing and will carry nothing
    teardown();
}

static void one_that_is_gone_is_forgotten(void)
{
    setup(SERVER_H1, 1, true);
    (void)ask();
    settle();
    struct fake_session *f = &w.sessions[0];
    f->session.streams = 0;
    f->closed = true;
    transport_close(f->t, false);
    f->session.owner->on_gone(&f->session, f->session.owner_arg, E_RESET);
    (void)ask();
    settle();
    CHECK_EQ_INT(w.session_count, 2);
    CHECK_EQ_INT(served(), 2);
    teardown();
}

static void a_request_that_asks_for_a_fresh_one_gets_it(void)
{
    setup(SERVER_H2, 100, true);
    (void)ask();
    settle();
    struct fake_request *r = &w.requests[w.request_count++];
    r->rq = (struct upstream_request){.loop = &w.loop,
                                      .connect_ms = 1000,
                                      .fresh = true,
                                      .on_ready = on_ready,
                                      .on_failed = on_failed};
    list_init(&r->rq.link);
    REQUIRE(server_acquire(w.server, 0, &r->rq) == 0);
    settle();
    CHECK(r->stream != NULL && !r->rq.reused);
    CHECK_EQ_INT(w.session_count, 2);
    teardown();
}

static void whoever_counted_on_a_dial_that_failed_is_told(void)
{
    setup(SERVER_H2, 100, false);
    for (int i = 0; i < 6; i++) {
        (void)ask();
    }
    settle();
    CHECK_EQ_INT(failed(), 6);
    CHECK_EQ_INT(w.requests[5].error, E_REFUSED);
    CHECK_EQ_INT(w.session_count, 0);
    teardown();
}

static void one_that_waits_may_leave(void)
{
    setup(SERVER_H1, 1, true);
    struct fake_request *a = ask();
    (void)ask();
    server_cancel(w.server, 0, &a->rq);
    for (int i = 0; i < 1000 && w.session_count < 2; i++) {
        loop_turn(&w.loop, 10);
    }
    CHECK(a->stream == NULL && a->error == 0);
    CHECK_EQ_INT(served(), 1);
    CHECK_EQ_INT(w.session_count, 2); // the other connection is idle, and kept
    teardown();
}

static void there_is_a_limit_to_connections(void)
{
    setup(SERVER_H1, 1, true);
    for (int i = 0; i < 9; i++) {
        (void)ask();
    }
    settle();
    CHECK_EQ_INT(served(), 8);
    CHECK_EQ_INT(w.requests[8].error, E_UPSTREAM_FULL);
    w.rooms = 0;
    give_back(&w.sessions[3]);
    CHECK_EQ_INT(w.rooms, 1);
    CHECK(ask()->stream != NULL);
    teardown();
}

static void one_that_left_the_list_keeps_what_is_busy(void)
{
    setup(SERVER_H1, 1, true);
    (void)ask();
    (void)ask();
    settle();
    give_back(&w.sessions[0]);
    server_retire(w.server, 0);
    CHECK(w.sessions[0].closed);
    CHECK(!w.sessions[1].closed);
    server_leave(w.server, 0);
    REQUIRE(w.server != NULL); // its last connection holds it
    give_back(&w.sessions[1]);
    CHECK(w.sessions[1].closed);
    CHECK(w.server == NULL);
    w.session_count = 0;
    upstream_registry_close(&w.registry, 0);
    upstream_registry_fini(&w.registry);
    loop_turn(&w.loop, 0);
    dialer_fini(&w.dialer);
    transport_core_fini(&w.transports);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
    (void)close(w.listener);
}

TAP_MAIN(in_http_1_each_request_has_a_connection, in_http_2_many_requests_share_one,
         a_peer_that_allows_few_gets_more_connections, one_that_is_closing_gets_nothing_more,
         one_that_is_gone_is_forgotten, a_request_that_asks_for_a_fresh_one_gets_it,
         whoever_counted_on_a_dial_that_failed_is_told, one_that_waits_may_leave,
         there_is_a_limit_to_connections, one_that_left_the_list_keeps_what_is_busy)
