// SPDX-License-Identifier: Apache-2.0
//
// The resolver on the real loop against a DNS server of the test's own: answers, TTLs, failures,
// truncation, and watches that end at awkward moments.

#include "net/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/text.h"
#include "loop/loop.h"
#include "os/listen.h"
#include "tap.h"

static struct sys *sys;
static struct loop l;
static struct resolver *r;

// ---- a DNS server --------------------------------------------------------------------------------------

enum answer { ANSWER_ADDRESS, ANSWER_NO_NAME, ANSWER_SILENCE, ANSWER_TRUNCATED };

static struct io udp;
static struct io tcp_listener;
static struct io tcp;
static enum answer behaviour;
static uint8_t last_byte; // of the IPv4 address given out
static uint32_t ttl;
static int queries;
static char asked[256];

// Writes the answer to the query of n bytes in place; returns its length.
static size_t answer(unsigned char *p, size_t n, bool stream)
{
    REQUIRE(n > 16);
    size_t end = 12;
    size_t at = 0;
    while (p[end] != 0) {
        memcpy(asked + at, p + end + 1, p[end]);
        at += p[end];
        asked[at++] = '.';
        end += 1u + p[end];
    }
    asked[at] = '\0';
    unsigned type = (unsigned)p[end + 1] << 8 | p[end + 2];
    end += 5;
    queries++;
    p[2] = 0x84;
    p[3] = behaviour == ANSWER_NO_NAME ? 3 : 0;
    memset(p + 6, 0, 6); // no answers yet, no extra records
    if (behaviour == ANSWER_TRUNCATED && !stream) {
        p[2] |= 2;
        return end;
    }
    if (behaviour == ANSWER_NO_NAME || type != 1) {
        return end;
    }
    unsigned char record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, (unsigned char)ttl, 0, 4, 10, 0, 0};
    record[15] = last_byte;
    memcpy(p + end, record, sizeof(record));
    p[7] = 1;
    return end + sizeof(record);
}

static void on_udp(struct io *io, unsigned events)
{
    (void)events;
    for (;;) {
        unsigned char p[1024];
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(io->fd, p, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0) {
            return;
        }
        size_t out = answer(p, (size_t)n, false);
        if (behaviour != ANSWER_SILENCE) {
            CHECK(sendto(io->fd, p, out, 0, (struct sockaddr *)&from, len) == (ssize_t)out);
        }
    }
}

static void on_tcp(struct io *io, unsigned events)
{
    (void)events;
    unsigned char p[2048];
    ssize_t n = recv(io->fd, p, sizeof(p), MSG_DONTWAIT);
    if (n == 0) {
        loop_close(&l, io, false);
    }
    // Two queries may come together.
    for (ssize_t at = 0; at + 2 < n;) {
        size_t len = (size_t)p[at] << 8 | p[at + 1];
        unsigned char q[1024];
        memcpy(q + 2, p + at + 2, len);
        size_t out = answer(q + 2, len, true);
        q[0] = (unsigned char)(out >> 8);
        q[1] = (unsigned char)out;
        CHECK(send(io->fd, q, out + 2, 0) == (ssize_t)out + 2);
        at += 2 + (ssize_t)len;
    }
}

static void on_tcp_accept(struct io *io, unsigned events)
{
    (void)events;
    struct os_addr peer;
    int fd = sys->ops->accept(sys, io->fd, &peer);
    if (fd >= 0) {
        loop_close(&l, &tcp, false);
        io_init(&tcp, fd, on_tcp);
        REQUIRE(loop_watch(&l, &tcp, false) == 0);
    }
}

// UDP and TCP on one port; returns it.
static uint16_t open_server(void)
{
    struct os_listen at = {.addr = {.kind = OS_ADDR_V4, .u.ip = {127, 0, 0, 1}}};
    int fd = os_listen_open(&at);
    REQUIRE(fd >= 0);
    struct os_addr bound;
    REQUIRE(os_listen_addr(fd, &bound) == 0);
    io_init(&tcp_listener, fd, on_tcp_accept);
    REQUIRE(loop_watch(&l, &tcp_listener, true) == 0);
    struct sockaddr_storage storage;
    socklen_t len = os_addr_to_sockaddr(&bound, &storage);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&storage, len) == 0);
    io_init(&udp, fd, on_udp);
    REQUIRE(loop_watch(&l, &udp, false) == 0);
    io_init(&tcp, -1, on_tcp);
    return bound.port;
}

// ---- what is told ----------------------------------------------------------------------------------------

struct heard {
    int calls;
    int error;
    char text[512];
};

static struct heard heard[2];

static void on_addrs(void *arg, const struct os_addr *addrs, unsigned count, int error)
{
    struct heard *h = arg;
    struct text t = text_on(h->text, sizeof(h->text) - 1);
    for (unsigned i = 0; i < count; i++) {
        os_addr_text(&addrs[i], &t);
        text_char(&t, ' ');
    }
    h->text[t.len] = '\0';
    h->error = error;
    h->calls++;
}

// Turns until the n-th call, at most `seconds`.
static void wait_calls(struct heard *h, int n, uint64_t seconds)
{
    uint64_t until = loop_clock_ns(&l) + seconds * UINT64_C(1000000000);
    while (h->calls < n && loop_clock_ns(&l) < until) {
        loop_turn(&l, 20);
    }
}

static void open_resolver(struct slice servers, struct slice conf, struct slice hosts)
{
    struct resolver_config config = {.servers = servers, .resolv_conf = conf, .hosts = hosts};
    REQUIRE(resolver_new(&l, &config, &r) == 0);
    memset(heard, 0, sizeof(heard));
    queries = 0;
    behaviour = ANSWER_ADDRESS;
    last_byte = 1;
    ttl = 60;
}

static uint16_t port;

static void open_with_server(const char *more)
{
    char conf[256];
    (void)snprintf(conf, sizeof(conf), "%s", more);
    char server[64];
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", port);
    open_resolver(slice_str(server), slice_str(conf), SLICE("10.9.9.9 in-hosts\n"));
}

static struct resolver_watch *watch(const char *name, struct heard *h)
{
    struct resolver_watch *w = NULL;
    REQUIRE(resolver_watch(r, slice_str(name), 80, on_addrs, h, &w) == 0);
    CHECK_EQ_INT(h->calls, 0);
    return w;
}

static void setup(void)
{
    static const struct loop_limits limits = {8, 8};
    sys = os_linux_new();
    REQUIRE(sys != NULL && loop_init(&l, sys, 0, &limits) == 0);
    port = open_server();
}

// ---- cases -----------------------------------------------------------------------------------------------

static void check_fixed(const char *name, const char *want)
{
    memset(heard, 0, sizeof(heard));
    struct resolver_watch *w = watch(name, &heard[0]);
    wait_calls(&heard[0], 1, 1);
    CHECK_EQ_INT(heard[0].calls, 1);
    CHECK_STR(heard[0].text, want);
    resolver_unwatch(r, w);
}

static void answers_without_a_server(void)
{
    open_resolver(SLICE(""), SLICE("# nothing\n"),
                  SLICE("127.0.0.1 localhost # home\n"
                        "10.0.0.2\tapp.internal App\n"
                        "nonsense app\n"
                        "2001:db8::2 app\n"
                        "10.0.0.1 app"));
    check_fixed("1.2.3.4", "1.2.3.4:80 ");
    check_fixed("::1", "[::1]:80 ");
    check_fixed("APP", "10.0.0.1:80 10.0.0.2:80 [2001:db8::2]:80 ");
    check_fixed("app.internal.", "10.0.0.2:80 ");
    check_fixed("localhost", "127.0.0.1:80 ");
    check_fixed("x.localhost", "127.0.0.1:80 [::1]:80 ");
    check_fixed("unknown", "");
    CHECK_EQ_INT(heard[0].error, E_NOT_RESOLVED);
    check_fixed("", "");
    char longer[300];
    memset(longer, 'a', sizeof(longer));
    longer[299] = '\0';
    check_fixed(longer, "");
    (void)watch("app", &heard[1]); // ends with the resolver
    resolver_free(r);
    CHECK_EQ_INT(heard[1].calls, 0);
}

static void refuses_bad_servers(void)
{
    struct resolver_config config = {.servers = SLICE("127.0.0.1, dns.example:53")};
    CHECK_EQ_INT(resolver_new(&l, &config, &r), E_INVALID);
    config.servers = SLICE("unix:/x");
    CHECK_EQ_INT(resolver_new(&l, &config, &r), E_INVALID);
}

static void asks_the_server(void)
{
    open_with_server("nameserver 192.0.2.1\nsearch one.test two.test\noptions ndots:2 x\n");
    struct resolver_watch *w = watch("name", &heard[0]);
    wait_calls(&heard[0], 1, 5);
    CHECK_STR(heard[0].text, "10.0.0.1:80 ");
    CHECK_STR(asked, "name.one.test.");
    resolver_unwatch(r, w);
    w = watch("in-hosts", &heard[1]);
    int before = queries;
    wait_calls(&heard[1], 1, 5);
    CHECK_STR(heard[1].text, "10.9.9.9:80 ");
    CHECK_EQ_INT(queries, before);
    resolver_free(r);
}

static void changes_its_servers(void)
{
    open_resolver(SLICE(""), SLICE(""), SLICE(""));
    (void)watch("name.test", &heard[0]);
    wait_calls(&heard[0], 1, 2);
    CHECK_EQ_INT(heard[0].error, E_NOT_RESOLVED);
    CHECK_EQ_INT(resolver_set_servers(r, SLICE("nonsense")), E_INVALID);
    char server[64];
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", port);
    CHECK_EQ_INT(resolver_set_servers(r, slice_str(server)), 0);
    wait_calls(&heard[0], 2, 5);
    CHECK_STR(heard[0].text, "10.0.0.1:80 ");
    // With a query on its way.
    behaviour = ANSWER_SILENCE;
    (void)watch("other.test", &heard[1]);
    for (int i = 0; i < 5; i++) {
        loop_turn(&l, 5);
    }
    CHECK_EQ_INT(resolver_set_servers(r, SLICE("")), 0);
    CHECK_EQ_INT(heard[1].calls, 0); // never during the call
    wait_calls(&heard[1], 1, 2);
    CHECK_EQ_INT(heard[1].error, E_NOT_RESOLVED);
    behaviour = ANSWER_ADDRESS;
    CHECK_EQ_INT(resolver_set_servers(r, slice_str(server)), 0);
    wait_calls(&heard[1], 2, 5);
    CHECK_STR(heard[1].text, "10.0.0.1:80 ");
    resolver_free(r);
}

static void takes_new_texts(void)
{
    open_with_server("");
    (void)watch("in-hosts", &heard[0]);
    (void)watch("name.test", &heard[1]);
    wait_calls(&heard[0], 1, 5);
    wait_calls(&heard[1], 1, 5);
    CHECK_STR(heard[0].text, "10.9.9.9:80 ");
    CHECK_EQ_INT(resolver_set_texts(r, SLICE("search a.test\n"), SLICE("10.9.9.8 in-hosts\n")), 0);
    wait_calls(&heard[0], 2, 5);
    CHECK_STR(heard[0].text, "10.9.9.8:80 ");
    CHECK_EQ_INT(heard[1].calls, 1); // asked again, but nothing is new
    CHECK_EQ_INT(resolver_set_texts(r, SLICE(""), SLICE("10.9.9.7 name.test\n")), 0);
    wait_calls(&heard[1], 2, 5);
    CHECK_STR(heard[1].text, "10.9.9.7:80 ");
    resolver_free(r);
    // Without servers of the configuration those of resolv.conf count.
    char conf[64];
    (void)snprintf(conf, sizeof(conf), "nameserver 127.0.0.1:%u\n", port);
    open_resolver(SLICE(""), SLICE(""), SLICE(""));
    (void)watch("name.test", &heard[0]);
    wait_calls(&heard[0], 1, 5);
    CHECK_EQ_INT(heard[0].error, E_NOT_RESOLVED);
    CHECK_EQ_INT(resolver_set_texts(r, slice_str(conf), SLICE("")), 0);
    wait_calls(&heard[0], 2, 5);
    CHECK_STR(heard[0].text, "10.0.0.1:80 ");
    resolver_free(r);
}

static void asks_again_when_the_ttl_is_over(void)
{
    open_with_server("");
    ttl = 1;
    (void)watch("name.test", &heard[0]);
    wait_calls(&heard[0], 1, 5);
    CHECK_STR(heard[0].text, "10.0.0.1:80 ");
    last_byte = 2;
    wait_calls(&heard[0], 2, 5);
    CHECK_STR(heard[0].text, "10.0.0.2:80 ");
    behaviour = ANSWER_NO_NAME;
    wait_calls(&heard[0], 3, 5);
    CHECK_EQ_INT(heard[0].error, E_NOT_RESOLVED);
    CHECK_STR(heard[0].text, "");
    // The same addresses again are no news after the failure: nothing has changed.
    behaviour = ANSWER_ADDRESS;
    last_byte = 3;
    wait_calls(&heard[0], 4, 5);
    CHECK_STR(heard[0].text, "10.0.0.3:80 ");
    resolver_free(r);
}

static void repeats_truncated_answers_over_tcp(void)
{
    open_with_server("");
    behaviour = ANSWER_TRUNCATED;
    (void)watch("big.test", &heard[0]);
    wait_calls(&heard[0], 1, 5);
    CHECK_STR(heard[0].text, "10.0.0.1:80 ");
    resolver_free(r);
    loop_turn(&l, 0);
}

static void forgets_watches_that_ended_early(void)
{
    open_with_server("");
    behaviour = ANSWER_SILENCE;
    struct resolver_watch *a = watch("a.test", &heard[0]);
    struct resolver_watch *b = watch("b.test", &heard[1]);
    for (int i = 0; i < 5; i++) {
        loop_turn(&l, 5);
    }
    CHECK(queries > 0);
    resolver_unwatch(r, a); // its query runs on
    behaviour = ANSWER_ADDRESS;
    wait_calls(&heard[1], 1, 8); // repeated by c-ares after its time-out
    CHECK_STR(heard[1].text, "10.0.0.1:80 ");
    CHECK_EQ_INT(heard[0].calls, 0);
    resolver_unwatch(r, b);
    (void)watch("c.test", &heard[0]);
    behaviour = ANSWER_SILENCE;
    for (int i = 0; i < 5; i++) {
        loop_turn(&l, 5);
    }
    resolver_free(r); // with a query in flight
    CHECK_EQ_INT(heard[0].calls, 0);
}

static void teardown(void)
{
    loop_close(&l, &udp, false);
    loop_close(&l, &tcp, false);
    loop_close(&l, &tcp_listener, false);
    loop_fini(&l);
    os_linux_free(sys);
    CHECK(true);
}

TAP_MAIN(setup, answers_without_a_server, refuses_bad_servers, changes_its_servers, asks_the_server,
         takes_new_texts, asks_again_when_the_ttl_is_over, repeats_truncated_answers_over_tcp,
         forgets_watches_that_ended_early, teardown)
