// SPDX-License-Identifier: Apache-2.0
//
// The directives of upstreams as they are written.

#include "conf/conf_help.h"

#define UPSTREAM(inner) "upstreams: {app: {" inner "}}\nsites: {a.b: {proxy: app}}\n"

static void servers_have_short_forms(void)
{
    CHECK_STR(canonical(UPSTREAM("servers: 80, retry: 1")),
              "{upstreams: {app: {servers: [{at: 127.0.0.1:80}], retry: {attempts: 1}}}, sites: "
              "{a.b: {proxy: app}}}");
    CHECK_STR(
        canonical(UPSTREAM("servers: [80], retry: off, host: server")),
        "{upstreams: {app: {servers: [{at: 127.0.0.1:80}], retry: off, host: server}}, sites: "
        "{a.b: {proxy: app}}}");
}

static void servers_are_bounded(void)
{
    static char text[8192] = "upstreams: {app: {servers: [1";
    for (int i = 2; i <= 1025; i++) {
        size_t at = strlen(text);
        (void)snprintf(text + at, sizeof text - at, ", %d", i);
    }
    size_t used = strlen(text);
    (void)snprintf(text + used, sizeof text - used, "]}}\nsites: {a.b: {proxy: app}}\n");
    CHECK_STR(report_of(text), "1:19 more than 1024 servers in an upstream\n");
}

static void mistakes_are_told(void)
{
    CHECK_STR(report_of(UPSTREAM("servers: []")), "1:19 `servers` has an empty list\n");
    CHECK_STR(report_of(UPSTREAM("servers: [80, 80]")),
              "1:33 warning: this server is in the list twice | a larger share is `weight: 2`\n");
    CHECK_STR(
        report_of(UPSTREAM("servers: [{at: 80, weight: 0}]")),
        "1:46 no server has a `weight` above 0 | with `weight: 0` a server gets no new clients\n");
    CHECK_STR(report_of(UPSTREAM("servers: 80, host: 'a b'")),
              "1:38 `host` is `pass`, `server` or a host name\n");
    CHECK_STR(report_of(UPSTREAM("servers: 80, balance: random")),
              "1:41 `balance` is `two-choices`, `round-robin`, `least-conn`, `ewma` or `ip-hash`, "
              "not `random`\n");
    CHECK_STR(
        report_of("upstreams: {2app: {servers: 80}}\nsites: {a.b: {proxy: 80}}\n"),
        "1:13 `2app` is not a name | a name begins with a letter and has letters, digits, `-`, "
        "`_` and `.`\n");
}

TAP_MAIN(servers_have_short_forms, servers_are_bounded, mistakes_are_told)
