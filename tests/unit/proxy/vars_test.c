// SPDX-License-Identifier: Apache-2.0
//
// Templates filled in for an exchange.

#include "proxy/vars.h"

#include "proxy/fake_conf.h"
#include "proxy/fake_exchange.h"

struct row {
    const char *text;  // as in `respond: {headers: {x-t: TEXT}}`
    const char *value; // NULL: refused
    const char *html;
};

static const struct row rows[] = {
    {"plain", "plain", "plain"},
    {"$host", "example.com", "example.com"},
    {"$scheme://$host$path$query", "http://example.com/a/b?c=%3C&d",
     "http://example.com/a/b?c=%3C&amp;d"},
    {"$method $client $id", "GET 192.0.2.7 00000000000000ab", "GET 192.0.2.7 00000000000000ab"},
    {"[$header(x-a)]", "[1, <2>]", "[1, &lt;2&gt;]"},
    {"[$header(user-agent)]", "[curl]", "[curl]"},
    {"[$header(host)]", "[example.com:80]", "[example.com:80]"},
    {"[$header(none)]", "[]", "[]"},
    {"$match(0)|$match(1)|$match(2)", "/a/b|b|", "/a/b|b|"},
    {"$status", "404", "404"},
    {"a$$b", "a$b", "a$b"},
    {"<b>$header(x-evil)", NULL, "<b>1\r\n2"},
};

static void fills_in(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        char yaml[512];
        struct fake_conf c;
        struct fake *f = fake_new();
        struct exchange *x = &f->x;
        (void)snprintf(yaml, sizeof(yaml), "sites: {default: {respond: {body: '%s'}}}",
                       rows[i].text);
        struct conf_node site =
            conf_get(conf_get(conf_root(fake_doc(&c, yaml)), "sites"), "default");
        struct conf_node body = conf_get(conf_get(site, "respond"), "body");
        const struct vars_text *t = NULL;
        REQUIRE(conf_exists(body));
        REQUIRE(vars_compile(body, &x->arena, c.diags, &t) == 0);
        fake_target(f, "/a/b?c=%3C&d");
        x->original_target = x->request.target;
        x->request.authority = SLICE("example.com:80");
        x->response.status = 404;
        x->captures[0] = SLICE("/a/b");
        x->captures[1] = SLICE("b");
        fake_field(f, "X-A", "1");
        fake_field(f, "User-Agent", "curl");
        fake_field(f, "x-a", "<2>");
        fake_field(f, "X-Evil", "1\r\n2");
        struct slice out = slice_of("", 0);
        int rc = vars_expand(t, x, &out);
        CHECK_EQ_INT(rc, rows[i].value != NULL ? 0 : E_INVALID);
        if (rows[i].value != NULL) {
            CHECK_TEXT(out.ptr, out.len, rows[i].value);
        }
        CHECK(vars_expand_body(t, x, true, &out) == 0);
        CHECK_TEXT(out.ptr, out.len, rows[i].html);
        fake_free(f);
        fake_conf_free(&c);
    }
}

static void refuses_lines_in_heads(void)
{
    struct fake_conf c;
    struct fake *f = fake_new();
    struct conf_node root = conf_root(fake_doc(&c, "sites: {default: {respond: \"a\\nb$id\"}}"));
    struct conf_node body =
        conf_get(conf_get(conf_get(conf_get(root, "sites"), "default"), "respond"), "body");
    const struct vars_text *t = NULL;
    struct slice out;
    REQUIRE(vars_compile(body, &f->x.arena, c.diags, &t) == 0);
    CHECK(!vars_is_line(t));
    CHECK_EQ_INT(vars_expand(t, &f->x, &out), E_INVALID);
    CHECK_EQ_INT(vars_expand_body(t, &f->x, false, &out), 0);
    fake_free(f);
    fake_conf_free(&c);
}

static const struct http_security security = {
    .version = SLICE_INIT("TLSv1.3"),
    .cipher = SLICE_INIT("TLS_AES_128_GCM_SHA256"),
    .server_name = SLICE_INIT("a.com"),
    .client_verified = true,
    .client_subject = SLICE_INIT("CN=me"),
    .client_name = SLICE_INIT("me"),
    .client_serial = SLICE_INIT("0a"),
    .client_fingerprint = SLICE_INIT("ff"),
    .client_certificate = SLICE_INIT("MIIB"),
};

static void expand_security(const struct http_security *s, const char *want)
{
    struct fake_conf c;
    struct fake *f = fake_new();
    struct conf_node root = conf_root(fake_doc(
        &c, "sites: {default: {respond: '$tls_version $tls_cipher $tls_server_name "
            "$client_cert_verified $client_cert_subject $client_cert_name $client_cert_serial "
            "$client_cert_fingerprint $client_cert|'}}"));
    struct conf_node body =
        conf_get(conf_get(conf_get(conf_get(root, "sites"), "default"), "respond"), "body");
    const struct vars_text *t = NULL;
    struct slice out;
    f->peer.security = s;
    REQUIRE(vars_compile(body, &f->x.arena, c.diags, &t) == 0);
    REQUIRE(vars_expand(t, &f->x, &out) == 0);
    CHECK_TEXT(out.ptr, out.len, want);
    fake_free(f);
    fake_conf_free(&c);
}

static void knows_the_connections_tls(void)
{
    expand_security(&security, "TLSv1.3 TLS_AES_128_GCM_SHA256 a.com on CN=me me 0a ff MIIB|");
    expand_security(NULL, "   off     |");
    struct http_security unverified = security;
    unverified.client_verified = false;
    expand_security(&unverified, "TLSv1.3 TLS_AES_128_GCM_SHA256 a.com off     |");
}

static void bounds_the_result(void)
{
    static char huge[VARS_VALUE_MAX];
    struct fake_conf c;
    struct fake *f = fake_new();
    struct conf_node root =
        conf_root(fake_doc(&c, "sites: {default: {respond: '$header(x)$header(x)'}}"));
    struct conf_node body =
        conf_get(conf_get(conf_get(conf_get(root, "sites"), "default"), "respond"), "body");
    const struct vars_text *t = NULL;
    struct slice out;
    memset(huge, 'a', sizeof(huge) - 1);
    fake_field(f, "X", huge);
    REQUIRE(vars_compile(body, &f->x.arena, c.diags, &t) == 0);
    CHECK_EQ_INT(vars_expand(t, &f->x, &out), E_TOO_LARGE);
    fake_free(f);
    fake_conf_free(&c);
}

TAP_MAIN(fills_in, refuses_lines_in_heads, knows_the_connections_tls, bounds_the_result)
