// SPDX-License-Identifier: Apache-2.0
//
// Which credentials a document needs, by their ids.

#include "conf/conf_help.h"

#include "tls/wants.h"

static char seen[4096];

static void note(void *arg, const struct tls_want *w)
{
    struct text *t = arg;
    text_str(t, t->len > 0 ? " " : "");
    tls_want_id(w, t);
    CHECK(conf_exists(w->at));
}

static const char *wants_of(const char *text)
{
    struct conf_doc *doc = load(text);
    struct text t = text_on(seen, sizeof seen - 1);
    if (doc == NULL) {
        return report_text;
    }
    tls_wants(conf_root(doc), note, &t);
    seen[t.len] = '\0';
    conf_doc_free(doc);
    return seen;
}

static void sites_want_certificates(void)
{
    CHECK_STR(wants_of("sites: {a.com: {names: www.a.com, proxy: 1}, b.test: {proxy: 1}, default: "
                       "{proxy: 1}, c.com: {tls: off, proxy: 1}}\n"),
              "acme:a.com acme:www.a.com local:b.test local:localhost");
    CHECK_STR(wants_of("sites: {a.com: {tls: {cert: /a, key: /k, certs: [{cert: /b, key: /l}]}, "
                       "proxy: 1}}\n"),
              "file:/a|/k file:/b|/l");
    CHECK_STR(wants_of("acme: {ask: 'http://127.0.0.1:1/'}\n"
                       "sites: {default: {tls: {on_demand: on}, proxy: 1}}\n"),
              "");
}

static void no_listener_no_certificates(void)
{
    CHECK_STR(wants_of("listen: 8080\nsites: {a.com: {proxy: 1}}\n"), "");
    CHECK_STR(wants_of("listen: [{at: 8443, tls: on}]\nsites: {a.com: {proxy: 1}}\n"),
              "acme:a.com");
}

static void clients_want_authorities(void)
{
    CHECK_STR(wants_of("sites: {a.test: {tls: {client: {ca: /ca.pem}}, proxy: 1}}\n"),
              "local:a.test ca:/ca.pem");
    CHECK_STR(wants_of("tls: {client: {ca: /ca.pem}}\n"
                       "sites: {a.test: {proxy: 1}, b.test: {tls: {client: off}, proxy: 1}}\n"),
              "local:a.test local:b.test ca:/ca.pem");
}

static void origins_want_authorities(void)
{
    const char *head = "listen: 8080\n";
    char text[600];
    static const struct {
        const char *conf;
        const char *want;
    } rows[] = {
        {"sites: {default: {proxy: 'https://o.com'}}\n", "ca:system"},
        {"sites: {default: {proxy: 'http://o.com'}}\n", ""},
        {"sites: {default: {proxy: {to: 'https://o.com', tls: {verify: off}}}}\n", ""},
        {"sites: {default: {proxy: {to: ['https://o.com'], tls: {ca: /c}}}}\n", "ca:/c"},
        {"sites: {default: {routes: [{path: /a, proxy: 'https://o.com'}, {proxy: 1}]}}\n",
         "ca:system"},
        {"upstreams: {app: {servers: [1, 'https://o.com'], tls: {cert: /x, key: /y}}}\n"
         "sites: {default: {proxy: app}}\n",
         "file:/x|/y ca:system"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        (void)snprintf(text, sizeof text, "%s%s", head, rows[i].conf);
        CHECK_STR(wants_of(text), rows[i].want);
    }
}

TAP_MAIN(sites_want_certificates, no_listener_no_certificates, clients_want_authorities,
         origins_want_authorities)
