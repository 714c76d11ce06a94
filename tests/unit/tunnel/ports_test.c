// SPDX-License-Identifier: Apache-2.0
//
// Public ports: ranges of a document, and questions from the core to the supervisor and back.

#include "tunnel/ports.h"

#include "base/error.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tap.h"
#include "tunnel/registry.h"

static struct sys *sys;
static struct loop loop;
static struct tunnel_registry *registry;
static struct tunnel_ports ports;
static unsigned woken;
static unsigned answers;

static void wake(void *arg)
{
    CHECK(arg == &woken);
    woken++;
}

static void on_port(struct tunnel_port_ask *a)
{
    (void)a;
    answers++;
}

static void begin(void)
{
    static const struct loop_limits limits = {8, 8};
    sys = os_linux_new();
    REQUIRE(sys != NULL);
    REQUIRE(loop_init(&loop, sys, 0, &limits) == 0);
    const struct tunnel_registry_order order = {.cores = 1};
    REQUIRE(tunnel_registry_new(&order, &registry) == 0);
    REQUIRE(tunnel_ports_init(&ports, registry) == 0);
    ports.wake = wake;
    ports.wake_arg = &woken;
    woken = 0;
    answers = 0;
}

static void end(void)
{
    tunnel_ports_fini(&ports);
    tunnel_registry_free(registry);
    loop_fini(&loop);
    os_linux_free(sys);
}

static struct tunnel_port_ask wanted(uint16_t port)
{
    return (struct tunnel_port_ask){
        .loop = &loop, .key = 9, .port = port, .first = 100, .last = 103, .on_port = on_port};
}

static void opened(uint16_t port, uint32_t index)
{
    const struct tunnel_port p = {.key = 9, .port = port, .index = index};
    tunnel_ports_opened(&ports, &p, 1000, false);
}

static void asks_one_after_the_other(void)
{
    begin();
    struct tunnel_port_ask a = wanted(101);
    struct tunnel_port_ask b = wanted(102);
    struct tunnel_port_ask c = wanted(101);
    tunnel_ports_ask(&ports, &a);
    tunnel_ports_ask(&ports, &b);
    tunnel_ports_ask(&ports, &c);
    CHECK_EQ_INT(woken, 3);
    struct tunnel_port_request r;
    REQUIRE(tunnel_ports_next(&ports, 1000, &r));
    CHECK(r.port == 101 && r.key == 9 && !r.datagram);
    struct tunnel_port_request other;
    CHECK(!tunnel_ports_next(&ports, 1000, &other)); // an answer is awaited
    CHECK(!tunnel_ports_done(&ports, r.number + 1, 0, &other));
    opened(101, 5);
    CHECK(!tunnel_ports_done(&ports, r.number, 0, &other));
    REQUIRE(tunnel_ports_next(&ports, 1000, &r));
    CHECK_EQ_INT(r.port, 102);
    CHECK(!tunnel_ports_done(&ports, r.number, E_IN_USE, &other));
    CHECK(!tunnel_ports_next(&ports, 1000, &other)); // the third one's is open
    loop_turn(&loop, 0);
    CHECK_EQ_INT(answers, 3);
    CHECK_EQ_INT(a.error, 0);
    CHECK_EQ_INT(b.error, E_TUNNEL_TAKEN);
    CHECK_EQ_INT(c.error, 0);
    end();
}

/** Two zones may have it, at two addresses; whether they are is the supervisor's to find out. */
static void keeps_apart_what_zones_have(void)
{
    begin();
    opened(101, 5);
    struct tunnel_port_ask same = wanted(101);
    struct tunnel_port_ask other = wanted(101);
    other.key = 10;
    tunnel_ports_ask(&ports, &same);
    tunnel_ports_ask(&ports, &other);
    struct tunnel_port_request r;
    REQUIRE(tunnel_ports_next(&ports, 1000, &r));
    CHECK(r.port == 101 && r.key == 10);
    CHECK(!tunnel_ports_done(&ports, r.number, E_IN_USE, &r));
    loop_turn(&loop, 0);
    CHECK_EQ_INT(answers, 2);
    CHECK_EQ_INT(same.error, 0);
    CHECK_EQ_INT(other.error, E_TUNNEL_TAKEN);
    end();
}

/** As many as there may be, closed and opened again in another order. */
static void knows_thousands(void)
{
    begin();
    for (uint32_t i = 0; i < TUNNEL_PORTS_MAX; i++) {
        opened((uint16_t)(20000 + i), i);
    }
    for (uint32_t i = 0; i < TUNNEL_PORTS_MAX; i += 2) {
        tunnel_ports_closed(&ports, 9, (uint16_t)(20000 + i));
    }
    CHECK_EQ_INT(ports.count, TUNNEL_PORTS_MAX / 2);
    for (uint32_t i = TUNNEL_PORTS_MAX; i > 0; i -= 2) {
        opened((uint16_t)(20000 + i - 2), i - 2);
    }
    CHECK_EQ_INT(ports.count, TUNNEL_PORTS_MAX);
    uint32_t index = 0;
    uint32_t closed = 0;
    uint64_t sum = 0;
    while (tunnel_ports_unused(&ports, 1000 + TUNNEL_PORT_UNUSED_MS, &index)) {
        closed++;
        sum += index;
    }
    CHECK_EQ_INT(closed, TUNNEL_PORTS_MAX);
    CHECK(sum == (uint64_t)TUNNEL_PORTS_MAX * (TUNNEL_PORTS_MAX - 1) / 2);
    CHECK(!tunnel_ports_any(&ports));
    end();
}

/** A port that a reload took away is nobody's any more. */
static void forgets_what_has_moved_without_a_tunnel(void)
{
    begin();
    opened(101, 5);
    tunnel_ports_moved(&ports, 9, 101);
    tunnel_ports_moved(&ports, 9, 102); // never was
    struct tunnel_port_request r;
    CHECK(!tunnel_ports_next(&ports, 1000, &r));
    CHECK(!tunnel_ports_any(&ports));
    end();
}

static void looks_for_a_free_one(void)
{
    begin();
    struct tunnel_port_ask a = wanted(0);
    tunnel_ports_ask(&ports, &a);
    struct tunnel_port_request r;
    REQUIRE(tunnel_ports_next(&ports, 1000, &r));
    uint16_t first = r.port;
    CHECK(first >= 100 && first <= 103);
    REQUIRE(tunnel_ports_done(&ports, r.number, E_IN_USE, &r));
    CHECK(r.port != first && r.port >= 100 && r.port <= 103);
    opened(r.port, 6);
    CHECK(!tunnel_ports_done(&ports, r.number, 0, &r));
    loop_turn(&loop, 0);
    CHECK(answers == 1 && a.error == 0 && a.port != first && a.port != 0);
    end();
}

static void refuses_what_is_not_to_be_had(void)
{
    begin();
    struct tunnel_port_ask outside = wanted(104);
    struct tunnel_port_ask none = wanted(0);
    none.first = none.last = 0;
    tunnel_ports_ask(&ports, &outside);
    tunnel_ports_ask(&ports, &none);
    ports.wake = NULL;
    struct tunnel_port_ask nobody = wanted(100);
    tunnel_ports_ask(&ports, &nobody);
    loop_turn(&loop, 0);
    CHECK_EQ_INT(answers, 3);
    CHECK_EQ_INT(outside.error, E_TUNNEL_PORT);
    CHECK_EQ_INT(none.error, E_TUNNEL_PORT);
    CHECK_EQ_INT(nobody.error, E_TUNNEL_PORT);
    CHECK_EQ_INT(woken, 0);
    end();
}

static void closes_what_nobody_needs(void)
{
    begin();
    opened(101, 5);
    uint32_t index = 0;
    CHECK(tunnel_ports_any(&ports));
    CHECK(!tunnel_ports_unused(&ports, 1000 + TUNNEL_PORT_UNUSED_MS - 1, &index));
    uint64_t later = 1000 + TUNNEL_PORT_UNUSED_MS + TUNNEL_PORT_LOOK_MS;
    CHECK(!tunnel_ports_unused(&ports, later - 2, &index)); // it has just looked
    CHECK(tunnel_ports_unused(&ports, later, &index));
    CHECK_EQ_INT(index, 5);
    CHECK(!tunnel_ports_any(&ports));
    end();
}

static void reads_ports_and_addresses(void)
{
    static const struct {
        const char *text;
        const char *first; // NULL: it is none
        unsigned last;
    } rows[] = {
        {"20000", ":20000", 20000},
        {"20000-20099", ":20000", 20099},
        {":20000-20099", ":20000", 20099},
        {"*:20000-20099", ":20000", 20099},
        {"203.0.113.5:20000-20099", "203.0.113.5:20000", 20099},
        {"0.0.0.0:22", "0.0.0.0:22", 22},
        {"[2001:db8::5]:1-65535", "[2001:db8::5]:1", 65535},
        {"2001:db8::5:1-65535", NULL, 0},
        {"[2001:db8::5]", NULL, 0},
        {"edge.example:20000", NULL, 0},
        {"unix:/run/a:20", NULL, 0},
        {"203.0.113.5:0-10", NULL, 0},
        {"203.0.113.5:20-10", NULL, 0},
        {"203.0.113.5:1-65536", NULL, 0},
        {"203.0.113.5:", NULL, 0},
        {"1-2-3", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct tunnel_port_range r;
        struct os_addr first;
        bool ok = tunnel_ports_parse(slice_str(rows[i].text), &r);
        CHECK_EQ_INT(ok, rows[i].first != NULL);
        if (ok && rows[i].first != NULL) {
            REQUIRE(os_addr_parse_listen(slice_str(rows[i].first), &first) == 0);
            CHECK(os_addr_eq(&r.first, &first) && r.last == rows[i].last);
        }
    }
}

static void reads_the_ranges_of_a_document(void)
{
    static const char text[] =
        "sites:\n"
        "  \"*.a.example\": {tunnels: {ports: 20000-20099, at: edge.example}}\n"
        "  \"*.b.example\": {tunnels: {ports: 443}}\n"
        "  \"*.c.example\": {tunnels: on}\n";
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("a.yaml", text, conf_tables, d, &doc) == 0);
    struct tunnel_port_range ranges[TUNNEL_PORT_RANGES_MAX];
    REQUIRE(tunnel_port_ranges(conf_root(doc), ranges) == 2);
    CHECK(ranges[0].first.port == 20000 && ranges[0].first.dual && ranges[0].last == 20099);
    CHECK(ranges[1].first.port == 443 && ranges[1].last == 443);
    CHECK(ranges[0].keys[0] == tunnel_port_key(SLICE("*.a.example"), false));
    CHECK(ranges[0].keys[0] != ranges[0].keys[1] && ranges[0].keys[0] != ranges[1].keys[0]);
    conf_doc_free(doc);
    conf_diags_free(d);
}

TAP_MAIN(asks_one_after_the_other, keeps_apart_what_zones_have, looks_for_a_free_one,
         knows_thousands, refuses_what_is_not_to_be_had, closes_what_nobody_needs,
         forgets_what_has_moved_without_a_tunnel, reads_ports_and_addresses,
         reads_the_ranges_of_a_document)
