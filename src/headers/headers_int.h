// SPDX-License-Identifier: Apache-2.0
//
// What the modules of this folder share: which fields nobody may write.

#pragma once

#include "conf/diag.h"
#include "http/names.h"

/** True for fields that belong to one connection (RFC 9110 7.6.1) or frame a message: they are never
 * in a field block (http/head.h), and one that was put there would be written beside adit's own. */
static inline bool headers_of_connection(struct slice name)
{
    static const uint64_t set =
        1ull << HTTP_CONNECTION | 1ull << HTTP_CONTENT_LENGTH | 1ull << HTTP_EXPECT |
        1ull << HTTP_KEEP_ALIVE | 1ull << HTTP_PROXY_CONNECTION | 1ull << HTTP_TE |
        1ull << HTTP_TRAILER | 1ull << HTTP_TRANSFER_ENCODING | 1ull << HTTP_UPGRADE;
    return (set >> http_name_of(name) & 1) != 0;
}

/** Reports text that would end a line of a head; variables are looked at when they are filled in. */
static inline void headers_check_line(struct conf_diags *d, struct conf_node value)
{
    struct slice text = conf_exists(value) ? conf_text(value) : slice_of("", 0);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0') {
            conf_error(d, value, "this has to be one line");
            return;
        }
    }
}

/** Reports a field that cannot be set, or not to this. */
static inline void headers_check_field(struct conf_diags *d, struct conf_node field)
{
    struct slice name = conf_key(field);
    headers_check_line(d, field);
    if (headers_of_connection(name)) {
        conf_error(d, field, "`%.*s` belongs to a connection and cannot be set", SLICE_ARG(name));
        conf_hint(d, "adit writes it anew on each side");
    }
}
