// SPDX-License-Identifier: Apache-2.0
//
// The turn of a core. A turn is: wait, read the clock, hand out the events, advance the timers, run
// what was deferred, take the mail. Work that a turn leaves behind (tasks beyond the bound, mail
// that came late) makes the next wait return at once.
//
// Events of one batch are handed out one after the other, and a callback may close any io, its own
// or another's. So closing looks through the rest of the batch and blanks what was for that io; the
// memory of an io may be freed as soon as loop_close() or loop_unwatch() has returned.
//
// The clock is read once per turn, after the wait. How busy the core is, is measured on one turn in
// LOOP_BUSY_SAMPLE with a second reading and counted for all of them.

#include "loop/loop.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"

enum {
    LOOP_MAGIC = 0x100b0001,
    LOOP_IO_MAGIC = 0x10100001,
    LOOP_BUSY_SAMPLE = 64,
    LOOP_WAIT_MAX_MS = 3600 * 1000, // a bound for the poller's int, not a need to wake up
};

// ---- set-up ----------------------------------------------------------------------------------------

static void read_clock(struct loop *l)
{
    l->now_ns = l->sys->ops->now_ns(l->sys);
    l->now_ms = l->now_ns / 1000000u;
    l->wall_ms = l->sys->ops->wall_ms(l->sys);
}

int loop_init(struct loop *l, struct sys *sys, uint32_t core, const struct loop_limits *limits)
{
    memset(l, 0, sizeof(*l));
    l->magic = LOOP_MAGIC;
    l->core = core;
    l->sys = sys;
    read_clock(l);
    wheel_init(&l->wheel, l->now_ms);
    list_init(&l->tasks);
    mpsc_init(&l->mail);
    chunk_pool_init(&l->chunks, limits->chunks_max, limits->chunks_free_max);
    uint64_t seed;
    sys->ops->random(sys, &seed, sizeof(seed));
    rng_seed(&l->rng, seed);
    return 0;
}

void loop_fini(struct loop *l)
{
    ensure_magic(l, LOOP_MAGIC);
    ensure(l->wheel.count == 0);
    ensure(list_empty(&l->tasks));
    chunk_pool_fini(&l->chunks);
    l->magic = 0;
}

// ---- one turn --------------------------------------------------------------------------------------

static bool has_work(struct loop *l)
{
    return !list_empty(&l->tasks) ||
           atomic_load_explicit(&l->mail.head, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&l->stopping, memory_order_relaxed);
}

static int wait_ms(struct loop *l, int timeout_ms)
{
    if (timeout_ms == 0 || has_work(l)) {
        return 0;
    }
    uint64_t limit = timeout_ms < 0 ? LOOP_WAIT_MAX_MS : (uint64_t)timeout_ms;
    if (l->wheel.count == 0) {
        return timeout_ms;
    }
    return (int)wheel_next_ms(&l->wheel, limit);
}

static void hand_out(struct loop *l)
{
    for (l->event_next = 0; l->event_next < l->event_count;) {
        struct sys_event *e = &l->events[l->event_next++];
        struct io *io = e->data;
        if (l->event_next < l->event_count) {
            __builtin_prefetch(e[1].data);
        }
        if (likely(io != NULL)) {
            ensure_magic(io, LOOP_IO_MAGIC);
            io->on_ready(io, e->events);
        }
    }
    l->event_count = 0;
    l->event_next = 0;
}

// Tasks may queue tasks. Each round takes what is there; after the last round the rest waits for the
// next turn, so that tasks which keep each other busy cannot starve the sockets.
static void run_tasks(struct loop *l)
{
    for (int round = 0; round < LOOP_TASK_ROUNDS_MAX && !list_empty(&l->tasks); round++) {
        struct list batch;
        list_init(&batch);
        list_splice(&batch, &l->tasks);
        struct list *node;
        while ((node = list_first(&batch)) != NULL) {
            struct task *t = list_entry(node, struct task, link);
            list_remove(node);
            t->fn(t);
        }
    }
}

static void take_mail(struct loop *l)
{
    struct mpsc_node *node = mpsc_take_all(&l->mail);
    while (node != NULL) {
        struct mail *m = container_of(node, struct mail, node);
        node = node->next; // before fn, which may free the mail
        m->fn(m, l);
    }
}

void loop_turn(struct loop *l, int timeout_ms)
{
    ensure_magic(l, LOOP_MAGIC);
    ensure(l->event_count == 0); // turns do not nest
    l->event_count = l->sys->ops->wait(l->sys, l->events, LOOP_EVENTS_MAX, wait_ms(l, timeout_ms));
    ensure(l->event_count >= 0);
    read_clock(l);
    l->turns++;
    hand_out(l);
    wheel_advance(&l->wheel, l->now_ms);
    run_tasks(l);
    take_mail(l);
    if (l->turns % LOOP_BUSY_SAMPLE == 0) {
        l->busy_ns += (loop_clock_ns(l) - l->now_ns) * LOOP_BUSY_SAMPLE;
    }
}

void loop_run(struct loop *l)
{
    while (!atomic_load_explicit(&l->stopping, memory_order_acquire)) {
        loop_turn(l, -1);
    }
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stopping, true, memory_order_release);
    l->sys->ops->wake(l->sys);
}

// ---- descriptors -----------------------------------------------------------------------------------

void io_init(struct io *io, int fd, void (*on_ready)(struct io *io, unsigned events))
{
    *io = (struct io){.magic = LOOP_IO_MAGIC, .fd = fd, .on_ready = on_ready};
}

int loop_watch(struct loop *l, struct io *io, bool listener)
{
    ensure(io->fd >= 0);
    ensure(io->on_ready != NULL);
    ensure(io->watched == IO_UNWATCHED);
    io->magic = LOOP_IO_MAGIC;
    int rc = l->sys->ops->watch(l->sys, io->fd, io, listener);
    if (rc == 0) {
        io->watched = listener ? IO_WATCHED_LISTENER : IO_WATCHED;
    }
    return rc;
}

static void drop_events(struct loop *l, const struct io *io)
{
    for (int i = l->event_next; i < l->event_count; i++) {
        if (l->events[i].data == io) {
            l->events[i].data = NULL;
        }
    }
}

void loop_unwatch(struct loop *l, struct io *io)
{
    drop_events(l, io);
    if (io->watched != IO_UNWATCHED) {
        io->watched = IO_UNWATCHED;
        int rc = l->sys->ops->unwatch(l->sys, io->fd);
        ensure(rc == 0);
    }
}

void loop_close(struct loop *l, struct io *io, bool reset)
{
    if (io->fd < 0) {
        return;
    }
    drop_events(l, io);
    // Other processes may hold the same listener, and then closing ours does not take it out of the
    // set. A connection is ours alone: closing is enough, and one call less.
    if (io->watched == IO_WATCHED_LISTENER) {
        loop_unwatch(l, io);
    }
    io->watched = IO_UNWATCHED;
    int fd = io->fd;
    io->fd = -1;
    l->sys->ops->close(l->sys, fd, reset);
}

// ---- deferred work and mail ------------------------------------------------------------------------

void task_init(struct task *t, void (*fn)(struct task *t))
{
    ensure(fn != NULL);
    list_init(&t->link);
    t->fn = fn;
}

void loop_defer(struct loop *l, struct task *t)
{
    ensure(t->fn != NULL);
    if (list_empty(&t->link)) {
        list_push_back(&l->tasks, &t->link);
    }
}

void loop_cancel(struct loop *l, struct task *t)
{
    (void)l;
    list_remove(&t->link);
}

void loop_post(struct loop *to, struct mail *m)
{
    ensure(m->fn != NULL);
    if (mpsc_push(&to->mail, &m->node)) {
        to->sys->ops->wake(to->sys);
    }
}
