// SPDX-License-Identifier: Apache-2.0
//
// Addresses: each short form and its one canonical form, and what the rest is told.

#include "tap.h"

#include "base/text.h"
#include "conf/address.h"

typedef int canonical_fn(struct slice s, struct text *out, struct conf_problem *problem);

static const char *form(canonical_fn *fn, const char *s)
{
    static char buffer[512];
    struct conf_problem problem = {"", ""};
    struct text t = text_on(buffer, sizeof buffer - 1);
    if (fn(slice_str(s), &t, &problem) != 0) {
        t.len = 0;
        text_printf(&t, "! %s", problem.what);
    }
    buffer[t.len] = '\0';
    return buffer;
}

#define ORIGIN(s, want) CHECK_STR(form(conf_address_origin, s), want)
#define LISTEN(s, want) CHECK_STR(form(conf_address_listen, s), want)
#define HOST(s, want)   CHECK_STR(form(conf_address_host, s), want)

static void origins(void)
{
    ORIGIN("3000", "127.0.0.1:3000");
    ORIGIN(":3000", "127.0.0.1:3000");
    ORIGIN("10.0.0.1:80", "10.0.0.1:80");
    ORIGIN("[::1]:80", "[::1]:80");
    ORIGIN("[FD00::1]:80", "[fd00::1]:80");
    ORIGIN("App.Internal:80", "app.internal:80");
    ORIGIN("my_app:80", "my_app:80");
    ORIGIN("unix:/run/App.sock", "unix:/run/App.sock");
    ORIGIN("http://a.b", "a.b:80");
    ORIGIN("http://a.b:81/", "a.b:81");
    ORIGIN("http://[::1]", "[::1]:80");
    ORIGIN("http://[::1]:8", "[::1]:8");
    ORIGIN("http://a.b/x", "! the address of an origin has no path");
    ORIGIN("a.b:80/x", "! the address of an origin has no path");
    ORIGIN("https://a.b", "https://a.b:443");
    ORIGIN("https://A.b:8443/", "https://a.b:8443");
    ORIGIN("https://[::1]", "https://[::1]:443");
    ORIGIN("https://10.0.0.1", "https://10.0.0.1:443");
    ORIGIN("https://a.b/x", "! the address of an origin has no path");
    ORIGIN("https://", "! the host is empty");
    ORIGIN("h2c://10.0.0.1:50051", "h2c://10.0.0.1:50051");
    ORIGIN("h2c://app", "h2c://app:80");
    ORIGIN("srv://_http._tcp.App.internal", "srv://_http._tcp.app.internal");
    ORIGIN("srvs://_https._tcp.a.b", "srvs://_https._tcp.a.b");
    ORIGIN("srv://app.internal", "! not the name of a service: it is _NAME._PROTOCOL.DOMAIN");
    ORIGIN("srv://_http.app", "! not the name of a service: it is _NAME._PROTOCOL.DOMAIN");
    ORIGIN("srv://_http._tcp", "! not the name of a service: it is _NAME._PROTOCOL.DOMAIN");
    ORIGIN("srv://_http._tcp.", "! the host name has an empty part");
    ORIGIN("srv://_http._tcp.a:80",
           "! a service has no port and no path: its records say the ports");
    ORIGIN("grpc://a.b:1", "! an unknown scheme");
    ORIGIN("ftp://a.b", "! an unknown scheme");
    ORIGIN("10.0.0.1", "! the address has no port");
    ORIGIN("::1", "! the address has no port");
    ORIGIN("::1:80:x", "! not an address");
    ORIGIN("[::1]", "! the address has no port");
    ORIGIN("[::1", "! no IPv6 address in the brackets");
    ORIGIN("10.0.0.256:80", "! not an IPv4 address");
    ORIGIN("a.b:0", "! the port is out of range");
    ORIGIN("a.b:65536", "! the port is out of range");
    ORIGIN("a.b:080", "! the port is not a number");
    ORIGIN("a.b:http", "! the port is not a number");
    ORIGIN("a..b:80", "! the host name has an empty part");
    ORIGIN("a b:80", "! the host name has a character that no host name has");
    ORIGIN(":", "! the port is not a number");
    ORIGIN("unix:run/x", "! a Unix socket needs an absolute path");
    ORIGIN("/run/x", "! a path is not an address");
}

static void schemes(void)
{
    struct slice a = SLICE("https://[::1]:443");
    CHECK(conf_address_take_scheme(&a) == CONF_SCHEME_HTTPS);
    CHECK(slice_eq(a, SLICE("[::1]:443")));
    a = SLICE("h2c://x:80");
    CHECK(conf_address_take_scheme(&a) == CONF_SCHEME_H2C);
    CHECK(slice_eq(a, SLICE("x:80")));
    a = SLICE("srvs://_h._tcp.x");
    CHECK(conf_address_is_service(a));
    CHECK(conf_address_take_scheme(&a) == CONF_SCHEME_HTTPS);
    CHECK(slice_eq(a, SLICE("_h._tcp.x")));
    CHECK(!conf_address_is_service(a));
    a = SLICE("srv://_h._tcp.x");
    CHECK(conf_address_take_scheme(&a) == CONF_SCHEME_HTTP);
    CHECK(slice_eq(a, SLICE("_h._tcp.x")));
    a = SLICE("unix:/x");
    CHECK(conf_address_take_scheme(&a) == CONF_SCHEME_HTTP);
    CHECK(slice_eq(a, SLICE("unix:/x")));
}

static void listeners(void)
{
    LISTEN("8080", "[::]:8080");
    LISTEN(":8080", "[::]:8080");
    LISTEN("127.0.0.1:0", "127.0.0.1:0");
    LISTEN("[::1]:80", "[::1]:80");
    LISTEN("unix:/run/adit", "unix:/run/adit");
    LISTEN("localhost:80", "! a listener has an IP address, not a name");
    LISTEN("*:80", "! `*` is no address");
    LISTEN("::1", "! the address has no port");
    LISTEN("http://127.0.0.1:80", "! a listener has no scheme");
    LISTEN("65536", "! the port is out of range");
    LISTEN("", "! the address has no port");
}

static void hosts(void)
{
    HOST("Example.COM", "example.com");
    HOST("*.Example.com", "*.example.com");
    HOST("default", "default");
    HOST("127.0.0.1", "127.0.0.1");
    HOST("::1", "[::1]");
    HOST("[::1]", "[::1]");
    HOST("localhost", "localhost");
    HOST("*", "! any other host is written `default`");
    HOST("a.*.b", "! a wildcard is only the whole first part of a host");
    HOST("*a.b", "! a wildcard is only the whole first part of a host");
    HOST("a.b:80", "! a host stands without a port");
    HOST("http://a.b", "! a host stands without a scheme");
    HOST("a.b/c", "! a host has no path");
    HOST("a.b.", "! a host stands without a dot at its end");
    HOST("b\xc3\xbc"
         "cher.de",
         "! the host name has letters beyond ASCII");
    HOST("", "! the host is empty");
}

static void names(void)
{
    CHECK(conf_address_is_name(SLICE("app")));
    CHECK(conf_address_is_name(SLICE("app-2_x.y")));
    CHECK(!conf_address_is_name(SLICE("2app")));
    CHECK(!conf_address_is_name(SLICE("app:80")));
    CHECK(!conf_address_is_name(SLICE("")));
}

TAP_MAIN(origins, schemes, listeners, hosts, names)
