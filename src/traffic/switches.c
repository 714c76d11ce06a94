// SPDX-License-Identifier: Apache-2.0
//
// CONNECT streams to layer 4 (traffic/switches.h). Where a stream connects to is written in the agent's
// own configuration; what the edge says (authority, path) chooses nothing, and only who the visitor is
// is believed, if the edge is trusted.

#include "traffic/switches.h"

#include "base/error.h"
#include "http/session.h"
#include "l4/l4.h"

static int take(struct core_switches *taker, struct http_stream *s, const struct http_head *h,
                const struct os_addr *visitor)
{
    struct switches *w = container_of(taker, struct switches, taker);
    uint64_t key = s->peer->stream;
    bool datagrams = h->upgrade.len > 0;
    if (datagrams && !slice_eq_nocase(h->upgrade, SLICE("connect-udp"))) {
        return E_METHOD_UNKNOWN;
    }
    if (datagrams != l4_is_datagram(w->l4, key)) {
        return E_METHOD_REFUSED;
    }
    if (!l4_admits(w->l4, key, visitor)) {
        return E_ADDRESS_REFUSED;
    }
    struct http_peer peer = {.listener = s->peer->listener};
    http_peer_set(&peer, visitor);
    peer.connection_id = http_connection_id(w->down->loop, &w->down->next_id);
    struct transport *t = stream_transport_take(w->streams, s, datagrams);
    if (t == NULL) {
        return E_NO_MEMORY;
    }
    int e = datagrams ? l4_open_datagrams(w->l4, t, &peer, key) : l4_open(w->l4, t, &peer, key);
    (void)e; // it was closed, which refuses
    return 0;
}

void switches_init(struct switches *w, struct stream_transports *streams, struct down_core *down,
                   struct l4_core *l4)
{
    *w = (struct switches){.taker = {.take = take}, .streams = streams, .down = down, .l4 = l4};
}
