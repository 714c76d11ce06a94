// SPDX-License-Identifier: Apache-2.0
//
// pool: what the configuration says of an upstream is what the exchange and the servers get, and two
// snapshots that name the same server share it.

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

static struct server *only_server(struct upstream_registry *r)
{
    REQUIRE(!list_empty(&r->servers));
    CHECK(r->servers.next == r->servers.prev);
    return list_entry(r->servers.next, struct server, link);
}

static void takes_its_settings_from_the_configuration(void)
{
    struct upstream_registry r;
    struct pool_factory f;
    struct made m;
    upstream_registry_init(&r, 2);
    pool_factory_init(&f, &r);
    if (compile(&f,
                "timeouts: {upstream_idle: 7s}\n"
                "upstreams:\n"
                "  app:\n"
                "    servers: [127.0.0.1:81]\n"
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
        const struct server *s = only_server(&r);
        CHECK_TEXT(server_text(s).ptr, server_text(s).len, "127.0.0.1:81");
        CHECK_EQ_INT(s->settings.idle_max, 3);
        CHECK_EQ_INT(s->settings.idle_ms, 7000);
        discard(&m);
    }
    CHECK(list_empty(&r.servers));
    upstream_registry_fini(&r);
}

static void a_reload_keeps_the_servers_it_still_names(void)
{
    static const char before[] = "sites: {default: {proxy: [127.0.0.1:81, 127.0.0.1:82]}}\n";
    static const char after[] = "sites: {default: {proxy: 127.0.0.1:82}}\n";
    struct upstream_registry r;
    struct pool_factory f;
    struct made old;
    struct made new;
    upstream_registry_init(&r, 1);
    pool_factory_init(&f, &r);
    if (compile(&f, before, &old)) {
        const struct server *second = list_entry(list_last(&r.servers), struct server, link);
        bool compiled = compile(&f, after, &new);
        discard(&old);
        if (compiled) {
            CHECK(only_server(&r) == second);
            discard(&new);
        }
    }
    CHECK(list_empty(&r.servers));
    upstream_registry_fini(&r);
}

TAP_MAIN(takes_its_settings_from_the_configuration, a_reload_keeps_the_servers_it_still_names)
