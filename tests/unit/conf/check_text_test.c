// SPDX-License-Identifier: Apache-2.0
//
// Scalars of each type: the canonical text, and what a wrong one is told.

#include "conf_help.h"

#define ROUTE(inner)      "sites:\n  a.b:\n    routes:\n      - {" inner ", proxy: 80}\n"
#define BAD(text, report) CHECK_STR(report_of(text), report)

static void durations_and_sizes(void)
{
    BAD("drain: 30\n",
        "1:8 `drain` takes a duration, not `30` | write 30s (units: ms, s, m, h, d)\n");
    BAD("drain: 5 min\n",
        "1:8 `drain` takes a duration, not `5 min` | write 5m (units: ms, s, m, h, d)\n");
    BAD("drain: 100msec\n",
        "1:8 `drain` takes a duration, not `100msec` | write 100ms (units: ms, s, m, h, d)\n");
    BAD("drain: soon\n",
        "1:8 `drain` takes a duration, not `soon` | a number and a unit: ms, s, m, h "
        "or d, as in 10s or 1m30s\n");
    BAD("drain: 30d\n", "1:8 `drain` is 0 to 1d, not 30d\n");
    BAD("timeouts: {connect: 1ms}\n", "1:21 `connect` is 10ms to 1d, not 1ms\n");
    BAD("memory: 1gb\n",
        "1:9 `memory` takes a size, not `1gb` | write 1GiB (1024) or 1GB (1000)\n");
    BAD("memory: 1.5GiB\n",
        "1:9 `memory` takes a size, not `1.5GiB` | whole numbers only: 1.5MiB is 1536KiB\n");
    BAD("memory: 1KiB\n", "1:9 `memory` is 16MiB to 16TiB, not 1KiB\n");
    BAD("limits: {body_size: big}\n",
        "1:21 `body_size` takes a size or `off`, not `big` | a number of bytes, or with a unit: "
        "KiB, MiB, GiB (1024) or KB, MB, GB (1000)\n");
}

static void words(void)
{
    BAD("log: eror\n", "1:6 `log` is `debug`, `info`, `warn` or `error`, not `eror` | did you mean "
                       "`error`?\n");
    BAD("forwarded: none\n",
        "1:12 `forwarded` is `x-forwarded`, `rfc7239`, `both` or `off`, not `none`\n");
    BAD("via: 1\n", "1:6 `via` is `on` or `off`, not `1` | write `on`\n");
}

static void networks(void)
{
    CHECK_STR(canonical(ROUTE("client: [10.0.0.0/8, not 10.1.0.0/16, \"::1\"]")),
              "{sites: {a.b: {routes: [{client: [10.0.0.0/8, not 10.1.0.0/16, ::1], proxy: "
              "{servers: [{at: 127.0.0.1:80}]}}]}}}");
    BAD(ROUTE("client: '!10.0.0.0/8'"),
        "4:18 `!10.0.0.0/8` is not a network | the word for negation is `not`: \"not "
        "10.0.0.0/8\"\n");
    BAD(ROUTE("client: 10.0.0.1/8"), "4:18 `10.0.0.1/8` is not a network | the address must end "
                                     "where its prefix ends, as in 10.1.0.0/16\n");
}

static void matches(void)
{
    CHECK_STR(canonical(ROUTE("path: '~^/a'")), "{sites: {a.b: {routes: [{path: [~ ^/a], proxy: "
                                                "{servers: [{at: 127.0.0.1:80}]}}]}}}");
    BAD(ROUTE("path: api"),
        "4:16 a path begins with `/`, a regular expression with `~ `: `api` | /api\n");
    BAD(ROUTE("path: ^/a$"),
        "4:16 a path begins with `/`, a regular expression with `~ `: `^/a$` | \"~ ^/a$\"\n");
    BAD(ROUTE("path: /a?x=1"),
        "4:16 a path has no query | match it with `query: {name: value}`; one "
        "character of any kind is not `?` here\n");
    BAD(ROUTE("path: /a%20b"),
        "4:16 paths are matched decoded: write the character itself instead of `%`\n");
    BAD(ROUTE("path: '~ ('"),
        "4:16 regular expression, at character 2: missing closing parenthesis\n");
    BAD(ROUTE("method: get"), "4:18 methods are case-sensitive: `get` is not `GET` | write GET\n");
    BAD(ROUTE("method: G T"), "4:18 `G T` is not a method\n");
    CHECK_STR(canonical(ROUTE("header: {X-A: true, X-B: false, x-c: '~  ^a'}")),
              "{sites: {a.b: {routes: [{header: {X-A: on, X-B: off, x-c: ~ ^a}, proxy: {servers: "
              "[{at: 127.0.0.1:80}]}}]}}}");
    BAD(ROUTE("header: {'x y': a}"), "4:19 `x y` is not a field name\n");
}

static void statuses(void)
{
    CHECK_STR(canonical("errors: {404: 'no', 5xx: {body: sorry}}\n"),
              "{errors: {404: {body: no}, 5xx: {body: sorry}}}");
    BAD("errors: {99: x}\n", "1:10 `99` is not a status: 400 to 599, or a class like 5xx\n");
    BAD("errors: {200: x}\n", "1:10 `200` is not a status: 400 to 599, or a class like 5xx\n");
    BAD("errors: {404: {type: text/plain}}\n", "1:10 an error page needs `body` or `file`\n");
}

static void values_from_outside(void)
{
    static const struct memory_file files[] = {
        {"page.html", "<h1>$x</h1>\n"}, {"secret", "s3cret\n"}, {NULL, NULL}};
    memory_files = files;
    CHECK_STR(canonical("sites: {a.b: {proxy: 'app:$env(PORT)'}}\n"),
              "{sites: {a.b: {proxy: {servers: [{at: app:8081}]}}}}");
    CHECK_STR(canonical("errors: {404: 'a $env(TOKEN) $host $file(secret)'}\n"),
              "{errors: {404: {body: a a$$b ${host} s3cret}}}");
    CHECK_STR(canonical("errors: {404: {file: ./page.html}}\n"),
              "{errors: {404: {file: <h1>$x</h1>\n}}}");
    // What a variable holds is not shown.
    BAD("drain: $env(PORT)\n", "1:8 `drain` takes a duration, not `$env(PORT)`\n");
    BAD("user: $env(NOBODY)\n", "1:7 the environment variable `NOBODY` is not set\n");
    BAD("user: $env(TOKEN)$host\n",
        "1:7 `user` is not about a request: only $env() and $file() may stand in it\n");
    BAD("errors: {404: {file: none.html}}\n", "1:22 cannot read `none.html`: not found\n");
    BAD("errors: {404: 'a $hots'}\n", "1:18 unknown variable `$hots` | did you mean $host?\n");
    memory_files = NULL;
}

TAP_MAIN(durations_and_sizes, words, networks, matches, statuses, values_from_outside)
