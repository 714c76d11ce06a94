// SPDX-License-Identifier: Apache-2.0
//
// Matches, compiled from the configuration's own language and asked about requests.

#include "proxy/match.h"

#include "proxy/fake_conf.h"
#include "proxy/fake_exchange.h"

struct row {
    const char *match; // of a route, flow style
    const char *target;
    bool taken;
};

static const struct row path_rows[] = {
    {"path: /a", "/a", true},
    {"path: /a", "/a?q", true},
    {"path: /a", "/a/", false},
    {"path: /a", "/A", false},
    {"path: /a/*", "/a/", true},
    {"path: /a/*", "/a/b/c", true},
    {"path: /a/*", "/a", false},
    {"path: /a/*", "/ab", false},
    {"path: /*", "/anything/at/all", true},
    {"path: /*.php", "/x.php", true},
    {"path: /*.php", "/a/x.php", false},
    {"path: /**.php", "/a/x.php", true},
    {"path: /a/*/c", "/a/b/c", true},
    {"path: /a/*/c", "/a/b/b/c", false},
    {"path: [/a, /b/*]", "/b/x", true},
    {"path: [/a, /b/*]", "/c", false},
    {"path: /a/b", "/%61/b", true},
    {"path: /a/b", "/x/../a/./b", true},
    {"path: /a/b", "/a%2Fb", false},
    {"path: '/caf\xc3\xa9/*'", "/caf%c3%a9/x", true},
    {"path: '/caf\xc3\xa9/*'", "/caf%C3%A9/x", true},
    {"path: /a b", "/a%20b", true},
    {"path: '~ ^/user/[0-9]+$'", "/user/42", true},
    {"path: '~ ^/user/[0-9]+$'", "/user/42/x", false},
    {"path: '~ user'", "/the/user/x", true},
    {"path: /a/*, match: {not: {path: /a/b/*}}", "/a/b/c", false},
    {"path: /a/*, match: {not: {path: /a/b/*}}", "/a/c", true},
    {"match: {any: [{path: /a}, {path: /b}]}", "/b", true},
    {"match: {any: [{path: /a}, {path: /b}]}", "/c", false},
    {"match: {all: [{path: /a/*}, {path: '/**.js'}]}", "/a/x.js", true},
    {"match: {all: [{path: /a/*}, {path: '/**.js'}]}", "/a/x.css", false},
    {"match: {not: {any: [{path: /a}, {path: /b}]}}", "/c", true},
    {"match: {any: [{not: {path: /a}}, {method: POST}]}", "/a", false},
    {"query: {preview: on}", "/?preview", true},
    {"query: {preview: on}", "/?preview=0", true},
    {"query: {preview: on}", "/?previews=0", false},
    {"query: {preview: off}", "/?x", true},
    {"query: {preview: off}", "/?x&preview", false},
    {"query: {a: b c}", "/?a=b+c", true},
    {"query: {a: b c}", "/?a=b%20c", true},
    {"query: {a: b}", "/?a=x&a=b", true},
    {"query: {a: b}", "/?a=x", false},
    {"query: {a: '~ ^[0-9]+$'}", "/?a=%34%32", true},
    {"query: {a: '~ ^[0-9]+$'}", "/?a=x", false},
    {"query: {a: 1, b: 2}", "/?b=2&a=1", true},
    {"query: {a: 1, b: 2}", "/?a=1", false},
};

struct taken {
    struct fake_conf conf;
    struct fake *f;
};

static void begin(struct taken *t, const char *match)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof(yaml),
                   "sites:\n  default:\n    routes:\n      - {%s, respond: yes}\n", match);
    int rc = fake_compile(&t->conf, yaml);
    if (rc != 0) {
        fake_conf_print(t->conf.diags);
    }
    REQUIRE(rc == 0);
    t->f = fake_new();
}

static bool takes(struct taken *t)
{
    const struct route *r = match_route(t->conf.snapshot->fallback, &t->f->x);
    REQUIRE(r != NULL);
    return r->index == 0;
}

static void end(struct taken *t)
{
    fake_free(t->f);
    fake_conf_free(&t->conf);
}

static void takes_paths_and_queries(void)
{
    for (size_t i = 0; i < array_len(path_rows); i++) {
        struct taken t;
        begin(&t, path_rows[i].match);
        fake_target(t.f, path_rows[i].target);
        if (!CHECK(takes(&t) == path_rows[i].taken)) {
            printf("#   %s on %s\n", path_rows[i].match, path_rows[i].target);
        }
        end(&t);
    }
}

struct capture_row {
    const char *path;
    const char *target;
    const char *captures; // from 0, joined by '|'
};

static const struct capture_row capture_rows[] = {
    {"/a/*", "/a/b/c", "/a/b/c|b/c"},
    {"/a", "/a", "/a"},
    {"/*/x/**", "/1/x/2/3", "/1/x/2/3|1|2/3"},
    {"~ ^/(a|b)/(.*)$", "/b/c", "/b/c|b|c"},
};

static void catches_parts_of_paths(void)
{
    for (size_t i = 0; i < array_len(capture_rows); i++) {
        char match[128];
        char joined[256] = "";
        struct taken t;
        (void)snprintf(match, sizeof(match), "path: '%s'", capture_rows[i].path);
        begin(&t, match);
        fake_target(t.f, capture_rows[i].target);
        CHECK(takes(&t));
        for (unsigned n = 0; n < EXCHANGE_CAPTURES_MAX && t.f->x.captures[n].len > 0; n++) {
            size_t len = strlen(joined);
            (void)snprintf(joined + len, sizeof(joined) - len, "%s%.*s", n > 0 ? "|" : "",
                           SLICE_ARG(t.f->x.captures[n]));
        }
        CHECK_STR(joined, capture_rows[i].captures);
        end(&t);
    }
}

static void forgets_captures_of_routes_not_taken(void)
{
    struct taken t;
    begin(&t, "path: /a/*, match: {not: {path: /a/b}}");
    fake_target(t.f, "/a/b");
    CHECK(!takes(&t));
    CHECK_EQ_INT(t.f->x.captures[0].len, 0);
    CHECK_EQ_INT(t.f->x.captures[1].len, 0);
    end(&t);
}

static void takes_methods(void)
{
    struct taken t;
    begin(&t, "method: [GET, BREW]");
    CHECK(takes(&t));
    t.f->x.request.method = HTTP_METHOD_POST;
    t.f->x.request.method_text = SLICE("POST");
    CHECK(!takes(&t));
    t.f->x.request.method = HTTP_METHOD_OTHER;
    t.f->x.request.method_text = SLICE("BREW");
    CHECK(takes(&t));
    t.f->x.request.method_text = SLICE("brew");
    CHECK(!takes(&t));
    end(&t);
}

static void takes_hosts(void)
{
    struct taken t;
    begin(&t, "host: [api.example.com, '*.shop.example']");
    CHECK(!takes(&t));
    t.f->x.request.host = SLICE("api.example.com");
    CHECK(takes(&t));
    t.f->x.request.host = SLICE("a.b.shop.example");
    CHECK(takes(&t));
    t.f->x.request.host = SLICE("shop.example");
    CHECK(!takes(&t));
    t.f->x.request.host = SLICE(".shop.example");
    CHECK(!takes(&t));
    end(&t);
}

static void takes_fields(void)
{
    struct taken t;
    begin(&t, "header: {x-user: '~ ^a', accept: text/html, cookie: off, host: example.com}");
    fake_field(t.f, "X-User", "bob");
    CHECK(!takes(&t));
    fake_field(t.f, "x-user", "alice");
    fake_field(t.f, "Accept", "text/html");
    CHECK(takes(&t));
    fake_field(t.f, "Cookie", "");
    CHECK(!takes(&t));
    end(&t);
    begin(&t, "header: {upgrade: websocket}");
    CHECK(!takes(&t));
    t.f->x.request.upgrade = SLICE("websocket");
    CHECK(takes(&t));
    end(&t);
}

struct client_row {
    const char *match;
    const char *client;
    bool taken;
};

static const struct client_row client_rows[] = {
    {"client: 10.0.0.0/8", "10.1.2.3:1", true},
    {"client: 10.0.0.0/8", "11.1.2.3:1", false},
    {"client: [not 10.1.0.0/16, 10.0.0.0/8]", "10.1.2.3:1", false},
    {"client: [10.0.0.0/8, not 10.1.0.0/16]", "10.2.2.3:1", true},
    {"client: not 10.1.0.0/16", "10.1.2.3:1", false},
    {"client: not 10.1.0.0/16", "10.2.2.3:1", true},
    {"client: '::1'", "[::1]:1", true},
    {"client: ['::1', 127.0.0.0/8]", "127.0.0.1:1", true},
    {"client: unix", "unix:/run/x", true},
    {"client: unix", "127.0.0.1:1", false},
};

static void takes_clients(void)
{
    for (size_t i = 0; i < array_len(client_rows); i++) {
        struct taken t;
        begin(&t, client_rows[i].match);
        fake_peer(t.f, client_rows[i].client);
        if (!CHECK(takes(&t) == client_rows[i].taken)) {
            printf("#   %s on %s\n", client_rows[i].match, client_rows[i].client);
        }
        end(&t);
    }
}

static void goes_by_the_order_of_routes(void)
{
    struct fake_conf c;
    struct fake *f = fake_new();
    REQUIRE(fake_compile(&c, "sites:\n"
                             "  default:\n"
                             "    routes:\n"
                             "      - {path: /a/b, respond: one}\n"
                             "      - {path: /a/*, respond: two}\n"
                             "      - {path: /a/c, respond: three}\n"
                             "    respond: four\n") == 0);
    static const struct {
        const char *target;
        uint32_t index;
    } rows[] = {{"/a/b", 0}, {"/a/c", 1}, {"/a/", 1}, {"/b", 3}, {"/", 3}};
    for (size_t i = 0; i < array_len(rows); i++) {
        fake_target(f, rows[i].target);
        CHECK_EQ_INT(match_route(c.snapshot->fallback, &f->x)->index, rows[i].index);
    }
    fake_conf_free(&c);
    fake_free(f);
}

TAP_MAIN(takes_paths_and_queries, catches_parts_of_paths, forgets_captures_of_routes_not_taken,
         takes_methods, takes_hosts, takes_fields, takes_clients, goes_by_the_order_of_routes)
