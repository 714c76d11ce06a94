// SPDX-License-Identifier: Apache-2.0
//
// Core threads and the orders they get. An order travels as one mail per core, embedded in the core:
// the main thread waits for all answers before the next order, so a mail is never in two queues. The
// answers are counted on a semaphore.

#include "worker/cores.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "loop/loop.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/panic.h"
#include "obs/trace.h"
#include "os/cpu.h"
#include "os/sys.h"
#include "worker/death.h"

enum {
    CORES_MAGIC = 0x434f5245,
    CORES_LOG_RING = 1 << 20, // bytes: some 4,000 access lines between two passes of the writer
    CORES_CHUNKS_WARM = 256,  // free chunks a core keeps, 4 MiB: one for each event of a batch
    CORES_CHUNKS_MIN = 64,
};

struct worker_core {
    struct cores *all;
    uint32_t index;
    bool running;
    pthread_t thread;
    struct sys *sys;
    struct loop loop;
    struct traffic_core *traffic;
    struct log_ring *log;
    struct trace_ring trace;
    struct mail mail;
};

struct cores {
    uint32_t magic;
    uint32_t count;
    uint32_t ready; // cores whose loop and traffic exist
    struct worker_core *core;
    struct log_ring **rings;
    const struct core_order *order;
    atomic_uint refusals;
    sem_t done;
};

// ---- life ---------------------------------------------------------------------------------------

static int init_core(struct cores *c, uint32_t index, struct traffic *t,
                     const struct loop_limits *limits, struct counters *counters)
{
    struct worker_core *core = &c->core[index];
    core->all = c;
    core->index = index;
    core->log = log_ring_new(CORES_LOG_RING);
    if (core->log == NULL) {
        return E_NO_MEMORY;
    }
    c->rings[index] = core->log;
    core->sys = os_linux_new();
    if (core->sys == NULL) {
        return E_NO_DESCRIPTORS;
    }
    int error = loop_init(&core->loop, core->sys, index, limits);
    if (error != 0) {
        return error;
    }
    error = traffic_core_new(t, &core->loop, &counters[index], core->log, &core->traffic);
    if (error != 0) {
        loop_fini(&core->loop);
        return error;
    }
    c->ready = index + 1;
    return 0;
}

int cores_new(struct traffic *t, const struct traffic_limits *limits, struct counters *counters,
              struct cores **out)
{
    ensure(limits->cores > 0);
    struct cores *c = mem_zalloc(sizeof *c);
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    c->magic = CORES_MAGIC;
    c->count = limits->cores;
    c->core = mem_zalloc(limits->cores * sizeof *c->core);
    c->rings = mem_zalloc(limits->cores * sizeof *c->rings);
    ensure(sem_init(&c->done, 0, 0) == 0);
    uint64_t chunks = limits->memory_bytes / CHUNK_WHOLE / limits->cores;
    chunks = chunks < CORES_CHUNKS_MIN ? CORES_CHUNKS_MIN : num_min_u64(chunks, UINT32_MAX);
    struct loop_limits loops = {(uint32_t)chunks, CORES_CHUNKS_WARM};
    int error = c->core != NULL && c->rings != NULL ? 0 : E_NO_MEMORY;
    for (uint32_t i = 0; error == 0 && i < c->count; i++) {
        error = init_core(c, i, t, &loops, counters);
    }
    if (error != 0) {
        cores_free(c);
        return error;
    }
    *out = c;
    return 0;
}

static void *core_main(void *arg)
{
    struct worker_core *core = arg;
    ensure_magic(core->all, CORES_MAGIC);
    char name[16];
    (void)snprintf(name, sizeof name, "adit-core-%u", core->index);
    os_thread_name(name);
    ensure(death_init_thread() == 0);
    panic_core = (int)core->index;
    trace_ring = &core->trace;
    log_use_ring(core->log);
    loop_run(&core->loop);
    traffic_core_free(core->traffic);
    core->traffic = NULL;
    log_use_ring(NULL);
    trace_ring = NULL;
    death_fini_thread();
    return NULL;
}

int cores_start(struct cores *c)
{
    ensure_magic(c, CORES_MAGIC);
    for (uint32_t i = 0; i < c->count; i++) {
        struct worker_core *core = &c->core[i];
        if (pthread_create(&core->thread, NULL, core_main, core) != 0) {
            return E_NO_MEMORY;
        }
        core->running = true;
    }
    return 0;
}

static void free_core(struct cores *c, uint32_t index)
{
    struct worker_core *core = &c->core[index];
    ensure(!core->running);
    if (core->traffic != NULL) {
        traffic_core_free(core->traffic);
    }
    if (index < c->ready) {
        loop_fini(&core->loop);
    }
    if (core->sys != NULL) {
        os_linux_free(core->sys);
    }
    log_ring_free(core->log);
}

void cores_free(struct cores *c)
{
    if (c == NULL) {
        return;
    }
    ensure_magic(c, CORES_MAGIC);
    for (uint32_t i = 0; c->core != NULL && i < c->count; i++) {
        free_core(c, i);
    }
    (void)sem_destroy(&c->done);
    c->magic = 0;
    mem_free(c->rings);
    mem_free(c->core);
    mem_free(c);
}

void cores_set_wanted(struct cores *c, struct tls_wanted *w)
{
    ensure_magic(c, CORES_MAGIC);
    for (uint32_t i = 0; i < c->count; i++) {
        ensure(!c->core[i].running);
        traffic_core_set_wanted(c->core[i].traffic, w);
    }
}

struct log_ring *const *cores_log_rings(const struct cores *c)
{
    return c->rings;
}

// ---- orders -------------------------------------------------------------------------------------

// On the core's thread. False: refused, or not idle.
static bool obey(struct worker_core *core, const struct core_order *order)
{
    switch (order->task) {
    case CORE_SWAP:
        traffic_core_set_tls(core->traffic, order->tls);
        traffic_core_swap(core->traffic, order->snapshot);
        return true;
    case CORE_TLS:
        traffic_core_set_tls(core->traffic, order->tls);
        return true;
    case CORE_NAMES:
        traffic_core_set_names(core->traffic, order->resolv_conf, order->hosts);
        return true;
    case CORE_SERVERS:
        traffic_core_set_servers(core->traffic, order->book);
        return true;
    case CORE_ACCESS:
        traffic_core_set_access(core->traffic, order->access);
        return true;
    case CORE_KICK:
        atomic_fetch_add(order->kicked, traffic_core_kick(core->traffic, &order->kick));
        return true;
    case CORE_NOTHING:
        return true;
    case CORE_LISTEN:
        return traffic_core_listen(core->traffic, order->fd, &order->listener) == 0;
    case CORE_UNLISTEN:
        traffic_core_unlisten(core->traffic, order->index);
        return true;
    case CORE_DRAIN:
        traffic_core_drain(core->traffic, order->patient);
        return true;
    case CORE_IS_IDLE:
        return traffic_core_idle(core->traffic);
    case CORE_STOP:
        loop_stop(&core->loop);
        return true;
    }
    unreachable();
}

static void on_order(struct mail *m, struct loop *to)
{
    struct worker_core *core = container_of(m, struct worker_core, mail);
    struct cores *c = core->all;
    ensure_magic(c, CORES_MAGIC);
    ensure(to == &core->loop);
    if (!obey(core, c->order)) {
        atomic_fetch_add(&c->refusals, 1);
    }
    ensure(sem_post(&c->done) == 0);
}

unsigned cores_ask(struct cores *c, const struct core_order *order)
{
    ensure_magic(c, CORES_MAGIC);
    c->order = order;
    atomic_store(&c->refusals, 0);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct worker_core *core = &c->core[i];
        if (core->running) {
            core->mail.fn = on_order;
            loop_post(&core->loop, &core->mail);
            asked++;
        }
    }
    while (asked > 0) {
        if (sem_wait(&c->done) == 0) {
            asked--;
        } else {
            ensure(errno == EINTR);
        }
    }
    return atomic_load(&c->refusals);
}

void cores_stop(struct cores *c)
{
    struct core_order order = {.task = CORE_STOP};
    (void)cores_ask(c, &order);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->core[i].running) {
            ensure(pthread_join(c->core[i].thread, NULL) == 0);
            c->core[i].running = false;
        }
    }
}
