// SPDX-License-Identifier: Apache-2.0
//
// The core's share of the proxy: where exchanges come from and where they go. An exchange that is
// over is freed at the end of the turn, since the callbacks that ended it still stand on the stack.

#include "proxy/core.h"

#include "base/error.h"
#include "obs/trace.h"
#include "proxy/challenge.h"

enum { CORE_MAGIC = 0x636f7265 };

static void reap(struct task *t)
{
    struct core *c = container_of(t, struct core, reap);
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->finished)) != NULL) {
        struct exchange *x = list_entry(node, struct exchange, link);
        list_remove(node);
        arena_fini(&x->arena);
        x->magic = 0;
        snapshot_unref(x->snapshot, c->index);
        slab_give(&c->exchanges, x);
    }
}

int core_init(struct core *c, struct loop *l, struct counters *counters, struct log_ring *log,
              uint32_t exchanges_max)
{
    *c = (struct core){.magic = CORE_MAGIC,
                       .index = l->core,
                       .loop = l,
                       .counters = counters,
                       .log = log,
                       .handler = {.begin = exchange_begin}};
    slab_init(&c->exchanges, "exchanges", sizeof(struct exchange), exchanges_max);
    list_init(&c->live);
    list_init(&c->finished);
    task_init(&c->reap, reap);
    mirrors_init(&c->mirrors);
    reserved_add(c, &challenge_reserved);
    return 0;
}

void core_fini(struct core *c)
{
    ensure_magic(c, CORE_MAGIC);
    reap(&c->reap);
    loop_cancel(c->loop, &c->reap);
    ensure(list_empty(&c->live));
    mirrors_fini(c);
    slab_fini(&c->exchanges);
    if (c->snapshot != NULL) {
        snapshot_unref(c->snapshot, c->index);
    }
    c->magic = 0;
}

void core_swap(struct core *c, struct snapshot *s)
{
    ensure_magic(c, CORE_MAGIC);
    struct snapshot *old = c->snapshot;
    c->snapshot = s;
    trace(TRACE_swap, c->index, s->generation);
    snapshot_enter(s, c->loop);
    if (old != NULL) {
        snapshot_leave(old, c->loop);
        snapshot_unref(old, c->index);
    }
}

void core_finish(struct core *c, struct exchange *x)
{
    list_remove(&x->link);
    list_push_back(&c->finished, &x->link);
    c->live_count--;
    counter_sub(c->counters, COUNTER_requests_active, 1);
    loop_defer(c->loop, &c->reap);
}
