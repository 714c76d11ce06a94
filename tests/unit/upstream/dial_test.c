// SPDX-License-Identifier: Apache-2.0
//
// dial: what comes of connecting to origins that answer, refuse, stay silent or are not what they
// should be, on real sockets of the loopback.

#include "upstream/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "conf/load.h"
#include "net/outbound.h"
#include "tap.h"
#include "tls/store.h"
#include "tls/tls.h"

extern const struct conf_directive *const conf_tables[];

enum { DIALS_MAX = 4 };

struct world {
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct transport_core transports;
    struct dialer dialer;
    struct conf_diags *diags;
    struct conf_doc *doc;
    struct tls_store *store;
    struct tls_origin *origin;
    uint64_t next_id;
    int listener;
    struct os_addr to;
    int calls;
    struct dial_result result;
};

static struct world w;

static void setup(bool accepts, bool secure)
{
    static const struct loop_limits limits = {16, 8};
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    transport_core_init(&w.transports, &w.loop, DIALS_MAX);
    w.dialer = (struct dialer){.loop = &w.loop,
                               .counters = &w.counters,
                               .transports = &w.transports,
                               .next_id = &w.next_id};
    if (secure) {
        const char *yaml = "listen: 127.0.0.1:1\nsites: {default: {tls: off, proxy: 2}}\n";
        w.diags = conf_diags_new();
        REQUIRE(w.diags != NULL);
        REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, w.diags, &w.doc) == 0);
        REQUIRE(tls_store_new(w.doc, SLICE(""), 1, w.diags, &w.store) == 0);
        REQUIRE(tls_core_new(&w.loop, &w.counters, DIALS_MAX, &w.dialer.tls) == 0);
        tls_core_set_store(w.dialer.tls, w.store);
        const struct tls_origin_settings settings = {
            .verify = true, .server_name = SLICE("127.0.0.1"), .alpn = SLICE("h2,http/1.1")};
        REQUIRE(tls_origin_new(&settings, w.store, 1, &w.origin) == 0);
    }
    dialer_init(&w.dialer, DIALS_MAX);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    w.listener = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(w.listener >= 0);
    REQUIRE(bind(w.listener, (struct sockaddr *)&at, len) == 0);
    REQUIRE(!accepts || listen(w.listener, DIALS_MAX) == 0);
    REQUIRE(getsockname(w.listener, (struct sockaddr *)&at, &len) == 0);
    os_addr_from_sockaddr(&w.to, (struct sockaddr *)&at, len);
}

static void teardown(void)
{
    if (w.result.t != NULL) {
        transport_close(w.result.t, false);
    }
    loop_turn(&w.loop, 0);
    dialer_fini(&w.dialer);
    if (w.store != NULL) {
        tls_origin_unref(w.origin);
        tls_core_free(w.dialer.tls);
        tls_store_unref(w.store);
        conf_doc_free(w.doc);
        conf_diags_free(w.diags);
    }
    transport_core_fini(&w.transports);
    CHECK_EQ_INT(w.loop.wheel.count, 0);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
    (void)close(w.listener);
}

static void not_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static void on_done(struct dial *dial, const struct dial_result *r, void *arg)
{
    CHECK(arg == &w);
    CHECK(dial != NULL);
    w.calls++;
    w.result = *r;
    if (r->t != NULL) {
        transport_set_owner(r->t, &w, not_ready);
    }
}

static struct dial *begin(uint32_t limit_ms)
{
    const struct dial_order order = {.to = w.to, .limit_ms = limit_ms, .tls = w.origin};
    int error = 0;
    struct dial *d = dial_begin(&w.dialer, &order, on_done, &w, &error);
    REQUIRE(d != NULL);
    CHECK_EQ_INT(w.calls, 0); // never from inside
    return d;
}

static void settle(void)
{
    for (int i = 0; i < 1000 && w.calls == 0; i++) {
        loop_turn(&w.loop, 20);
    }
    CHECK_EQ_INT(w.calls, 1);
}

static void one_that_listens_gives_a_transport(void)
{
    setup(true, false);
    (void)begin(5000);
    settle();
    CHECK_EQ_INT(w.result.error, 0);
    if (CHECK(w.result.t != NULL)) {
        CHECK(w.result.t->clear && w.result.t->writable);
    }
    CHECK_EQ_INT(w.result.alpn.len, 0);
    CHECK(!w.result.peer.secure);
    CHECK_EQ_INT(w.result.peer.addr.port, w.to.port);
    CHECK(w.result.peer.connection_id != 0);
    teardown();
}

static void one_that_refuses_says_so(void)
{
    setup(false, false);
    (void)begin(5000);
    settle();
    CHECK_EQ_INT(w.result.error, E_REFUSED);
    CHECK(w.result.t == NULL);
    teardown();
}

static void a_silent_one_costs_the_time_that_was_given(void)
{
    setup(true, true); // accepted by the kernel, and then nobody speaks TLS
    (void)begin(30);
    settle();
    CHECK_EQ_INT(w.result.error, E_TLS_TIMEOUT);
    CHECK_EQ_INT(atomic_load(&w.counters.v[COUNTER_timeouts]), 1);
    teardown();
}

static void one_that_does_not_speak_tls_is_told_from_one_that_does(void)
{
    setup(true, true);
    (void)begin(5000);
    int fd = accept(w.listener, NULL, NULL);
    REQUIRE(fd >= 0);
    static const char words[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    REQUIRE(write(fd, words, sizeof(words) - 1) == sizeof(words) - 1);
    settle();
    CHECK(w.result.error == E_TLS_NOT_TLS || w.result.error == E_TLS_HANDSHAKE);
    CHECK(w.result.t == NULL);
    (void)close(fd);
    teardown();
}

static void one_that_leaves_in_the_middle_fails_the_handshake(void)
{
    setup(true, true);
    (void)begin(5000);
    int fd = accept(w.listener, NULL, NULL);
    REQUIRE(fd >= 0);
    (void)close(fd);
    settle();
    CHECK(w.result.error < 0 && w.result.error != E_TLS_TIMEOUT);
    teardown();
}

static char reason[80];

static void on_led(struct dial *dial, const struct dial_result *r, void *arg)
{
    (void)snprintf(reason, sizeof(reason), "%.*s", SLICE_ARG(r->reason));
    on_done(dial, r, arg);
}

/** Dials through a proxy that answers so; the connection it has then, or -1. */
static int through_a_proxy(const char *answer)
{
    struct outbound proxy = {.kind = OUTBOUND_CONNECT, .host = "p", .host_len = 1, .port = 1};
    const struct dial_order order = {.to = w.to,
                                     .limit_ms = 5000,
                                     .prologue = SLICE("PROLOGUE"),
                                     .proxy = &proxy,
                                     .target = SLICE("edge"),
                                     .target_port = 443};
    int error = 0;
    REQUIRE(dial_begin(&w.dialer, &order, on_led, &w, &error) != NULL);
    memset(&proxy, 0, sizeof(proxy)); // it was copied
    int fd = accept(w.listener, NULL, NULL);
    REQUIRE(fd >= 0);
    loop_turn(&w.loop, 20);
    loop_turn(&w.loop, 20);
    char said[200] = "";
    ssize_t n = read(fd, said, sizeof(said) - 1);
    CHECK_TEXT(said, n < 0 ? 0 : (size_t)n, "CONNECT edge:443 HTTP/1.1\r\nHost: edge:443\r\n\r\n");
    REQUIRE(write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
    settle();
    return fd;
}

static void a_proxy_leads_on(void)
{
    setup(true, false);
    int fd = through_a_proxy("HTTP/1.1 200 OK\r\n\r\n");
    CHECK_EQ_INT(w.result.error, 0);
    CHECK(w.result.t != NULL);
    char said[20];
    ssize_t n = read(fd, said, sizeof(said));
    CHECK_TEXT(said, n < 0 ? 0 : (size_t)n, "PROLOGUE");
    (void)close(fd);
    teardown();
}

static void a_proxy_that_refuses_says_why(void)
{
    setup(true, false);
    int fd = through_a_proxy("HTTP/1.1 407 No\r\n\r\n");
    CHECK_EQ_INT(w.result.error, E_OUTBOUND_LOGIN);
    CHECK_STR(reason, "the proxy answered 407");
    CHECK(w.result.t == NULL);
    (void)close(fd);
    teardown();
}

static void a_target_that_is_none_is_not_dialled(void)
{
    setup(true, false);
    const struct outbound proxy = {.kind = OUTBOUND_CONNECT, .host = "p", .host_len = 1};
    const struct dial_order order = {.to = w.to, .proxy = &proxy, .target = SLICE("a b")};
    int error = 0;
    CHECK(dial_begin(&w.dialer, &order, on_done, &w, &error) == NULL);
    CHECK_EQ_INT(error, E_INVALID);
    teardown();
}

static void a_cancelled_one_is_never_heard_of_again(void)
{
    setup(true, true);
    dial_cancel(begin(5000));
    for (int i = 0; i < 5; i++) {
        loop_turn(&w.loop, 5);
    }
    CHECK_EQ_INT(w.calls, 0);
    teardown();
}

static void there_are_not_more_than_was_said(void)
{
    setup(true, false);
    struct dial *dials[DIALS_MAX];
    for (int i = 0; i < DIALS_MAX; i++) {
        dials[i] = begin(5000);
    }
    const struct dial_order order = {.to = w.to, .limit_ms = 1000};
    int error = 0;
    CHECK(dial_begin(&w.dialer, &order, on_done, &w, &error) == NULL);
    CHECK_EQ_INT(error, E_NO_MEMORY);
    for (int i = 0; i < DIALS_MAX; i++) {
        dial_cancel(dials[i]);
    }
    teardown();
}

static void begin_order(const struct dial_order *order)
{
    int error = 0;
    REQUIRE(dial_begin(&w.dialer, order, on_done, &w, &error) != NULL);
}

static void a_prologue_comes_first(void)
{
    setup(true, false);
    const struct dial_order order = {
        .to = w.to, .limit_ms = 5000, .prologue = SLICE("PROXY UNKNOWN\r\n"), .client = 7};
    begin_order(&order);
    settle();
    CHECK_EQ_INT(w.result.error, 0);
    CHECK_EQ_INT(w.result.client, 7);
    int fd = accept(w.listener, NULL, NULL);
    REQUIRE(fd >= 0);
    char room[64];
    ssize_t n = recv(fd, room, sizeof(room), 0);
    CHECK_TEXT(room, (size_t)n, "PROXY UNKNOWN\r\n");
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    (void)close(fd);
    teardown();
}

static void a_prologue_comes_before_tls(void)
{
    setup(true, true);
    const struct dial_order order = {
        .to = w.to, .limit_ms = 5000, .prologue = SLICE("PROXY UNKNOWN\r\n"), .tls = w.origin};
    begin_order(&order);
    int fd = accept(w.listener, NULL, NULL);
    REQUIRE(fd >= 0);
    char room[17] = "";
    for (int i = 0; i < 100 && recv(fd, room, 16, MSG_PEEK | MSG_DONTWAIT) < 16; i++) {
        loop_turn(&w.loop, 20);
    }
    CHECK_TEXT(room, 16, "PROXY UNKNOWN\r\n\x16");
    (void)close(fd);
    settle();
    teardown();
}

static void a_prologue_of_a_dial_that_ends_early_is_given_back(void)
{
    setup(false, false);
    const struct dial_order order = {.to = w.to, .limit_ms = 5000, .prologue = SLICE("x")};
    begin_order(&order);
    settle();
    CHECK_EQ_INT(w.result.error, E_REFUSED);
    CHECK_EQ_INT(w.loop.chunks.in_use, 0);
    teardown();
}

static struct os_peer source(const char *text)
{
    struct os_addr a;
    REQUIRE(os_addr_parse_ip(slice_str(text), 0, &a) == 0);
    return os_peer_of(&a);
}

static void sources_take_turns(void)
{
    const struct os_peer sources[] = {source("127.0.0.2"), source("::1"), source("127.0.0.3")};
    static const char *const want[] = {"127.0.0.2", "127.0.0.3", "127.0.0.3"};
    for (uint32_t i = 0; i < 3; i++) {
        setup(true, false);
        const struct dial_order order = {
            .to = w.to, .limit_ms = 5000, .sources = sources, .source_count = 3, .source_first = i};
        begin_order(&order);
        settle();
        CHECK_EQ_INT(w.result.error, 0);
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        int fd = accept(w.listener, (struct sockaddr *)&from, &len);
        CHECK_STR(inet_ntoa(from.sin_addr), want[i]);
        (void)close(fd);
        teardown();
    }
}

static void a_source_that_is_not_ours_is_passed_over(void)
{
    setup(true, false);
    const struct os_peer sources[] = {source("192.0.2.1"), source("127.0.0.2")};
    struct dial_order order = {.to = w.to, .limit_ms = 5000, .sources = sources, .source_count = 2};
    begin_order(&order);
    settle();
    CHECK_EQ_INT(w.result.error, 0);
    order.source_count = 1;
    int error = 0;
    CHECK(dial_begin(&w.dialer, &order, on_done, &w, &error) == NULL);
    CHECK_EQ_INT(error, E_SOURCE_UNKNOWN);
    teardown();
}

TAP_MAIN(a_prologue_comes_first, a_prologue_comes_before_tls,
         a_prologue_of_a_dial_that_ends_early_is_given_back, sources_take_turns,
         a_source_that_is_not_ours_is_passed_over, one_that_listens_gives_a_transport,
         one_that_refuses_says_so, a_silent_one_costs_the_time_that_was_given,
         one_that_does_not_speak_tls_is_told_from_one_that_does,
         one_that_leaves_in_the_middle_fails_the_handshake, a_proxy_leads_on,
         a_proxy_that_refuses_says_why, a_target_that_is_none_is_not_dialled,
         a_cancelled_one_is_never_heard_of_again, there_are_not_more_than_was_said)
