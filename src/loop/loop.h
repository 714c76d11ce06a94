// SPDX-License-Identifier: Apache-2.0
//
// The loop of one core: it owns readiness (through sys), the timer wheel, deferred work, the mailbox
// and the core's chunk pool. Everything of a connection happens in callbacks of its loop; nothing
// here is called from another thread but loop_post() and loop_stop().
//
// One turn: wait for events, handle each, advance the timers, run deferred tasks until there are
// none (bounded), take the mail. The time is read once per turn; loop_clock_ns() reads it anew.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "base/rng.h"
#include "base/wheel.h"
#include "os/sys.h"

struct loop;
struct kernel_pipe;

enum io_watched { IO_UNWATCHED, IO_WATCHED, IO_WATCHED_LISTENER };

/** A descriptor and who hears of it. Embedded in its owner. */
struct io {
    uint32_t magic;
    int fd;          // -1: none
    uint8_t watched; // enum io_watched
    /** `events`: enum sys_events. The owner may close the io or free itself inside. */
    void (*on_ready)(struct io *io, unsigned events);
};

/** Work for the end of this turn. Embedded; queued at most once. */
struct task {
    struct list link;
    void (*fn)(struct task *t);
};

/** A message to another core. Embedded in the sender's object; owned by the receiver from post to
 * the end of fn. */
struct mail {
    struct mpsc_node node;
    void (*fn)(struct mail *m, struct loop *to);
};

enum { LOOP_EVENTS_MAX = 256, LOOP_TASK_ROUNDS_MAX = 64 };

struct loop {
    uint32_t magic;
    uint32_t core; // index of the core, 0..
    struct sys *sys;
    uint64_t now_ns;  // monotonic, read once per turn
    uint64_t now_ms;  // the same in milliseconds: the timers' time
    uint64_t wall_ms; // may be some milliseconds old
    struct wheel wheel;
    struct list tasks;
    struct mpsc mail;
    struct chunk_pool chunks;
    struct rng rng;
    struct kernel_pipe *kernel_pipes; // empty ones ready for reuse (loop/kernel_pipe.h)
    uint32_t kernel_pipe_count;
    atomic_bool stopping;
    struct sys_event events[LOOP_EVENTS_MAX];
    int event_next; // while a batch is handled
    int event_count;
    uint64_t turns;
    uint64_t busy_ns; // time spent outside wait, estimated from one turn in 64
};

struct loop_limits {
    uint32_t chunks_max;
    uint32_t chunks_free_max;
};

/** `sys` is borrowed. 0 or E_NO_MEMORY. */
int loop_init(struct loop *l, struct sys *sys, uint32_t core, const struct loop_limits *limits)
    must_check;
/** Nothing may be watched or set any more. */
void loop_fini(struct loop *l);
/** Runs turns until loop_stop(). */
void loop_run(struct loop *l);
/** One turn; waits at most timeout_ms (-1: until the next timer or event). */
void loop_turn(struct loop *l, int timeout_ms);
/** Any thread. */
void loop_stop(struct loop *l);

/** `fd` may be -1 for an io that is to get its descriptor later. */
void io_init(struct io *io, int fd, void (*on_ready)(struct io *io, unsigned events));
/** Watches io->fd; on_ready must be set. 0 or a negative code (the fd stays the caller's). */
int loop_watch(struct loop *l, struct io *io, bool listener) must_check;
/** Takes the fd out of the set without closing it; pending events of this turn are dropped. */
void loop_unwatch(struct loop *l, struct io *io);
/** Unwatches (when watched) and closes; io->fd becomes -1; pending events of this turn are dropped.
 * Nothing when there is no fd. A connection's descriptor must not have been duplicated. */
void loop_close(struct loop *l, struct io *io, bool reset);

static inline struct io_result loop_read(struct loop *l, const struct io *io,
                                         const struct iovec *iov, int n)
{
    return l->sys->ops->read(l->sys, io->fd, iov, n);
}
static inline struct io_result loop_write(struct loop *l, const struct io *io,
                                          const struct iovec *iov, int n, bool more)
{
    return l->sys->ops->write(l->sys, io->fd, iov, n, more);
}
/** Monotonic time now, not of the turn: for latencies. */
static inline uint64_t loop_clock_ns(struct loop *l)
{
    return l->sys->ops->now_ns(l->sys);
}

/** Sets (or moves) a timer `delay_ms` from the turn's time. */
static inline void loop_timer_set(struct loop *l, struct wheel_timer *t, uint64_t delay_ms)
{
    wheel_set(&l->wheel, t, l->now_ms + delay_ms);
}
static inline void loop_timer_stop(struct loop *l, struct wheel_timer *t)
{
    wheel_stop(&l->wheel, t);
}

void task_init(struct task *t, void (*fn)(struct task *t));
static inline bool task_is_queued(const struct task *t)
{
    return t->link.next != &t->link;
}
/** Runs t->fn at the end of this turn; does nothing when it is queued already. */
void loop_defer(struct loop *l, struct task *t);
void loop_cancel(struct loop *l, struct task *t);

/** Any thread: fn(m, to) runs on the receiving core in its next turn. */
void loop_post(struct loop *to, struct mail *m);
