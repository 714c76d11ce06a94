// SPDX-License-Identifier: Apache-2.0
//
// Streams compiled from YAML: routes that take what they should, upstreams, limits.

#include "l4/streams.h"

#include "proxy/fake_conf.h"

static struct fake_conf conf;

static const struct l4_streams *compile(const char *yaml)
{
    REQUIRE(fake_compile(&conf, yaml) == 0);
    REQUIRE(l4_streams_compile(conf.snapshot, conf.doc, &conf.factory, conf.diags) == 0);
    return conf.snapshot->streams;
}

static struct client_hello hello_of(const char *name, const char *protocol)
{
    struct client_hello h = {.name_len = (uint8_t)strlen(name)};
    memcpy(h.name, name, h.name_len);
    if (protocol != NULL) {
        h.has_alpn = true;
        h.alpn[0] = (uint8_t)strlen(protocol);
        memcpy(h.alpn + 1, protocol, h.alpn[0]);
        h.alpn_len = (uint16_t)(h.alpn[0] + 1);
    }
    return h;
}

static int route_of(const struct l4_stream *s, const char *name, const char *protocol)
{
    struct client_hello h = hello_of(name, protocol);
    const struct l4_route *r = l4_stream_route(s, &h);
    return r == NULL ? -1 : (int)(r - s->routes);
}

static void the_first_route_that_matches(void)
{
    const struct l4_streams *all =
        compile("upstreams: {db: {servers: 10.0.0.1:1}}\n"
                "streams:\n"
                "  - listen: 8443\n"
                "    routes:\n"
                "      - {sni: [db.a.test, db2.a.test], proxy: db}\n"
                "      - {sni: '*.a.test', alpn: h2, proxy: 10.0.0.2:1}\n"
                "      - {alpn: [x, y], sites: on}\n");
    CHECK_EQ_INT(all->count, 1);
    const struct l4_stream *s = &all->list[0];
    CHECK(s->peeks);
    CHECK_EQ_INT(route_of(s, "db.a.test", NULL), 0);
    CHECK_EQ_INT(route_of(s, "db2.a.test", "h2"), 0);
    CHECK_EQ_INT(route_of(s, "x.a.test", "h2"), 1);
    CHECK_EQ_INT(route_of(s, "x.y.a.test", "h2"), 1);
    CHECK_EQ_INT(route_of(s, "a.test", "h2"), -1);
    CHECK_EQ_INT(route_of(s, "x.a.test", NULL), -1);
    CHECK_EQ_INT(route_of(s, "", "y"), 2);
    CHECK(l4_stream_route(s, NULL) == NULL);
    CHECK(s->routes[0].upstream == conf.snapshot->upstreams[0]);
    CHECK(s->routes[1].upstream != NULL);
    CHECK(s->routes[2].upstream == NULL);
    CHECK(l4_streams_find(conf.snapshot, s->key) == s);
    CHECK(l4_streams_find(conf.snapshot, s->key + 2) == NULL);
    fake_conf_free(&conf);
}

static void limits_and_their_defaults(void)
{
    const struct l4_streams *all =
        compile("drain: 7s\n"
                "streams:\n"
                "  - {listen: 1, proxy: 2}\n"
                "  - {listen: 'udp://:3', proxy: 2, responses: 1, sessions: 9}\n"
                "  - {listen: 4, proxy: 2, access_log: off, timeouts: {connect: 1s, idle: off, "
                "total: 2h, hello: 3s}}\n");
    CHECK_EQ_INT(all->drain_ms, 7000);
    const struct l4_stream *s = all->list;
    CHECK(!s[0].peeks && !s[0].datagram && s[0].access_log);
    CHECK_EQ_INT(s[0].idle_ms, 600000);
    CHECK_EQ_INT(s[0].total_ms, 0);
    CHECK_EQ_INT(s[0].connect_ms, 5000);
    CHECK(s[1].datagram);
    CHECK_EQ_INT(s[1].idle_ms, 30000);
    CHECK_EQ_INT(s[1].responses, 1);
    CHECK_EQ_INT(s[1].sessions_max, 9);
    CHECK(!s[2].access_log);
    CHECK_EQ_INT(s[2].idle_ms, 0);
    CHECK_EQ_INT(s[2].total_ms, 7200000);
    CHECK_EQ_INT(s[2].connect_ms, 1000);
    CHECK_EQ_INT(s[2].hello_ms, 3000);
    CHECK(l4_stream_route(&s[0], NULL) == &s[0].routes[0]);
    CHECK_TEXT(s[0].routes[0].upstream->name.ptr, s[0].routes[0].upstream->name.len,
               "stream:[::]:1");
    fake_conf_free(&conf);
}

static bool admits(const struct l4_stream *s, const char *client)
{
    struct os_addr a = {.kind = OS_ADDR_NONE};
    REQUIRE(client == NULL || os_addr_parse(slice_str(client), &a) == 0);
    return l4_stream_admits(s, &a);
}

static void who_may_come(void)
{
    const struct l4_streams *all =
        compile("streams:\n"
                "  - {listen: 1, proxy: 2}\n"
                "  - {listen: 3, proxy: 2, allow: [10.0.0.0/8, not 10.9.0.0/16], deny: 10.0.0.7}\n"
                "  - {listen: 'udp://:4', proxy: 2, deny: '2001:db8::/32', allow: off}\n");
    const struct l4_stream *s = all->list;
    CHECK(admits(&s[0], "192.0.2.1:1") && admits(&s[0], "unix:/x") && admits(&s[0], NULL));
    CHECK(admits(&s[1], "10.0.0.1:1"));
    CHECK(!admits(&s[1], "10.0.0.7:1"));
    CHECK(!admits(&s[1], "10.9.0.1:1"));
    CHECK(!admits(&s[1], "11.0.0.1:1"));
    CHECK(!admits(&s[1], "unix:/x"));
    CHECK(admits(&s[2], "11.0.0.1:1") && admits(&s[2], "unix:/x"));
    CHECK(!admits(&s[2], "[2001:db8::1]:1"));
    CHECK(!admits(&s[1], NULL));
    CHECK(!admits(&s[2], NULL)); // of who is not known nobody can tell
    fake_conf_free(&conf);
}

TAP_MAIN(who_may_come, the_first_route_that_matches, limits_and_their_defaults)
