// SPDX-License-Identifier: Apache-2.0
//
// Includes and snippets: what is joined, and which file an error points into.

#include "conf_help.h"

static void includes_add_definitions(void)
{
    static const struct memory_file files[] = {
        {"sites/a.yaml", "sites: {a.b: {proxy: app}}\n"},
        {"sites/b.yaml", "sites: {b.b: {proxy: app}}\nupstreams: {app: {servers: 80}}\n"},
        {NULL, NULL},
    };
    memory_files = files;
    CHECK_STR(canonical("include: sites/*.yaml\nsites: {c.b: {proxy: 81}}\n"),
              "{sites: {c.b: {proxy: {servers: [{at: 127.0.0.1:81}]}}, a.b: {proxy: app}, b.b: "
              "{proxy: app}}, upstreams: {app: {servers: [{at: 127.0.0.1:80}]}}}");
    CHECK_STR(canonical("include: [sites/a.yaml, ./sites/b.yaml]\n"),
              "{sites: {a.b: {proxy: app}, b.b: {proxy: app}}, upstreams: {app: {servers: [{at: "
              "127.0.0.1:80}]}}}");
    memory_files = NULL;
}

static void included_files_are_named(void)
{
    static const struct memory_file files[] = {
        {"a.yaml", "log: warn\nsites: {a.b: {proxy: 80, x: 1}}\n"},
        {"b.yaml", "sites: {a.b: {proxy: 80}}\n"},
        {"loop.yaml", "include: loop.yaml\n"},
        {"dir/in.yaml", "include: more.yaml\n"},
        {"dir/more.yaml", "sites: {m.b: {proxy: 80}}\n"},
        {"bad.yaml", "sites: [\n"},
        {NULL, NULL},
    };
    memory_files = files;
    CHECK_STR(report_of("include: a.yaml\n"),
              "a.yaml:1:1 `log` belongs into the main file, not into an included one | an included "
              "file holds `sites`, `upstreams` and `snippets`\n"
              "a.yaml:2:26 unknown key `x` in a site | `adit help` lists what there is\n");
    CHECK_STR(report_of("include: b.yaml\nsites: {a.b: {proxy: 81}}\n"),
              "b.yaml:1:9 `a.b` is there already in `sites`\n");
    CHECK_STR(report_of("include: loop.yaml\n"),
              "loop.yaml:1:10 `loop.yaml` is included twice, or includes itself\n");
    CHECK_STR(canonical("include: dir/in.yaml\n"),
              "{sites: {m.b: {proxy: {servers: [{at: 127.0.0.1:80}]}}}}");
    CHECK_STR(report_of("include: none.yaml\n"), "1:10 cannot read `none.yaml`: not found\n");
    CHECK_STR(report_of("include: bad.yaml\n"), "bad.yaml:1:8 this `[` is never closed\n");
    CHECK_STR(report_of("include: nothing/*.yaml\nsites: {a.b: {proxy: 80}}\n"),
              "1:10 warning: no file matches `nothing/*.yaml`\n");
    CHECK_STR(report_of("include: {a: b}\n"), "1:1 `include` takes a path or a list\n");
    memory_files = NULL;
}

static void snippets_are_taken_in(void)
{
    CHECK_STR(canonical("snippets:\n  slow: {timeouts: {read: 1h}, access_log: off}\n"
                        "sites:\n  a.b:\n    use: slow\n    access_log: on\n    proxy: 80\n"),
              "{sites: {a.b: {access_log: {}, proxy: {servers: [{at: 127.0.0.1:80}]}, timeouts: "
              "{read: 1h}}}}");
    CHECK_STR(canonical("snippets:\n  one: {drop: {}}\n  one2: {use: two}\n  two: {proxy: 80}\n"
                        "sites:\n  a.b: {routes: [{path: /x, use: [two]}, {use: one2}]}\n"),
              "2:9 unknown key `drop` in a site, a route or an upstream | `adit help` lists what "
              "there is\n");
    CHECK_STR(canonical("snippets:\n  one2: {use: two}\n  two: {proxy: 80}\n"
                        "sites:\n  a.b: {routes: [{path: /x, use: [two]}, {use: one2}]}\n"),
              "{sites: {a.b: {routes: [{path: [/x], proxy: {servers: [{at: 127.0.0.1:80}]}}, "
              "{proxy: {servers: [{at: 127.0.0.1:80}]}}]}}}");
    CHECK_STR(
        canonical("snippets: {few: {connections: 5}}\nupstreams: {a: {servers: 80, use: few}}\n"),
        "{upstreams: {a: {servers: [{at: 127.0.0.1:80}], connections: 5}}}");
}

static void wrong_snippets_are_told(void)
{
    CHECK_STR(report_of("snippets: {slow: {timeouts: {read: 1h}}}\n"
                        "sites: {a.b: {use: slo, proxy: 80}}\n"),
              "2:20 no snippet `slo` | did you mean `slow`?\n");
    CHECK_STR(
        report_of("snippets: {a: {use: b}, b: {use: a}}\nsites: {a.b: {use: a, proxy: 80}}\n"),
        "1:34 snippets use each other too deeply\n");
    // An error in a snippet is told once, however often it is used.
    CHECK_STR(
        report_of("snippets: {s: {timeouts: {read: 1}}}\nsites: {a.b: {use: s, proxy: 80}, c.d: "
                  "{use: s, proxy: 80}}\n"),
        "1:33 `read` takes a duration, not `1` | write 1s (units: ms, s, m, h, d)\n");
}

TAP_MAIN(includes_add_definitions, included_files_are_named, snippets_are_taken_in,
         wrong_snippets_are_told)
