// SPDX-License-Identifier: Apache-2.0
//
// What the worker's shell (threads, messages, drain) asks of the part that carries traffic. The shell
// knows nothing of HTTP; traffic knows nothing of processes.
//
// Life: traffic_new() and traffic_core_new() for every core run on the main thread before the sandbox
// closes, so that is the time to open files and to read resolv.conf. Then each core's thread runs its
// loop, and every other traffic_core_ function is called on it, between two turns.
// traffic_compile() runs on the main thread, which carries no traffic and may take its time.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

struct access;
struct bridge_core;
struct chunk;
struct conf_doc;
struct core;
struct counters;
struct dialer;
struct down_session;
struct down_session_terms;
struct log_ring;
struct loop;
struct reserved;
struct resolver;
struct server_rows;
struct snapshot;
struct text;
struct up_protocol;
struct tls_store;
struct tls_wanted;
struct transport;
struct tunnel_ports;
struct tunnel_rows;

struct traffic;
struct traffic_core;

struct traffic_limits {
    uint32_t cores;
    uint32_t connections_max;                 // client connections, whole process
    uint64_t memory_bytes;                    // bodies and arenas, whole process
    struct server_rows *rows;                 // how each server is; may be NULL
    struct tunnel_rows *tunnels;              // which tunnels there are; may be NULL
    const struct tunnel_rows *tunnels_before; // of the worker before; may be NULL
};

/** What all cores share. 0, E_NO_MEMORY. Main thread. */
int traffic_new(const struct traffic_limits *limits, struct traffic **out) must_check;
/** The public ports of tunnels (tunnel/ports.h), for who opens them: the steward. */
struct tunnel_ports *traffic_ports(struct traffic *t);
/** After every core is freed. */
void traffic_free(struct traffic *t);

/** A document and who owns it. It stays mapped as long as a snapshot reads it; then forget(owner) is
 * called, on any thread. */
struct traffic_document {
    const struct conf_doc *doc;
    struct tls_store *tls;    // made from both; NULL: no TLS to origins
    struct slice credentials; // read during the call only
    uint32_t generation;
    void (*forget)(void *owner);
    void *owner;
};

/** Compiles a document into a snapshot that has a reference for every core. On failure `why` says what
 * is wrong and forget is not called. 0, E_CONFIG, E_NO_MEMORY. Main thread. */
int traffic_compile(struct traffic *t, const struct traffic_document *d, struct text *why,
                    struct snapshot **out) must_check;

/** A servers document (upstream/servers.h), which stays until the core is given another one. On the
 * core's thread. */
void traffic_core_set_servers(struct traffic_core *tc, const struct conf_doc *book);
/** Who may have tunnels (tunnel/access.h): those that may no longer be are ended. The core takes its own
 * reference. Until it has been called nobody knows. On the core's thread. */
void traffic_core_set_access(struct traffic_core *tc, struct access *a);

/** Which tunnel is to be ended. */
struct traffic_kick {
    struct slice zone; // name of its site; empty: whichever has it
    struct slice name;
    struct slice text; // the agent is told
};

/** Ends those that are at home on this core, and says how many. On the core's thread. */
unsigned traffic_core_kick(struct traffic_core *tc, const struct traffic_kick *kick) must_check;
/** The texts of resolv.conf and hosts, read during the call. On the core's thread. */
void traffic_core_set_names(struct traffic_core *tc, struct slice resolv_conf, struct slice hosts);
/** The same, read from the files: for a process that may still open them. */
void traffic_core_read_names(struct traffic_core *tc);

/** Gives back a snapshot that no core was given. Main thread. */
void traffic_discard(struct traffic *t, struct snapshot *s);

/** Core number `l->core`. Main thread, before its loop runs. */
int traffic_core_new(struct traffic *t, struct loop *l, struct counters *counters,
                     struct log_ring *log, struct traffic_core **out) must_check;
/** On the core's thread when it is about to end: closes what is left, at once, and gives the snapshot
 * back. */
void traffic_core_free(struct traffic_core *tc);

/** New exchanges use `s` from now on; takes over the core's reference of it. */
void traffic_core_swap(struct traffic_core *tc, struct snapshot *s);
/** New handshakes use `s` from now on; the core takes its own reference. */
void traffic_core_set_tls(struct traffic_core *tc, struct tls_store *s);
/** Requests that are answered before any site sees them (proxy/reserved.h). Main thread, before the loop
 * runs. */
void traffic_core_reserve(struct traffic_core *tc, const struct reserved *r);
/** Who is told of names that lack a certificate. Main thread, before the loop runs. */
void traffic_core_set_wanted(struct traffic_core *tc, struct tls_wanted *w);

enum { TRAFFIC_LISTENERS_MAX = 4160 }; // 64 of the configuration, behind them the ports of tunnels

struct traffic_listener {
    uint32_t index;                // its name in traffic_core_unlisten(), less than the maximum
    bool secure;                   // TLS
    bool datagram;                 // UDP, of a stream
    uint64_t stream;               // key of the stream (l4/plan.h); 0: for the sites
    uint32_t proxy_count;          // not 0: a PROXY header comes first, and only from these sources
    const struct os_cidr *proxies; // while it is listened on
    struct os_addr addr;
    struct slice site; // for which every request is, whatever its host; empty: its host says. It
                       // lives as long as the core
};

/** Takes connections from a listening socket, which all cores share and the shell owns. Not before the
 * first snapshot. 0, E_NO_MEMORY, E_NO_DESCRIPTORS. */
int traffic_core_listen(struct traffic_core *tc, int fd, const struct traffic_listener *what)
    must_check;
/** Takes the socket out of the loop, then what waits in its accept queue (it is closed when all cores
 * have done so, unless another worker shares it). Connections live on. */
void traffic_core_unlisten(struct traffic_core *tc, uint32_t index);
/** For who brings connections of its own: an agent, which dials its edges. */
struct dialer *traffic_core_dialer(struct traffic_core *tc);
/** NULL: there is none. */
struct resolver *traffic_core_resolver(struct traffic_core *tc);
/** Where exchanges are: for a watcher, for reserved requests. Before the first connection. */
struct core *traffic_core_exchanges(struct traffic_core *tc);
/** Serves HTTP/2 on a connection that this process made and whose other end is the client from now on;
 * as h2_down_open_watched(). */
struct down_session *traffic_core_adopt(struct traffic_core *tc, struct transport *t,
                                        const struct down_session_terms *terms, struct chunk *first,
                                        uint32_t pos, int *error) must_check;

/** The worker is to end: unlisten all, close idle connections, let the others end with their current
 * answer. Patient: idle clients may ask once more (http/session.h). May be called again. */
void traffic_core_drain(struct traffic_core *tc, bool patient);
/** While draining: nothing is left that is worth waiting for. */
bool traffic_core_idle(const struct traffic_core *tc);

/** How sessions are opened to origins, ended by one without a name, and the core's bridges: the
 * simulation puts the one into the other. */
struct up_protocol *traffic_core_protocols(struct traffic_core *tc);
struct bridge_core *traffic_core_bridge(struct traffic_core *tc);
