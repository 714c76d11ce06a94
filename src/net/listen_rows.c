// SPDX-License-Identifier: Apache-2.0
//
// Rows of listeners (net/listen_rows.h).

#include "net/listen_rows.h"

#include "conf/diag.h"
#include "ipc/messages.h"

const char *const listen_proxy_words[] = {"unix", NULL};

void listen_check_proxies(struct conf_diags *d, struct conf_node list)
{
    if (conf_count(list) > IPC_PROXIES_MAX) {
        conf_error(d, list, "more than %d networks", IPC_PROXIES_MAX);
        return;
    }
    conf_each(range, list)
    {
        struct os_cidr c;
        bool all =
            os_cidr_parse(conf_text(range), &c) == 0 && c.kind != OS_ADDR_UNIX && c.bits == 0;
        if (all) {
            conf_warning(d, range, "with every network here anybody can claim any address");
            conf_hint(d,
                      "list the addresses of the proxies in front: proxy_protocol: [10.0.0.0/8]");
        }
    }
}
