// SPDX-License-Identifier: Apache-2.0
//
// Public ports of TCP and UDP tunnels. The configuration says from which ranges they come; a range is a
// stream of layer 4 in the snapshot (one for TCP, one for UDP), and a port that is open is a listener of
// it like any other, bound by the supervisor. Which tunnel a visitor reaches is found by the port.
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
#include "proxy/snapshot.h"

struct tunnel_registry;

enum {
    TUNNEL_PORT_RANGES_MAX = 8,
    TUNNEL_PORTS_MAX = 40,         // open at once
    TUNNEL_PORT_UNUSED_MS = 20000, // without a tunnel for so long it is closed
    TUNNEL_PORT_FOUND_MS = 180000, // the same of one that was there when the worker began
    TUNNEL_PORT_LOOK_MS = 5000,    // the steward looks so often
};

/** A range of the configuration. */
struct tunnel_port_range {
    uint64_t keys[2]; // of the streams (l4/plan.h): TCP, UDP
    uint16_t first;
    uint16_t last;
};

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
    uint64_t key; // of the stream whose visitors come there
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
    uint64_t number;
    struct tunnel_port at[TUNNEL_PORTS_MAX];
};

void tunnel_ports_init(struct tunnel_ports *p, struct tunnel_registry *r);
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
void tunnel_ports_closed(struct tunnel_ports *p, uint32_t index);
/** The listener of a port that no tunnel has needed for long: it is forgotten here. */
bool tunnel_ports_unused(struct tunnel_ports *p, uint64_t now_ms, uint32_t *index);
/** Whether there are any to look after. */
bool tunnel_ports_any(const struct tunnel_ports *p);
