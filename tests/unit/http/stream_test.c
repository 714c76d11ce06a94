// SPDX-License-Identifier: Apache-2.0
//
// stream: the peer's address as text.

#include "http/stream.h"

#include "tap.h"

static void tells_the_address_without_port(void)
{
    static const struct {
        const char *addr;
        const char *ip;
    } rows[] = {
        {"192.0.2.7:4711", "192.0.2.7"},
        {"255.255.255.255:65535", "255.255.255.255"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"unix:/run/app.sock", ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct os_addr addr;
        REQUIRE(os_addr_parse(slice_str(rows[i].addr), &addr) == 0);
        struct http_peer peer = {.listener = 3};
        http_peer_set(&peer, &addr);
        struct slice ip = http_peer_ip(&peer);
        CHECK_TEXT(ip.ptr, ip.len, rows[i].ip);
        struct os_addr back = os_peer_addr(&peer.addr);
        CHECK(addr.kind == OS_ADDR_UNIX ? back.kind == addr.kind : os_addr_eq(&back, &addr));
        CHECK_EQ_INT(peer.listener, 3);
    }
}

static void holds_the_longest_address_there_is(void)
{
    struct os_addr addr;
    REQUIRE(os_addr_parse(SLICE("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"), &addr) == 0);
    addr.scope = UINT32_MAX;
    struct http_peer peer = {.listener = 0};
    http_peer_set(&peer, &addr);
    CHECK_TEXT(peer.ip_text, peer.ip_text_len,
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295");
}

TAP_MAIN(tells_the_address_without_port, holds_the_longest_address_there_is)
