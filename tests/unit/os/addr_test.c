// SPDX-License-Identifier: Apache-2.0
//
// addr: text in and out, the kernel's form, ranges.

#include "os/addr.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

static void round_trip(const char *in, const char *want)
{
    struct os_addr a;
    char buffer[OS_ADDR_TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    if (!CHECK(os_addr_parse_listen(slice_str(in), &a) == 0)) {
        printf("#   in: %s\n", in);
        return;
    }
    os_addr_text(&a, &t);
    CHECK_TEXT(t.ptr, t.len, want);
    if (!a.dual) {
        struct sockaddr_storage storage;
        unsigned len = os_addr_to_sockaddr(&a, &storage);
        struct os_addr back;
        os_addr_from_sockaddr(&back, (struct sockaddr *)&storage, len);
        CHECK(os_addr_eq(&a, &back));
    }
}

static void reads_and_writes(void)
{
    round_trip("1.2.3.4:80", "1.2.3.4:80");
    round_trip("[::1]:8080", "[::1]:8080");
    round_trip("[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535");
    round_trip("[fe80::1%3]:80", "[fe80::1%3]:80");
    round_trip("unix:/run/x.sock", "unix:/run/x.sock");
    round_trip("unix:@abstract", "unix:@abstract");
    round_trip(":80", ":80");
    round_trip("*:80", ":80");
    round_trip("0.0.0.0:0", "0.0.0.0:0");
}

static void refuses(void)
{
    static const char *bad[] = {
        "",           "80",
        ":",          "1.2.3.4",
        "1.2.3.4:",   "1.2.3.4:65536",
        "1.2.3:80",   "1.2.3.4.5:80",
        "::1:80",     "[::1]",
        "[::1]:",     "[::1:80",
        "host:80",    "1.2.3.4:+80",
        "1.2.3.4: 8", "01.2.3.4:80",
        "unix:",      "unix:x",
        "[]:80",      "[1.2.3.4]:80",
        "1.2.3.4:8x", "1.2.3.4:00080",
        "[::1%]:80",  "[::1%no_such_if]:1",
    };
    struct os_addr a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = os_addr_parse(slice_str(bad[i]), &a);
        bool leading_zeros = strcmp(bad[i], "1.2.3.4:00080") == 0;
        if (!CHECK_EQ_INT(rc, leading_zeros ? 0 : E_INVALID)) {
            printf("#   in: %s\n", bad[i]);
        }
    }
    char path[200] = "unix:/";
    memset(path + 6, 'x', 150);
    CHECK_EQ_INT(os_addr_parse(slice_str(path), &a), E_TOO_LARGE);
    CHECK_EQ_INT(os_addr_parse(slice_of("unix:/a\0b", 9), &a), E_INVALID);
    CHECK_EQ_INT(os_addr_parse(SLICE(":80"), &a), E_INVALID);
}

static struct os_addr ip(const char *s)
{
    struct os_addr a;
    REQUIRE(os_addr_parse_ip(slice_str(s), 1, &a) == 0);
    return a;
}

static void compares(void)
{
    struct os_addr a = ip("10.0.0.1");
    struct os_addr b = ip("10.0.0.1");
    b.port = 2;
    CHECK(os_addr_same_ip(&a, &b) && !os_addr_eq(&a, &b));
    struct os_addr c = ip("::1");
    CHECK(!os_addr_same_ip(&a, &c));
    struct os_addr none = {.kind = OS_ADDR_NONE};
    CHECK(os_addr_eq(&none, &none));
    CHECK_ABORTS(os_addr_to_sockaddr(&none, &(struct sockaddr_storage){0}));
}

static void turns_mapped_peers_into_v4(void)
{
    struct os_addr mapped = ip("::ffff:10.1.2.3");
    struct sockaddr_storage storage;
    unsigned len = os_addr_to_sockaddr(&mapped, &storage);
    struct os_addr a;
    os_addr_from_sockaddr(&a, (struct sockaddr *)&storage, len);
    char buffer[64];
    struct text t = text_on(buffer, sizeof(buffer));
    os_addr_ip_text(&a, &t);
    CHECK_TEXT(t.ptr, t.len, "10.1.2.3");
    os_addr_from_sockaddr(&a, (struct sockaddr *)&storage, 1);
    CHECK_EQ_INT(a.kind, OS_ADDR_NONE);
    // An unnamed Unix peer.
    storage.ss_family = AF_UNIX;
    os_addr_from_sockaddr(&a, (struct sockaddr *)&storage, sizeof(sa_family_t));
    CHECK(a.kind == OS_ADDR_UNIX && a.path_len == 0);
}

static bool in(const char *range, const char *address)
{
    struct os_cidr c;
    REQUIRE(os_cidr_parse(slice_str(range), &c) == 0);
    struct os_addr a = {.kind = OS_ADDR_UNIX};
    if (strcmp(address, "unix") != 0) {
        a = ip(address);
    }
    return os_cidr_contains(&c, &a);
}

static void knows_ranges(void)
{
    CHECK(in("10.0.0.0/8", "10.255.0.1") && !in("10.0.0.0/8", "11.0.0.0"));
    CHECK(in("10.0.0.1", "10.0.0.1") && !in("10.0.0.1", "10.0.0.2"));
    CHECK(in("192.168.2.0/23", "192.168.3.9") && !in("192.168.2.0/23", "192.168.4.0"));
    CHECK(in("0.0.0.0/0", "1.2.3.4") && !in("0.0.0.0/0", "::1"));
    CHECK(in("0.0.0.0/0", "::ffff:1.2.3.4") && in("10.0.0.0/8", "::ffff:10.0.0.1"));
    CHECK(in("::/0", "::1") && in("2001:db8::/33", "2001:db8:7fff::") &&
          !in("2001:db8::/33", "2001:db8:8000::"));
    CHECK(in("unix", "unix") && !in("unix", "1.2.3.4") && !in("::/0", "unix"));
    static const char *bad[] = {"10.0.0.1/8",  "10.0.0.0/33", "::1/64", "::/129",   "10.0.0.0/",
                                "10.0.0.0/+8", "x",           "",       "fe80::1%1"};
    struct os_cidr c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ_INT(os_cidr_parse(slice_str(bad[i]), &c), E_INVALID);
    }
}

TAP_MAIN(reads_and_writes, refuses, compares, turns_mapped_peers_into_v4, knows_ranges)
