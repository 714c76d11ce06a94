// SPDX-License-Identifier: Apache-2.0
//
// What holds between directives of https: each contradiction has its words, and what is fine is quiet.

#include "conf/conf_help.h"

#define REPORTS(text, want) CHECK_STR(report_of(text), want)
#define QUIET(text)         CHECK_STR(report_of(text), "")

static void names_that_get_no_certificate(void)
{
    REPORTS("listen: 443\nsites: {'*.a.com': {tls: on, proxy: 1}}\n",
            "2:9 a certificate for `*.a.com` needs a DNS hook, or files | tls: {dns: "
            "/etc/adit/dns-hook}, tls: {cert: ..., key: ...}, tls: local, or tls: off\n");
    REPORTS("sites: {a.com: {proxy: 1}, '*.a.com': {proxy: 1}}\n",
            "1:28 warning: `*.a.com` has no TLS: its certificate needs a DNS hook, or files | tls: "
            "{dns: /etc/adit/dns-hook}, tls: {cert: ..., key: ...}, tls: local, or tls: off\n");
    QUIET("sites: {a.com: {proxy: 1}, '*.a.com': {tls: off, proxy: 1}}\n");
    QUIET("listen: 80\nsites: {'*.a.com': {proxy: 1}}\n");
    QUIET("tls: off\nlisten: 80\nsites: {'*.a.com': {proxy: 1}}\n");
    REPORTS("sites: {a.test: {tls: acme, proxy: 1}}\n",
            "1:9 no public CA gives a certificate for `a.test` | tls: local, or an ACME server of "
            "your own in `acme: {issuers: ...}`\n");
    QUIET("acme: {issuers: 'https://ca/dir'}\nsites: {a.test: {tls: acme, proxy: 1}}\n");
    REPORTS("sites: {default: {tls: acme, proxy: 1}}\n",
            "1:9 `default` has no name that a CA could certify | tls: {on_demand: on} gets "
            "certificates for the names that clients ask for\n");
}

static void on_demand(void)
{
    REPORTS("sites: {default: {tls: {on_demand: on}, proxy: 1}}\n",
            "1:36 `on_demand` needs `ask`: else anybody could have certificates made | acme: {ask: "
            "http://127.0.0.1:9000/may}\n");
    QUIET(
        "acme: {ask: 'http://127.0.0.1:1'}\nsites: {default: {tls: {on_demand: on}, proxy: 1}}\n");
    REPORTS("acme: {ask: 'http://127.0.0.1:1'}\nsites: {a.com: {tls: {on_demand: on}, proxy: 1}}\n",
            "2:34 warning: `on_demand` for a single name only delays its certificate | leave it "
            "out, or put it on `default`\n");
}

static void listeners(void)
{
    REPORTS("listen: 443\nsites: {a.com: {tls: off, proxy: 1}}\n",
            "1:9 a TLS listener, but no site has TLS | take `tls: off` from a site, or say {at: "
            "..., tls: off} here\n");
    QUIET("listen: {at: 443, tls: off}\nsites: {a.com: {tls: off, proxy: 1}}\n");
    REPORTS("listen: 80\nsites: {a.com: {tls: local, proxy: 1}}\n",
            "2:17 warning: there is no TLS listener, so `tls` has no effect | listen: [\":80\", "
            "\":443\"], or {at: \":8443\", tls: on}\n");
    QUIET("listen: 80\nsites: {a.com: {tls: off, proxy: 1}}\n");
}

static void origins(void)
{
    REPORTS("listen: 80\nupstreams: {a: {servers: 'h2c://x:1', protocol: http/1.1}}\n"
            "sites: {a.com: {proxy: a}}\n",
            "2:26 h2c:// is HTTP/2, and `protocol` is http/1.1 | write http:// or leave `protocol` "
            "out\n");
    REPORTS("listen: 80\nsites: {a.com: {proxy: {to: 'x:1', tls: {ca: c}}}}\n",
            "2:36 `tls` without a server that is written with https:// | servers: "
            "https://10.0.0.1:8443\n");
    REPORTS("listen: 80\nsites: {a.com: {routes: [{path: /, proxy: 'x:443'}], respond: x}}\n",
            "2:43 warning: no TLS is spoken with this server | if it expects TLS on port 443, "
            "write https:// in front\n");
    QUIET("listen: 80\nsites: {a.com: {proxy: {to: 'https://x', tls: {ca: c}, protocol: h2}}}\n");
}

TAP_MAIN(names_that_get_no_certificate, on_demand, listeners, origins)
