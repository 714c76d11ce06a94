// SPDX-License-Identifier: Apache-2.0
//
// Transports in clear, and what all of them share: their memory, their events, their end.
//
// A short read has emptied the socket and a short write has filled it (epoll(7)), so the flags are
// cleared without asking the kernel once more; only after a hang-up the end of input is still to be
// read.

#include "loop/transport.h"

#include "base/error.h"

enum { CORE_MAGIC = 0x74726e63 };

static size_t room_of(const struct iovec *iov, int n)
{
    size_t room = 0;
    for (int i = 0; i < n; i++) {
        room += iov[i].iov_len;
    }
    return room;
}

static struct io_result clear_read(struct transport *t, const struct iovec *iov, int n)
{
    struct io_result r = loop_read(t->core->loop, &t->io, iov, n);
    if (r.status != IO_OK) {
        t->readable = false;
    } else if (!t->hung_up && r.n < room_of(iov, n)) {
        t->readable = false;
    }
    return r;
}

static struct io_result clear_write(struct transport *t, const struct iovec *iov, int n, bool more)
{
    struct io_result r = loop_write(t->core->loop, &t->io, iov, n, more);
    if (r.status != IO_OK || r.n < room_of(iov, n)) {
        t->writable = false;
    }
    return r;
}

static int clear_shutdown_write(struct transport *t)
{
    struct sys *sys = t->core->loop->sys;
    return sys->ops->shutdown_write(sys, t->io.fd);
}

static const struct transport_ops clear_ops = {
    .name = "clear",
    .read = clear_read,
    .write = clear_write,
    .shutdown_write = clear_shutdown_write,
};

static void on_io(struct io *io, unsigned events)
{
    struct transport *t = container_of(io, struct transport, io);
    ensure_magic(t, TRANSPORT_MAGIC);
    ensure(!t->dead);
    if ((events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0) {
        t->readable = true;
    }
    if ((events & SYS_HANGUP) != 0) {
        t->hung_up = true;
    }
    if ((events & SYS_WRITE) != 0) {
        t->writable = true;
    }
    if (t->ops->on_io != NULL) {
        t->ops->on_io(t, events);
    } else {
        t->on_ready(t, events);
    }
}

static void reap(struct task *task)
{
    struct transport_core *c = container_of(task, struct transport_core, reap);
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->dead)) != NULL) {
        struct transport *t = list_entry(node, struct transport, link);
        list_remove(node);
        t->magic = 0;
        slab_give(&c->slab, t);
    }
}

void transport_core_init(struct transport_core *c, struct loop *l, uint32_t transports_max)
{
    *c = (struct transport_core){.magic = CORE_MAGIC, .loop = l};
    slab_init(&c->slab, "transports", sizeof(struct transport), transports_max);
    list_init(&c->dead);
    task_init(&c->reap, reap);
}

void transport_core_fini(struct transport_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    reap(&c->reap);
    loop_cancel(c->loop, &c->reap);
    slab_fini(&c->slab);
    c->magic = 0;
}

struct transport *transport_new(struct transport_core *c, int fd, int *error)
{
    ensure_magic(c, CORE_MAGIC);
    struct transport *t = slab_take(&c->slab);
    if (t == NULL) {
        *error = E_NO_MEMORY;
        return NULL;
    }
    *t = (struct transport){
        .magic = TRANSPORT_MAGIC,
        .writable = true, // what has come already is reported by the first wait
        .clear = true,
        .io = {.fd = fd, .on_ready = on_io},
        .core = c,
        .ops = &clear_ops,
    };
    list_init(&t->link);
    *error = loop_watch(c->loop, &t->io, false);
    if (*error < 0) {
        slab_give(&c->slab, t);
        return NULL;
    }
    return t;
}

struct transport *transport_over(struct transport_core *c, const struct transport_ops *ops,
                                 void *layer)
{
    ensure_magic(c, CORE_MAGIC);
    struct transport *t = slab_take(&c->slab);
    if (t == NULL) {
        return NULL;
    }
    *t = (struct transport){
        .magic = TRANSPORT_MAGIC,
        .core = c,
        .ops = ops,
        .layer = layer,
    };
    io_init(&t->io, -1, on_io);
    list_init(&t->link);
    return t;
}

struct transport *transport_connect(struct transport_core *c, const struct sys_connect *to,
                                    int *error)
{
    struct sys *sys = c->loop->sys;
    int fd = sys->ops->connect(sys, to);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    struct transport *t = transport_new(c, fd, error);
    if (t == NULL) {
        sys->ops->close(sys, fd, false);
        return NULL;
    }
    t->writable = false;
    return t;
}

int transport_connected(struct transport *t)
{
    ensure_magic(t, TRANSPORT_MAGIC);
    struct sys *sys = t->core->loop->sys;
    int e = sys->ops->connect_result(sys, t->io.fd);
    if (e == 0) {
        t->writable = true;
    }
    return e;
}

void transport_set_filter(struct transport *t, const struct transport_ops *ops, void *layer)
{
    ensure_magic(t, TRANSPORT_MAGIC);
    ensure(t->clear);
    t->clear = false;
    t->ops = ops;
    t->layer = layer;
}

void transport_close(struct transport *t, bool reset)
{
    ensure_magic(t, TRANSPORT_MAGIC);
    ensure(!t->dead);
    t->dead = true;
    if (t->ops->close != NULL) {
        t->ops->close(t, reset);
    }
    if (t->note != NULL) {
        t->note->drop(t->note);
        t->note = NULL;
    }
    struct transport_core *c = t->core;
    loop_close(c->loop, &t->io, reset);
    list_push_back(&c->dead, &t->link);
    loop_defer(c->loop, &c->reap);
}

// ---- from core to core -----------------------------------------------------------------------------

void transport_core_set_layer(struct transport_core *c, const struct transport_ops *ops, void *core)
{
    ensure_magic(c, CORE_MAGIC);
    unsigned i = 0;
    while (i < TRANSPORT_LAYERS_MAX && c->layers[i].ops != NULL && c->layers[i].ops != ops) {
        i++;
    }
    ensure(i < TRANSPORT_LAYERS_MAX);
    c->layers[i].ops = ops;
    c->layers[i].core = core;
}

void *transport_core_layer(const struct transport_core *c, const struct transport_ops *ops)
{
    for (unsigned i = 0; i < TRANSPORT_LAYERS_MAX && c->layers[i].ops != NULL; i++) {
        if (c->layers[i].ops == ops) {
            return c->layers[i].core;
        }
    }
    return NULL;
}

int transport_pack(struct transport *t, struct transport_parcel *p)
{
    ensure_magic(t, TRANSPORT_MAGIC);
    ensure(!t->dead);
    struct transport_core *c = t->core;
    *p = (struct transport_parcel){.fd = -1};
    bool over = t->io.fd < 0;
    if (t->ops != &clear_ops) {
        if (t->ops->pack == NULL || (over && t->ops->unpack_over == NULL)) {
            return E_UNSUPPORTED;
        }
        int e = t->ops->pack(t, &p->packed);
        if (e < 0) {
            return e;
        }
        p->ops = t->ops;
        p->over = over;
    }
    if (!over) { // the next core hears of the descriptor's state when it begins to watch it
        loop_unwatch(c->loop, &t->io);
    }
    p->fd = t->io.fd;
    p->hung_up = t->hung_up;
    p->note = t->note;
    t->io.fd = -1;
    t->note = NULL;
    t->dead = true;
    list_push_back(&c->dead, &t->link);
    loop_defer(c->loop, &c->reap);
    return 0;
}

/** The same of one without a descriptor. */
static struct transport *unpack_over(struct transport_core *c, struct transport_parcel *p,
                                     int *error)
{
    struct transport *t = p->ops->unpack_over(c, p->packed, error);
    if (t != NULL) {
        t->note = p->note;
    } else if (p->note != NULL) {
        p->note->drop(p->note);
    }
    *p = (struct transport_parcel){.fd = -1};
    return t;
}

struct transport *transport_unpack(struct transport_core *c, struct transport_parcel *p, int *error)
{
    if (p->over) {
        return unpack_over(c, p, error);
    }
    ensure(p->fd >= 0);
    struct transport *t = transport_new(c, p->fd, error);
    if (t == NULL) {
        transport_parcel_drop(p, c->loop->sys);
        return NULL;
    }
    t->readable = true;
    t->hung_up = p->hung_up;
    if (p->ops != NULL) {
        *error = p->ops->unpack(t, p->packed);
        if (*error < 0) {
            loop_unwatch(c->loop, &t->io);
            t->io.fd = -1;
            transport_close(t, true);
            transport_parcel_drop(p, c->loop->sys);
            return NULL;
        }
    }
    t->note = p->note;
    *p = (struct transport_parcel){.fd = -1};
    return t;
}

void transport_parcel_drop(struct transport_parcel *p, struct sys *sys)
{
    if (p->fd < 0 && !p->over) {
        return;
    }
    if (p->over) {
        p->ops->drop_over(p->packed, sys);
    } else if (p->ops != NULL) {
        p->ops->drop(p->packed);
    }
    if (p->note != NULL) {
        p->note->drop(p->note);
    }
    if (p->fd >= 0) {
        sys->ops->close(sys, p->fd, true);
    }
    *p = (struct transport_parcel){.fd = -1};
}
