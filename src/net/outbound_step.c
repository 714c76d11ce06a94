// SPDX-License-Identifier: Apache-2.0
//
// A way out, being walked (net/outbound_step.h): sends what is to be said, reads what comes.

#include "net/outbound_step.h"

#include "base/error.h"

enum { STEP_MAGIC = 0x6f757473, READ_BYTES = 512 };

static void finish(struct outbound_step *s, int error)
{
    loop_cancel(s->t->core->loop, &s->first);
    s->t = NULL;
    s->magic = 0;
    s->done(s, error); // it may be gone after this
}

/** E_AGAIN: the rest waits for room. */
static int say(struct outbound_step *s)
{
    for (;;) {
        struct slice out = outbound_talk_out(&s->talk);
        if (out.len == 0) {
            return 0;
        }
        char *bytes = s->talk.out + s->talk.out_sent;
        struct iovec iov = {bytes, out.len};
        struct io_result r = transport_write(s->t, &iov, 1, false);
        if (r.status != IO_OK) {
            return r.status == IO_AGAIN ? E_AGAIN : r.status == IO_EOF ? E_RESET : r.error;
        }
        outbound_talk_sent(&s->talk, r.n);
    }
}

/** E_AGAIN: nothing there. */
static int hear(struct outbound_step *s)
{
    char bytes[READ_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_result r = transport_read(s->t, &iov, 1);
    if (r.status != IO_OK) {
        return r.status == IO_AGAIN ? E_AGAIN : r.status == IO_EOF ? E_OUTBOUND_CLOSED : r.error;
    }
    return outbound_talk_take(&s->talk, slice_of(bytes, r.n));
}

static void on_ready(struct transport *t, unsigned events)
{
    struct outbound_step *s = t->owner;
    ensure_magic(s, STEP_MAGIC);
    ensure(s->t == t);
    (void)events;
    int e = say(s);
    while ((e == 0 || e == E_AGAIN) && t->readable && !outbound_talk_is_open(&s->talk)) {
        e = hear(s);
        e = e == 0 ? say(s) : e;
    }
    if (e != 0 && e != E_AGAIN) {
        finish(s, e);
    } else if (outbound_talk_is_open(&s->talk)) {
        finish(s, 0);
    }
}

static void on_first_turn(struct task *task);

void outbound_step_begin(struct outbound_step *s, struct transport *t,
                         void (*done)(struct outbound_step *s, int error))
{
    s->magic = STEP_MAGIC;
    s->t = t;
    s->done = done;
    task_init(&s->first, on_first_turn);
    transport_set_owner(t, s, on_ready);
    loop_defer(t->core->loop, &s->first);
}

static void on_first_turn(struct task *task)
{
    struct outbound_step *s = container_of(task, struct outbound_step, first);
    ensure_magic(s, STEP_MAGIC);
    on_ready(s->t, 0);
}

void outbound_step_stop(struct outbound_step *s)
{
    if (s->t != NULL) {
        ensure_magic(s, STEP_MAGIC);
        loop_cancel(s->t->core->loop, &s->first);
        s->t = NULL;
        s->magic = 0;
    }
}
