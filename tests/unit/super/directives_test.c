// SPDX-License-Identifier: Apache-2.0
//
// The directives of the processes as they are written.

#include "conf/conf_help.h"

#define SITES "sites: {a.b: {proxy: 80}}\n"

static void listeners_differ(void)
{
    CHECK_STR(report_of("listen: [80, \":80\"]\n" SITES),
              "1:14 this address is listened on twice\n");
    CHECK_STR(report_of("listen: [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n" SITES), "");
    CHECK_STR(report_of("listen: []\n" SITES), "1:1 `listen` has an empty list\n");
}

static void paths_are_whole(void)
{
    CHECK_STR(
        report_of("control: run/adit.sock\n" SITES),
        "1:10 `control` is the whole path of a socket, at most 107 bytes, or `off` | control: "
        "/run/adit/control.sock\n");
    CHECK_STR(report_of("control: off\n" SITES), "");
    CHECK_STR(report_of("access_log: adit.log\n" SITES),
              "1:13 an access log goes to `stdout`, `stderr`, or a file by its whole path | "
              "access_log: /var/log/adit/access.log\n");
    CHECK_STR(report_of("access_log: {to: /var/log/a, format: clf}\n" SITES),
              "1:38 `format` is `json` or `combined`, not `clf`\n");
}

static void figures_have_bounds(void)
{
    CHECK_STR(report_of("workers: auto\nmemory: 64MiB\nconnections: 100\ndrain: 0\n" SITES), "");
    CHECK_STR(report_of("workers: 257\n" SITES), "1:10 `workers` is 1 to 256 threads, not 257\n");
    CHECK_STR(report_of("connections: 5\n" SITES), "1:14 `connections` is 16 to 10000000, not 5\n");
}

TAP_MAIN(listeners_differ, paths_are_whole, figures_have_bounds)
