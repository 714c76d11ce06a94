// SPDX-License-Identifier: Apache-2.0
//
// Rows of `tls` at the top level and on sites, and of `acme`. What reads them is in tls/plan.h and in
// the keeper; what holds between them and other directives is in check.c.

#include "base/text.h"
#include "conf/diag.h"
#include "tls/known.h"
#include "tls/plan.h"

#include "https/https.h"

#define SITE    "sites:\n  example.com: {proxy: 3000}\n"
#define YEAR_MS (365LL * 86400000)

// ---- tls ----------------------------------------------------------------------------------------

static const char *const version_words[] = {"1.2", "1.3", NULL};
static const char *const mode_words[] = {"auto", "acme", "local", NULL};
static const char *const protocol_words[] = {"h2", "http/1.1", NULL};
static const char *const client_words[] = {"optional", "required", NULL};

static const struct conf_directive client_rows[] = {
    {.name = "mode",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = client_words,
     .fallback = "required",
     .text = "Whether a client without a certificate is turned away (`required`) or let in."},
    {.name = "ca",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .required = true,
     .aka = "ssl_client_certificate ca_file trusted_ca_cert_file",
     .text = "A file of PEM certificates that may stand for clients."},
    CONF_END,
};

static void check_hsts(struct conf_diags *d, struct conf_node hsts)
{
    struct conf_node preload = conf_get(hsts, "preload");
    if (conf_is_off(hsts) || !conf_bool(preload, false)) {
        return;
    }
    bool all = conf_bool(conf_get(hsts, "subdomains"), false);
    bool year = conf_duration_ms(conf_get(hsts, "max_age"), YEAR_MS) >= YEAR_MS;
    if (!all || !year) {
        conf_error(d, preload, "`preload` needs `subdomains: on` and a `max_age` of a year");
        conf_hint(d, "that is what browsers' lists ask for: hsts: {max_age: 365d, subdomains: on, "
                     "preload: on}");
    }
}

static const struct conf_directive hsts_rows[] = {
    {.name = "max_age",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .max = 10 * YEAR_MS,
     .fallback = "365d",
     .text = "How long browsers keep to https; 0 makes them forget it."},
    {.name = "subdomains",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .aka = "includeSubDomains include_subdomains",
     .text = "Whether it holds for all names below the host as well."},
    {.name = "preload",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .text = "Whether the host may be put on the list that browsers come with."},
    CONF_END,
};

static void check_list(struct conf_diags *d, struct conf_node list)
{
    conf_each(a, list)
    {
        conf_each(b, list)
        {
            if (a.index < b.index && slice_eq(conf_text(a), conf_text(b))) {
                conf_error(d, b, "`%.*s` is in the list twice", SLICE_ARG(conf_text(b)));
            }
        }
    }
    if (conf_count(list) == 0) {
        conf_error(d, list, "an empty list");
    }
}

static void check_curves(struct conf_diags *d, struct conf_node list)
{
    check_list(d, list);
    conf_each(one, list)
    {
        if (tls_curve(conf_text(one)) == 0) {
            conf_error(d, one, "`%.*s` is no curve that is known here", SLICE_ARG(conf_text(one)));
            conf_hint(d, "curves: [X25519, P-256, P-384]");
        }
    }
}

static void check_ciphers(struct conf_diags *d, struct conf_node n)
{
    if (!tls_knows_ciphers(conf_text(n))) {
        conf_error(d, n, "no cipher of this list is known here");
        conf_hint(d, "names as OpenSSL has them, with colons between: "
                     "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
    }
}

#define MODE_ROW                                                                                   \
    {                                                                                              \
        .name = "mode", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ENUM, .words = mode_words,   \
        .fallback = "auto", .aka = "issuer",                                                       \
        .text =                                                                                    \
            "Where certificates come from: `acme`, a CA of this machine's own (`local`), or by "   \
            "name (`auto`): ACME for what a public CA could certify, the local CA for the rest "   \
            "(localhost, *.internal, *.test, addresses and the like)."                             \
    }

// What a site may say otherwise than the top level.
#define COMMON_ROWS                                                                                \
    {.name = "min_version",                                                                        \
     .contexts = CONF_IN_OBJECT,                                                                   \
     .type = CONF_TYPE_ENUM,                                                                       \
     .words = version_words,                                                                       \
     .fallback = "1.2",                                                                            \
     .aka = "ssl_protocols protocols_min ssl-min-ver",                                             \
     .text = "The oldest version of TLS that is spoken. Older ones than 1.2 are broken."},         \
        {.name = "ciphers",                                                                        \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_STRING,                                                                 \
         .min = 1,                                                                                 \
         .max = 2000,                                                                              \
         .check = check_ciphers,                                                                   \
         .aka = "ssl_ciphers cipher_suites",                                                       \
         .text =                                                                                   \
             "Ciphers of TLS 1.2 in OpenSSL's syntax. Without it: ECDHE with AES-GCM or ChaCha20 " \
             "only."},                                                                             \
        {.name = "curves",                                                                         \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_STRING,                                                                 \
         .list = true,                                                                             \
         .min = 1,                                                                                 \
         .max = 40,                                                                                \
         .fallback = "[X25519, P-256, P-384]",                                                     \
         .check = check_curves,                                                                    \
         .aka = "ssl_ecdh_curve groups ecdh_curve",                                                \
         .text = "Groups of the key exchange, the preferred one first."},                          \
        {.name = "client",                                                                         \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_OBJECT,                                                                 \
         .rows = client_rows,                                                                      \
         .off_ok = true,                                                                           \
         .shorthand = "mode",                                                                      \
         .aka = "ssl_verify_client client_auth client_certificates mtls",                          \
         .text = "Certificates of clients; who they are is in $client_cert_name and its like."},   \
        {.name = "tickets",                                                                        \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_BOOL,                                                                   \
         .fallback = "on",                                                                         \
         .aka = "ssl_session_tickets session_tickets",                                             \
         .text = "Whether clients may resume a session; their key is changed twice a day."},       \
        {.name = "ocsp",                                                                           \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_BOOL,                                                                   \
         .fallback = "on",                                                                         \
         .aka = "ssl_stapling stapling",                                                           \
         .text =                                                                                   \
             "Whether the CA's word that a certificate is not revoked is fetched and sent along, " \
             "where the CA still gives one."},                                                     \
        {.name = "protocols",                                                                      \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_ENUM,                                                                   \
         .list = true,                                                                             \
         .words = protocol_words,                                                                  \
         .fallback = "[h2, http/1.1]",                                                             \
         .check = check_list,                                                                      \
         .aka = "alpn http2",                                                                      \
         .text = "What is spoken over TLS, the preferred one first (ALPN)."},                      \
        {.name = "hsts",                                                                           \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_OBJECT,                                                                 \
         .rows = hsts_rows,                                                                        \
         .off_ok = true,                                                                           \
         .on_ok = true,                                                                            \
         .shorthand = "max_age",                                                                   \
         .fallback = "off",                                                                        \
         .check = check_hsts,                                                                      \
         .aka = "strict_transport_security Strict-Transport-Security",                             \
         .text =                                                                                   \
             "Tells browsers to come by https only from now on (RFC 6797); `on` is for a year."},  \
    {                                                                                              \
        .name = "redirect", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_BOOL, .fallback = "on",  \
        .aka = "auto_https https_redirect",                                                        \
        .text =                                                                                    \
            "Whether requests without TLS are sent to https (308) when there is a TLS listener."   \
    }

// It is run by another process, whose directory is not that of the configuration.
static void check_hook(struct conf_diags *d, struct conf_node n)
{
    if (!slice_starts(conf_text(n), SLICE("/"))) {
        conf_error(d, n, "`dns` is the whole path of a program");
        conf_hint(d, "dns: /etc/adit/dns-hook");
    }
}

#define DNS_ROW                                                                                    \
    {                                                                                              \
        .name = "dns", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_FILE_PATH,                    \
        .check = check_hook, .aka = "dns_provider dns_challenge dns-01",                           \
        .text =                                                                                    \
            "A program that puts the CA's challenges into the DNS (DNS-01); wildcards need it."    \
    }

static const struct conf_directive top_rows[] = {
    MODE_ROW,
    COMMON_ROWS,
    CONF_END,
};

static const struct conf_directive pair_rows[] = {
    {.name = "cert",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .required = true,
     .aka = "certificate crt pem",
     .text = "The certificate with its chain, PEM."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .required = true,
     .text = "Its key, PEM."},
    CONF_END,
};

static void check_site(struct conf_diags *d, struct conf_node tls)
{
    if (conf_is_off(tls)) {
        return;
    }
    struct conf_node cert = conf_get(tls, "cert");
    struct conf_node key = conf_get(tls, "key");
    struct conf_node certs = conf_get(tls, "certs");
    struct conf_node mode = conf_get(tls, "mode");
    struct conf_node on_demand = conf_get(tls, "on_demand");
    bool files = conf_exists(cert) || conf_exists(key) || conf_count(certs) > 0;
    if (conf_exists(cert) != conf_exists(key)) {
        conf_error(d, conf_exists(cert) ? cert : key, "`%s` without `%s`",
                   conf_exists(cert) ? "cert" : "key", conf_exists(cert) ? "key" : "cert");
        conf_hint(d, "one file that has both is named twice: tls: {cert: site.pem, key: site.pem}");
    }
    if (conf_count(certs) + conf_exists(cert) > TLS_PLAN_FILES_MAX) {
        conf_error(d, certs, "more than %d certificates on one site", TLS_PLAN_FILES_MAX);
    }
    if (files && conf_exists(mode)) {
        conf_error(d, mode, "files and `mode` on one site: its certificates come from one place");
    }
    if (files && conf_bool(on_demand, false)) {
        conf_error(d, on_demand, "files and `on_demand` on one site");
    }
    if (conf_bool(on_demand, false) && slice_eq(conf_string(mode, "acme"), SLICE("local"))) {
        conf_error(d, on_demand, "`on_demand` is about ACME, `mode` says the local CA");
    }
}

static const struct conf_directive site_rows[] = {
    MODE_ROW,
    {.name = "cert",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "certificate ssl_certificate crt pem certFile",
     .text = "A file with the certificate and its chain, PEM, leaf first."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "ssl_certificate_key keyFile private_key",
     .text = "A file with its key, PEM."},
    {.name = "certs",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = pair_rows,
     .aka = "certificates",
     .text = "Several of them, for an ECDSA and an RSA certificate: the client gets what it takes, "
             "ECDSA first."},
    DNS_ROW,
    {.name = "on_demand",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .aka = "on_demand_tls",
     .text =
         "Gets a certificate for each name when a client first asks for it, if the `ask` URL of "
         "`acme` allows it; for `default` and wildcards."},
    COMMON_ROWS,
    CONF_END,
};

// ---- acme ---------------------------------------------------------------------------------------

static const char *const issuer_words[] = {"letsencrypt", "letsencrypt-staging", "zerossl",
                                           "google", NULL};
static const char *const challenge_words[] = {"tls-alpn-01", "http-01", NULL};
static const char *const key_words[] = {"ecdsa", "rsa", "both", NULL};

static bool is_word(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_eq(text, slice_str(*words))) {
            return true;
        }
    }
    return false;
}

static bool is_url(struct slice text, const char *scheme)
{
    if (!slice_starts(text, slice_str(scheme)) || text.len == strlen(scheme)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_directory(struct conf_diags *d, struct conf_node n)
{
    struct slice text = conf_text(n);
    if (!is_word(text, issuer_words) && !is_url(text, "https://")) {
        conf_error(d, n, "an issuer is the https URL of an ACME directory, or a known name");
        conf_hint(d, "known: letsencrypt, letsencrypt-staging, zerossl, google");
    }
}

static void check_ask(struct conf_diags *d, struct conf_node n)
{
    struct slice text = conf_text(n);
    if (!is_url(text, "http://") && !is_url(text, "https://")) {
        conf_error(d, n, "`ask` is an http or https URL");
        conf_hint(d, "ask: http://127.0.0.1:9000/may (it is asked with ?domain=NAME behind it)");
    }
}

static void check_rate(struct conf_diags *d, struct conf_node n)
{
    uint32_t count = 0;
    uint64_t per_ms = 0;
    if (tls_plan_rate(conf_text(n), &count, &per_ms) != 0) {
        conf_error(d, n, "`on_demand_limit` is a number and a time");
        conf_hint(d, "ten names a minute: on_demand_limit: 10/1m");
    }
}

static void check_email(struct conf_diags *d, struct conf_node n)
{
    struct slice text = conf_text(n);
    ptrdiff_t at = slice_find_char(text, '@');
    bool ok = at > 0 && (size_t)at + 1 < text.len && slice_find_char(text, ',') < 0 &&
              slice_find_char(text, '?') < 0;
    for (size_t i = 0; i < text.len; i++) {
        ok = ok && (unsigned char)text.ptr[i] > ' ' && (unsigned char)text.ptr[i] < 0x7f;
    }
    if (!ok) {
        conf_error(d, n, "not a mail address");
        conf_hint(d, "the CA writes to it when something is wrong: email: me@example.com");
    }
}

static void check_issuers(struct conf_diags *d, struct conf_node list)
{
    if (conf_count(list) == 0 || conf_count(list) > 8) {
        conf_error(d, list, conf_count(list) == 0 ? "an empty list" : "more than 8 issuers");
    }
    conf_each(one, list)
    {
        struct conf_node directory = conf_get(one, "directory");
        bool keyed = slice_eq(conf_text(directory), SLICE("zerossl")) ||
                     slice_eq(conf_text(directory), SLICE("google"));
        if (keyed && !conf_exists(conf_get(one, "eab"))) {
            conf_error(d, directory, "`%.*s` needs an account: `eab` with its `kid` and `key`",
                       SLICE_ARG(conf_text(directory)));
            conf_hint(d,
                      "issuers: [{directory: %.*s, eab: {kid: \"...\", key: \"$env(EAB_KEY)\"}}]",
                      SLICE_ARG(conf_text(directory)));
        }
    }
}

static const struct conf_directive eab_rows[] = {
    {.name = "kid",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 500,
     .required = true,
     .aka = "key_id id",
     .text = "The account's key id, as the CA shows it."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 500,
     .required = true,
     .aka = "hmac mac_key hmac_key",
     .text = "The account's HMAC key, base64url; a secret, so rather \"$env(EAB_KEY)\"."},
    CONF_END,
};

static const struct conf_directive issuer_rows[] = {
    {.name = "directory",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .words = issuer_words,
     .min = 1,
     .max = 900,
     .required = true,
     .check = check_directory,
     .aka = "url server ca_server dir",
     .text = "letsencrypt, letsencrypt-staging, zerossl, google, or the https URL of an ACME "
             "directory."},
    {.name = "ca",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "ca_root trusted_roots",
     .text = "A file of PEM certificates that may stand for the issuer's own web server."},
    {.name = "eab",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .rows = eab_rows,
     .aka = "external_account external_account_binding",
     .text = "The account that the CA gave you beforehand, where it wants one."},
    {.name = "profile",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_NAME,
     .text = "Which of the CA's kinds of certificates, as `shortlived`."},
    CONF_END,
};

static const struct conf_directive acme_rows[] = {
    {.name = "email",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 254,
     .check = check_email,
     .aka = "contact mail",
     .text = "Whom the CA writes to when something is wrong."},
    {.name = "issuers",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = issuer_rows,
     .shorthand = "directory",
     .fallback = "letsencrypt",
     .check = check_issuers,
     .aka = "issuer ca acme_ca server",
     .text = "Where certificates come from; the next one when the one before keeps failing."},
    {.name = "challenges",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .list = true,
     .words = challenge_words,
     .fallback = "[tls-alpn-01, http-01]",
     .check = check_list,
     .aka = "challenge",
     .text = "How it is proved that a name is yours, the preferred way first. With `dns` it is "
             "DNS-01."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = key_words,
     .fallback = "ecdsa",
     .aka = "key_type",
     .text = "The kind of keys: P-256, RSA 2048, or a certificate of each."},
    DNS_ROW,
    {.name = "ask",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 900,
     .check = check_ask,
     .text = "A URL that says whether a name may have a certificate on demand: GET URL?domain=NAME "
             "answers 200 if so."},
    {.name = "on_demand_limit",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 40,
     .fallback = "10/1m",
     .check = check_rate,
     .text = "At most so many new names in that time on demand."},
    CONF_END,
};

const struct conf_directive https_directives[] = {
    {.name = "tls",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .rows = top_rows,
     .off_ok = true,
     .on_ok = true,
     .shorthand = "mode",
     .aka = "ssl",
     .text = "TLS of all sites, each key unless the site says otherwise; `off` for none.",
     .example = "tls: {min_version: \"1.3\", hsts: on}\n" SITE},
    {.name = "tls",
     .contexts = CONF_IN_SITE,
     .type = CONF_TYPE_OBJECT,
     .rows = site_rows,
     .off_ok = true,
     .on_ok = true,
     .shorthand = "mode",
     .check = check_site,
     .aka = "ssl https ssl_certificate ssl_certificate_key certificate",
     .text = "TLS of the site. Where there is a TLS listener a site with a name has it without "
             "further words; `off` never, `local` with a certificate of the local CA.",
     .example = "sites:\n"
                "  example.com: {proxy: 3000}\n"
                "  a.example.com: {tls: {cert: /etc/ssl/a.pem, key: /etc/ssl/a.key}, proxy: 3000}\n"
                "  \"*.b.example.com\": {tls: {dns: /etc/adit/dns-hook}, proxy: 3000}\n"
                "  c.internal: {tls: local, proxy: 3000}\n"
                "  plain.example.com: {tls: off, proxy: 3000}\n"},
    {.name = "acme",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .rows = acme_rows,
     .shorthand = "email",
     .aka = "letsencrypt lets_encrypt certbot autocert",
     .text = "How certificates are got from a CA that speaks ACME (RFC 8555).",
     .example = "acme:\n"
                "  email: me@example.com\n"
                "  issuers: [letsencrypt, {directory: \"https://ca.internal/dir\", ca: "
                "/etc/ssl/ca.pem}]\n" SITE},
    CONF_END,
};
