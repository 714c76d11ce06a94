// SPDX-License-Identifier: Apache-2.0
//
// Which cookies of a tunnel stay with it.

#include "tunnel/cookies.h"

#include "tap.h"

static bool ok(const char *cookie)
{
    return tunnel_cookie_ok(slice_str(cookie), SLICE("myapp.tunnel.example.com"));
}

static void its_own_are_let_through(void)
{
    CHECK(ok("a=1"));
    CHECK(ok("a=1; Path=/; Secure; HttpOnly"));
    CHECK(ok("a=1; Domain=myapp.tunnel.example.com"));
    CHECK(ok("a=1; domain=.MyApp.Tunnel.Example.com ; Path=/"));
    CHECK(ok("a=1; Domain=api.myapp.tunnel.example.com"));
    CHECK(ok("a=1; Domain=; Path=/"));
    CHECK(ok("a=domain=example.com"));
    CHECK(ok("a=1; DomainX=example.com"));
}

static void wider_ones_are_dropped(void)
{
    CHECK(!ok("a=1; Domain=tunnel.example.com"));
    CHECK(!ok("a=1; Domain=.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=example.com"));
    CHECK(!ok("a=1; Domain=com"));
    CHECK(!ok("a=1; DOMAIN = tunnel.example.com"));
    CHECK(!ok("a=1;Domain=other.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=xmyapp.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=tunnel.example.com; Domain=myapp.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=myapp.tunnel.example.com; Domain=tunnel.example.com"));
}

TAP_MAIN(its_own_are_let_through, wider_ones_are_dropped)
