// SPDX-License-Identifier: Apache-2.0
//
// Callers: how often an address may call, how many connections it may have, and that a flood of
// addresses takes no memory.

#include "tunnel/callers.h"

#include "tap.h"

static struct os_addr addr(const char *text)
{
    struct os_addr a;
    REQUIRE(os_addr_parse_ip(slice_str(text), 0, &a) == 0);
    return a;
}

static unsigned knocks(struct callers *c, const struct os_addr *a, uint64_t now_ms, unsigned most)
{
    unsigned n = 0;
    while (n < most && callers_knock(c, a, now_ms)) {
        n++;
    }
    return n;
}

static void calls_are_counted(void)
{
    struct callers *c = callers_new();
    REQUIRE(c != NULL);
    struct os_addr a = addr("192.0.2.1");
    struct os_addr b = addr("192.0.2.2");
    CHECK_EQ_INT(knocks(c, &a, 5000, 1000), CALLERS_BURST);
    CHECK_EQ_INT(knocks(c, &b, 5000, 10), 10);
    CHECK_EQ_INT(knocks(c, &a, 5099, 10), 0);
    CHECK_EQ_INT(knocks(c, &a, 6000, 100), CALLERS_PER_SECOND);
    CHECK_EQ_INT(knocks(c, &a, 5000, 100), 0); // another core's clock is a little behind
    CHECK_EQ_INT(knocks(c, &a, 1000000, 1000), CALLERS_BURST);
    callers_free(c);
}

static void connections_are_counted(void)
{
    struct callers *c = callers_new();
    REQUIRE(c != NULL);
    struct os_addr a = addr("192.0.2.1");
    struct os_addr mapped = addr("::ffff:192.0.2.1");
    CHECK(callers_enter(c, &a, 2, 1));
    CHECK(callers_enter(c, &mapped, 2, 1));
    CHECK(!callers_enter(c, &a, 2, 1));
    CHECK(callers_enter(c, &a, 0, 1));
    callers_leave(c, &a);
    callers_leave(c, &mapped);
    CHECK(callers_enter(c, &a, 2, 1));
    callers_leave(c, &a);
    callers_leave(c, &a);
    callers_free(c);
}

static void a_network_of_ipv6_is_one_caller(void)
{
    struct callers *c = callers_new();
    REQUIRE(c != NULL);
    struct os_addr a = addr("2001:db8:0:1::1");
    struct os_addr b = addr("2001:db8:0:1:ffff::2");
    struct os_addr other = addr("2001:db8:0:2::1");
    CHECK(callers_enter(c, &a, 1, 1));
    CHECK(!callers_enter(c, &b, 1, 1));
    CHECK(callers_enter(c, &other, 1, 1));
    callers_leave(c, &b);
    callers_leave(c, &other);
    callers_free(c);
}

static void a_flood_forgets_nobody_who_is_there(void)
{
    struct callers *c = callers_new();
    REQUIRE(c != NULL);
    struct os_addr a = addr("192.0.2.1");
    REQUIRE(callers_enter(c, &a, 1, 1));
    struct os_addr flood = addr("10.0.0.0");
    for (uint32_t i = 0; i < 200000; i++) {
        memcpy(flood.u.ip, &i, sizeof(i));
        flood.u.ip[3] = 10;
        CHECK(callers_knock(c, &flood, 2));
    }
    CHECK(!callers_enter(c, &a, 1, 3));
    callers_leave(c, &a);
    callers_free(c);
}

TAP_MAIN(calls_are_counted, connections_are_counted, a_network_of_ipv6_is_one_caller,
         a_flood_forgets_nobody_who_is_there)
