// SPDX-License-Identifier: Apache-2.0
//
// A transport: the byte stream under a session. In clear it is the descriptor itself; a filter (TLS)
// may be put on it, also in the middle of its life, and the session above does not notice: it reads,
// writes and closes through the same five calls. One may also have no descriptor at all: its bytes
// then come from something else, a stream of another session (http/stream_transport.h), or from another
// transport that it owns: so filters are stacked (http/websocket_transport.h).
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

struct http_security;
struct transport;
struct transport_core;

/** What goes with a transport and ends with it, whoever its owner is then, and on whichever core. */
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
    /** The filter's part of closing: its last words, its memory. The descriptor, if there is one, is
     * closed after it. */
    void (*close)(struct transport *t, bool reset);
    /** Events of the descriptor; the flags below are set. Tells the owner what is left of them. NULL:
     * the owner is told as they are. */
    void (*on_io)(struct transport *t, unsigned events);
    /** What it knows of the other end (http/stream.h). NULL: nothing. */
    const struct http_security *(*security)(const struct transport *t);
    // The next three are for a change of core; without them it cannot be changed.
    /** Leaves its core: *packed is all there is of it, in memory of no core. On an error it stays as it
     * is. */
    int (*pack)(struct transport *t, void **packed);
    /** Goes on with it on the core of `t`, which is in clear, and sets itself as its filter. On an error
     * `packed` is as it was. */
    int (*unpack)(struct transport *t, void *packed);
    /** It will not be unpacked. Any thread. */
    void (*drop)(void *packed);
    // One without a descriptor has these two in place of the last two.
    /** As transport_unpack(): whatever comes of it, `packed` is taken. */
    struct transport *(*unpack_over)(struct transport_core *c, void *packed, int *error);
    /** `sys`: of the thread that calls. */
    void (*drop_over)(void *packed, struct sys *sys);
};

enum { TRANSPORT_LAYERS_MAX = 4 };

struct transport_core {
    uint32_t magic;
    struct loop *loop;
    struct slab slab;
    struct list dead; // closed in this turn
    struct task reap;
    struct {
        const struct transport_ops *ops;
        void *core;
    } layers[TRANSPORT_LAYERS_MAX];
};

struct transport {
    uint32_t magic;
    bool readable; // there may be input
    bool writable; // there may be room
    bool hung_up;  // the peer closed its direction: input ends with EOF
    bool clear;    // no filter: the descriptor may be spliced from and to
    bool dead;
    struct io io; // fd is -1 in one without a descriptor
    struct transport_core *core;
    const struct transport_ops *ops;
    void *layer; // the filter's
    /** The owner's. `events`: enum sys_events, flags set. The transport may be closed inside. */
    void (*on_ready)(struct transport *t, unsigned events);
    void *owner;
    struct transport_note *note; // NULL: none
    struct list link;            // the core's
};

/** A transport between two cores, nobody's and in no core's memory: it may travel in a mail. What had
 * been read and decrypted by a filter, or not been taken by the socket, is in it. */
struct transport_parcel {
    int fd;    // -1: it was unpacked or dropped, or there is none (`over`)
    bool over; // packed by one without a descriptor
    bool hung_up;
    struct transport_note *note;
    const struct transport_ops *ops; // NULL: in clear
    void *packed;
};

enum { TRANSPORT_MAGIC = 0x74726e73 };

/** Both sides of the core's connections count. */
void transport_core_init(struct transport_core *c, struct loop *l, uint32_t transports_max);
/** Every transport must be closed. */
void transport_core_fini(struct transport_core *c);

/** Around a connected (or connecting) descriptor, watched; the owner is set by the caller at once:
 * no event is reported before the next turn. NULL with *error: the descriptor stays the caller's. */
struct transport *transport_new(struct transport_core *c, int fd, int *error) must_check;
/** One without a descriptor: all of it is `layer`'s, which sets the flags and calls on_ready by itself,
 * never before the next turn or the end of this one. NULL: out of memory. */
struct transport *transport_over(struct transport_core *c, const struct transport_ops *ops,
                                 void *layer) must_check;
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
/** For a connection that carries what many wait for: struct sys_ops.tune. */
static inline void transport_tune(struct transport *t, uint32_t dead_ms, uint32_t unsent_max)
{
    struct sys *sys = t->core->loop->sys;
    if (t->io.fd >= 0 && sys->ops->tune != NULL) {
        sys->ops->tune(sys, t->io.fd, dead_ms, unsent_max);
    }
}
/** Half-close: the peer reads an end after what was written. */
static inline int transport_shutdown_write(struct transport *t)
{
    return t->ops->shutdown_write(t);
}

/** Takes it out of its core; its owner forgets it, and it is no more. E_UNSUPPORTED: its filter cannot
 * change cores, or not now (a handshake); E_NO_MEMORY. On an error nothing has changed. */
int transport_pack(struct transport *t, struct transport_parcel *p) must_check;
/** A new transport on the core that `c` is of. As after transport_new() the owner is set at once, and it
 * looks by itself: both flags are set, for nobody knows what came in between. NULL with *error: the
 * connection is closed. */
struct transport *transport_unpack(struct transport_core *c, struct transport_parcel *p, int *error)
    must_check;
/** Closes what will not be unpacked. `sys`: of the thread that calls. */
void transport_parcel_drop(struct transport_parcel *p, struct sys *sys);
/** What a filter has of its own on that core: set once, looked for when a connection moves there. */
void transport_core_set_layer(struct transport_core *c, const struct transport_ops *ops,
                              void *core);
void *transport_core_layer(const struct transport_core *c, const struct transport_ops *ops);
