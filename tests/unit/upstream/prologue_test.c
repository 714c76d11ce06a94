// SPDX-License-Identifier: Apache-2.0
//
// upstream/prologue: what an origin is told of whose connection it gets.

#include "upstream/prologue.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "http/stream.h"
#include "loop/transport.h"
#include "net/proxy_header.h"
#include "tap.h"

static char room[PROLOGUE_MAX];

static struct os_addr addr(const char *text)
{
    struct os_addr a;
    REQUIRE(os_addr_parse(slice_str(text), &a) == 0);
    return a;
}

static struct slice write_for(unsigned version, const struct http_peer *peer)
{
    struct text t = text_on(room, sizeof(room));
    CHECK_EQ_INT(prologue_write(version, peer, &t), 0);
    return text_slice(&t);
}

static struct proxy_header parse_for(const struct http_peer *peer)
{
    struct proxy_header h;
    REQUIRE(proxy_header_parse(write_for(2, peer), &h) == 0);
    return h;
}

static void our_own_connections_say_so(void)
{
    CHECK(parse_for(NULL).local);
    struct slice line = write_for(1, NULL);
    CHECK_TEXT(line.ptr, line.len, "PROXY UNKNOWN\r\n");
}

static void a_destination_that_is_not_known_is_zero(void)
{
    struct http_peer peer = {.addr = {.kind = OS_ADDR_NONE}};
    struct os_addr from = addr("10.1.2.3:1234");
    http_peer_set(&peer, &from);
    struct slice line = write_for(1, &peer);
    CHECK_TEXT(line.ptr, line.len, "PROXY TCP4 10.1.2.3 0.0.0.0 1234 0\r\n");
}

static void the_kernel_knows_where_a_client_connected_to(void)
{
    static const struct loop_limits limits = {8, 8};
    struct sys *sys = os_linux_new();
    static struct loop loop;
    static struct transport_core core;
    REQUIRE(sys != NULL && loop_init(&loop, sys, 0, &limits) == 0);
    transport_core_init(&core, &loop, 4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    REQUIRE(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    int error = 0;
    struct transport *t = transport_new(&core, fd, &error);
    REQUIRE(t != NULL);
    struct http_peer peer = {.transport = t};
    struct os_addr from = addr("10.1.2.3:1234");
    http_peer_set(&peer, &from);
    struct proxy_header h = parse_for(&peer);
    CHECK(os_addr_eq(&h.from, &from));
    CHECK_EQ_INT(h.to.kind, OS_ADDR_V4);
    CHECK_EQ_INT(h.to.u.ip[0], 127);
    CHECK(h.to.port != 0);
    CHECK(!h.secure);
    transport_close(t, false);
    transport_core_fini(&core);
    loop_fini(&loop);
    os_linux_free(sys);
}

static void what_a_header_said_goes_on(void)
{
    struct os_addr to = addr("[2001:db8::2]:443");
    struct http_proxied proxied = {
        .to = os_peer_of(&to),
        .secure = true,
        .unique_id = SLICE("id"),
        .authority = SLICE("a.test"),
        .alpn = SLICE("h2"),
        .version = SLICE("TLSv1.3"),
    };
    struct http_peer peer = {.proxied = &proxied};
    struct os_addr from = addr("[2001:db8::1]:1234");
    http_peer_set(&peer, &from);
    struct proxy_header h = parse_for(&peer);
    CHECK(os_addr_eq(&h.from, &from));
    CHECK(os_addr_eq(&h.to, &to));
    CHECK(h.secure && !h.client_verified);
    CHECK(slice_eq(h.unique_id, SLICE("id")) && slice_eq(h.authority, SLICE("a.test")));
    CHECK(slice_eq(h.alpn, SLICE("h2")) && slice_eq(h.version_tls, SLICE("TLSv1.3")));
}

static void our_own_tls_is_described(void)
{
    static const struct {
        struct slice subject;
        const char *name;
    } rows[] = {
        {SLICE_INIT("CN=alice"), "alice"},
        {SLICE_INIT("O=Company,CN=alice,C=DE"), "alice"},
        {SLICE_INIT("O=Company"), ""},
        {SLICE_INIT("CN=Smith\\, Alice"), ""}, // rather none than half of it
        {SLICE_INIT(""), ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct http_security security = {
            .version = SLICE("TLSv1.2"),
            .cipher = SLICE("TLS_AES_128_GCM_SHA256"),
            .server_name = SLICE("b.test"),
            .client_verified = true,
            .client_subject = rows[i].subject,
        };
        struct http_proxied proxied = {.authority = SLICE("a.test"), .unique_id = SLICE("id")};
        struct http_peer peer = {.secure = true, .security = &security, .proxied = &proxied};
        struct os_addr from = addr("10.0.0.1:1");
        http_peer_set(&peer, &from);
        struct proxy_header h = parse_for(&peer);
        CHECK(h.secure && h.client_verified);
        CHECK_TEXT(h.client_name.ptr, h.client_name.len, rows[i].name);
        CHECK(slice_eq(h.authority, SLICE("b.test")) && slice_eq(h.unique_id, SLICE("id")));
    }
}

static void a_name_that_was_asked_for_unopened_is_said(void)
{
    struct http_peer peer = {.proxied = NULL};
    struct os_addr from = addr("10.0.0.1:1");
    http_peer_set(&peer, &from);
    struct text t = text_on(room, sizeof(room));
    struct proxy_header h;
    CHECK_EQ_INT(prologue_write_for(2, &peer, SLICE("db.test"), &t), 0);
    REQUIRE(proxy_header_parse(text_slice(&t), &h) == 0);
    CHECK_TEXT(h.authority.ptr, h.authority.len, "db.test");
    CHECK(!h.secure); // it is not known to be: nobody looked inside
}

static void a_unix_client_is_one(void)
{
    struct http_peer peer = {.proxied = NULL};
    struct os_addr from = addr("unix:/run/x");
    http_peer_set(&peer, &from);
    struct proxy_header h = parse_for(&peer);
    CHECK(h.local || h.from.kind == OS_ADDR_UNIX);
    struct slice line = write_for(1, &peer);
    CHECK_TEXT(line.ptr, line.len, "PROXY UNKNOWN\r\n");
}

static void a_datagram_has_addresses_alone(void)
{
    static const char v4[] = "\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\1\2\3\0\0\0\0\x04\xd2\0\x35";
    char bytes[DATAGRAM_PROLOGUE_MAX];
    struct http_peer peer = {.port = 53};
    struct os_addr from = addr("10.1.2.3:1234");
    http_peer_set(&peer, &from);
    struct text t = text_on(bytes, sizeof(bytes));
    CHECK_EQ_INT(prologue_write_datagram(&peer, &t), 0);
    CHECK_EQ_INT(t.len, sizeof(v4) - 1);
    CHECK(memcmp(t.ptr, v4, sizeof(v4) - 1) == 0);
    from = addr("[2001:db8::1]:1234");
    http_peer_set(&peer, &from);
    t = text_on(bytes, sizeof(bytes));
    CHECK_EQ_INT(prologue_write_datagram(&peer, &t), 0);
    CHECK_EQ_INT(t.len, 16 + 36);
    CHECK_EQ_INT(t.ptr[13], 0x22);
    peer.addr.kind = OS_ADDR_NONE;
    t = text_on(bytes, sizeof(bytes));
    CHECK_EQ_INT(prologue_write_datagram(&peer, &t), 0);
    CHECK_EQ_INT(t.len, 16);
    CHECK_EQ_INT(t.ptr[12], 0x20); // LOCAL
}

TAP_MAIN(a_datagram_has_addresses_alone, our_own_connections_say_so,
         a_destination_that_is_not_known_is_zero, the_kernel_knows_where_a_client_connected_to,
         what_a_header_said_goes_on, our_own_tls_is_described,
         a_name_that_was_asked_for_unopened_is_said, a_unix_client_is_one)
