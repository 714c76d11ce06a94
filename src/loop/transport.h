// SPDX-License-Identifier: Apache-2.0
//
// A transport: the byte stream under a session. In clear it is the descriptor itself; a filter (TLS)
// may be put on it, also in the middle of its life, and the session above does not notice: it reads,
// writes and closes through the same five calls.
//
// Readiness is remembered here. Events come on edges; `readable` stays true until a read has shown
// that nothing is left, so that a session reads for as long as it is true, and no longer. In clear a
// read that came back short has emptied the socket (epoll(7)), unless the peer has hung up.
//
// One owner at a time: the session, or who carries the transport to one. A transport that was closed
// stays readable memory until the end of the turn; its owner forgets it at once.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "loop/loop.h"

struct transport;

/** What goes with a transport and ends with it, whoever its owner is then. */
struct transport_note {
    void (*drop)(struct transport_note *n);
};

/** A filter on a transport. Every member is called with the transport; results are those of sys.h in
 * terms of the owner's bytes. */
struct transport_ops {
    const char *name; // "clear", "tls"
    struct io_result (*read)(struct transport *t, const struct iovec *iov, int n);
    struct io_result (*write)(struct transport *t, const struct iovec *iov, int n, bool more);
    int (*shutdown_write)(struct transport *t);
    /** The filter's part of closing: its last words, its memory. The descriptor is closed after it. */
    void (*close)(struct transport *t, bool reset);
    /** Events of the descriptor; the flags below are set. Tells the owner what is left of them. NULL:
     * the owner is told as they are. */
    void (*on_io)(struct transport *t, unsigned events);
};

struct transport_core {
    uint32_t magic;
    struct loop *loop;
    struct slab slab;
    struct list dead; // closed in this turn
    struct task reap;
};

struct transport {
    uint32_t magic;
    bool readable; // there may be input
    bool writable; // there may be room
    bool hung_up;  // the peer closed its direction: input ends with EOF
    bool clear;    // no filter: the descriptor may be spliced from and to
    bool dead;
    struct io io;
    struct transport_core *core;
    const struct transport_ops *ops;
    void *layer; // the filter's
    /** The owner's. `events`: enum sys_events, flags set. The transport may be closed inside. */
    void (*on_ready)(struct transport *t, unsigned events);
    void *owner;
    struct transport_note *note; // NULL: none
    struct list link;            // the core's
};

enum { TRANSPORT_MAGIC = 0x74726e73 };

/** Both sides of the core's connections count. */
void transport_core_init(struct transport_core *c, struct loop *l, uint32_t transports_max);
/** Every transport must be closed. */
void transport_core_fini(struct transport_core *c);

/** Around a connected (or connecting) descriptor, watched; the owner is set by the caller at once:
 * no event is reported before the next turn. NULL with *error: the descriptor stays the caller's. */
struct transport *transport_new(struct transport_core *c, int fd, int *error) must_check;
/** Begins to connect: on_ready with SYS_WRITE, SYS_ERROR or SYS_HANGUP says when to ask
 * transport_connected(). NULL with *error. */
struct transport *transport_connect(struct transport_core *c, const struct sys_connect *to,
                                    int *error) must_check;
/** 0, E_AGAIN (still on its way), or why it failed. After 0 it is writable. */
int transport_connected(struct transport *t) must_check;
/** Puts a filter on: what was clear goes through it from now on. */
void transport_set_filter(struct transport *t, const struct transport_ops *ops, void *layer);
/** Passes it on. What is readable or writable already is seen in the flags, not reported again: the
 * new owner looks by itself. */
static inline void transport_set_owner(struct transport *t, void *owner,
                                       void (*on_ready)(struct transport *t, unsigned events))
{
    t->owner = owner;
    t->on_ready = on_ready;
}
/** Closes. The owner forgets it; nothing is reported any more. */
void transport_close(struct transport *t, bool reset);

/** Clears t->readable when it has shown that nothing is left for now. */
static inline struct io_result transport_read(struct transport *t, const struct iovec *iov, int n)
{
    return t->ops->read(t, iov, n);
}
/** Clears t->writable when the rest must wait for SYS_WRITE. `more`: further bytes follow at once. */
static inline struct io_result transport_write(struct transport *t, const struct iovec *iov, int n,
                                               bool more)
{
    return t->ops->write(t, iov, n, more);
}
/** Half-close: the peer reads an end after what was written. */
static inline int transport_shutdown_write(struct transport *t)
{
    return t->ops->shutdown_write(t);
}
