// SPDX-License-Identifier: Apache-2.0
//
// What a document says of TLS: the source of each name, settings by level, files, listeners.

#include "conf/conf_help.h"

#include "tls/plan.h"

static char seen[2048];

static const char *const sources[] = {
    [TLS_SOURCE_NONE] = "none", [TLS_SOURCE_FILES] = "files",      [TLS_SOURCE_LOCAL] = "local",
    [TLS_SOURCE_ACME] = "acme", [TLS_SOURCE_ON_DEMAND] = "demand",
};

static void note(void *arg, const struct tls_plan_name *n)
{
    struct text *t = arg;
    text_printf(t, "%s%.*s=%s", t->len > 0 ? " " : "", SLICE_ARG(n->name), sources[n->source]);
}

static const char *plan_of(const char *text)
{
    struct conf_doc *doc = load(text);
    struct text t = text_on(seen, sizeof seen - 1);
    if (doc == NULL) {
        return report_text;
    }
    tls_plan_names(conf_root(doc), note, &t);
    seen[t.len] = '\0';
    conf_doc_free(doc);
    return seen;
}

static void names_have_sources(void)
{
    CHECK_STR(plan_of("sites: {a.example.com: {proxy: 3000}}\n"), "a.example.com=acme");
    CHECK_STR(plan_of("sites: {a.com: {names: [www.a.com], aliases: [b.internal, 10.0.0.1], "
                      "proxy: 3000}}\n"),
              "a.com=acme www.a.com=acme b.internal=local 10.0.0.1=local");
    CHECK_STR(plan_of("sites: {default: {proxy: 3000}}\n"), "default=local");
    CHECK_STR(plan_of("sites: {a.com: {tls: off, proxy: 3000}}\n"), "a.com=none");
    CHECK_STR(plan_of("sites: {a.com: {tls: local, proxy: 3000}}\n"), "a.com=local");
    CHECK_STR(plan_of("acme: {issuers: 'https://ca/dir'}\n"
                      "sites: {a.test: {tls: acme, proxy: 3000}}\n"),
              "a.test=acme");
    CHECK_STR(plan_of("sites: {a.com: {tls: {cert: a, key: b}, proxy: 3000}}\n"), "a.com=files");
    CHECK_STR(plan_of("acme: {ask: 'http://127.0.0.1:1/'}\n"
                      "sites: {default: {tls: {on_demand: on}, proxy: 3000}}\n"),
              "default=demand");
}

static void wildcards_need_a_hook(void)
{
    CHECK_STR(plan_of("sites: {'*.a.com': {proxy: 3000}}\n"), "*.a.com=none");
    CHECK_STR(plan_of("sites: {'*.a.com': {tls: {dns: /hook}, proxy: 3000}}\n"), "*.a.com=acme");
    CHECK_STR(plan_of("acme: {dns: /hook}\nsites: {'*.a.com': {proxy: 3000}}\n"), "*.a.com=acme");
    CHECK_STR(plan_of("sites: {'*.a.test': {proxy: 3000}}\n"), "*.a.test=local");
}

static void agents_call_at_a_name_of_its_own(void)
{
    CHECK_STR(plan_of("sites: {'*.a.com': {tls: {cert: a, key: b}, tunnels: on}}\n"),
              "*.a.com=files a.com=files");
    CHECK_STR(plan_of("sites: {'*.a.com': {tls: {dns: /hook}, tunnels: {at: edge.b.com}}}\n"),
              "*.a.com=acme edge.b.com=acme");
    CHECK_STR(plan_of("sites: {'*.a.com': {tls: {dns: /hook}, routes: [{tunnels: on}]}, "
                      "a.com: {proxy: 3000, tls: local}}\n"),
              "*.a.com=acme a.com=local");
}

static void note_call(void *arg, struct slice name)
{
    struct text *t = arg;
    text_printf(t, "%s%.*s", t->len > 0 ? " " : "", SLICE_ARG(name));
}

static const char *calls_of(const char *text)
{
    struct conf_doc *doc = load(text);
    struct text t = text_on(seen, sizeof seen - 1);
    if (doc == NULL) {
        return report_text;
    }
    tls_plan_calls(conf_root(doc), note_call, &t);
    seen[t.len] = '\0';
    conf_doc_free(doc);
    return seen;
}

static void where_agents_call(void)
{
    CHECK_STR(calls_of("sites: {a.com: {proxy: 3000}, '*.a.com': {proxy: 3000}}\n"), "");
    CHECK_STR(calls_of("sites: {'*.a.com': {tls: {cert: a, key: b}, tunnels: on}}\n"), "a.com");
    CHECK_STR(calls_of("sites: {'*.a.com': {tls: {dns: /hook}, tunnels: {at: edge.b.com}}, "
                       "edge.b.com: {proxy: 3000}, '*.b.com': {tls: {cert: a, key: b}, "
                       "routes: [{tunnels: on}]}}\n"),
              "edge.b.com b.com");
    CHECK_STR(calls_of("sites: {'*.a.com': {tls: {cert: a, key: b}, tunnels: off, "
                       "proxy: 3000}}\n"),
              report_text); // refused, or nowhere
}

static void levels_are_resolved(void)
{
    CHECK_STR(plan_of("tls: off\nsites: {a.com: {proxy: 1}, b.com: {tls: on, proxy: 1}}\n"),
              "a.com=none b.com=acme");
    CHECK_STR(plan_of("tls: local\nsites: {a.com: {proxy: 1}, b.com: {tls: acme, proxy: 1}}\n"),
              "a.com=local b.com=acme");
    struct conf_doc *doc = load("tls: {min_version: '1.3', tickets: off}\n"
                                "sites: {a.com: {tls: {tickets: on}, proxy: 1}, b.com: "
                                "{tls: off, proxy: 1}}\n");
    REQUIRE(doc != NULL);
    struct conf_node root = conf_root(doc);
    struct conf_node a = conf_get(conf_get(root, "sites"), "a.com");
    CHECK(slice_eq(conf_text(tls_plan_get(root, a, "min_version")), SLICE("1.3")));
    CHECK(conf_bool(tls_plan_get(root, a, "tickets"), false));
    CHECK(!conf_exists(tls_plan_get(root, a, "ciphers")));
    CHECK(!conf_bool(tls_plan_get(root, conf_get(conf_get(root, "sites"), "b.com"), "tickets"),
                     true));
    CHECK(tls_plan_in_use(root));
    conf_doc_free(doc);
}

static void note_credential(void *arg, const struct tls_plan_name *n)
{
    struct text *t = arg;
    text_char(t, '<');
    tls_plan_credential(n, t);
    text_char(t, '>');
}

static void credentials_have_ids(void)
{
    struct conf_doc *doc = load("sites: {a.com: {proxy: 1}, b.test: {proxy: 1}, default: {proxy: "
                                "1}, c.com: {tls: {cert: a, key: b}, proxy: 1}}\n");
    REQUIRE(doc != NULL);
    struct text t = text_on(seen, sizeof seen);
    tls_plan_names(conf_root(doc), note_credential, &t);
    CHECK(slice_eq(text_slice(&t), SLICE("<acme:a.com><local:b.test><local:localhost><>")));
    conf_doc_free(doc);
}

static void files_are_listed(void)
{
    struct conf_doc *doc = load("sites: {a.com: {tls: {cert: /a.pem, key: /a.key, certs: [{cert: "
                                "b.pem, key: b.key}]}, proxy: 1}}\n");
    REQUIRE(doc != NULL);
    struct tls_plan_file files[TLS_PLAN_FILES_MAX];
    struct conf_node site = conf_first(conf_get(conf_root(doc), "sites"));
    REQUIRE(tls_plan_files(site, files) == 2);
    CHECK(slice_eq(files[0].cert, SLICE("/a.pem")) && slice_eq(files[0].key, SLICE("/a.key")));
    CHECK(slice_eq(files[1].cert, SLICE("b.pem")) && slice_eq(files[1].key, SLICE("b.key")));
    conf_doc_free(doc);
}

static const char *listeners_of(const char *text)
{
    struct conf_doc *doc = load(text);
    struct tls_plan_listener l[TLS_PLAN_LISTENERS_MAX];
    struct text t = text_on(seen, sizeof seen - 1);
    if (doc == NULL) {
        return report_text;
    }
    uint32_t count = tls_plan_listeners(conf_root(doc), l);
    for (uint32_t i = 0; i < count; i++) {
        text_printf(&t, "%.*s%s ", SLICE_ARG(l[i].address), l[i].tls ? "/tls" : "");
    }
    CHECK(tls_plan_listens(conf_root(doc)) == (strstr(seen, "/tls") != NULL));
    seen[t.len] = '\0';
    conf_doc_free(doc);
    return seen;
}

static void listeners_know_tls(void)
{
    memset(seen, 0, sizeof seen);
    CHECK_STR(listeners_of("sites: {a.com: {proxy: 1}}\n"), "[::]:80 [::]:443/tls ");
    memset(seen, 0, sizeof seen);
    CHECK_STR(listeners_of("sites: {default: {proxy: 1}}\n"), "[::]:8080 ");
    memset(seen, 0, sizeof seen);
    CHECK_STR(listeners_of("tls: off\nsites: {a.com: {proxy: 1}}\n"), "[::]:8080 ");
    memset(seen, 0, sizeof seen);
    CHECK_STR(listeners_of("sites: {default: {tls: local, proxy: 1}}\n"), "[::]:80 [::]:443/tls ");
    memset(seen, 0, sizeof seen);
    CHECK_STR(listeners_of("listen: [80, {at: 8443, tls: on}, {at: 443, tls: off}, unix:/x]\n"
                           "sites: {a.com: {proxy: 1}}\n"),
              "[::]:80 [::]:8443/tls [::]:443 unix:/x ");
}

static void names_are_public_or_not(void)
{
    static const char *const public_names[] = {"example.com", "*.example.com", "a.b.co.uk",
                                               "xn--bcher-kva.example.net", "home.arpa.com"};
    static const char *const others[] = {"localhost",   "a.localhost", "host",     "a.local",
                                         "a.internal",  "a.test",      "10.0.0.1", "[::1]",
                                         "x.home.arpa", "*.a.test",    "default",  "my_app.com"};
    for (size_t i = 0; i < array_len(public_names); i++) {
        CHECK(tls_name_is_public(slice_str(public_names[i])));
    }
    for (size_t i = 0; i < array_len(others); i++) {
        CHECK(!tls_name_is_public(slice_str(others[i])));
    }
}

static void rates_are_read(void)
{
    uint32_t count = 0;
    uint64_t ms = 0;
    CHECK(tls_plan_rate(SLICE("10/1m"), &count, &ms) == 0 && count == 10 && ms == 60000);
    CHECK(tls_plan_rate(SLICE("1/500ms"), &count, &ms) == 0 && ms == 500);
    CHECK(tls_plan_rate(SLICE("10"), &count, &ms) == E_INVALID);
    CHECK(tls_plan_rate(SLICE("/1m"), &count, &ms) == E_INVALID);
    CHECK(tls_plan_rate(SLICE("0/1m"), &count, &ms) == E_INVALID);
    CHECK(tls_plan_rate(SLICE("1/0"), &count, &ms) == E_INVALID);
    CHECK(tls_plan_rate(SLICE("1/m"), &count, &ms) == E_INVALID);
}

TAP_MAIN(names_have_sources, wildcards_need_a_hook, agents_call_at_a_name_of_its_own,
         where_agents_call, levels_are_resolved, credentials_have_ids, files_are_listed,
         listeners_know_tls, names_are_public_or_not, rates_are_read)
