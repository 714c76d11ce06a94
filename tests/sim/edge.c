// SPDX-License-Identifier: Apache-2.0
//
// Brings the proxy up on simulated cores, through the same door as the worker's shell does
// (traffic/traffic.h).

#include "edge.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "l4/plan.h"
#include "obs/counters.h"
#include "traffic/traffic.h"

#include "bridged.h"

/** A document, as long as a snapshot reads it. */
struct document {
    struct conf_doc *doc;
    bool forgotten;
};

struct edge {
    struct sim *sim;
    uint32_t cores;
    struct traffic *traffic;
    struct document documents[EDGE_DOCUMENTS_MAX];
    uint32_t document_count;
    int listener; // -1: closed
    int stream;   // the same, of a stream; -1: none
    struct loop loop[EDGE_CORES_MAX];
    struct loop *loops[EDGE_CORES_MAX];
    struct traffic_core *core[EDGE_CORES_MAX];
    struct counters counters[EDGE_CORES_MAX];
};

static void on_forget(void *owner)
{
    struct document *d = owner;
    ensure(!d->forgotten);
    d->forgotten = true;
}

static void refuse(const struct conf_diags *d)
{
    char buffer[4096];
    struct text t = text_on(buffer, sizeof(buffer));
    for (const struct conf_diag *x = conf_diags_first(d); x != NULL; x = x->next) {
        conf_diag_text(d, x, false, &t);
    }
    printf("# the scenario's configuration is wrong:\n%.*s\n", (int)t.len, t.ptr);
    (void)fflush(stdout);
    abort();
}

static struct snapshot *compile(struct edge *e, const char *config)
{
    ensure(e->document_count < EDGE_DOCUMENTS_MAX);
    struct document *own = &e->documents[e->document_count++];
    struct conf_diags *d = conf_diags_new();
    ensure(d != NULL);
    int rc = conf_load_text("scenario.yaml", config, conf_tables, d, &own->doc);
    if (rc != 0) {
        refuse(d);
    }
    conf_diags_free(d);
    char buffer[4096];
    struct text why = text_on(buffer, sizeof(buffer));
    struct snapshot *s = NULL;
    struct traffic_document document = {
        .doc = own->doc, .generation = e->document_count, .forget = on_forget, .owner = own};
    rc = traffic_compile(e->traffic, &document, &why, &s);
    if (rc != 0) {
        printf("# the scenario's configuration does not compile: %.*s\n", (int)why.len, why.ptr);
        (void)fflush(stdout);
        abort();
    }
    return s;
}

struct edge *edge_open(struct sim_case *c, struct sim *s, const struct os_addr *at,
                       const char *config, const struct edge_limits *limits)
{
    (void)c;
    struct edge *e = aligned_alloc(64, (sizeof(*e) + 63) / 64 * 64);
    ensure(e != NULL);
    memset(e, 0, sizeof(*e));
    e->sim = s;
    e->cores = limits->cores;
    struct traffic_limits t = {
        .cores = limits->cores,
        .connections_max = limits->connections_max,
        .memory_bytes = (uint64_t)limits->chunks_max * limits->cores * 16384,
    };
    int rc = traffic_new(&t, &e->traffic);
    ensure(rc == 0);
    struct loop_limits l = {limits->chunks_max, 64};
    for (uint32_t i = 0; i < e->cores; i++) {
        rc = loop_init(&e->loop[i], sim_sys(s), i, &l);
        ensure(rc == 0);
        e->loops[i] = &e->loop[i];
        rc = traffic_core_new(e->traffic, &e->loop[i], &e->counters[i], NULL, &e->core[i]);
        ensure(rc == 0);
    }
    bridged_open(e->core, e->cores);
    struct snapshot *snapshot = compile(e, config);
    e->listener = sim_listen_fd(s, at);
    e->stream = -1;
    struct l4_plan_listener streams[L4_PLAN_LISTENERS_MAX]; // the first one, if any, listens there
    uint32_t count = l4_plan_listeners(conf_root(e->documents[0].doc), streams);
    const struct traffic_listener what = {.addr = *at, .stream = count > 0 ? streams[0].key : 0};
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_swap(e->core[i], snapshot);
        rc = traffic_core_listen(e->core[i], e->listener, &what);
        ensure(rc == 0);
    }
    return e;
}

struct loop **edge_loops(struct edge *e)
{
    return e->loops;
}

uint32_t edge_core_count(const struct edge *e)
{
    return e->cores;
}

void edge_reserve(struct edge *e, const struct reserved *r)
{
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_reserve(e->core[i], r);
    }
}

struct tunnel_ports *edge_ports(struct edge *e)
{
    return traffic_ports(e->traffic);
}

void edge_listen_stream(struct edge *e, const struct os_addr *at, uint64_t key, uint32_t index)
{
    ensure(e->stream < 0);
    e->stream = sim_listen_fd(e->sim, at);
    const struct traffic_listener what = {.index = index, .addr = *at, .stream = key};
    for (uint32_t i = 0; i < e->cores; i++) {
        int rc = traffic_core_listen(e->core[i], e->stream, &what);
        ensure(rc == 0);
    }
}

uint32_t edge_chunks(const struct edge *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->cores; i++) {
        n += e->loop[i].chunks.in_use;
    }
    return n;
}

void edge_set_access(struct edge *e, struct access *a)
{
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_set_access(e->core[i], a);
    }
}

static uint64_t sum(const struct edge *e, enum counter id)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < e->cores; i++) {
        n += atomic_load(&e->counters[i].v[id]);
    }
    return n;
}

uint32_t edge_exchanges(const struct edge *e)
{
    return (uint32_t)sum(e, COUNTER_requests_active);
}

uint64_t edge_connections(const struct edge *e)
{
    return sum(e, COUNTER_connections_open);
}

enum sim_outcome edge_run(struct edge *e, uint64_t ns, bool (*done)(void *user), void *user)
{
    return sim_run(e->sim, e->loops, e->cores, sim_now_ns(e->sim) + ns, done, user);
}

void edge_settle(struct sim_case *c, struct edge *e)
{
    (void)edge_run(e, UINT64_C(200) * 1000000000, NULL, NULL);
    if (edge_exchanges(e) != 0 || edge_connections(e) != 0) {
        sim_fail(c, "%u exchanges and %llu connections live on", edge_exchanges(e),
                 (unsigned long long)edge_connections(e));
    }
}

void edge_reload(struct edge *e, const char *config)
{
    struct snapshot *snapshot = compile(e, config);
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_swap(e->core[i], snapshot);
    }
}

static void close_listeners(struct edge *e)
{
    struct sys *sys = e->loop[0].sys;
    if (e->listener >= 0) {
        sys->ops->close(sys, e->listener, false);
    }
    if (e->stream >= 0) {
        sys->ops->close(sys, e->stream, false);
    }
    e->listener = -1;
    e->stream = -1;
}

void edge_drain(struct edge *e)
{
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_drain(e->core[i], false);
    }
    close_listeners(e);
}

bool edge_is_idle(const struct edge *e)
{
    for (uint32_t i = 0; i < e->cores; i++) {
        if (!traffic_core_idle(e->core[i])) {
            return false;
        }
    }
    return true;
}

uint32_t edge_kick(struct edge *e, struct slice name)
{
    const struct traffic_kick kick = {.name = name, .text = SLICE("kicked")};
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->cores; i++) {
        count += traffic_core_kick(e->core[i], &kick);
    }
    return count;
}

void edge_end(struct sim_case *c, struct edge *e)
{
    bridged_close(e->core, e->cores);
    for (uint32_t i = 0; i < e->cores; i++) {
        traffic_core_free(e->core[i]);
    }
    for (uint32_t i = 0; i < e->cores; i++) {
        chunk_pool_collect(&e->loop[i].chunks);
        if (e->loop[i].chunks.in_use != 0) {
            sim_fail(c, "core %u: %u chunks are left", i, e->loop[i].chunks.in_use);
            e->loop[i].chunks.in_use = 0;
        }
        if (e->loop[i].wheel.count != 0) {
            sim_fail(c, "core %u: %u timers are left", i, e->loop[i].wheel.count);
        }
    }
    close_listeners(e);
    traffic_free(e->traffic);
    for (uint32_t i = 0; i < e->cores; i++) {
        loop_fini(&e->loop[i]);
    }
    for (uint32_t i = 0; i < e->document_count; i++) {
        if (!e->documents[i].forgotten) {
            sim_fail(c, "snapshot %u still holds its document", i);
        }
        conf_doc_free(e->documents[i].doc);
    }
    static const enum counter gauges[] = {COUNTER_requests_active, COUNTER_connections_open,
                                          COUNTER_upstream_open};
    for (size_t i = 0; i < array_len(gauges); i++) {
        if (sum(e, gauges[i]) != 0) {
            sim_fail(c, "gauge %zu is not zero at the end", i);
        }
    }
    free(e);
}

void edge_close(struct sim_case *c, struct edge *e)
{
    struct sim *s = e->sim;
    edge_end(c, e);
    if (sim_fds_open(s) != 0) {
        sim_fail(c, "%u descriptors are left", sim_fds_open(s));
    }
}
