// SPDX-License-Identifier: Apache-2.0
//
// What the rows of a listener have in common, whether HTTP or a stream is met there: one text, one
// range, one check. The rest of a listener's rows stands with who listens (super, l4).

#pragma once

#include "conf/schema.h"

struct conf_diags;

/** `backlog`. */
#define LISTEN_ROW_BACKLOG                                                                         \
    {                                                                                              \
        .name = "backlog", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_INT, .min = 1,            \
        .max = 65535, .fallback = "4096",                                                          \
        .text = "Connections that may wait to be accepted; the kernel has its own bound "          \
                "(net.core.somaxconn)."                                                            \
    }

/** `proxy_protocol`, with the line of prose that fits. */
#define LISTEN_ROW_PROXY_PROTOCOL(prose)                                                           \
    {                                                                                              \
        .name = "proxy_protocol", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_CIDR,              \
        .list = true, .off_ok = true, .words = listen_proxy_words, .fallback = "off",              \
        .check = listen_check_proxies, .aka = "accept_proxy proxy_protocol_from set_real_ip_from", \
        .text = (prose)                                                                            \
    }

extern const char *const listen_proxy_words[];
/** Of `proxy_protocol`: not more networks than a listener carries, and not everybody. */
void listen_check_proxies(struct conf_diags *d, struct conf_node list);
