// SPDX-License-Identifier: Apache-2.0
//
// group_list: what the list of a group becomes of entries, names, watched files and commands.

#include "upstream/group_list.h"

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/load.h"
#include "tap.h"
#include "upstream/pool.h"
#include "upstream/servers.h"

extern const struct conf_directive *const conf_tables[];

static const char hosts[] = "10.0.0.5 app.internal\n10.0.0.6 app.internal\n";

struct world {
    struct sys *sys;
    struct loop loop;
    struct resolver *resolver;
    struct upstream_registry registry;
    struct pool_factory factory;
    struct conf_diags *diags;
    struct conf_doc *doc;
    struct conf_doc *book;
    struct snapshot *snapshot;
};

static struct world w;

static void begin(const char *upstream)
{
    static const struct loop_limits limits = {8, 8};
    char yaml[1024];
    memset(&w, 0, sizeof(w));
    w.sys = os_linux_new();
    REQUIRE(w.sys != NULL);
    REQUIRE(loop_init(&w.loop, w.sys, 0, &limits) == 0);
    const struct resolver_config config = {.hosts = slice_str(hosts)};
    REQUIRE(resolver_new(&w.loop, &config, &w.resolver) == 0);
    upstream_registry_init(&w.registry, 1);
    struct upstream_core core = {.loop = &w.loop, .resolver = w.resolver};
    upstream_registry_attach(&w.registry, 0, &core);
    pool_factory_init(&w.factory, &w.registry);
    w.diags = conf_diags_new();
    REQUIRE(w.diags != NULL);
    (void)snprintf(yaml, sizeof(yaml), "upstreams: {app: {%s}}\nsites: {a.b: {proxy: app}}\n",
                   upstream);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, w.diags, &w.doc) == 0);
    REQUIRE(snapshot_compile(w.doc, &w.factory.base, w.diags, &w.snapshot) == 0);
    snapshot_enter(w.snapshot, &w.loop);
    for (int i = 0; i < 20; i++) {
        loop_turn(&w.loop, 1); // names of the hosts text are answered a moment later
    }
}

static void open_book(const char *json)
{
    struct conf_doc *old = w.book;
    REQUIRE(conf_load_text("servers", json, servers_doc_tables, w.diags, &w.book) == 0);
    groups_set_book(&w.registry, 0, w.book);
    conf_doc_free(old);
    for (int i = 0; i < 20; i++) {
        loop_turn(&w.loop, 1);
    }
}

static void end(void)
{
    snapshot_leave(w.snapshot, &w.loop);
    snapshot_discard(w.snapshot);
    loop_turn(&w.loop, 0);
    CHECK(list_empty(&w.registry.groups));
    upstream_registry_close(&w.registry, 0);
    upstream_registry_fini(&w.registry);
    resolver_free(w.resolver);
    loop_fini(&w.loop);
    os_linux_free(w.sys);
    conf_doc_free(w.doc);
    conf_doc_free(w.book);
    conf_diags_free(w.diags);
}

/** "10.0.0.1:80 w2 t1 drain, ..." in the order of the list. */
static const char *list(void)
{
    static char buffer[1024];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    REQUIRE(!list_empty(&w.registry.groups));
    const struct group *g = list_entry(w.registry.groups.next, struct group, link);
    const struct roster *r = group_roster(g, 0);
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        const struct roster_entry *e = &r->entries[i];
        unsigned bits = atomic_load(&e->server->vitals.bits);
        text_str(&t, i == 0 ? "" : ", ");
        text_put(&t, server_text(e->server));
        if (r->servers[i].weight != 1) {
            text_printf(&t, " w%u", r->servers[i].weight);
        }
        if (e->tier != 0) {
            text_printf(&t, " t%u", e->tier);
        }
        text_str(&t, (bits & VITALS_DRAIN) != 0 ? " drain" : "");
        text_str(&t, (bits & VITALS_MAINTENANCE) != 0 ? " maintenance" : "");
    }
    buffer[t.len] = '\0';
    return buffer;
}

static void entries_are_as_they_are_written(void)
{
    begin("servers: [10.0.0.1:80, {at: 10.0.0.2:80, weight: 2}, {at: 10.0.0.3:80, priority: 1},"
          " {at: 10.0.0.4:80, backup: true, state: drain}]");
    CHECK_STR(list(), "10.0.0.1:80, 10.0.0.2:80 w2, 10.0.0.3:80 t1, 10.0.0.4:80 t255 drain");
    end();
}

static void a_name_is_as_many_servers_as_it_has_addresses(void)
{
    begin("servers: [10.0.0.5:80, {at: 'app.internal:80', weight: 3}]");
    CHECK_STR(list(), "10.0.0.5:80, 10.0.0.6:80 w3"); // none is there twice
    const struct group *g = list_entry(w.registry.groups.next, struct group, link);
    const struct server *s = group_roster(g, 0)->entries[1].server;
    CHECK_TEXT(server_host(s).ptr, server_host(s).len, "app.internal:80");
    end();
}

static void a_file_is_waited_for(void)
{
    begin("servers: [{file: /etc/app.yaml}]");
    const struct group *g = list_entry(w.registry.groups.next, struct group, link);
    CHECK_EQ_INT(group_roster(g, 0)->count, 0);
    CHECK_EQ_INT(group_roster(g, 0)->error, 0); // requests wait
    open_book("{files: [{path: /etc/app.yaml, servers: [10.0.0.1:80, {at: 10.0.0.2:80, weight: 2},"
              " {at: 'app.internal:81', backup: true}]}]}");
    CHECK_STR(list(), "10.0.0.1:80, 10.0.0.2:80 w2, 10.0.0.5:81 t255, 10.0.0.6:81 t255");
    const struct server *second = group_roster(g, 0)->entries[1].server;
    open_book("{files: [{path: /etc/app.yaml, servers: [{at: 10.0.0.2:80, weight: 2}]}]}");
    CHECK_STR(list(), "10.0.0.2:80 w2");
    CHECK(group_roster(g, 0)->entries[0].server == second);
    open_book("{files: [{path: /etc/app.yaml, servers: []}]}");
    CHECK_EQ_INT(group_roster(g, 0)->error, E_NO_SERVER);
    end();
}

static void commands_have_the_last_word(void)
{
    begin("servers: [10.0.0.1:80, 10.0.0.2:80, 'app.internal:80']");
    CHECK_STR(list(), "10.0.0.1:80, 10.0.0.2:80, 10.0.0.5:80, 10.0.0.6:80");
    open_book("{overrides: [{upstream: app, at: 10.0.0.1:80, weight: 9},"
              " {upstream: other, at: 10.0.0.2:80, removed: on},"
              " {upstream: app, at: 10.0.0.2:80, state: maintenance},"
              " {upstream: app, at: 10.0.0.6:80, of: 'app.internal:80', state: drain},"
              " {upstream: app, at: 10.0.0.9:80, added: on, weight: 2}]}");
    CHECK_STR(list(), "10.0.0.1:80 w9, 10.0.0.2:80 maintenance, 10.0.0.5:80, 10.0.0.6:80 drain, "
                      "10.0.0.9:80 w2");
    open_book("{overrides: [{upstream: app, at: 'app.internal:80', removed: on}]}");
    CHECK_STR(list(), "10.0.0.1:80, 10.0.0.2:80");
    open_book("{overrides: []}");
    CHECK_STR(list(), "10.0.0.1:80, 10.0.0.2:80, 10.0.0.5:80, 10.0.0.6:80");
    end();
}

TAP_MAIN(entries_are_as_they_are_written, a_name_is_as_many_servers_as_it_has_addresses,
         a_file_is_waited_for, commands_have_the_last_word)
