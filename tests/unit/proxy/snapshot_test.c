// SPDX-License-Identifier: Apache-2.0
//
// Snapshots: which site a host gets, what routes inherit, who holds them.

#include "proxy/snapshot.h"

#include "base/error.h"
#include "base/slab.h"
#include "proxy/fake_conf.h"

static const char sites[] = "sites:\n"
                            "  example.com:\n"
                            "    names: [www.example.com, old.example.net]\n"
                            "    aliases: other.example\n"
                            "    respond: hi\n"
                            "  '*.example.com': {respond: wild}\n"
                            "  '*.deep.example.com': {respond: deep}\n"
                            "  API.example.com: {respond: api}\n";

struct host_row {
    const char *host;
    const char *site;        // NULL: none
    const char *redirect_to; // NULL: not
};

static const struct host_row host_rows[] = {
    {"example.com", "example.com", NULL},
    {"www.example.com", "example.com", "example.com"},
    {"old.example.net", "example.com", "example.com"},
    {"other.example", "example.com", NULL},
    {"api.example.com", "api.example.com", NULL},
    {"x.example.com", "*.example.com", NULL},
    {"a.b.example.com", "*.example.com", NULL},
    {"x.deep.example.com", "*.deep.example.com", NULL},
    {"deep.example.com", "*.example.com", NULL},
    {".example.com", NULL, NULL},
    {"example.org", NULL, NULL},
    {"", NULL, NULL},
};

static void finds_sites(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, sites) == 0);
    for (size_t i = 0; i < array_len(host_rows); i++) {
        const struct site *s = snapshot_site(c.snapshot, slice_str(host_rows[i].host));
        if (!CHECK((s != NULL) == (host_rows[i].site != NULL)) || s == NULL) {
            continue;
        }
        CHECK_TEXT(s->name.ptr, s->name.len, host_rows[i].site);
        const char *to = host_rows[i].redirect_to != NULL ? host_rows[i].redirect_to : "";
        CHECK_TEXT(s->redirect_to.ptr, s->redirect_to.len, to);
    }
    fake_conf_free(&c);
}

static void falls_back_to_default(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "sites: {default: {respond: x}, a.example: {respond: y}}") == 0);
    const struct site *s = snapshot_site(c.snapshot, SLICE("anything"));
    REQUIRE(s != NULL);
    CHECK_TEXT(s->name.ptr, s->name.len, "default");
    CHECK(snapshot_site(c.snapshot, SLICE("a.example")) != s);
    fake_conf_free(&c);
}

static bool is_sent(const struct snapshot *s, const char *host)
{
    const struct site *site = snapshot_site(s, slice_str(host));
    REQUIRE(site != NULL);
    return site->to_https;
}

static void names_with_tls_are_sent_to_https(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "listen: [80, {at: 8443, tls: on}]\n"
                             "sites:\n"
                             "  a.com: {names: [www.a.com], aliases: ['*.a.com'], respond: x}\n"
                             "  b.com: {tls: off, respond: x}\n"
                             "  c.com: {tls: {redirect: off}, respond: x}\n"
                             "  default: {respond: x}\n") == 0);
    CHECK(is_sent(c.snapshot, "a.com"));
    CHECK(is_sent(c.snapshot, "www.a.com"));
    CHECK(snapshot_site(c.snapshot, SLICE("www.a.com"))->redirect_to.len > 0);
    CHECK(!is_sent(c.snapshot, "x.a.com")); // a wildcard that can get no certificate
    CHECK(!is_sent(c.snapshot, "b.com"));
    CHECK(!is_sent(c.snapshot, "c.com"));
    CHECK(!is_sent(c.snapshot, "other"));
    CHECK_EQ_INT(c.snapshot->handshake_ms, 10000);
    CHECK_EQ_INT(c.snapshot->streams_max, 128);
    CHECK_EQ_INT(c.snapshot->connection_bytes, 4 << 20);
    fake_conf_free(&c);
}

static void inherits_per_key(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "limits: {body_size: 1MiB, header_size: 16KiB}\n"
                             "timeouts: {connect: 1s, read: 2s, header: 3s}\n"
                             "sites:\n"
                             "  a.example:\n"
                             "    timeouts: {read: 4s}\n"
                             "    routes:\n"
                             "      - {path: /x, timeouts: {connect: 5s}, respond: x}\n"
                             "      - {path: /y, limits: {body_size: off}, access_log: off, "
                             "respond: y}\n"
                             "    respond: z\n") == 0);
    const struct snapshot *s = c.snapshot;
    const struct site *site = snapshot_site(s, SLICE("a.example"));
    REQUIRE(site != NULL && site->route_count == 3);
    CHECK_EQ_INT(s->head_bytes, 16384);
    CHECK_EQ_INT(s->header_ms, 3000);
    const struct route *x = &site->routes[0];
    const struct route *y = &site->routes[1];
    CHECK_EQ_INT(x->connect_ms, 5000);
    CHECK_EQ_INT(x->up_timeouts.read_ms, 4000);
    CHECK_EQ_INT(x->limits.body_bytes, 1 << 20);
    CHECK_EQ_INT(y->connect_ms, 1000);
    CHECK(y->limits.body_bytes == UINT64_MAX);
    CHECK(x->access_log);
    CHECK(!y->access_log);
    CHECK_TEXT(y->text.ptr, y->text.len, "a.example/2");
    CHECK_EQ_INT(s->fallback_route.connect_ms, 1000);
    CHECK(x->match != NULL);
    CHECK(site->routes[2].match == NULL);
    fake_conf_free(&c);
}

static void has_defaults(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "sites: {default: {respond: x}}") == 0);
    const struct snapshot *s = c.snapshot;
    CHECK_EQ_INT(s->head_bytes, 32768);
    CHECK_EQ_INT(s->target_bytes, 8192);
    CHECK_EQ_INT(s->head_fields, 100);
    CHECK_EQ_INT(s->idle_ms, 60000);
    CHECK_EQ_INT(s->upstream_idle_ms, 50000);
    CHECK(s->requests_per_connection == UINT64_MAX);
    CHECK_EQ_INT(s->forwarded, FORWARDED_X);
    CHECK(s->via);
    CHECK_EQ_INT(s->trusted_count, 0);
    CHECK_EQ_INT(s->fallback->routes[0].up_timeouts.head_ms, 60000);
    CHECK_EQ_INT(s->fallback->routes[0].down_timeouts.rate_bytes, 512);
    fake_conf_free(&c);
}

static void knows_whom_to_trust(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "trusted_proxies: [10.0.0.0/8, '::1', unix]\n"
                             "forwarded: both\nvia: off\n"
                             "sites: {default: {respond: x}}") == 0);
    CHECK_EQ_INT(c.snapshot->trusted_count, 3);
    CHECK_EQ_INT(c.snapshot->forwarded, FORWARDED_X | FORWARDED_RFC7239);
    CHECK(!c.snapshot->via);
    fake_conf_free(&c);
    REQUIRE(fake_compile(&c, "forwarded: off\nsites: {default: {respond: x}}") == 0);
    CHECK_EQ_INT(c.snapshot->forwarded, FORWARDED_OFF);
    fake_conf_free(&c);
}

static void makes_named_upstreams_once(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "upstreams: {app: {servers: [127.0.0.1:1]}}\n"
                             "sites:\n"
                             "  a.example:\n"
                             "    routes:\n"
                             "      - {path: /x, proxy: app}\n"
                             "      - {path: /y, proxy: 127.0.0.1:2}\n"
                             "    proxy: app\n") == 0);
    const struct site *site = snapshot_site(c.snapshot, SLICE("a.example"));
    CHECK_EQ_INT(c.made, 2);
    CHECK(site->routes[0].upstream == site->routes[2].upstream);
    CHECK(site->routes[0].upstream == c.snapshot->upstreams[0]);
    CHECK(site->routes[1].upstream != site->routes[0].upstream);
    fake_conf_free(&c);
}

/** What has one name is one group (upstream/group.h), so each needs its own. */
static void every_upstream_in_place_has_a_name_of_its_own(void)
{
    enum { PARTS = 40 };
    static char bytes[8192];
    struct text t = text_on(bytes, sizeof(bytes) - 1);
    text_str(&t, "sites:\n  a.example:\n    proxy:\n      split:\n");
    for (unsigned i = 0; i < PARTS; i++) {
        text_printf(&t, "        - {to: 127.0.0.1:%u, when: {header: {x: v%u}}}\n", 1000 + i, i);
    }
    text_str(&t, "        - {to: 127.0.0.1:1}\n");
    REQUIRE(!t.overflow);
    struct fake_conf c;
    REQUIRE(fake_compile(&c, bytes) == 0);
    CHECK_EQ_INT(c.made, PARTS + 1);
    for (const struct upstream *a = c.snapshot->all_upstreams; a != NULL; a = a->next) {
        for (const struct upstream *b = a->next; b != NULL; b = b->next) {
            CHECK(!slice_eq(a->name, b->name));
        }
    }
    fake_conf_free(&c);
}

static void always_has_a_last_route(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "sites: {a.example: {routes: [{path: /x, respond: x}]}}") == 0);
    const struct site *site = snapshot_site(c.snapshot, SLICE("a.example"));
    REQUIRE(site->route_count == 2);
    CHECK(site->routes[1].match == NULL);
    CHECK(site->routes[1].upstream == NULL);
    CHECK_EQ_INT(site->routes[1].stages, 0);
    fake_conf_free(&c);
}

static void reports_what_only_compiling_finds(void)
{
    static const char *const bad[] = {
        "sites: {default: {routes: [{path: '~ (', respond: x}]}}",
        "sites: {default: {routes: [{path: /x, rewrite: {regex: '(', to: /y}, proxy: 1}]}}",
        "sites: {'*.example': {names: [a.example.com], respond: x}}",
    };
    for (size_t i = 0; i < array_len(bad); i++) {
        struct fake_conf c = {.diags = conf_diags_new(), .factory = {.make = fake_make}};
        REQUIRE(c.diags != NULL);
        int rc = conf_load_text("test.yaml", bad[i], conf_tables, c.diags, &c.doc);
        if (rc == 0) {
            rc = snapshot_compile(c.doc, &c.factory, c.diags, &c.snapshot);
        }
        CHECK_EQ_INT(rc, E_CONFIG);
        CHECK(conf_diags_errors(c.diags) > 0);
        fake_conf_free(&c);
    }
}

static void lives_as_long_as_a_core_holds_it(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, sites) == 0);
    struct snapshot *s = c.snapshot;
    snapshot_publish(s, 2);
    snapshot_ref(s, 1);
    snapshot_unref(s, 0);
    snapshot_unref(s, 1);
    CHECK(snapshot_site(s, SLICE("example.com")) != NULL);
    CHECK_ABORTS(snapshot_unref(s, 0));
    snapshot_unref(s, 1);
    c.snapshot = NULL;
    fake_conf_free(&c);
}

// Every allocation of a compile fails once: no leak, no crash, an error.
static void survives_running_out_of_memory(void)
{
    struct fake_conf c;
    const char *yaml = "errors: {404: 'no $id'}\n"
                       "trusted_proxies: 10.0.0.0/8\n"
                       "sites:\n"
                       "  a.example:\n"
                       "    names: b.example\n"
                       "    compress: on\n"
                       "    headers: {response: {set: {x-a: $host}}}\n"
                       "    routes:\n"
                       "      - {path: ['~ ^/(x)', '/*.js', /a/*], query: {a: 1}, redirect: /y}\n"
                       "      - {path: /z/*, rewrite: {strip: /z}, proxy: 127.0.0.1:1}\n"
                       "    respond: {status: 200, body: hi, headers: {x-b: $id}}\n";
    (void)fake_doc(&c, yaml);
    int rc = E_NO_MEMORY;
    for (uint64_t n = 1; rc == E_NO_MEMORY && n < 10000; n++) {
        alloc_fail_nth(n);
        rc = snapshot_compile(c.doc, &c.factory, c.diags, &c.snapshot);
        alloc_fail_nth(0);
    }
    CHECK_EQ_INT(rc, 0);
    fake_conf_free(&c);
}

TAP_MAIN(finds_sites, falls_back_to_default, names_with_tls_are_sent_to_https, inherits_per_key,
         has_defaults, knows_whom_to_trust, makes_named_upstreams_once,
         every_upstream_in_place_has_a_name_of_its_own, always_has_a_last_route,
         reports_what_only_compiling_finds, lives_as_long_as_a_core_holds_it,
         survives_running_out_of_memory)
