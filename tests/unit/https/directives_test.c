// SPDX-License-Identifier: Apache-2.0
//
// Rows of `tls` and `acme`: canonical forms, and what each wrong value is answered with.

#include "conf/conf_help.h"

#define REPORTS(text, want) CHECK_STR(report_of(text), want)
#define SITE(tls)           "sites: {a.com: {tls: " tls ", proxy: 1}}\n"
#define ACME(acme)          "acme: " acme "\nlisten: 80\nsites: {a.com: {proxy: 1}}\n"

static const char *form_of(const char *text, const char *top, const char *site)
{
    static char buffer[2048];
    struct conf_doc *doc = load(text);
    struct text t = text_on(buffer, sizeof buffer - 1);
    if (doc == NULL) {
        return report_text;
    }
    struct conf_node n = conf_root(doc);
    n = site != NULL ? conf_get(conf_first(conf_get(n, "sites")), site) : conf_get(n, top);
    put_node(&t, n);
    buffer[t.len] = '\0';
    conf_doc_free(doc);
    return buffer;
}

static void tls_has_one_form(void)
{
    CHECK_STR(form_of(SITE("off"), NULL, "tls"), "off");
    CHECK_STR(form_of(SITE("local"), NULL, "tls"), "{mode: local}");
    CHECK_STR(form_of(SITE("on"), NULL, "tls"), "{}");
    CHECK_STR(form_of(SITE("{protocols: http/1.1, curves: X25519}"), NULL, "tls"),
              "{protocols: [http/1.1], curves: [X25519]}");
    CHECK_STR(form_of(SITE("{hsts: on, client: off}"), NULL, "tls"), "{hsts: {}, client: off}");
    CHECK_STR(form_of(SITE("{hsts: 30d}"), NULL, "tls"), "{hsts: {max_age: 30d}}");
    CHECK_STR(form_of("tls: {client: {mode: optional, ca: ca.pem}}\n" SITE("on"), "tls", NULL),
              "{client: {mode: optional, ca: ca.pem}}");
}

static void acme_has_one_form(void)
{
    CHECK_STR(form_of(ACME("me@a.com"), "acme", NULL), "{email: me@a.com}");
    CHECK_STR(form_of(ACME("{issuers: letsencrypt}"), "acme", NULL),
              "{issuers: [{directory: letsencrypt}]}");
    CHECK_STR(form_of(ACME("{challenges: http-01, on_demand_limit: 5/1h}"), "acme", NULL),
              "{challenges: [http-01], on_demand_limit: 5/1h}");
}

static void paths_are_relative_to_their_file(void)
{
    static const struct memory_file files[] = {
        {"sites/a.yaml", "sites: {a.com: {tls: {cert: a.pem, key: /k}, proxy: 1}}\n"},
        {NULL, NULL},
    };
    memory_files = files;
    CHECK_STR(form_of("include: sites/a.yaml\n", NULL, "tls"), "{cert: sites/a.pem, key: /k}");
    memory_files = NULL;
}

static void wrong_tls(void)
{
    REPORTS(SITE("lokal"), "1:22 `tls` is `auto`, `acme`, `local` or `off`, not `lokal` | did you "
                           "mean `local`?\n");
    REPORTS(SITE("{cert: a}"), "1:29 `cert` without `key` | one file that has both is named "
                               "twice: tls: {cert: site.pem, key: site.pem}\n");
    REPORTS(SITE("{cert: a, key: b, mode: local}"),
            "1:46 files and `mode` on one site: its certificates come from one place\n");
    REPORTS(SITE("{cert: '-----BEGIN CERTIFICATE-----', key: b}"),
            "1:29 `cert` is the path of a file, not what is in it\n");
    REPORTS(SITE("{cert: '', key: b}"), "1:29 `cert` needs a path\n");
    REPORTS(SITE("{cert: a/, key: b}"), "1:29 `cert` is the path of a file\n");
    REPORTS(
        SITE("{client: required}"),
        "1:23 `client` needs `ca` | ca: A file of PEM certificates that may stand for clients.\n");
    REPORTS(SITE("{min_version: '1.1'}"), "1:36 `min_version` is `1.2` or `1.3`, not `1.1` | did "
                                          "you mean `1.2`?\n");
    REPORTS(SITE("{dns: hook}"), "1:28 `dns` is the whole path of a program | dns: "
                                 "/etc/adit/dns-hook\n");
    REPORTS(SITE("{curves: [P-256, P-255]}"), "1:39 `P-255` is no curve that is known here | "
                                              "curves: [X25519, P-256, P-384]\n");
    REPORTS(SITE("{ciphers: RC4-ALL}"),
            "1:32 no cipher of this list is known here | names as OpenSSL has them, with colons "
            "between: ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256\n");
    REPORTS(SITE("{protocols: [h2, h2]}"), "1:39 `h2` is in the list twice\n");
    REPORTS(SITE("{hsts: {preload: on}}"),
            "1:39 `preload` needs `subdomains: on` and a `max_age` of a year | that is what "
            "browsers' lists ask for: hsts: {max_age: 365d, subdomains: on, preload: on}\n");
    REPORTS("tls: {cert: a, key: b}\n" SITE("on"),
            "1:7 unknown key `cert` in `tls` | `cert` is known in: `tls` of a site\n"
            "1:16 unknown key `key` in `tls` | `key` is known in: `tls` of a site\n");
}

static void wrong_acme(void)
{
    REPORTS(ACME("me"), "1:7 not a mail address | the CA writes to it when something is wrong: "
                        "email: me@example.com\n");
    REPORTS(ACME("{issuers: letsencript}"),
            "1:17 an issuer is the https URL of an ACME directory, or a known name | known: "
            "letsencrypt, letsencrypt-staging, zerossl, google\n");
    REPORTS(ACME("{issuers: zerossl}"),
            "1:17 `zerossl` needs an account: `eab` with its `kid` and `key` | issuers: "
            "[{directory: zerossl, eab: {kid: \"...\", key: \"$env(EAB_KEY)\"}}]\n");
    REPORTS(ACME("{ask: 127.0.0.1:9000}"),
            "1:13 `ask` is an http or https URL | ask: http://127.0.0.1:9000/may (it is asked with "
            "?domain=NAME behind it)\n");
    REPORTS(ACME("{on_demand_limit: 10}"), "1:25 `on_demand_limit` is a number and a time | ten "
                                           "names a minute: on_demand_limit: 10/1m\n");
    REPORTS(ACME("{challenges: [dns-01]}"), "1:21 `challenges` is `tls-alpn-01` or `http-01`, not "
                                            "`dns-01`\n");
}

TAP_MAIN(tls_has_one_form, acme_has_one_form, paths_are_relative_to_their_file, wrong_tls,
         wrong_acme)
