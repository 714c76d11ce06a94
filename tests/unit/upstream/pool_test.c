// SPDX-License-Identifier: Apache-2.0
//
// pool: what the configuration says of an upstream is what the exchange and the servers get, and a
// reload keeps the servers that it still names.

#include "upstream/pool.h"

#include "base/error.h"
#include "conf/load.h"
#include "tap.h"

extern const struct conf_directive *const conf_tables[];

struct made {
    struct conf_diags *diags;
    struct conf_doc *doc;
    struct snapshot *snapshot;
};

static bool compile(struct pool_factory *f, const char *yaml, struct made *m)
{
    *m = (struct made){.diags = conf_diags_new()};
    if (m->diags == NULL || conf_load_text("test.yaml", yaml, conf_tables, m->diags, &m->doc) < 0) {
        conf_diags_free(m->diags);
        return CHECK(false);
    }
    if (!CHECK(snapshot_compile(m->doc, &f->base, m->diags, &m->snapshot) == 0)) {
        conf_doc_free(m->doc);
        conf_diags_free(m->diags);
        return false;
    }
    return true;
}

static void discard(struct made *m)
{
    snapshot_discard(m->snapshot);
    conf_doc_free(m->doc);
    conf_diags_free(m->diags);
}

struct world {
    struct sys *sys;
    struct loop loop;
    struct upstream_registry registry;
    struct pool_factory factory;
};

static void begin(struct world *w)
{
    static const struct loop_limits limits = {8, 8};
    w->sys = os_linux_new();
    REQUIRE(w->sys != NULL);
    REQUIRE(loop_init(&w->loop, w->sys, 0, &limits) == 0);
    upstream_registry_init(&w->registry, 1);
    struct upstream_core core = {.loop = &w->loop};
    upstream_registry_attach(&w->registry, 0, &core);
    pool_factory_init(&w->factory, &w->registry);
}

static void end(struct world *w)
{
    loop_turn(&w->loop, 0); // groups that nobody has any more end by mail
    CHECK(list_empty(&w->registry.groups));
    CHECK(list_empty(&w->registry.servers));
    upstream_registry_close(&w->registry, 0);
    upstream_registry_fini(&w->registry);
    loop_fini(&w->loop);
    os_linux_free(w->sys);
}

static const struct roster *only_roster(const struct world *w)
{
    REQUIRE(!list_empty(&w->registry.groups));
    CHECK(w->registry.groups.next == w->registry.groups.prev);
    return group_roster(list_entry(w->registry.groups.next, struct group, link), 0);
}

static void takes_its_settings_from_the_configuration(void)
{
    struct world w;
    struct made m;
    begin(&w);
    if (compile(&w.factory,
                "timeouts: {upstream_idle: 7s}\n"
                "upstreams:\n"
                "  app:\n"
                "    servers: [127.0.0.1:81, {at: 127.0.0.1:82, weight: 3, backup: true}]\n"
                "    connections: 12\n"
                "    idle_connections: 3\n"
                "    host: server\n"
                "    retry: {attempts: 5, body: 1KiB}\n"
                "sites: {default: {proxy: app}}\n",
                &m)) {
        const struct upstream *u = m.snapshot->fallback->routes[0].upstream;
        REQUIRE(u != NULL);
        CHECK_TEXT(u->name.ptr, u->name.len, "app");
        CHECK_EQ_INT(u->attempts, 5);
        CHECK_EQ_INT(u->replay_bytes, 1024);
        CHECK_EQ_INT(u->host_mode, UPSTREAM_HOST_SERVER);
        CHECK(list_empty(&w.registry.servers)); // nobody uses the snapshot yet
        snapshot_enter(m.snapshot, &w.loop);
        const struct roster *r = only_roster(&w);
        REQUIRE(r != NULL && r->count == 2);
        const struct server *s = r->entries[0].server;
        CHECK_TEXT(server_text(s).ptr, server_text(s).len, "127.0.0.1:81");
        CHECK_EQ_INT(s->cores[0].limits.connections_max, 12);
        CHECK_EQ_INT(s->cores[0].limits.idle_max, 3);
        CHECK_EQ_INT(s->cores[0].limits.idle_ms, 7000);
        CHECK_EQ_INT(r->servers[1].weight, 3);
        CHECK_EQ_INT(r->entries[1].tier, ROSTER_BACKUP_TIER);
        snapshot_leave(m.snapshot, &w.loop);
        discard(&m);
    }
    end(&w);
}

static void a_reload_keeps_the_servers_it_still_names(void)
{
    static const char before[] = "sites: {default: {proxy: [127.0.0.1:81, 127.0.0.1:82]}}\n";
    static const char after[] = "sites: {default: {proxy: [127.0.0.1:82, 127.0.0.1:83]}}\n";
    struct world w;
    struct made old;
    struct made new;
    begin(&w);
    if (compile(&w.factory, before, &old)) {
        snapshot_enter(old.snapshot, &w.loop);
        const struct roster *r = only_roster(&w);
        REQUIRE(r != NULL && r->count == 2);
        const struct server *second = r->entries[1].server;
        bool compiled = compile(&w.factory, after, &new);
        if (compiled) {
            snapshot_enter(new.snapshot, &w.loop);
        }
        snapshot_leave(old.snapshot, &w.loop);
        discard(&old);
        if (compiled) {
            r = only_roster(&w);
            CHECK_EQ_INT(r->count, 2);
            CHECK(r->entries[0].server == second);
            CHECK_TEXT(r->entries[1].server->text, r->entries[1].server->text_len, "127.0.0.1:83");
            snapshot_leave(new.snapshot, &w.loop);
            discard(&new);
        }
    }
    end(&w);
}

static void one_that_changes_nothing_keeps_the_list_itself(void)
{
    static const char yaml[] = "sites: {default: {proxy: [127.0.0.1:81, 127.0.0.1:82]}}\n";
    struct world w;
    struct made old;
    struct made new;
    begin(&w);
    if (compile(&w.factory, yaml, &old)) {
        snapshot_enter(old.snapshot, &w.loop);
        const struct roster *r = only_roster(&w);
        if (compile(&w.factory, yaml, &new)) {
            snapshot_enter(new.snapshot, &w.loop);
            snapshot_leave(old.snapshot, &w.loop);
            discard(&old);
            CHECK(only_roster(&w) == r);
            snapshot_leave(new.snapshot, &w.loop);
            discard(&new);
        }
    }
    end(&w);
}

static void routes_that_match_alike_have_groups_of_their_own(void)
{
    struct world w;
    struct made m;
    begin(&w);
    if (compile(&w.factory,
                "sites:\n"
                "  default:\n"
                "    routes:\n"
                "      - {path: /a/*, proxy: 127.0.0.1:81}\n"
                "      - {path: /a/*, proxy: 127.0.0.1:82}\n"
                "      - {path: /b/*, proxy: 127.0.0.1:83}\n"
                "    proxy: 127.0.0.1:84\n",
                &m)) {
        unsigned groups = 0;
        list_each(node, &w.registry.groups)
        {
            groups++;
        }
        CHECK_EQ_INT(groups, 4);
        snapshot_enter(m.snapshot, &w.loop);
        list_each(node, &w.registry.groups)
        {
            const struct group *g = list_entry(node, struct group, link);
            CHECK(g->cores[0].roster != NULL && g->cores[0].roster->count == 1);
        }
        snapshot_leave(m.snapshot, &w.loop);
        discard(&m);
    }
    end(&w);
}

TAP_MAIN(takes_its_settings_from_the_configuration, a_reload_keeps_the_servers_it_still_names,
         one_that_changes_nothing_keeps_the_list_itself,
         routes_that_match_alike_have_groups_of_their_own)
