// SPDX-License-Identifier: Apache-2.0
//
// Public ports of TCP and UDP tunnels. The configuration says from which ranges they come; a range is a
// stream of layer 4 in the snapshot (one for TCP, one for UDP), and a port that is open is a listener of
// it like any other, bound by the supervisor. Which tunnel a visitor reaches is found by the port. One
// that no tunnel has is not bound, so a range costs nothing, and the kernel refuses who comes there.
//
// A claim asks for its port on its core; the steward, the worker's main thread, takes what was asked one
// after the other and asks the supervisor. A port is not given back by its tunnel: who has none for a
// while is closed. So nothing is counted that a crash could count wrong, and after a restart or an
// upgrade the ports are still there when their agents come back.

#pragma once

#include <pthread.h>
#include <stdint.h>

#include "conf/doc.h"
#include "loop/loop.h"
#include "os/addr.h"
#include "proxy/snapshot.h"

struct tunnel_registry;

enum {
    TUNNEL_PORT_RANGES_MAX = 8,
    TUNNEL_PORTS_MAX = 4096, // open at once; the supervisor may allow fewer
    TUNNEL_PORT_BUCKETS = 4096,
    TUNNEL_PORT_UNUSED_MS = 20000, // without a tunnel for so long it is closed
    TUNNEL_PORT_FOUND_MS = 180000, // the same of one that was there when the worker began
    TUNNEL_PORT_LOOK_MS = 5000,    // the steward looks so often
};

/** A range of the configuration. */
struct tunnel_port_range {
    uint64_t keys[2];     // of the streams (l4/plan.h): TCP, UDP
    struct os_addr first; // with the address to bind: any unless said
    uint16_t last;
};

/** Reads a port or a range of them, behind an address if wanted: "20000-20099",
 * "192.0.2.1:20000-20099", "[2001:db8::1]:443". False: it is none. Leaves the keys alone. */
bool tunnel_ports_parse(struct slice text, struct tunnel_port_range *out);

/** The key of a zone's stream, by its site. */
uint64_t tunnel_port_key(struct slice site, bool datagram);
/** Those of a checked document; how many. Pure; any thread. */
uint32_t tunnel_port_ranges(struct conf_node root,
                            struct tunnel_port_range out[TUNNEL_PORT_RANGES_MAX]);
/** Adds the streams to a snapshot whose zones and streams are compiled. 0, E_NO_MEMORY. */
int tunnel_ports_compile(struct snapshot *s, struct conf_node root) must_check;

/** A claim's question. Embedded in it; the steward's from tunnel_ports_ask() to on_port. */
struct tunnel_port_ask {
    struct mail mail;
    struct list link;
    struct loop *loop; // of the core that asks
    uint64_t key;      // of the stream
    bool datagram;
    uint16_t port; // wanted; 0: any; out: the one that is open
    uint16_t first;
    uint16_t last;
    uint16_t at; // the next one to try
    uint32_t tries;
    int error; // out: 0, E_TUNNEL_TAKEN (by another program), E_TUNNEL_LIMIT, or why there is none
    void (*on_port)(struct tunnel_port_ask *a);
};

struct tunnel_port {
    bool used;
    bool again;    // it was closed under its tunnel, and is to be opened anew
    uint16_t next; // in its bucket, plus one; of one that is free: in the list of those; 0: none
    uint64_t key;  // of the stream whose visitors come there
    bool datagram;
    uint16_t port;
    uint32_t index;   // of its listener
    uint64_t keep_ms; // until then it is not closed for want of a tunnel
};

/** What the steward says to the supervisor. */
struct tunnel_port_request {
    uint64_t number;
    uint64_t key;
    bool datagram;
    uint16_t port;
};

struct tunnel_ports {
    uint32_t magic;
    struct tunnel_registry *registry;
    pthread_mutex_t lock; // of `asks`
    struct list asks;
    /** Wakes the steward; any thread. NULL: there is none, every question is refused. */
    void (*wake)(void *arg);
    void *wake_arg;
    // The steward's.
    struct tunnel_port_ask *current; // the supervisor was asked for it
    bool awaiting;                   // it was asked to open one anew
    uint32_t again;                  // that are to be
    uint32_t again_at;
    uint64_t number;
    struct tunnel_port *at;
    uint32_t count;      // in use
    uint32_t end;        // behind the last one that was ever in use
    uint16_t first_free; // plus one
    uint32_t looked;     // where a look for unused ones is
    uint64_t look_ms;    // when the next one begins
    uint16_t buckets[TUNNEL_PORT_BUCKETS];
};

/** 0 or E_NO_MEMORY. */
int tunnel_ports_init(struct tunnel_ports *p, struct tunnel_registry *r) must_check;
void tunnel_ports_fini(struct tunnel_ports *p);
/** On the core that asks. */
void tunnel_ports_ask(struct tunnel_ports *p, struct tunnel_port_ask *a);

// The steward's calls.

/** What to ask the supervisor for now; false: nothing, or an answer is awaited. */
bool tunnel_ports_next(struct tunnel_ports *p, uint64_t now_ms, struct tunnel_port_request *out);
/** The supervisor's answer. True: ask it for another one. */
bool tunnel_ports_done(struct tunnel_ports *p, uint64_t number, int error,
                       struct tunnel_port_request *out);
/** A listener of a tunnel's port came; `found`: at the worker's start. */
void tunnel_ports_opened(struct tunnel_ports *p, const struct tunnel_port *port, uint64_t now_ms,
                         bool found);
/** It is no more. */
void tunnel_ports_closed(struct tunnel_ports *p, uint64_t key, uint16_t port);
/** The same, because a new configuration has it elsewhere or not at all: when there is still a tunnel that
 * has it, tunnel_ports_next() asks for it anew. */
void tunnel_ports_moved(struct tunnel_ports *p, uint64_t key, uint16_t port);
/** The listener of a port that no tunnel has needed for long: it is forgotten here. To be asked until it
 * says false; every TUNNEL_PORT_LOOK_MS it looks at all of them. */
bool tunnel_ports_unused(struct tunnel_ports *p, uint64_t now_ms, uint32_t *index);
/** Whether there are any to look after. */
bool tunnel_ports_any(const struct tunnel_ports *p);
