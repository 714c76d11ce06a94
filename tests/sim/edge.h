// SPDX-License-Identifier: Apache-2.0
//
// The real proxy inside a simulated world: a configuration text compiled and run on one or more
// cores, with a listener. What it holds when it ends is checked: nothing may be left.

#pragma once

#include "driver.h"
#include "kernel.h"

enum { EDGE_CORES_MAX = 4, EDGE_DOCUMENTS_MAX = 8 };

struct access;
struct edge;
struct reserved;
struct tunnel_ports;

/** `chunks_max`: budget of each core's chunk pool; `connections_max`: of the process. */
struct edge_limits {
    uint32_t cores;
    uint32_t chunks_max;
    uint32_t connections_max;
};

/** The proxy listens at `at`. A configuration that does not compile ends the process. */
struct edge *edge_open(struct sim_case *c, struct sim *s, const struct os_addr *at,
                       const char *config, const struct edge_limits *limits);
struct loop **edge_loops(struct edge *e);
uint32_t edge_core_count(const struct edge *e);
/** Requests that a handler answers itself, on all cores; before anybody connects. */
void edge_reserve(struct edge *e, const struct reserved *r);
/** Who may have tunnels, on all cores; each takes its own reference. */
void edge_set_access(struct edge *e, struct access *a);
/** The public ports of its tunnels, for who plays the steward (tunnel/ports.h). */
struct tunnel_ports *edge_ports(struct edge *e);
/** Listens for a stream (l4/plan.h) as well, under that index, which is not 0. Once. */
void edge_listen_stream(struct edge *e, const struct os_addr *at, uint64_t key, uint32_t index);
/** Chunks that its cores hold now. */
uint32_t edge_chunks(const struct edge *e);
/** Exchanges and client connections alive on all cores. */
uint32_t edge_exchanges(const struct edge *e);
/** Client connections open now, as counted. */
uint64_t edge_connections(const struct edge *e);
/** Runs it for at most so long, until done(user) says so (kernel.h); `done` may be NULL. */
enum sim_outcome edge_run(struct edge *e, uint64_t ns, bool (*done)(void *user), void *user);
/** Its clients have gone: gives exchanges and connections time to end by themselves, and checks that they
 * do. */
void edge_settle(struct sim_case *c, struct edge *e);
/** New exchanges use this configuration from now on. */
void edge_reload(struct edge *e, const char *config);
/** No client can come any more; those that are there finish their exchange. */
void edge_drain(struct edge *e);
/** A draining one has nothing left to wait for. */
bool edge_is_idle(const struct edge *e);
/** Ends a tunnel; how many there were. */
uint32_t edge_kick(struct edge *e, struct slice name);
/** Ends it at once and checks that nothing of it is left. */
void edge_end(struct sim_case *c, struct edge *e);
/** The same, and that nobody has a descriptor. */
void edge_close(struct sim_case *c, struct edge *e);
