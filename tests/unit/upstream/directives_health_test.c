// SPDX-License-Identifier: Apache-2.0
//
// health, eject, panic, breaker, concurrency as they are written, and what wrong ones are told.

#include "conf/conf_help.h"

#define APP(inner) "upstreams: {app: {servers: 80, " inner "}}\nsites: {a.b: {proxy: app}}\n"
#define IS(inner, want)                                                                            \
    CHECK_STR(canonical(APP(inner)), "{upstreams: {app: {servers: [{at: 127.0.0.1:80}], " want     \
                                     "}}, sites: {a.b: {proxy: app}}}")
#define BAD(inner, report) CHECK_STR(report_of(APP(inner)), report)

static void short_forms(void)
{
    IS("health: /up", "health: {path: /up}");
    IS("health: off", "health: off");
    IS("health: {type: tcp, port: 81}", "health: {type: tcp, port: 81}");
    IS("health: {status: 2xx}", "health: {status: [2xx]}");
    IS("eject: 3", "eject: {failures: 3}");
    IS("eject: off", "eject: off");
    IS("eject: {on: [503, 500-502]}", "eject: {on: [503, 500-502]}");
    IS("panic: off", "panic: off");
    IS("panic: 30%", "panic: 30%");
    IS("breaker: on", "breaker: {}");
    IS("breaker: 20%", "breaker: {failures: 20%}");
    IS("concurrency: 100ms", "concurrency: {target: 100ms}");
    IS("retry: {budget: off}", "retry: {budget: off}");
}

static void mistakes_are_told(void)
{
    BAD("health: tcp", "1:40 a path begins with `/`: `tcp` | health: {type: tcp}\n");
    BAD("health: '/a b'", "1:40 `path` has a character that no request may have | percent-encode "
                          "it, as in /a%20b\n");
    BAD("health: {status: 700}",
        "1:49 `700` is not a status | a status is 204, a range is 200-399, a class is 2xx\n");
    BAD("health: {header: ready}", "1:49 `header` is a field name, a colon and a text: `ready` | "
                                   "header: \"x-ready: yes\"\n");
    BAD("health: {host: a/b}", "1:47 `host` is a host name, with a port if need be\n");
    BAD("health: {type: tcp, path: /}", "1:58 `path` has no meaning for a check of type tcp\n");
    BAD("health: {service: a}", "1:50 `service` has no meaning for a check of type http\n");
    BAD("health: {type: tls, host: a}", "1:58 `host` has no meaning for a check of type tls\n");
    BAD("health: {method: HEAD, body: a}", "1:61 the answer to HEAD has no body\n");
    BAD("health: {every: 1s, timeout: 2s}",
        "1:61 warning: a check that may take longer than `every` makes the checks rarer\n");
    BAD("panic: 50", "1:39 `panic` takes a percentage or `off`, not `50` | write 50%\n");
    BAD("panic: half", "1:39 `panic` takes a percentage or `off`, not `half` | a number with a "
                       "percent sign, as in 20%\n");
    BAD("panic: 0.5%",
        "1:39 `panic` takes a percentage or `off`, not `0.5%` | whole numbers only, as in 20%\n");
    BAD("panic: 0%", "1:39 `panic` is 1% to 100%, not 0%\n");
    BAD("eject: {at_most: 101%}", "1:49 `at_most` is 1% to 100%, not 101%\n");
    BAD("breaker: {open: 1ms}", "1:48 `open` is 100ms to 10m, not 1ms\n");
    BAD("concurrency: {most: 5}",
        "1:32 `concurrency` needs `target` | target: The mean time to the answer's "
        "head that is aimed at.\n");
}

TAP_MAIN(short_forms, mistakes_are_told)
