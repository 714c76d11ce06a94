// SPDX-License-Identifier: Apache-2.0
//
// The exchange's directives as they are written: matches within matches, error pages, what counts at
// which level.

#include "conf/conf_help.h"

static void matches_nest(void)
{
    CHECK_STR(
        canonical("sites:\n  a.b:\n    routes:\n"
                  "      - match: {any: [{path: /a}, {all: {method: GET, not: {host: c.b}}}]}\n"
                  "        respond: ok\n"),
        "{sites: {a.b: {routes: [{match: {any: [{path: [/a]}, {all: [{method: [GET], not: "
        "{host: [c.b]}}]}]}, respond: {body: ok}}]}}}");
    CHECK_STR(report_of("sites:\n  a.b:\n    routes:\n      - match: {nay: [{path: /a}]}\n        "
                        "respond: ok\n"),
              "4:17 unknown key `nay` in `match` | did you mean `any`?\n");
}

static void error_pages_are_whole(void)
{
    CHECK_STR(canonical("errors: {404: gone, 5xx: {body: sorry, type: text/plain}}\n"),
              "{errors: {404: {body: gone}, 5xx: {body: sorry, type: text/plain}}}");
    CHECK_STR(report_of("errors: {404: {body: a, file: b}}\n"),
              "1:31 cannot read `b`: not found\n");
}

static void levels_are_kept(void)
{
    CHECK_STR(report_of("sites: {a.b: {proxy: 80, timeouts: {idle: 5s}}}\n"),
              "1:37 `idle` counts at the top level only | it is needed before a site or route is "
              "known\n");
    CHECK_STR(report_of("sites: {a.b: {listen: 80, proxy: 80}}\n"),
              "1:15 unknown key `listen` in a site | `listen` is known in: the top level\n");
}

TAP_MAIN(matches_nest, error_pages_are_whole, levels_are_kept)
