// SPDX-License-Identifier: Apache-2.0
//
// Ports of tunnels: bound within the ranges of the plan alone, kept and closed by plans, handed on.

#include "super/ports.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "os/fdpass.h"
#include "os/listen.h"
#include "super/child.h"

#include "tap.h"

enum { TCP = 77, UDP = 79, WIDTH = 200 };

static struct ipc_plan plan;
static struct ports ports;
static unsigned first; // port of the range

/** Ranges begin where so many ports are free. */
static void begin(const char *address, unsigned width)
{
    static unsigned next = 33000;
    struct ipc_port_range r = {.keys = {TCP, UDP}};
    REQUIRE(os_addr_parse_listen(slice_str(address), &r.first) == 0);
    r.first.port = (uint16_t)next;
    r.last = next + width - 1;
    first = next;
    next += width;
    memset(&plan, 0, sizeof plan);
    plan.port_ranges = 1;
    plan.ranges[0] = r;
    REQUIRE(ports_init(&ports, IPC_PORTS_MAX) == 0);
}

static int open_one(uint64_t stream, unsigned port)
{
    const struct ipc_port_request r = {.stream = stream, .datagram = stream == UDP, .port = port};
    return ports_open(&ports, &plan, &r);
}

static void a_quarter_of_the_descriptors(void)
{
    CHECK_EQ_INT(ports_limit(800), 200);
    CHECK_EQ_INT(ports_limit(20000), IPC_PORTS_MAX);
    CHECK_EQ_INT(ports_limit(0), 0);
}

static void a_port_is_opened_within_the_plan_alone(void)
{
    begin("127.55.0.1:1", WIDTH);
    int index = open_one(TCP, first);
    CHECK_EQ_INT(index, IPC_LISTENERS_MAX);
    struct os_addr bound;
    REQUIRE(os_listen_addr(ports.at[0].fd, &bound) == 0);
    CHECK(bound.kind == OS_ADDR_V4 && bound.u.ip[1] == 55 && bound.port == first);
    CHECK_EQ_INT(open_one(TCP, first), E_IN_USE);
    CHECK_EQ_INT(open_one(UDP, first), IPC_LISTENERS_MAX + 1);
    const struct ipc_port_request mixed = {.stream = UDP, .port = first + 1};
    CHECK_EQ_INT(ports_open(&ports, &plan, &mixed), E_DENIED); // that key is UDP's
    CHECK_EQ_INT(open_one(TCP + 1, first + 1), E_DENIED);
    static const unsigned others[] = {0, 22, 1 << 20};
    for (size_t i = 0; i < array_len(others); i++) {
        CHECK_EQ_INT(open_one(TCP, others[i]), E_DENIED);
    }
    CHECK_EQ_INT(open_one(TCP, first - 1), E_DENIED);
    CHECK_EQ_INT(open_one(TCP, first + WIDTH), E_DENIED);
    CHECK(ports.count[0] == 1 && ports.count[1] == 1);
    CHECK(!ports_close_one(&ports, 0)); // a listener's
    CHECK(!ports_close_one(&ports, IPC_LISTENERS_MAX + 2));
    CHECK(!ports_close_one(&ports, UINT32_MAX));
    CHECK(ports_close_one(&ports, (uint32_t)index));
    CHECK(!ports_close_one(&ports, (uint32_t)index));
    CHECK_EQ_INT(open_one(TCP, first + 1), index); // the place is free again
    ports_close(&ports);
}

static void no_more_than_there_may_be(void)
{
    begin("127.55.0.2:1", WIDTH);
    ports.max = 3;
    for (unsigned i = 0; i < 3; i++) {
        CHECK(open_one(TCP, first + i) >= 0);
    }
    CHECK_EQ_INT(open_one(TCP, first + 3), E_TOO_LARGE);
    CHECK(ports_close_one(&ports, IPC_LISTENERS_MAX + 1));
    CHECK_EQ_INT(open_one(TCP, first + 3), IPC_LISTENERS_MAX + 1);
    ports_close(&ports);
    CHECK_EQ_INT(open_one(TCP, first), E_TOO_LARGE); // the edge ends
}

static void a_plan_keeps_what_it_allows(void)
{
    begin("127.55.0.3:1", WIDTH);
    for (unsigned i = 0; i < 10; i++) {
        CHECK(open_one(TCP, first + i) >= 0);
    }
    struct ipc_plan narrow = plan;
    narrow.ranges[0].last = first + 4;
    ports_try(&ports, &narrow);
    ports_undo(&ports);
    ports_commit(&ports);
    CHECK_EQ_INT(ports.count[0], 10);
    ports_try(&ports, &narrow);
    CHECK(ports.at[4].wanted && !ports.at[5].wanted);
    ports_commit(&ports);
    CHECK(ports.count[0] == 5 && ports.end == 5);
    CHECK_EQ_INT(open_one(TCP, first + 7), IPC_LISTENERS_MAX + 5); // by the plan in force
    struct ipc_plan moved = plan;
    moved.ranges[0].first.u.ip[3]++;
    ports_try(&ports, &moved);
    ports_commit(&ports);
    CHECK_EQ_INT(ports.count[0], 0);
    ports_close(&ports);
}

static void a_port_is_found_by_its_address(void)
{
    begin("127.55.0.4:1", WIDTH);
    CHECK(open_one(UDP, first) >= 0);
    struct os_addr at = plan.ranges[0].first;
    CHECK(ports_find(&ports, &at, true) == &ports.at[0]);
    CHECK(ports_find(&ports, &at, false) == NULL);
    at.u.ip[3]++;
    CHECK(ports_find(&ports, &at, true) == NULL);
    ports_close(&ports);
}

static void another_program_takes_it_over(void)
{
    begin("127.55.0.5:1", WIDTH);
    REQUIRE(open_one(TCP, first) >= 0);
    struct port one = ports.at[0];
    one.fd = fcntl(one.fd, F_DUPFD_CLOEXEC, 0);
    CHECK_EQ_INT(ports_adopt(&ports, IPC_LISTENERS_MAX, &one), E_INVALID); // somebody is there
    CHECK_EQ_INT(ports_adopt(&ports, IPC_LISTENERS_MAX - 1, &one), E_INVALID);
    CHECK_EQ_INT(ports_adopt(&ports, IPC_INDEXES_MAX, &one), E_INVALID);
    CHECK_EQ_INT(ports_adopt(&ports, IPC_INDEXES_MAX - 1, &one), 0);
    CHECK(ports.count[0] == 2 && ports.end == IPC_PORTS_MAX);
    CHECK(ports_close_one(&ports, IPC_INDEXES_MAX - 1));
    CHECK_EQ_INT(ports.end, 1);
    ports_close(&ports);
}

static void a_worker_gets_all_of_them(void)
{
    begin("127.55.0.6:1", WIDTH);
    for (unsigned i = 0; i < WIDTH; i++) {
        REQUIRE(open_one(i % 2 == 0 ? TCP : UDP, first + i) >= 0);
    }
    REQUIRE(ports_close_one(&ports, IPC_LISTENERS_MAX + 7));
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    struct child child;
    child_init(&child, IPC_WORKER, "worker");
    child.channel = ends[0];
    ports_send(&ports, false, &child);
    unsigned got = 0;
    struct ipc_message m;
    struct ipc_fds fds;
    while (ipc_recv(ends[1], IPC_SUPERVISOR, &m, &fds, 0) == 0) {
        REQUIRE(m.type == IPC_ports);
        for (uint32_t i = 0; i < fds.count; i++) {
            const struct ipc_open_port *p = &m.u.ports.at[i];
            const struct port *is = &ports.at[p->index - IPC_LISTENERS_MAX];
            struct os_addr bound;
            REQUIRE(os_listen_addr(fds.fd[i], &bound) == 0);
            CHECK(bound.port == p->port && p->port == is->at.port && p->stream == is->stream);
            CHECK_EQ_INT(p->datagram, is->datagram);
            got++;
        }
        ipc_drop(&fds);
    }
    CHECK_EQ_INT(got, WIDTH - 1);
    struct ipc_plan narrow = plan;
    narrow.ranges[0].last = first + 99;
    ports_try(&ports, &narrow);
    ports_send_unwanted(&ports, &child);
    REQUIRE(ipc_recv(ends[1], IPC_SUPERVISOR, &m, &fds, 0) == 0);
    REQUIRE(m.type == IPC_unlisten_ports);
    CHECK(m.u.unlisten_ports.bits[0] == 0 && m.u.unlisten_ports.bits[2] == UINT64_MAX);
    CHECK(m.u.unlisten_ports.bits[1] == UINT64_MAX << (100 - 64));
    ports_send(&ports, true, &child);
    got = 0;
    while (ipc_recv(ends[1], IPC_SUPERVISOR, &m, &fds, 0) == 0) {
        got += fds.count;
        ipc_drop(&fds);
    }
    CHECK_EQ_INT(got, 99);
    (void)close(ends[0]);
    (void)close(ends[1]);
    ports_close(&ports);
}

TAP_MAIN(a_quarter_of_the_descriptors, a_port_is_opened_within_the_plan_alone,
         no_more_than_there_may_be, a_plan_keeps_what_it_allows, a_port_is_found_by_its_address,
         another_program_takes_it_over, a_worker_gets_all_of_them)
