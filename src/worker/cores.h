// SPDX-License-Identifier: Apache-2.0
//
// The threads of a worker: one per core, each with its own sys, loop, counters, log ring and traffic.
// The main thread tells them what to do with cores_ask(), which waits until all have done it between
// two turns of their loops.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/ensure.h"
#include "os/addr.h"
#include "traffic/traffic.h"

struct access;
struct cores;
struct log_ring;
struct tls_wanted;

enum core_task {
    CORE_SWAP,     // snapshot, tls
    CORE_TLS,      // tls
    CORE_NAMES,    // resolv_conf, hosts
    CORE_SERVERS,  // book
    CORE_ACCESS,   // access
    CORE_KICK,     // kick, kicked
    CORE_NOTHING,  // what was posted before has been done
    CORE_LISTEN,   // fd, listener
    CORE_UNLISTEN, // index
    CORE_DRAIN,    // patient
    CORE_IS_IDLE,  // the result counts the cores that are not
    CORE_STOP,     // close everything and end the thread; cores_stop() says it
};

struct core_order {
    enum core_task task;
    int fd;
    uint32_t index;
    bool patient;
    struct traffic_listener listener;
    struct snapshot *snapshot;
    struct tls_store *tls; // stays the caller's
    const struct conf_doc *book;
    struct slice resolv_conf;
    struct slice hosts;
    struct access *access; // stays the caller's
    struct traffic_kick kick;
    atomic_uint *kicked; // each core adds how many tunnels it ended
};

/** Makes everything that needs files or memory; no thread yet. `counters` is one row per core. */
int cores_new(struct traffic *t, const struct traffic_limits *limits, struct counters *counters,
              struct cores **out) must_check;
/** Starts the threads (inside the sandbox). 0 or E_NO_MEMORY. */
int cores_start(struct cores *c) must_check;
/** Ends the threads and waits for them; their log rings stay, for the writer's last pass. */
void cores_stop(struct cores *c);
/** Frees everything; no thread may run. NULL is nothing. */
void cores_free(struct cores *c);
/** Gives the order to every core and waits for all. Returns how many answered no: an error, or not
 * idle. Main thread. */
unsigned cores_ask(struct cores *c, const struct core_order *order);
/** Who is told of names that lack a certificate. Before cores_start(). */
void cores_set_wanted(struct cores *c, struct tls_wanted *w);
/** The log rings, one per core. */
struct log_ring *const *cores_log_rings(const struct cores *c);
