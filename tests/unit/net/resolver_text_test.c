// SPDX-License-Identifier: Apache-2.0
//
// What resolv.conf and hosts say.

#include "net/resolver_text.h"

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

static struct resolver_text t;

static void reads_resolv_conf(void)
{
    resolver_text_read(&t, SLICE("# of somebody\n"
                                 "nameserver 192.0.2.1 # first\n"
                                 "nameserver nonsense\n"
                                 "nameserver ::1\n"
                                 "nameserver\n"
                                 "search old.test\n"
                                 "search one.test  two.test ; last counts\n"
                                 "options ndots:3 rotate timeout:1 ndots:99\n"));
    CHECK_EQ_INT(t.servers.count, 2);
    CHECK_EQ_INT(t.servers.at[0].port, 53);
    CHECK_EQ_INT(t.servers.at[1].kind, OS_ADDR_V6);
    CHECK_EQ_INT(t.domain_count, 2);
    CHECK_STR(t.domains[0], "one.test");
    CHECK_STR(t.domains[1], "two.test");
    CHECK_EQ_INT(t.ndots, 3);
    CHECK(t.rotate);
    resolver_text_read(&t, SLICE(""));
    CHECK_EQ_INT(t.servers.count, 0);
    CHECK_EQ_INT(t.ndots, 1);
}

static void bounds_what_it_takes(void)
{
    char text[4096];
    struct text out = text_on(text, sizeof text);
    text_str(&out, "search");
    for (int i = 0; i < 20; i++) {
        text_printf(&out, " d%d.test", i);
    }
    for (int i = 0; i < 20; i++) {
        text_printf(&out, "\nnameserver 10.0.0.%d", i);
    }
    resolver_text_read(&t, text_slice(&out));
    CHECK_EQ_INT(t.domain_count, RESOLVER_DOMAINS_MAX);
    CHECK_EQ_INT(t.servers.count, RESOLVER_SERVERS_MAX);
}

static const char *candidates(const char *name)
{
    static char all[1024];
    struct text out = text_on(all, sizeof all - 1);
    char one[RESOLVER_NAME_MAX + 1];
    for (uint32_t n = 0; resolver_text_candidate(&t, slice_str(name), n, one) == 0; n++) {
        text_printf(&out, "%s%s", n > 0 ? " " : "", one);
    }
    all[out.len] = '\0';
    return all;
}

static void searches(void)
{
    resolver_text_read(&t, SLICE("search one.test two.test\noptions ndots:2\n"));
    CHECK_STR(candidates("a"), "a.one.test a.two.test a");
    CHECK_STR(candidates("a.b"), "a.b.one.test a.b.two.test a.b");
    CHECK_STR(candidates("a.b.c"), "a.b.c a.b.c.one.test a.b.c.two.test");
    CHECK_STR(candidates("a."), "a.");
    resolver_text_read(&t, SLICE(""));
    CHECK_STR(candidates("a"), "a");
    char longer[RESOLVER_NAME_MAX + 2];
    memset(longer, 'a', sizeof longer);
    longer[RESOLVER_NAME_MAX + 1] = '\0';
    CHECK_STR(candidates(longer), "");
    resolver_text_read(&t, SLICE("search one.test\n"));
    longer[250] = '\0';
    char one[RESOLVER_NAME_MAX + 1];
    CHECK_EQ_INT(resolver_text_candidate(&t, slice_str(longer), 0, one), 0);
    CHECK_STR(one, ""); // too long with its domain
}

static void servers(void)
{
    struct resolver_servers a;
    struct resolver_servers b;
    CHECK_EQ_INT(resolver_text_servers(&a, SLICE("127.0.0.1, [::1]:5353")), 0);
    CHECK_EQ_INT(a.count, 2);
    CHECK_EQ_INT(resolver_text_servers(&b, SLICE("127.0.0.1:53 [::1]:5353")), 0);
    CHECK(resolver_text_same_servers(&a, &b));
    CHECK_EQ_INT(resolver_text_servers(&b, SLICE("127.0.0.1")), 0);
    CHECK(!resolver_text_same_servers(&a, &b));
    CHECK_EQ_INT(resolver_text_servers(&b, SLICE("dns.example")), E_INVALID);
    CHECK_EQ_INT(resolver_text_servers(&b, SLICE("unix:/x")), E_INVALID);
}

static void hosts(void)
{
    struct slice text = SLICE("10.0.0.1 App.internal app # app2\nx app\n::1 app\n10.0.0.2 app app");
    struct os_addr addrs[4];
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("APP."), 80, addrs, 4), 3);
    CHECK_EQ_INT(addrs[2].port, 80);
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("app"), 80, addrs, 2), 2);
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("app2"), 80, addrs, 4), 0);
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("192.0.2.7"), 80, addrs, 4), 1);
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("localhost"), 80, addrs, 4), 2);
    CHECK_EQ_INT(resolver_text_addrs(text, SLICE("notlocalhost"), 80, addrs, 4), 0);
}

TAP_MAIN(reads_resolv_conf, bounds_what_it_takes, searches, servers, hosts)
