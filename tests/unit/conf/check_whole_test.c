// SPDX-License-Identifier: Apache-2.0
//
// What holds between directives: names of upstreams, hosts, the order of routes.

#include "conf_help.h"

static void upstreams_exist(void)
{
    CHECK_STR(report_of("upstreams: {app: {servers: 80}}\nsites: {a.b: {proxy: ap}}\n"),
              "2:22 no upstream `ap` | did you mean `app`?\n");
    CHECK_STR(report_of("sites: {a.b: {proxy: localhost}}\n"),
              "1:22 no upstream `localhost` | an address has a port: localhost:80\n");
    CHECK_STR(report_of("sites: {a.b: {proxy: app}}\n"),
              "1:22 no upstream `app` | define it under `upstreams`, or write an address with its "
              "port\n");
}

static void hosts_are_single(void)
{
    CHECK_STR(report_of("sites:\n  a.b: {proxy: 80}\n  A.b: {proxy: 81}\n"),
              "3:3 the host `a.b` is there already\n");
    CHECK_STR(report_of("sites:\n  a.b: {names: [c.d], proxy: 80}\n  c.d: {proxy: 81}\n"),
              "3:3 the host `c.d` is there already\n");
    CHECK_STR(report_of("sites:\n  a.b: {aliases: [a.b], proxy: 80}\n"),
              "2:19 the host `a.b` is there already\n");
    CHECK_STR(report_of("sites:\n  default: {names: [a.b], proxy: 80}\n"),
              "2:13 `names` are redirected to the name of the site, and `default` is no single "
              "host | `aliases` are further hosts without a redirect\n");
    CHECK_STR(report_of("sites:\n  a.b: {aliases: [default], proxy: 80}\n"),
              "2:19 `default` is a site of its own, not a further name of one\n");
}

static void routes_are_reached(void)
{
    CHECK_STR(
        report_of("sites:\n  a.b:\n    routes:\n      - {proxy: 80}\n      - {path: /a, proxy: "
                  "81}\n"),
        "5:9 warning: this route is never reached | routes are tried as listed: put the one "
        "without a match last\n");
    CHECK_STR(report_of("sites:\n  a.b:\n    routes:\n      - {proxy: 80}\n    proxy: 81\n"),
              "5:5 warning: what the site does for the rest is never reached | routes are tried as "
              "listed: put the one without a match last\n");
    CHECK_STR(
        report_of("sites:\n  a.b:\n    routes:\n      - {path: /a, proxy: 80}\n    proxy: 81\n"),
        "");
}

static void sites_do_something(void)
{
    CHECK_STR(report_of("sites:\n  a.b: {access_log: off}\n"),
              "2:3 the site `a.b` does nothing | say what to do with its requests, as in `proxy: "
              "3000`\n");
    CHECK_STR(report_of("log: info\n"), "0:0 warning: there are no `sites`: every request gets an "
                                        "error | sites: {default: {proxy: 3000}}\n");
}

TAP_MAIN(upstreams_exist, hosts_are_single, routes_are_reached, sites_do_something)
