// SPDX-License-Identifier: Apache-2.0
//
// Moving bytes between two transports (l4/relay.h).
//
// The flags of a transport are trusted: what they say is not readable is not read. A read that did not
// fill the chunk has emptied the socket, which the transport knows; a splice that moved less than it
// was asked to may have run out of the pipe's slots instead, so in a bulk transfer the socket is asked
// until it has nothing. A message that passes as a whole costs one read and one write.

#include "l4/relay.h"

#include "base/chunk.h"
#include "base/error.h"

void relay_init(struct relay *r, struct loop *l, struct transport *a, struct transport *b)
{
    *r = (struct relay){.loop = l, .end = {a, b}};
}

static void give_pipe(struct relay *r, struct relay_flow *f)
{
    if (f->pipe != NULL) {
        kernel_pipe_give(r->loop, f->pipe, f->piped == 0);
        f->pipe = NULL;
        f->piped = 0;
    }
}

static void drop_held(struct relay_flow *f)
{
    if (f->held != NULL) {
        chunk_unref(f->held);
        f->held = NULL;
        f->held_at = 0;
    }
}

void relay_fini(struct relay *r)
{
    for (unsigned i = 0; i < 2; i++) {
        give_pipe(r, &r->flow[i]);
        drop_held(&r->flow[i]);
    }
}

static enum relay_state failed(struct relay *r, unsigned where, int error)
{
    r->error = error;
    r->where = (uint8_t)where;
    return RELAY_FAILED;
}

// ---- by reading and writing -----------------------------------------------------------------------

/** RELAY_MORE: all of it was written. */
static enum relay_state write_held(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    struct transport *to = r->end[1 - from];
    while (f->held_at < f->held->used) {
        if (!to->writable) {
            return RELAY_WAITS;
        }
        struct iovec iov = {f->held->data + f->held_at, f->held->used - f->held_at};
        struct io_result w = transport_write(to, &iov, 1, false);
        if (w.status == IO_AGAIN) {
            return RELAY_WAITS;
        }
        if (w.status != IO_OK) {
            return failed(r, 1 - from, w.error != 0 ? w.error : E_RESET);
        }
        f->held_at += (uint32_t)w.n;
        f->bytes += w.n;
    }
    drop_held(f);
    return RELAY_MORE;
}

static void note_read(struct relay_flow *f, bool full)
{
    f->run = full ? (uint8_t)(f->run + 1) : 0;
    if (f->run >= RELAY_BULK_AFTER) {
        f->bulk = true;
        f->run = 0;
    }
}

/** RELAY_MORE: something was read and written, or the end was read. */
static enum relay_state copy_once(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    f->held = chunk_new(&r->loop->chunks);
    if (f->held == NULL) {
        return failed(r, from, E_NO_MEMORY);
    }
    struct iovec iov = {f->held->data, f->held->capacity};
    struct io_result got = transport_read(r->end[from], &iov, 1);
    if (got.status != IO_OK) {
        drop_held(f);
        f->ended = got.status == IO_EOF;
        return got.status == IO_ERROR ? failed(r, from, got.error)
               : f->ended             ? RELAY_MORE
                                      : RELAY_WAITS;
    }
    f->held->used = (uint32_t)got.n;
    note_read(f, got.n == f->held->capacity);
    return write_held(r, from);
}

// ---- through a kernel pipe ------------------------------------------------------------------------

static enum relay_state drain_pipe(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    struct transport *to = r->end[1 - from];
    struct sys *sys = r->loop->sys;
    while (f->piped > 0) {
        if (!to->writable) {
            return RELAY_WAITS;
        }
        struct io_result w = sys->ops->splice(sys, f->pipe->read_fd, to->io.fd, f->piped, false);
        if (w.status == IO_AGAIN) {
            to->writable = false;
            return RELAY_WAITS;
        }
        if (w.status != IO_OK) {
            return failed(r, 1 - from, w.error != 0 ? w.error : E_RESET);
        }
        f->piped -= (uint32_t)w.n;
        f->bytes += w.n;
    }
    return RELAY_MORE;
}

static void note_splice(struct relay *r, struct relay_flow *f, size_t n)
{
    f->run = n < RELAY_SMALL_BYTES ? (uint8_t)(f->run + 1) : 0;
    if (f->run >= RELAY_SMALL_AFTER && f->piped == 0) {
        f->run = 0;
        f->bulk = false;
        give_pipe(r, f);
    }
}

static enum relay_state splice_once(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    struct transport *t = r->end[from];
    struct sys *sys = r->loop->sys;
    if (f->pipe == NULL && kernel_pipe_take(r->loop, &f->pipe) < 0) {
        f->bulk = false; // no pipe is to be had: go on without
        return RELAY_MORE;
    }
    ensure(f->piped == 0);
    struct io_result got =
        sys->ops->splice(sys, t->io.fd, f->pipe->write_fd, f->pipe->capacity, false);
    if (got.status == IO_OK) {
        f->piped = (uint32_t)got.n;
        enum relay_state state = drain_pipe(r, from);
        if (state == RELAY_MORE) {
            note_splice(r, f, got.n);
        }
        return state;
    }
    t->readable = false;
    if (got.status == IO_ERROR) {
        return failed(r, from, got.error);
    }
    f->ended = got.status == IO_EOF;
    return f->ended ? RELAY_MORE : RELAY_WAITS;
}

// ---- both -----------------------------------------------------------------------------------------

static enum relay_state flush(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    enum relay_state state = f->held != NULL ? write_held(r, from) : RELAY_MORE;
    return state == RELAY_MORE && f->piped > 0 ? drain_pipe(r, from) : state;
}

static enum relay_state end_flow(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    if (!f->shut) {
        f->shut = true;
        give_pipe(r, f);
        int e = transport_shutdown_write(r->end[1 - from]);
        if (e < 0) {
            return failed(r, 1 - from, e);
        }
    }
    return RELAY_ENDED;
}

static enum relay_state pump_flow(struct relay *r, unsigned from)
{
    struct relay_flow *f = &r->flow[from];
    struct transport *t = r->end[from];
    bool plain = t->clear && r->end[1 - from]->clear;
    uint64_t stop = f->bytes + RELAY_TURN_BYTES;
    for (;;) {
        enum relay_state state = f->held != NULL || f->piped > 0 ? flush(r, from) : RELAY_MORE;
        if (state != RELAY_MORE) {
            return state;
        }
        if (f->ended) {
            return end_flow(r, from);
        }
        if (!t->readable) {
            give_pipe(r, f);
            return RELAY_WAITS;
        }
        if (f->bytes >= stop) {
            return RELAY_MORE;
        }
        state = f->bulk && plain ? splice_once(r, from) : copy_once(r, from);
        if (state == RELAY_FAILED || (state == RELAY_WAITS && (f->held != NULL || f->piped > 0))) {
            return state;
        }
    }
}

enum relay_state relay_pump(struct relay *r, bool *moved)
{
    uint64_t before = r->flow[0].bytes + r->flow[1].bytes;
    enum relay_state a = pump_flow(r, 0);
    enum relay_state b = a == RELAY_FAILED ? RELAY_FAILED : pump_flow(r, 1);
    *moved = r->flow[0].bytes + r->flow[1].bytes != before;
    if (b == RELAY_FAILED) {
        return RELAY_FAILED;
    }
    if (a == RELAY_MORE || b == RELAY_MORE) {
        return RELAY_MORE;
    }
    return a == RELAY_ENDED && b == RELAY_ENDED ? RELAY_ENDED : RELAY_WAITS;
}
