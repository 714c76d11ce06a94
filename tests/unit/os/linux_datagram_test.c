// SPDX-License-Identifier: Apache-2.0
//
// Datagrams in batches, on the loopback: who sent them, where they were sent to, and that an answer
// leaves from there.

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "os/listen.h"
#include "os/sys.h"
#include "tap.h"

static struct os_addr address(const char *text)
{
    struct os_addr a;
    REQUIRE(os_addr_parse_listen(slice_str(text), &a) == 0);
    return a;
}

static void an_answer_leaves_from_where_the_question_went(const char *listen, const char *ask)
{
    struct sys *sys = os_linux_new();
    REQUIRE(sys != NULL);
    const struct os_listen how = {.addr = address(listen), .datagram = true};
    int server = os_listen_open(&how);
    REQUIRE(server >= 0);
    struct os_addr bound;
    REQUIRE(os_listen_addr(server, &bound) == 0);
    struct os_addr to = address(ask);
    to.port = bound.port;
    int client = sys->ops->connect_datagrams(sys, &to); // hears nobody else
    REQUIRE(client >= 0);
    static char bytes[2][16];
    struct sys_datagram d[2] = {{.bytes = bytes[0], .len = 5}, {.bytes = bytes[1], .len = 0}};
    CHECK_EQ_INT(sys->ops->send(sys, client, d, 2), 2);
    for (unsigned i = 0; i < 2; i++) {
        d[i] = (struct sys_datagram){.bytes = bytes[i], .room = 3};
    }
    CHECK_EQ_INT(sys->ops->receive(sys, server, d, 2), 2);
    CHECK(d[0].cut);
    CHECK(!d[1].cut);
    CHECK_EQ_INT(d[1].len, 0);
    struct os_addr from;
    os_way_peer(&d[0].way, &from);
    CHECK(os_addr_same_ip(&from, &to) || to.kind == OS_ADDR_V4);
    CHECK(from.port != 0);
    d[0].len = 2;
    CHECK_EQ_INT(sys->ops->send(sys, server, d, 1), 1);
    d[1] = (struct sys_datagram){.bytes = bytes[1], .room = sizeof(bytes[1])};
    CHECK_EQ_INT(sys->ops->receive(sys, client, &d[1], 1), 1);
    CHECK_EQ_INT(d[1].len, 2);
    CHECK_EQ_INT(sys->ops->receive(sys, client, &d[1], 1), E_AGAIN);
    (void)close(server);
    CHECK_EQ_INT(
        sys->ops->send(sys, client, &(struct sys_datagram){.bytes = bytes[0], .len = 1}, 1), 1);
    CHECK_EQ_INT(sys->ops->receive(sys, client, &d[1], 1), E_REFUSED);
    (void)close(client);
    os_linux_free(sys);
}

static void over_ipv4(void)
{
    an_answer_leaves_from_where_the_question_went("0.0.0.0:0", "127.0.0.3:1");
}

static void over_a_socket_of_both_families(void)
{
    an_answer_leaves_from_where_the_question_went(":0", "127.0.0.3:1");
    an_answer_leaves_from_where_the_question_went(":0", "[::1]:1");
}

TAP_MAIN(over_ipv4, over_a_socket_of_both_families)
