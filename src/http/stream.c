// SPDX-License-Identifier: Apache-2.0
//
// What little the shape of a stream has to do by itself: the peer's address as text, which goes into
// a field of every request and is therefore made once per connection.

#include "http/stream.h"

#include "base/text.h"

void http_peer_set(struct http_peer *p, const struct os_addr *addr)
{
    p->addr = os_peer_of(addr);
    p->ip_text_len = 0;
    if (addr->kind == OS_ADDR_UNIX || addr->kind == OS_ADDR_NONE) {
        return;
    }
    struct text t = text_on(p->ip_text, sizeof(p->ip_text));
    os_addr_ip_text(addr, &t);
    ensure(!t.overflow);
    p->ip_text_len = (uint8_t)t.len;
}
