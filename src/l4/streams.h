// SPDX-License-Identifier: Apache-2.0
//
// The streams of a snapshot, compiled: where they listen, by what they route, their limits. Immutable,
// on the snapshot's arena, shared by all cores.

#pragma once

#include <stdint.h>

#include "net/networks.h"
#include "proxy/snapshot.h"

#include "l4/client_hello.h"

struct l4_name {
    struct slice text; // ".example.com" of a wildcard
    bool wildcard;
};

struct l4_route {
    uint32_t name_count; // 0: whatever the client asks for
    uint32_t protocol_count;
    struct l4_name *names;
    struct slice *protocols;
    struct upstream *upstream; // NULL: to the sites
};

struct l4_stream {
    uint64_t key;      // l4/plan.h
    struct slice text; // how the log calls it: "[::]:5432", "udp://[::]:53"
    struct slice host; // of one whose ports are tunnels': the edge's own name; else empty
    bool datagram;
    bool peeks; // some route looks at the client's first message
    bool access_log;
    struct network_list *allow; // NULL: everybody
    struct network_list *deny;  // NULL: nobody
    uint32_t route_count;
    struct l4_route *routes;
    uint32_t connect_ms;
    uint64_t idle_ms; // 0: no limit, as of the next
    uint64_t total_ms;
    uint32_t hello_ms;
    uint32_t responses;    // UDP: datagrams expected for each one; 0: not known
    uint32_t sessions_max; // UDP
};

struct l4_streams {
    uint32_t count;
    uint32_t drain_ms; // how long sessions of a stream that is gone may go on
    struct l4_stream *list;
};

/** Compiles `streams` of the document that `s` is being made from, into s->streams. 0, E_CONFIG
 * (reported), E_NO_MEMORY. */
int l4_streams_compile(struct snapshot *s, const struct conf_doc *doc, struct upstream_factory *f,
                       struct conf_diags *diags) must_check;
/** The stream of a key; NULL when the snapshot has none. */
const struct l4_stream *l4_streams_find(const struct snapshot *s, uint64_t key);
/** "HOST:PORT", on the arena, of a connection to a stream whose ports are tunnels'; else empty. */
struct slice l4_asked_at(const struct l4_stream *s, uint16_t port, struct arena *arena);
/** Whether a client of that address may come; one that is not known may not where there is any list. */
bool l4_stream_admits(const struct l4_stream *s, const struct os_addr *client);
/** The first route that takes a client with this first message; NULL: it is not TLS. NULL: none. */
const struct l4_route *l4_stream_route(const struct l4_stream *s, const struct client_hello *hello);
