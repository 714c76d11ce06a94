// SPDX-License-Identifier: Apache-2.0
//
// Rounds of a watch against a name server of records: services and their targets, families that fail
// alone, lists that stay.

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/text.h"
#include "loop/loop.h"
#include "net/dns_answer.h"
#include "net/resolver.h"
#include "tap.h"

static struct sys *sys;
static struct loop l;
static struct resolver *r;

// ---- a name server --------------------------------------------------------------------------------

struct record {
    const char *name; // NULL: no record
    unsigned type;
    unsigned code;          // not 0: the answer to this question
    bool along;             // in the additional section of services
    unsigned char data[64]; // addresses
    unsigned priority, weight, port;
    const char *target; // services
};

enum { RECORDS_MAX = 16, SILENT = 255 };

static struct record records[RECORDS_MAX];
static int queries;
static struct io udp;
static uint16_t port;

static size_t put_name(unsigned char *p, const char *name)
{
    size_t at = 0;
    while (*name != '\0') {
        size_t len = strcspn(name, ".");
        p[at++] = (unsigned char)len;
        memcpy(p + at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    p[at++] = 0;
    return at;
}

static size_t put_record(unsigned char *p, const struct record *rr)
{
    size_t at = put_name(p, rr->name);
    unsigned char fixed[10] = {0, (unsigned char)rr->type, 0, 1, 0, 0, 0, 1, 0, 0};
    memcpy(p + at, fixed, sizeof fixed);
    size_t len = rr->type == DNS_TYPE_A ? 4 : 16;
    if (rr->type == DNS_TYPE_SRV) {
        unsigned char srv[6] = {0,
                                (unsigned char)rr->priority,
                                0,
                                (unsigned char)rr->weight,
                                (unsigned char)(rr->port >> 8),
                                (unsigned char)rr->port};
        memcpy(p + at + 10, srv, sizeof srv);
        len = sizeof srv + put_name(p + at + 10 + sizeof srv, rr->target);
    } else {
        memcpy(p + at + 10, rr->data, len);
    }
    p[at + 9] = (unsigned char)len;
    return at + 10 + len;
}

// Writes the answer in place. 0: none.
static size_t answer(unsigned char *p, size_t n)
{
    char asked[256];
    size_t end = 12;
    size_t at = 0;
    REQUIRE(n > 16);
    while (p[end] != 0) {
        memcpy(asked + at, p + end + 1, p[end]);
        at += p[end];
        asked[at++] = '.';
        end += 1u + p[end];
    }
    asked[at > 0 ? at - 1 : 0] = '\0';
    unsigned type = (unsigned)p[end + 1] << 8 | p[end + 2];
    end += 5;
    queries++;
    p[2] = 0x84;
    p[3] = 3; // no such name, until one is found
    memset(p + 6, 0, 6);
    for (int i = 0; i < RECORDS_MAX; i++) {
        const struct record *rr = &records[i];
        if (rr->name == NULL) {
            continue;
        }
        bool own = strcmp(rr->name, asked) == 0;
        p[3] = own ? 0 : p[3];
        if (own && rr->type == type && rr->code != 0) {
            p[3] = (unsigned char)rr->code;
            return rr->code == SILENT ? 0 : end;
        }
        if (own && rr->type == type) {
            end += put_record(p + end, rr);
            p[7]++;
        }
    }
    for (int i = 0; type == DNS_TYPE_SRV && i < RECORDS_MAX; i++) {
        if (records[i].name != NULL && records[i].along) {
            end += put_record(p + end, &records[i]);
            p[11]++;
        }
    }
    return end;
}

static void on_udp(struct io *io, unsigned events)
{
    (void)events;
    for (;;) {
        unsigned char p[2048];
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(io->fd, p, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0) {
            return;
        }
        size_t out = answer(p, (size_t)n);
        if (out > 0) {
            CHECK(sendto(io->fd, p, out, 0, (struct sockaddr *)&from, len) == (ssize_t)out);
        }
    }
}

static void open_server(void)
{
    struct os_addr at = {.kind = OS_ADDR_V4, .u.ip = {127, 0, 0, 1}};
    struct sockaddr_storage storage;
    socklen_t len = os_addr_to_sockaddr(&at, &storage);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&storage, len) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&storage, &len) == 0);
    os_addr_from_sockaddr(&at, (struct sockaddr *)&storage, len);
    port = at.port;
    io_init(&udp, fd, on_udp);
    REQUIRE(loop_watch(&l, &udp, false) == 0);
}

static void address(int i, const char *name, const char *ip)
{
    struct os_addr a;
    REQUIRE(os_addr_parse_ip(slice_str(ip), 0, &a) == 0);
    records[i] =
        (struct record){.name = name, .type = a.kind == OS_ADDR_V4 ? DNS_TYPE_A : DNS_TYPE_AAAA};
    memcpy(records[i].data, a.u.ip, 16);
}

static void service(int i, unsigned priority, unsigned weight, unsigned at, const char *target)
{
    records[i] = (struct record){.name = "_h._tcp.t",
                                 .type = DNS_TYPE_SRV,
                                 .priority = priority,
                                 .weight = weight,
                                 .port = at,
                                 .target = target};
}

// ---- what is told ---------------------------------------------------------------------------------

static struct {
    int calls;
    int error;
    struct resolver_watch *end; // to be ended by the call
    char text[1024];
} heard;

static void on_list(void *arg, const struct resolver_list *list)
{
    (void)arg;
    struct text t = text_on(heard.text, sizeof(heard.text) - 1);
    for (unsigned i = 0; i < list->count; i++) {
        const struct resolver_entry *e = &list->entries[i];
        text_printf(&t, "%u/%u ", e->priority, e->weight);
        os_addr_text(&e->addr, &t);
        text_printf(&t, "=%.*s ", SLICE_ARG(e->target));
    }
    heard.text[t.len] = '\0';
    heard.error = list->error;
    heard.calls++;
    if (heard.end != NULL) {
        resolver_unwatch(r, heard.end);
    }
}

static void wait_calls(int n)
{
    uint64_t until = loop_clock_ns(&l) + 9 * UINT64_C(1000000000);
    while (heard.calls < n && loop_clock_ns(&l) < until) {
        loop_turn(&l, 20);
    }
    CHECK_EQ_INT(heard.calls, n);
}

static struct resolver_watch *follow(enum resolver_kind kind, const char *name)
{
    char server[64];
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", port);
    struct resolver_config config = {.servers = slice_str(server),
                                     .hosts = SLICE("10.7.7.7 here.t\n")};
    REQUIRE(resolver_new(&l, &config, &r) == 0);
    memset(&heard, 0, sizeof(heard));
    queries = 0;
    struct resolver_question q = {kind, slice_str(name), 80};
    struct resolver_watch *w = NULL;
    REQUIRE(resolver_follow(r, &q, on_list, NULL, &w) == 0);
    return w;
}

static void setup(void)
{
    static const struct loop_limits limits = {8, 8};
    sys = os_linux_new();
    REQUIRE(sys != NULL && loop_init(&l, sys, 0, &limits) == 0);
    open_server();
}

static void clear(void)
{
    memset(records, 0, sizeof(records));
}

// ---- cases ----------------------------------------------------------------------------------------

static void services_with_their_targets(void)
{
    clear();
    service(0, 10, 5, 8080, "one.t");
    service(1, 0, 0, 8081, "two.t");
    service(2, 0, 3, 8082, "one.t");
    service(3, 0, 1, 8083, "here.t");
    service(4, 0, 1, 8084, "gone.t");
    address(5, "one.t", "10.0.0.1");
    address(6, "one.t", "2001:db8::1");
    address(7, "two.t", "10.0.0.2");
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    CHECK_STR(heard.text, "0/3 10.0.0.1:8082=one.t 0/0 10.0.0.2:8081=two.t "
                          "0/1 10.7.7.7:8083=here.t 0/3 [2001:db8::1]:8082=one.t "
                          "10/5 10.0.0.1:8080=one.t 10/5 [2001:db8::1]:8080=one.t ");
    // A weight changes, a target goes.
    service(1, 0, 9, 8081, "two.t");
    records[0].name = NULL;
    wait_calls(2);
    CHECK_STR(heard.text, "0/3 10.0.0.1:8082=one.t 0/9 10.0.0.2:8081=two.t "
                          "0/1 10.7.7.7:8083=here.t 0/3 [2001:db8::1]:8082=one.t ");
    resolver_free(r);
}

static void addresses_that_come_along_are_not_asked_for(void)
{
    clear();
    service(0, 0, 1, 8080, "one.t");
    address(1, "one.t", "10.0.0.1");
    records[1].along = true;
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    CHECK_STR(heard.text, "0/1 10.0.0.1:8080=one.t ");
    CHECK_EQ_INT(queries, 1);
    resolver_free(r);
}

static void a_service_that_is_not_there(void)
{
    clear();
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    CHECK_EQ_INT(heard.error, E_NOT_RESOLVED);
    service(0, 0, 0, 0, "");
    wait_calls(2); // decidedly none
    CHECK_EQ_INT(heard.error, E_NOT_RESOLVED);
    CHECK_STR(heard.text, "");
    resolver_free(r);
    (void)follow(RESOLVER_SERVICE, "not a name");
    wait_calls(1);
    CHECK_EQ_INT(heard.error, E_NOT_RESOLVED);
    resolver_free(r);
}

static void a_failure_keeps_the_list(void)
{
    clear();
    service(0, 0, 1, 8080, "one.t");
    address(1, "one.t", "10.0.0.1");
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    records[0].code = 5; // refused
    wait_calls(2);
    CHECK_EQ_INT(heard.error, E_NOT_RESOLVED);
    CHECK_STR(heard.text, "0/1 10.0.0.1:8080=one.t ");
    records[0].code = 0;
    wait_calls(3); // told again although the list is the same: the failure is over
    CHECK_EQ_INT(heard.error, 0);
    CHECK_STR(heard.text, "0/1 10.0.0.1:8080=one.t ");
    resolver_free(r);
}

static void a_family_or_a_target_that_fails_alone_stays(void)
{
    clear();
    address(0, "both.t", "10.0.0.1");
    address(1, "both.t", "2001:db8::1");
    (void)follow(RESOLVER_HOST, "both.t");
    wait_calls(1);
    CHECK_STR(heard.text, "0/1 10.0.0.1:80=both.t 0/1 [2001:db8::1]:80=both.t ");
    records[0].code = 5;
    address(1, "both.t", "2001:db8::2");
    wait_calls(2);
    CHECK_EQ_INT(heard.error, 0);
    CHECK_STR(heard.text, "0/1 10.0.0.1:80=both.t 0/1 [2001:db8::2]:80=both.t ");
    resolver_free(r);
    clear();
    service(0, 0, 1, 8080, "one.t");
    service(1, 0, 1, 8081, "two.t");
    address(2, "one.t", "10.0.0.1");
    address(3, "two.t", "10.0.0.2");
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    records[2].code = 5;
    address(3, "two.t", "10.0.0.3");
    wait_calls(2);
    CHECK_STR(heard.text, "0/1 10.0.0.1:8080=one.t 0/1 10.0.0.3:8081=two.t ");
    resolver_free(r);
}

static void a_watch_may_end_in_its_call(void)
{
    clear();
    address(0, "one.t", "10.0.0.1");
    struct resolver_watch *w = follow(RESOLVER_HOST, "one.t");
    heard.end = w;
    wait_calls(1);
    for (int i = 0; i < 20; i++) {
        loop_turn(&l, 5);
    }
    CHECK_EQ_INT(heard.calls, 1);
    resolver_free(r);
}

static void an_answer_larger_than_512_bytes(void)
{
    clear();
    for (int i = 0; i < RECORDS_MAX; i++) {
        service(i, 0, 1, 1000u + (unsigned)i, "here.t");
    }
    (void)follow(RESOLVER_SERVICE, "_h._tcp.t");
    wait_calls(1);
    CHECK_EQ_INT(heard.error, 0);
    CHECK(slice_find(slice_str(heard.text), SLICE("10.7.7.7:1015=here.t")) > 0);
    resolver_free(r);
}

static void teardown(void)
{
    loop_close(&l, &udp, false);
    loop_fini(&l);
    os_linux_free(sys);
    CHECK(true);
}

TAP_MAIN(setup, services_with_their_targets, addresses_that_come_along_are_not_asked_for,
         a_service_that_is_not_there, a_failure_keeps_the_list,
         a_family_or_a_target_that_fails_alone_stays, a_watch_may_end_in_its_call,
         an_answer_larger_than_512_bytes, teardown)
