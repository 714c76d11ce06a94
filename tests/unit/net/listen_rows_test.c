// SPDX-License-Identifier: Apache-2.0
//
// listen_rows: HTTP's listeners and those of streams are checked alike.

#include "net/listen_rows.h"

#include "conf/conf_help.h"
#include "ipc/messages.h"

#define HTTP   "listen: {at: 80, proxy_protocol: %s}\nsites: {a.b: {proxy: 81}}\n"
#define STREAM "streams: [{listen: {at: 80, proxy_protocol: %s}, proxy: 81}]\n"

static void check_both(const char *networks, const char *want)
{
    static const char *const shapes[] = {HTTP, STREAM};
    for (size_t i = 0; i < array_len(shapes); i++) {
        static char yaml[4096];
        (void)snprintf(yaml, sizeof(yaml), i == 0 ? HTTP : STREAM, networks);
        const char *report = report_of(yaml);
        const char *text = strchr(report, ' '); // after the place
        CHECK_STR(text == NULL ? report : text + 1, want);
    }
}

static void few_networks_are_fine(void)
{
    check_both("[10.0.0.0/8, unix]", "");
    check_both("off", "");
}

static void more_than_a_listener_carries_are_refused(void)
{
    char list[2048] = "[";
    for (int i = 0; i <= IPC_PROXIES_MAX; i++) {
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s10.0.%d.0/24", i == 0 ? "" : ", ", i);
    }
    size_t end = strlen(list);
    (void)snprintf(list + end, sizeof(list) - end, "]");
    check_both(list, "more than 32 networks\n");
}

static void everybody_is_warned_of(void)
{
    check_both("[0.0.0.0/0]",
               "warning: with every network here anybody can claim any address | list the "
               "addresses of the proxies in front: proxy_protocol: [10.0.0.0/8]\n");
}

TAP_MAIN(few_networks_are_fine, more_than_a_listener_carries_are_refused, everybody_is_warned_of)
