// SPDX-License-Identifier: Apache-2.0
//
// `streams` as it is written, and what is told about mistakes in it.

#include "conf/conf_help.h"

#define STREAM(inner) "streams: [{" inner "}]\n"

static void streams_have_short_forms(void)
{
    CHECK_STR(canonical(STREAM("listen: 5432, proxy: [10.0.0.1:1, 2]")),
              "{streams: [{listen: {at: [::]:5432}, proxy: {servers: [{at: 10.0.0.1:1}, {at: "
              "127.0.0.1:2}]}}]}");
    CHECK_STR(canonical(STREAM("listen: 'tcp://:1', proxy: 'tls://db.internal:5432'")),
              "{streams: [{listen: {at: [::]:1}, proxy: {servers: [{at: "
              "tls://db.internal:5432}]}}]}");
    CHECK_STR(canonical(STREAM("listen: 'udp://10.0.0.1:53', proxy: 53, responses: 1")),
              "{streams: [{listen: {at: udp://10.0.0.1:53}, proxy: {servers: [{at: "
              "127.0.0.1:53}]}, responses: 1}]}");
    CHECK_STR(canonical("upstreams: {a: {servers: 1, proxy_protocol: v2}}\n" STREAM(
                  "listen: 'udp://:1', proxy: a, allow: [10.0.0.0/8, not 10.9.0.0/16], deny: off")),
              "{upstreams: {a: {servers: [{at: 127.0.0.1:1}], proxy_protocol: v2}}, streams: "
              "[{listen: {at: udp://[::]:1}, proxy: a, allow: [10.0.0.0/8, not 10.9.0.0/16], "
              "deny: off}]}");
    CHECK_STR(canonical(STREAM("listen: 1, routes: [{sni: A.test, proxy: 2}, {sites: on}]")),
              "{streams: [{listen: {at: [::]:1}, routes: [{sni: [a.test], proxy: {servers: [{at: "
              "127.0.0.1:2}]}}, {sites: on}]}]}");
}

static void mistakes_are_told(void)
{
    static const struct {
        const char *yaml;
        const char *want;
    } rows[] = {
        {STREAM("listen: 1"), "a stream has either `proxy` or `routes`"},
        {STREAM("listen: 1, proxy: 2, routes: [{proxy: 3}]"),
         "a stream has either `proxy` or `routes`"},
        {STREAM("proxy: 2"), "listen"},
        {STREAM("listen: 1, proxy: dbx"), "no upstream `dbx`"},
        {"upstreams: {db: {servers: 1}}\n" STREAM("listen: 1, proxy: dbx"), "did you mean `db`?"},
        {STREAM("listen: 1, routes: [{sni: a.test}]"), "has `proxy`, or `sites: on`"},
        {STREAM("listen: 1, routes: [{sni: a.test, sites: on, proxy: 2}]"),
         "has `proxy`, or `sites: on`"},
        {STREAM("listen: 1, routes: [{sni: default, proxy: 2}]"), "`default` is no name"},
        {STREAM("listen: 1, routes: [{proxy: 2}, {sni: a.test, proxy: 3}]"), "is never taken"},
        {STREAM("listen: 'udp://:1', routes: [{sni: a.test, proxy: 2}]"), "UDP has neither `sni`"},
        {STREAM("listen: 'udp://:1', routes: [{sites: on}]"), "UDP has neither `sni`"},
        {STREAM("listen: 'udp://unix:/x', proxy: 2"), "a Unix socket has no UDP"},
        {STREAM("listen: 1, proxy: 2, responses: 1"), "`responses` counts datagrams"},
        {STREAM("listen: 'udp://:1', proxy: 'tls://10.0.0.1:1'"), "cannot be sent to `tls://10"},
        {STREAM("listen: 'udp://:1', proxy: ['10.0.0.1:1', 'unix:/x']"), "cannot be sent to `unix"},
        {STREAM("listen: 'udp://:1', routes: [{proxy: 'https://10.0.0.1:1'}]"), "cannot be sent"},
        {"upstreams: {a: {servers: 1, proxy_protocol: v1}}\n" STREAM(
             "listen: 'udp://:1', proxy: a"),
         "version 1 knows no datagrams"},
        {STREAM("listen: 'udp://:1', proxy: {servers: 1, from: 127.0.0.1}"), "not sent `from`"},
        {"listen: 81\n" STREAM("listen: 81, proxy: 2"), "`listen` has this address already"},
        {STREAM("listen: 81, proxy: 2}, {listen: ':81', proxy: 3"),
         "another stream has this address already"},
        {STREAM("listen: 81, proxy: 2, timeouts: {idle: 0s}"), "`idle`"},
        {STREAM("listen: 81, proxy: {split: [{to: 2, share: 5%}, {to: 3}]}"),
         "unknown key `split`"},
        {STREAM("listen: 81, proxi: 2"), "did you mean `proxy`?"},
        {"listen: 'udp://:81'\nsites: {a.test: {proxy: 1}}\n", "a listener has no scheme"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *got = report_of(rows[i].yaml);
        if (!CHECK(strstr(got, rows[i].want) != NULL)) {
            printf("# row %zu: %s\n", i, got);
        }
    }
    CHECK_STR(report_of("listen: 80\n" STREAM("listen: 'udp://:80', proxy: 2}, {listen: "
                                              "'127.0.0.1:80', proxy: 2")),
              "");
    CHECK_STR(report_of("upstreams: {a: {servers: ['db.test:1', 'srv://_a._udp.test'], "
                        "proxy_protocol: off}}\n" STREAM("listen: 'udp://:80', proxy: a")),
              "");
}

TAP_MAIN(streams_have_short_forms, mistakes_are_told)
