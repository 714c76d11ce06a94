// SPDX-License-Identifier: Apache-2.0
//
// What documents need of certificates, and reading their files.

#include "keeper/needs.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"

#include "tap.h"

#include "made.h"

static struct conf_diags *diags;
static struct conf_doc *doc;

static struct needs *needs_of(const char *yaml)
{
    diags = conf_diags_new();
    REQUIRE(diags != NULL);
    if (conf_load_text("test.yaml", yaml, conf_tables, diags, &doc) != 0) {
        for (const struct conf_diag *d = conf_diags_first(diags); d != NULL; d = d->next) {
            printf("# %.*s\n", SLICE_ARG(d->message));
        }
        REQUIRE(false);
    }
    struct needs *n = needs_new(doc);
    REQUIRE(n != NULL);
    return n;
}

static void done(struct needs *n)
{
    needs_unref(n);
    conf_doc_free(doc);
    conf_diags_free(diags);
}

#define LISTEN "listen: {at: \"127.0.0.1:8443\", tls: on}\n"

static void names_become_needs(void)
{
    struct needs *n = needs_of(LISTEN "acme: {email: me@example.com, key: both, dns: /etc/hook}\n"
                                      "sites:\n"
                                      "  example.com: {respond: a}\n"
                                      "  \"*.example.com\": {respond: a}\n"
                                      "  b.internal: {respond: a}\n"
                                      "  off.example.com: {tls: off, respond: a}\n"
                                      "  default: {respond: a}\n");
    CHECK(n->listens);
    CHECK(!n->on_demand);
    CHECK_EQ_INT(n->count, 6);
    const struct need *one = needs_get(n, SLICE("acme:*.example.com"));
    REQUIRE(one != NULL);
    CHECK_TEXT(one->hook.ptr, one->hook.len, "/etc/hook");
    CHECK(!one->rsa);
    one = needs_get(n, SLICE("acme:example.com#rsa"));
    REQUIRE(one != NULL);
    CHECK(one->rsa);
    CHECK_TEXT(one->name.ptr, one->name.len, "example.com");
    CHECK(needs_get(n, SLICE("local:b.internal")) != NULL);
    CHECK(needs_get(n, SLICE("local:localhost")) != NULL);
    CHECK_EQ_INT(n->issuer_count, 1);
    CHECK(slice_starts(n->issuers[0].directory, SLICE("https://acme-v02.")));
    CHECK_TEXT(n->issuers[0].email.ptr, n->issuers[0].email.len, "me@example.com");
    CHECK_EQ_INT(n->challenges, ACME_HTTP_01 | ACME_TLS_ALPN_01);
    CHECK_EQ_INT(n->order[0], ACME_TLS_ALPN_01);
    done(n);
}

static void issuers_have_names(void)
{
    struct needs *n =
        needs_of(LISTEN "acme:\n"
                        "  challenges: http-01\n"
                        "  ask: http://127.0.0.1:9/ask\n"
                        "  on_demand_limit: 3/1h\n"
                        "  issuers:\n"
                        "    - letsencrypt-staging\n"
                        "    - {directory: \"https://ca.internal:8/dir\", profile: shortlived,\n"
                        "       eab: {kid: k, key: c2VjcmV0}}\n"
                        "sites: {default: {tls: {on_demand: on}, respond: a}}\n");
    CHECK(n->on_demand);
    CHECK_EQ_INT(n->limit, 3);
    CHECK_EQ_INT(n->limit_ms, 3600000);
    CHECK_EQ_INT(n->issuer_count, 2);
    CHECK_TEXT(n->issuers[0].name.ptr, n->issuers[0].name.len, "letsencrypt-staging");
    CHECK_TEXT(n->issuers[1].name.ptr, n->issuers[1].name.len, "ca.internal:8");
    CHECK_TEXT(n->issuers[1].eab_kid.ptr, n->issuers[1].eab_kid.len, "k");
    CHECK_TEXT(n->issuers[1].profile.ptr, n->issuers[1].profile.len, "shortlived");
    CHECK_EQ_INT(n->challenges, ACME_HTTP_01);
    done(n);
}

static void without_a_listener_names_need_nothing(void)
{
    struct needs *n = needs_of("listen: 8080\nsites: {example.com: {proxy: 3000}}\n");
    CHECK_EQ_INT(n->count, 0);
    CHECK(!n->listens);
    CHECK(needs_ref(n) == n);
    needs_unref(n);
    done(n);
}

static const char *reason(void)
{
    static char buffer[2048];
    struct text t = text_on(buffer, sizeof buffer - 1);
    for (const struct conf_diag *d = conf_diags_first(diags); d != NULL; d = d->next) {
        text_put(&t, d->message);
        text_char(&t, '\n');
    }
    buffer[t.len] = '\0';
    return buffer;
}

static char dir[] = "/tmp/adit-needs-XXXXXX";

static const char *files_yaml(const char *cert, const char *key)
{
    static char yaml[1024];
    (void)snprintf(yaml, sizeof yaml,
                   LISTEN "sites:\n"
                          "  a.test: {tls: {cert: %s/%s, key: %s/%s}, respond: a}\n"
                          "  b.test: {tls: {cert: %s/%s, key: %s/%s}, respond: a}\n",
                   dir, cert, dir, key, dir, cert, dir, key);
    return yaml;
}

static void in_dir(const char *name, struct slice bytes)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    made_file(path, bytes);
}

static int read_files(const char *cert, const char *key, const char *want)
{
    struct needs *n = needs_of(files_yaml(cert, key));
    CHECK_EQ_INT(n->count, 1); // two sites, one pair
    int error = needs_read(n, conf_source_files(), made_now(), diags);
    CHECK(want == NULL || strstr(reason(), want) != NULL);
    if (want != NULL && strstr(reason(), want) == NULL) {
        printf("# %s\n", reason());
    }
    if (error == 0) {
        CHECK(n->first->chain.len > 0);
        CHECK(n->first->secret.len > 0);
    }
    CHECK_EQ_INT(needs_check(doc, conf_source_files(), NULL), error);
    done(n);
    return error;
}

static void files_are_read_and_checked(void)
{
    int fd = made_dir(dir);
    struct made good;
    struct made other;
    struct made soon;
    made_new(&good, "a.test", 90 * 86400);
    made_new(&other, "a.test", 90 * 86400);
    made_old(&soon, "a.test", 89 * 86400, 86400);
    in_dir("good.pem", good.chain);
    in_dir("good.key", good.key);
    in_dir("other.key", other.key);
    in_dir("soon.pem", soon.chain);
    in_dir("soon.key", soon.key);
    in_dir("text", SLICE("hello\n"));
    CHECK_EQ_INT(read_files("good.pem", "good.key", NULL), 0);
    CHECK_EQ_INT(read_files("good.pem", "other.key", "other.key: "), E_CONFIG);
    CHECK_EQ_INT(read_files("text", "good.key", "text: "), E_CONFIG);
    CHECK_EQ_INT(read_files("good.pem", "text", "text: "), E_CONFIG);
    CHECK_EQ_INT(read_files("none.pem", "good.key", "none.pem: cannot be read: not found"),
                 E_CONFIG);
    CHECK_EQ_INT(read_files("soon.pem", "soon.key", "soon.pem: "), 0); // a warning
    made_free(&good);
    made_free(&other);
    made_free(&soon);
    made_remove(dir, fd);
}

static void origins_need_authorities(void)
{
    struct needs *n = needs_of("listen: 8080\n"
                               "upstreams:\n"
                               "  a: {servers: \"https://127.0.0.1:1\"}\n"
                               "  b: {servers: \"https://127.0.0.1:2\", tls: {ca: /no/such.pem}}\n"
                               "sites: {default: {proxy: a}}\n");
    CHECK_EQ_INT(n->count, 2);
    CHECK(needs_get(n, SLICE("ca:system")) != NULL);
    CHECK_EQ_INT(needs_read(n, conf_source_files(), made_now(), diags), E_CONFIG);
    CHECK(strstr(reason(), "/no/such.pem: cannot be read") != NULL);
    done(n);
}

TAP_MAIN(names_become_needs, issuers_have_names, without_a_listener_names_need_nothing,
         files_are_read_and_checked, origins_need_authorities)
