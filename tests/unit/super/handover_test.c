// SPDX-License-Identifier: Apache-2.0
//
// The state that one program hands to the next: there and back, what may be skipped, and everything
// that is refused.

#include "super/handover.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"

#include "tap.h"

static char room[HANDOVER_BYTES_MAX];
static char changed[HANDOVER_BYTES_MAX];
static struct handover made;
static struct handover got;

static void fill(struct handover *h)
{
    handover_init(h);
    ipc_set_text(h->edge.version, sizeof h->edge.version, SLICE("1.2.3"));
    ipc_set_text(h->edge.path, sizeof h->edge.path, SLICE("/etc/adit\nyes/adit.yaml"));
    h->edge.text = SLICE("sites:\n  default: {respond: \"a:b\"}\n");
    h->edge.program = 17;
    h->edge.old_program = 18;
    h->edge.started_wall_ms = UINT64_MAX;
    h->edition.generation = 7;
    h->edition.doc = 20;
    h->edition.access = 1;
    h->edition.connections = 65536;
    h->listeners = 2;
    h->listener[0] = (struct handover_listener){.index = 3, .fd = 21, .secure = 1, .backlog = 4096};
    h->listener[1] = (struct handover_listener){.index = 0, .fd = 22, .backlog = 1};
    h->listener[1].stream = UINT64_C(0xfedcba9876543210);
    h->listener[1].datagram = 1;
    h->listener[1].proxies.count = 2;
    REQUIRE(os_cidr_parse(SLICE("10.0.0.0/8"), &h->listener[1].proxies.at[0]) == 0);
    REQUIRE(os_cidr_parse(SLICE("2001:db8::/32"), &h->listener[1].proxies.at[1]) == 0);
    REQUIRE(os_addr_parse_listen(SLICE(":443"), &h->listener[0].asked) == 0);
    REQUIRE(os_addr_parse(SLICE("[fe80::1]:443"), &h->listener[0].bound) == 0);
    REQUIRE(os_addr_parse(SLICE("unix:/run/a b.sock"), &h->listener[1].asked) == 0);
    REQUIRE(os_addr_parse(SLICE("unix:@abstract"), &h->listener[1].bound) == 0);
    h->ranges = 1;
    h->range[0] = (struct handover_range){.tcp = 77, .udp = UINT64_MAX, .last = 20099};
    REQUIRE(os_addr_parse(SLICE("[2001:db8::1]:20000"), &h->range[0].first) == 0);
    h->ports = 2;
    h->port[0] = (struct handover_port){.index = 64, .fd = 25, .stream = 77};
    h->port[1] = (struct handover_port){.index = 4159, .fd = 26, .stream = 78, .datagram = 1};
    REQUIRE(os_addr_parse_listen(SLICE(":20001"), &h->port[0].at) == 0);
    REQUIRE(os_addr_parse(SLICE("192.0.2.1:20099"), &h->port[1].at) == 0);
    h->workers = 2;
    h->worker[0] = (struct handover_worker){.pid = 4711, .channel = 23, .counters = 24, .cores = 4};
    h->worker[1] = (struct handover_worker){
        .pid = 4712, .channel = -1, .counters = -1, .cores = 1, .drain_end_ms = 99};
}

static struct slice write_it(const struct handover *h)
{
    struct text t = text_on(room, sizeof room);
    REQUIRE(handover_write(h, &t) == 0);
    return text_slice(&t);
}

static int read_it(struct slice bytes)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    int error = handover_read(bytes, &got, &why);
    CHECK(error == 0 || why.len > 0);
    return error;
}

static void a_state_comes_back_as_it_was(void)
{
    fill(&made);
    struct slice bytes = write_it(&made);
    CHECK_EQ_INT(read_it(bytes), 0);
    CHECK_STR(got.edge.version, "1.2.3");
    CHECK_STR(got.edge.path, "/etc/adit\nyes/adit.yaml");
    CHECK(slice_eq(got.edge.text, made.edge.text));
    CHECK_EQ_INT(got.edge.program, 17);
    CHECK_EQ_INT(got.edge.control, -1);
    CHECK(got.edge.started_wall_ms == UINT64_MAX);
    CHECK_EQ_INT(got.edition.generation, 7);
    CHECK_EQ_INT(got.edition.credentials, -1);
    CHECK_EQ_INT(got.listeners, 2);
    CHECK_EQ_INT(got.listener[0].index, 3);
    CHECK(got.listener[0].asked.dual);
    CHECK(os_addr_eq(&got.listener[0].bound, &made.listener[0].bound));
    CHECK(os_addr_eq(&got.listener[1].asked, &made.listener[1].asked));
    CHECK(os_addr_eq(&got.listener[1].bound, &made.listener[1].bound));
    CHECK(got.listener[1].stream == made.listener[1].stream);
    CHECK_EQ_INT(got.listener[1].datagram, 1);
    CHECK_EQ_INT(got.listener[0].proxies.count, 0);
    CHECK(memcmp(&got.listener[1].proxies, &made.listener[1].proxies,
                 sizeof got.listener[1].proxies) == 0);
    CHECK_EQ_INT(got.ranges, 1);
    CHECK(got.range[0].tcp == 77 && got.range[0].udp == UINT64_MAX && got.range[0].last == 20099);
    CHECK(os_addr_eq(&got.range[0].first, &made.range[0].first));
    CHECK_EQ_INT(got.ports, 2);
    CHECK(got.port[0].index == 64 && got.port[0].fd == 25 && got.port[0].at.dual);
    CHECK(got.port[1].index == 4159 && got.port[1].stream == 78 && got.port[1].datagram == 1);
    CHECK(os_addr_eq(&got.port[1].at, &made.port[1].at));
    CHECK_EQ_INT(got.workers, 2);
    CHECK_EQ_INT(got.worker[0].pid, 4711);
    CHECK_EQ_INT(got.worker[1].drain_end_ms, 99);
    CHECK_EQ_INT(got.skipped_count, 0);
}

static void count_fd(void *arg, int fd)
{
    uint64_t *seen = arg;
    *seen |= UINT64_C(1) << fd;
}

static void every_descriptor_is_named(void)
{
    fill(&made);
    uint64_t seen = 0;
    handover_each_fd(&made, count_fd, &seen);
    CHECK_EQ_INT(seen, 1U << 17 | 1U << 18 | 1U << 20 | 1U << 1 | 1U << 21 | 1U << 22 | 1U << 23 |
                           1U << 24 | 1U << 25 | 1U << 26);
}

// The state of a good one with `from` replaced; the length of a value is not mended.
static int read_changed(const char *from, const char *to)
{
    fill(&made);
    struct slice bytes = write_it(&made);
    ptrdiff_t at = slice_find(bytes, slice_str(from));
    REQUIRE(at >= 0);
    struct text t = text_on(changed, sizeof changed);
    text_put(&t, slice_sub(bytes, 0, (size_t)at));
    text_str(&t, to);
    text_put(&t, slice_from(bytes, (size_t)at + strlen(from)));
    return read_it(text_slice(&t));
}

static void what_is_newer_may_be_skipped(void)
{
    CHECK_EQ_INT(
        read_changed("!s edition 0:\n", "~t colour 3:red\n~d wheels 2:40\n!s edition 0:\n"), 0);
    CHECK_EQ_INT(got.skipped_count, 1);
    CHECK_EQ_INT(got.skipped[0], 40);
    CHECK_EQ_INT(read_changed("!s edition 0:\n",
                              "~s tunnel 0:\n!d end_a 2:41\n!t name 1:x\n!s edition 0:\n"),
                 0);
    CHECK_EQ_INT(got.skipped_count, 1);
    CHECK_EQ_INT(read_changed("~n upgrades 1:0\n", ""), 0);
    CHECK_EQ_INT(got.edge.upgrades, 0);
}

static const struct {
    const char *what;
    const char *from;
    const char *to;
} bad[] = {
    {"another format", "adit-state 1\n", "adit-state 2\n"},
    {"no first line", "adit-state 1\n", ""},
    {"a row that must be understood", "!s edition 0:\n", "!t colour 3:red\n!s edition 0:\n"},
    {"a section that must be understood", "!s edition 0:\n", "!s tunnel 0:\n!s edition 0:\n"},
    {"a row is missing", "!d program 2:17\n", ""},
    {"a row comes twice", "!d program 2:17\n", "!d program 2:17\n!d program 2:17\n"},
    {"a row of another kind", "!d program 2:17\n", "!n program 2:17\n"},
    {"a row of an unknown kind", "!d program 2:17\n", "!x program 2:17\n"},
    {"an unknown mark", "!d program 2:17\n", "?d program 2:17\n"},
    {"a row before all sections", "!s edge 0:\n", "!t path 1:/\n!s edge 0:\n"},
    {"a section comes twice", "!s edition 0:\n", "!s edge 0:\n!s edition 0:\n"},
    {"a section without rows", "!s listener 0:\n", "!s listener 0:\n!s listener 0:\n"},
    {"a section is missing", "!s end 0:\n", ""},
    {"bytes after the end", "!s end 0:\n", "!s end 0:\n!s end 0:\n"},
    {"too short a length", "!d program 2:17\n", "!d program 1:17\n"},
    {"too long a length", "!d program 2:17\n", "!d program 3:17\n"},
    {"a huge length", "!d program 2:17\n", "!d program 99999999999:17\n"},
    {"no length", "!d program 2:17\n", "!d program :17\n"},
    {"a signed length", "!d program 2:17\n", "!d program -2:17\n"},
    {"a descriptor that is none", "!d program 2:17\n", "!d program 2:-1\n"},
    {"a descriptor above an int", "!d program 2:17\n", "!d program 10:9999999999\n"},
    {"a number above its limit", "!n secure 1:1\n", "!n secure 1:2\n"},
    {"a number with more", "!n generation 1:7\n", "!n generation 2:7 \n"},
    {"an empty number", "!n generation 1:7\n", "!n generation 0:\n"},
    {"a name in capitals", "!n generation 1:7\n", "!n Generation 1:7\n"},
    {"no name", "!n generation 1:7\n", "!n  1:7\n"},
    {"an index above all listeners", "!n index 1:3\n", "!n index 2:64\n"},
    {"an index of two listeners", "!n index 1:3\n", "!n index 1:0\n"},
    {"an index of two ports", "!n index 4:4159\n", "!n index 2:64\n"},
    {"an index of a port above all", "!n index 4:4159\n", "!n index 4:4160\n"},
    {"an index of a port that is a listener's", "!n index 2:64\n", "!n index 2:63\n"},
    {"a port of no address", "!a at 44:2 20001 0 1 00", "!a at 44:3 20001 0 1 00"},
    {"an address of no kind", "!a asked 42:2 443", "!a asked 42:0 443"},
    {"an address of an unknown kind", "!a asked 42:2 443", "!a asked 42:9 443"},
    {"a port above all ports", "!a asked 42:2 443 0", "!a asked 44:2 65536 0"},
    {"an address with other digits", "!a asked 42:2 443 0 1 00", "!a asked 42:2 443 0 1 g0"},
    {"an address too short", "!a asked 42:2 443 0 1 00", "!a asked 40:2 443 0 1 "},
    {"half a range", "!r proxies 0:\n", "!r proxies 2:01\n"},
    {"a range of no kind", "!r proxies 0:\n",
     "!r proxies 36:000800000000000000000000000000000000\n"},
    {"a range with too many bits", "!r proxies 0:\n",
     "!r proxies 36:012100000000000000000000000000000000\n"},
    {"a version too long", "!t version 5:1.2.3\n",
     "!t version 32:01234567890123456789012345678901\n"},
    {"a pid above all pids", "!n pid 4:4711\n", "!n pid 8:47114711\n"},
};

static void bad_states_are_refused(void)
{
    for (size_t i = 0; i < array_len(bad); i++) {
        int error = read_changed(bad[i].from, bad[i].to);
        if (error != E_INVALID) {
            printf("#   accepted: %s\n", bad[i].what);
        }
        CHECK_EQ_INT(error, E_INVALID);
    }
}

static void a_state_that_was_cut_is_refused(void)
{
    fill(&made);
    struct slice bytes = write_it(&made);
    for (size_t len = 0; len < bytes.len; len++) {
        CHECK_EQ_INT(read_it(slice_sub(bytes, 0, len)), E_INVALID);
    }
}

static void a_nul_in_a_text_is_refused(void)
{
    fill(&made);
    struct slice bytes = write_it(&made);
    ptrdiff_t at = slice_find(bytes, SLICE("1.2.3"));
    REQUIRE(at >= 0);
    room[at + 1] = '\0';
    CHECK_EQ_INT(read_it(bytes), E_INVALID);
}

static void too_many_of_a_section_are_refused(void)
{
    static const char one[] = "!s worker 0:\n!n pid 1:1\n!d channel 0:\n!n cores 1:1\n"
                              "!n started 1:0\n!n drain_end 1:0\n";
    fill(&made);
    made.workers = 0;
    struct slice bytes = write_it(&made);
    bytes = slice_sub(bytes, 0, bytes.len - strlen("!s end 0:\n"));
    for (uint32_t count = 0; count <= HANDOVER_WORKERS_MAX + 1; count++) {
        struct text t = text_on(changed, sizeof changed);
        text_put(&t, bytes);
        for (uint32_t i = 0; i < count; i++) {
            text_str(&t, one);
        }
        text_str(&t, "!s end 0:\n");
        // Without a worker there is nothing to take over from.
        bool good = count > 0 && count <= HANDOVER_WORKERS_MAX;
        CHECK_EQ_INT(read_it(text_slice(&t)), good ? 0 : E_INVALID);
    }
}

static void thousands_of_ports_fit(void)
{
    fill(&made);
    made.ports = IPC_PORTS_MAX;
    for (uint32_t i = 0; i < made.ports; i++) {
        made.port[i] = (struct handover_port){
            .index = IPC_LISTENERS_MAX + i, .fd = 1 << 20, .stream = UINT64_MAX};
        REQUIRE(os_addr_parse_listen(SLICE("[ffff::ffff]:65535"), &made.port[i].at) == 0);
    }
    CHECK_EQ_INT(read_it(write_it(&made)), 0);
    CHECK_EQ_INT(got.ports, IPC_PORTS_MAX);
    CHECK_EQ_INT(got.port[IPC_PORTS_MAX - 1].index, IPC_INDEXES_MAX - 1);
}

static void what_does_not_fit_is_an_error(void)
{
    fill(&made);
    struct text t = text_on(room, 1000);
    CHECK_EQ_INT(handover_write(&made, &t), E_TOO_LARGE);
}

TAP_MAIN(a_state_comes_back_as_it_was, every_descriptor_is_named, what_is_newer_may_be_skipped,
         bad_states_are_refused, a_state_that_was_cut_is_refused, a_nul_in_a_text_is_refused,
         too_many_of_a_section_are_refused, thousands_of_ports_fit, what_does_not_fit_is_an_error)
