// SPDX-License-Identifier: Apache-2.0
//
// The check: shorthands become the long form, keys and shapes are told wrong where they are.

#include "conf_help.h"

#define SITE(inner) "sites:\n  example.com: {" inner "}\n"
#define LONG(inner) "{sites: {example.com: {" inner "}}}"

static void brings_shorthands_into_long_form(void)
{
    CHECK_STR(canonical("listen: 8080\n"), "{listen: [{at: [::]:8080}]}");
    CHECK_STR(canonical("listen: [\"[::1]:80\", {at: \":81\", backlog: 5}]\n"),
              "{listen: [{at: [::1]:80}, {at: [::]:81, backlog: 5}]}");
    CHECK_STR(canonical("listen: {at: 8080}\n"), "{listen: [{at: [::]:8080}]}");
    CHECK_STR(canonical("access_log: stderr\n"), "{access_log: {to: stderr}}");
    CHECK_STR(canonical("access_log: on\n"), "{access_log: {}}");
    CHECK_STR(canonical("access_log: false\n"), "{access_log: off}");
    CHECK_STR(canonical("trusted_proxies: ::1\n"), "{trusted_proxies: [::1]}");
    CHECK_STR(canonical("trusted_proxies: off\n"), "{trusted_proxies: off}");
    CHECK_STR(canonical("trusted_proxies: [unix, 10.0.0.0/8]\n"),
              "{trusted_proxies: [unix, 10.0.0.0/8]}");
    CHECK_STR(canonical("limits: {body_size: off}\n"), "{limits: {body_size: off}}");
}

static void brings_proxy_into_long_form(void)
{
    CHECK_STR(canonical(SITE("proxy: 3000")), LONG("proxy: {servers: [{at: 127.0.0.1:3000}]}"));
    CHECK_STR(canonical(SITE("proxy: http://a.b/")), LONG("proxy: {servers: [{at: a.b:80}]}"));
    CHECK_STR(canonical(SITE("proxy: [a:1, 'unix:/x']")),
              LONG("proxy: {servers: [{at: a:1}, {at: unix:/x}]}"));
    CHECK_STR(canonical(SITE("proxy: {to: a:1, connections: 5}")),
              LONG("proxy: {servers: [{at: a:1}], connections: 5}"));
    CHECK_STR(canonical(SITE("proxy: {servers: [{at: a:1, weight: 2}]}")),
              LONG("proxy: {servers: [{at: a:1, weight: 2}]}"));
    CHECK_STR(canonical("upstreams: {app: {servers: 3000}}\n" SITE("proxy: app")),
              "{upstreams: {app: {servers: [{at: 127.0.0.1:3000}]}}, sites: {example.com: {proxy: "
              "app}}}");
    CHECK_STR(
        report_of(SITE("proxy: {connections: 5}")),
        "2:17 `proxy` needs `servers` | servers: The servers: addresses, or objects with `at`. "
        "`to` in `proxy` is the same.\n");
    CHECK_STR(report_of(SITE("proxy: {to: 3000, servers: 3001}")),
              "2:25 `to` and `servers` mean the same: write one\n");
}

static void tells_unknown_keys(void)
{
    CHECK_STR(report_of("lisen: 8080\n"),
              "1:1 unknown key `lisen` at the top level | did you mean `listen`?\n");
    CHECK_STR(report_of(SITE("proxy_pass: 3000")),
              "2:17 unknown key `proxy_pass` in a site | did you mean `proxy`?\n");
    CHECK_STR(report_of(SITE("proxy: 3000, upstreams: {}")),
              "2:30 unknown key `upstreams` in a site | `upstreams` is known in: the top level\n");
    CHECK_STR(report_of(SITE("proxy: 3000, connect: 5s")),
              "2:30 unknown key `connect` in a site | `connect` is known in: `timeouts`\n");
    CHECK_STR(report_of("timeouts: {conect: 5s}\n"),
              "1:12 unknown key `conect` in `timeouts` | did you mean `connect`?\n");
    CHECK_STR(report_of("listen: {at: 80, cert: on}\n"),
              "1:18 unknown key `cert` in `listen` | `cert` is known in: `tls`\n");
    CHECK_STR(
        report_of("listen: {at: 80, zzz: on}\n"),
        "1:18 unknown key `zzz` in `listen` | known here: at, tls, backlog, proxy_protocol\n");
    CHECK_STR(report_of("frobnicate: on\n"),
              "1:1 unknown key `frobnicate` at the top level | `adit help` lists what there is\n");
}

static void tells_wrong_shapes(void)
{
    CHECK_STR(report_of("log: [info]\n"),
              "1:1 `log` takes a word, not a list | as in: log: warn\n");
    CHECK_STR(report_of("timeouts: 5s\n"),
              "1:11 `timeouts` takes an object, not a single value | its keys: handshake, header, "
              "idle, body, body_rate, write, connect, response, read, upstream_idle, tunnel\n");
    CHECK_STR(
        report_of("sites: [a]\n"),
        "1:1 `sites` takes a map from host to object, not a list | `adit help sites` shows how "
        "it is written\n");
    CHECK_STR(report_of("sites: {a.b: 3000}\n"),
              "1:14 `a.b` takes an object, not a single value | its directives stand on lines of "
              "their own below it, or in { }\n");
    CHECK_STR(report_of("sites: {a.b: {routes: {/api: {proxy: 3000}}}}\n"),
              "1:24 unknown key `/api` in a route | a path is a match of a route: - {path: /api, "
              "...}\n");
    CHECK_STR(report_of("upstreams: {app: {balance: round-robin}}\nsites: {a.b: {proxy: app}}\n"),
              "1:13 `app` needs `servers` | servers: The servers: addresses, or objects with `at`. "
              "`to` in `proxy` is the same.\n");
    CHECK_STR(report_of("listen: {backlog: 5}\n"),
              "1:9 `listen` needs `at` | at: Where: PORT or \":PORT\" for every address, IP:PORT, "
              "\"[v6]:PORT\" or unix:/path.\n");
    CHECK_STR(report_of("timeouts: {connect: {a: b}}\n"),
              "1:12 `connect` takes a duration, not a map | as in: connect: 10s\n");
}

static void tells_routes_apart(void)
{
    const char *nothing = "2:26 this route does nothing | give it one of: proxy";
    CHECK(strncmp(report_of(SITE("routes: [{path: /a}]")), nothing, strlen(nothing)) == 0);
    CHECK_STR(report_of(SITE("routes: [{path: [], proxy: 3000}]")),
              "2:27 `path` has an empty list\n");
    CHECK_STR(
        report_of("limits: {header_size: 4KiB}\n" SITE("limits: {header_size: 8KiB}, proxy: 80")),
        "3:26 `header_size` counts at the top level only | it is needed before a site or "
        "route is known\n");
}

static void reports_each_mistake(void)
{
    CHECK_STR(report_of("log: loud\nvia: maybe\nworkers: 0\n"),
              "1:6 `log` is `debug`, `info`, `warn` or `error`, not `loud`\n"
              "2:6 `via` is `on` or `off`, not `maybe`\n"
              "3:10 `workers` is 1 to 256 threads, not 0\n");
}

TAP_MAIN(brings_shorthands_into_long_form, brings_proxy_into_long_form, tells_unknown_keys,
         tells_wrong_shapes, tells_routes_apart, reports_each_mistake)
