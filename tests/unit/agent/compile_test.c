// SPDX-License-Identifier: Apache-2.0
//
// The configuration that a plan becomes is one that the language takes, whatever people wrote.

#include "tap.h"

#include "agent/agent_int.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"

static char room[65536];

static struct conf_doc *load(const struct agent_plan *plan)
{
    struct text t = text_on(room, sizeof(room));
    agent_compile_text(plan, &t);
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    const struct conf_load in = {.path = "(agent)", .text = text_slice(&t), .tables = conf_tables};
    int e = conf_load(&in, d, &doc);
    for (const struct conf_diag *x = conf_diags_first(d); x != NULL; x = x->next) {
        printf("# %.*s\n", (int)x->message.len, x->message.ptr);
    }
    CHECK_EQ_INT(e, 0);
    conf_diags_free(d);
    return doc;
}

static struct conf_node site(const struct conf_doc *doc, const char *name)
{
    return conf_get(conf_get(conf_root(doc), "sites"), name);
}

static void a_port_is_tried_on_both_loopbacks(void)
{
    struct agent_plan plan = {.tunnel_count = 1};
    plan.tunnels[0] = (struct agent_tunnel){
        .target = SLICE("127.0.0.1:3000"), .shown = SLICE("localhost:3000"), .local = true};
    struct conf_doc *doc = load(&plan);
    if (doc == NULL) {
        return;
    }
    struct conf_node servers = conf_get(conf_get(site(doc, "t0.tunnel"), "proxy"), "servers");
    CHECK_EQ_INT(conf_count(servers), 2);
    struct slice second = conf_text(conf_get(conf_next(conf_first(servers)), "at"));
    CHECK_TEXT(second.ptr, second.len, "[::1]:3000");
    conf_doc_free(doc);
}

static void takes_all_options(void)
{
    struct agent_plan plan = {.tunnel_count = 3};
    plan.tunnels[0] =
        (struct agent_tunnel){.target = SLICE("https://localhost:8443"),
                              .shown = SLICE("a \"$env(HOME)\" \\ <b>"),
                              .insecure = true,
                              .host = SLICE("local.example"),
                              .proxy_protocol = SLICE("v2"),
                              .allow = {{SLICE("203.0.113.0/24"), SLICE("::1")}, 2},
                              .deny = {{SLICE("203.0.113.9")}, 1},
                              .users = {{SLICE("me:pa$$w\"o:rd"), SLICE("you:x")}, 2}};
    plan.tunnels[1] =
        (struct agent_tunnel){.target = SLICE("unix:/run/my app.sock"), .shown = SLICE("x")};
    plan.tunnels[2] = (struct agent_tunnel){
        .target = SLICE("h2c://10.0.0.1:50051"), .shown = SLICE("x"), .host = SLICE("server")};
    struct conf_doc *doc = load(&plan);
    if (doc == NULL) {
        return;
    }
    struct conf_node proxy = conf_get(site(doc, "t0.tunnel"), "proxy");
    CHECK(!conf_bool(conf_get(conf_get(proxy, "tls"), "verify"), true));
    CHECK_EQ_INT(conf_count(conf_get(site(doc, "t0.tunnel"), "allow")), 2);
    struct conf_node users = conf_get(conf_get(site(doc, "t0.tunnel"), "basic_auth"), "users");
    struct slice mine = conf_text(conf_get(users, "me"));
    CHECK_TEXT(mine.ptr, mine.len, "plain:pa$$w\"o:rd");
    CHECK(conf_exists(site(doc, "t2.tunnel")));
    conf_doc_free(doc);
}

static void streams_have_lists_and_headers(void)
{
    struct agent_plan plan = {.tunnel_count = 2};
    plan.tunnels[0] = (struct agent_tunnel){.kind = AGENT_TCP,
                                            .target = SLICE("127.0.0.1:22"),
                                            .shown = SLICE("localhost:22"),
                                            .allow = {{SLICE("203.0.113.0/24"), SLICE("::1")}, 2}};
    plan.tunnels[1] = (struct agent_tunnel){.kind = AGENT_UDP,
                                            .target = SLICE("127.0.0.1:53"),
                                            .shown = SLICE("localhost:53"),
                                            .proxy_protocol = SLICE("v2"),
                                            .deny = {{SLICE("203.0.113.9")}, 1}};
    struct conf_doc *doc = load(&plan);
    if (doc == NULL) {
        return;
    }
    struct conf_node tcp = conf_first(conf_get(conf_root(doc), "streams"));
    struct conf_node udp = conf_next(tcp);
    CHECK_EQ_INT(conf_count(conf_get(tcp, "allow")), 2);
    CHECK(!conf_exists(conf_get(tcp, "deny")));
    CHECK_EQ_INT(conf_count(conf_get(udp, "deny")), 1);
    struct slice header = conf_string(conf_get(conf_get(udp, "proxy"), "proxy_protocol"), "");
    CHECK_TEXT(header.ptr, header.len, "v2");
    conf_doc_free(doc);
}

static void sites_have_names(void)
{
    char buffer[32];
    uint32_t i = 0;
    struct text t = text_on(buffer, sizeof(buffer));
    agent_site_name(31, &t);
    CHECK_TEXT(t.ptr, t.len, "t31.tunnel");
    CHECK(agent_site_tunnel(text_slice(&t), &i) && i == 31);
    CHECK(!agent_site_tunnel(SLICE("t.tunnel"), &i));
    CHECK(!agent_site_tunnel(SLICE("t32.tunnel"), &i));
    CHECK(!agent_site_tunnel(SLICE("default"), &i));
}

TAP_MAIN(a_port_is_tried_on_both_loopbacks, takes_all_options, streams_have_lists_and_headers,
         sites_have_names)
