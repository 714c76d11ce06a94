// SPDX-License-Identifier: Apache-2.0
//
// The far end of a stream: what an exchange would be to the session, but for a head on either side and
// two pipes it has nothing of its own. It waits for a stream when the session has no room, forwards
// what comes, and says at last how it went, behind all bytes that came before.

#include "base/error.h"
#include "bridge/bridge_int.h"

enum { REQUEST_FIELDS_MAX = UINT16_MAX }; // they were counted when they were parsed

static struct bridge_far *far_of(const struct http_stream *s)
{
    struct bridge_far *f = s->user;
    ensure_magic(f, BRIDGE_FAR_MAGIC);
    return f;
}

static void say(const struct bridge_far *f, unsigned what)
{
    bridge_say(f->near->far_channel, &f->near->far_voice, what, false);
}

// ---- what it says ----------------------------------------------------------------------------------

static bool write_end(struct bridge_channel *c, enum bridge_type type, struct bridge_stream *s)
{
    struct bridge_end *e = bridge_write(c, type, false, s, sizeof(*e));
    if (e != NULL) {
        *e = (struct bridge_end){.error = s->far_error};
    }
    return e != NULL;
}

/** What came before the end has been said, and so has the body's own, which may have come just now. */
static bool is_drained(const struct bridge_far *f)
{
    const struct http_body *b = f != NULL ? f->out.body : NULL;
    return b == NULL || (b->q.bytes == 0 && !b->ended);
}

static bool speak(struct bridge_voice *v)
{
    struct bridge_stream *s = container_of(v, struct bridge_stream, far_voice);
    struct bridge_channel *c = s->far_channel;
    struct bridge_far *f = s->far;
    if ((v->say & BRIDGE_SAY_LAST) != 0) {
        v->say = 0;
        bool good = bridge_write(c, BRIDGE_FORGET, false, s, 0) != NULL;
        v->say = good ? 0 : BRIDGE_SAY_LAST;
        return good; // after this it may be gone
    }
    if ((v->say & BRIDGE_SAY_SENT) != 0) {
        if (bridge_write(c, BRIDGE_SENT, false, s, 0) == NULL) {
            return false;
        }
        v->say &= (uint16_t) ~(unsigned)BRIDGE_SAY_SENT;
    }
    v->say &= (uint16_t) ~(unsigned)(BRIDGE_SAY_BODY | BRIDGE_SAY_ACK);
    if (f != NULL &&
        (!bridge_in_speak(&f->in, c, false, s) || !bridge_out_speak(&f->out, c, false, s))) {
        return false;
    }
    if ((v->say & BRIDGE_SAY_CLOSED) != 0 && is_drained(f)) {
        if (!write_end(c, BRIDGE_CLOSED, s)) {
            return false;
        }
        v->say &= (uint16_t) ~(unsigned)BRIDGE_SAY_CLOSED;
    }
    return true;
}

// ---- pipes -----------------------------------------------------------------------------------------

static void on_data(struct http_body *b, void *consumer)
{
    struct bridge_far *f = consumer;
    ensure_magic(f, BRIDGE_FAR_MAGIC);
    ensure(f->out.body == b);
    say(f, BRIDGE_SAY_BODY);
}

static void on_room(struct http_body *b, void *producer)
{
    struct bridge_far *f = producer;
    ensure_magic(f, BRIDGE_FAR_MAGIC);
    ensure(f->in.body == b);
    if (bridge_in_taken(&f->in)) {
        say(f, BRIDGE_SAY_ACK);
    }
}

// ---- the session's stream --------------------------------------------------------------------------

/** The stream is over, or never was. */
static void end(struct bridge_far *f, int error)
{
    f->over = true;
    f->stream = NULL;
    if (f->near->far_error == 0) {
        f->near->far_error = error;
    }
    // Whoever still sends is not held up, and what was not taken of it gives its chunks back: with no
    // others the near end could not be told.
    http_body_discard(&f->request_body);
    say(f, BRIDGE_SAY_CLOSED);
}

static void give_up(struct bridge_far *f, int error)
{
    if (f->stream != NULL) {
        f->near->far_error = error;
        f->stream->ops->reset(f->stream, error);
    }
}

static void init_response(struct bridge_far *f)
{
    http_head_init(&f->response, &f->arena, f->bytes_max, f->fields_max);
}

static void become_pipe(struct bridge_far *f)
{
    if (f->has_body) { // it has ended: what follows is another
        bridge_in_stop(&f->in, 0);
        http_body_fini(&f->request_body, f->core->loop);
        http_body_init(&f->request_body, BRIDGE_WINDOW);
    }
    f->receiving = true;
    bridge_in_begin(&f->in, &f->request_body, f, on_room);
    bridge_out_begin(&f->out, &f->response_body, f, on_data);
    f->stream->ops->tunnel(f->stream, &f->response_body, &f->request_body);
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct bridge_far *f = far_of(s);
    struct bridge_stream *near = f->near;
    void *p = bridge_write(near->far_channel, BRIDGE_HEAD, false, near, bridge_head_size(head));
    if (p == NULL) {
        give_up(f, E_NO_MEMORY);
        return;
    }
    bridge_head_write(head, p);
    if (http_status_is_interim(head->status)) {
        init_response(f);
    } else if (head->status == 101) {
        become_pipe(f);
    } else if (head->body != HTTP_BODY_NONE) {
        f->receiving = true;
        bridge_out_begin(&f->out, &f->response_body, f, on_data);
        s->ops->receive_body(s, &f->response_body);
    }
}

static void on_error(struct http_stream *s, int error)
{
    struct bridge_far *f = far_of(s);
    if (f->near->far_error == 0) {
        f->near->far_error = error;
    }
}

static void on_sent(struct http_stream *s)
{
    struct bridge_far *f = far_of(s);
    bridge_say(f->near->far_channel, &f->near->far_voice, BRIDGE_SAY_SENT, true);
}

static void on_closed(struct http_stream *s)
{
    end(far_of(s), 0);
}

static const struct http_stream_events events = {
    .on_head = on_head,
    .on_error = on_error,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

void bridge_far_start(struct bridge_far *f, struct http_stream *s)
{
    loop_timer_stop(f->core->loop, &f->timer);
    f->stream = s;
    s->events = &events;
    s->user = f;
    s->receive_head = &f->response;
    s->ops->set_timeouts(s, &f->timeouts);
    s->ops->send_head(s, &f->request, f->has_body ? &f->request_body : NULL);
    if (f->has_body && f->stream != NULL && f->in.body != NULL) {
        bridge_in_open(&f->in);
        say(f, BRIDGE_SAY_ACK);
    }
}

void bridge_far_refuse(struct bridge_far *f, int error)
{
    loop_timer_stop(f->core->loop, &f->timer);
    end(f, error);
}

static void on_timer(struct wheel_timer *t)
{
    struct bridge_far *f = container_of(t, struct bridge_far, timer);
    ensure_magic(f, BRIDGE_FAR_MAGIC);
    bridge_port_stop_waiting(f);
    bridge_far_refuse(f, E_NOT_PROCESSED);
}

// ---- life ------------------------------------------------------------------------------------------

static struct bridge_far *new_far(struct bridge_core *c, struct bridge_stream *s,
                                  const struct bridge_opening *o)
{
    struct bridge_far *f = slab_take(&c->far_slab);
    if (f == NULL) {
        return NULL;
    }
    memset(f, 0, offsetof(struct bridge_far, request_body));
    f->magic = BRIDGE_FAR_MAGIC;
    f->near = s;
    f->core = c;
    f->port = o->port;
    f->timeouts = o->timeouts;
    f->has_body = o->has_body;
    f->bytes_max = o->bytes_max;
    f->fields_max = o->fields_max;
    list_init(&f->waiting);
    list_init(&f->link);
    list_push_back(&c->fars, &f->link);
    wheel_timer_init(&f->timer, on_timer);
    arena_init(&f->arena, f->memory, sizeof(f->memory), &c->loop->chunks, BRIDGE_ARENA_MAX);
    http_body_init(&f->request_body, BRIDGE_WINDOW);
    http_body_init(&f->response_body, BRIDGE_WINDOW);
    init_response(f);
    if (f->has_body) {
        bridge_in_begin(&f->in, &f->request_body, f, on_room);
    }
    s->far = f;
    return f;
}

static void free_far(struct bridge_far *f)
{
    struct bridge_core *c = f->core;
    ensure(f->stream == NULL);
    f->near->far = NULL;
    bridge_port_stop_waiting(f);
    loop_timer_stop(c->loop, &f->timer);
    bridge_in_stop(&f->in, 0);
    bridge_out_stop(&f->out);
    http_body_fini(&f->request_body, c->loop);
    http_body_fini(&f->response_body, c->loop);
    arena_fini(&f->arena);
    list_remove(&f->link);
    f->magic = 0;
    slab_give(&c->far_slab, f);
}

static void on_open(struct bridge_core *c, struct bridge_channel *back, struct bridge_stream *s,
                    const struct bridge_opening *o)
{
    s->far = NULL;
    s->far_error = 0;
    s->far_channel = back;
    bridge_voice_init(&s->far_voice, speak);
    bool refused = c->closing || o->port->closed;
    struct bridge_far *f = refused ? NULL : new_far(c, s, o);
    if (f == NULL) {
        s->far_error = refused ? E_NOT_PROCESSED : E_NO_MEMORY;
        bridge_say(back, &s->far_voice, BRIDGE_SAY_CLOSED, false);
        return;
    }
    http_head_init(&f->request, &f->arena, BRIDGE_ARENA_MAX, REQUEST_FIELDS_MAX);
    int e = bridge_head_read(&f->request, o + 1);
    if (e < 0) {
        bridge_far_refuse(f, e);
        return;
    }
    if (!bridge_port_ask(f)) {
        loop_timer_set(c->loop, &f->timer, BRIDGE_WAIT_MS);
    }
}

// ---- what the near end says ------------------------------------------------------------------------

static void on_bytes(struct bridge_far *f, const struct bridge_view *v)
{
    int e = f->in.body != NULL ? bridge_in_data(&f->in, &f->core->loop->chunks, v) : 0;
    if (e < 0) {
        give_up(f, e);
        return;
    }
    struct http_body *b = f->in.body;
    if (b == NULL) {
        return;
    }
    http_body_notify(b);
    if (f->in.body == b && b->discarding) {
        on_room(b, f);
    }
}

static void on_body_end(struct bridge_far *f, const struct bridge_message *m)
{
    const void *packed = m->size > sizeof(*m) ? m + 1 : NULL;
    int e = bridge_in_end(&f->in, &f->arena, &f->request, packed);
    if (e < 0) {
        give_up(f, e);
    }
}

/** The near end is through with it. */
static void on_end(struct bridge_stream *s, const struct bridge_end *e)
{
    struct bridge_far *f = s->far;
    if (f != NULL) {
        give_up(f, e->reset ? e->error : E_CLIENT_GONE);
        free_far(f);
    }
    bridge_hush(&s->far_voice);
    bridge_say(s->far_channel, &s->far_voice, BRIDGE_SAY_LAST, true);
}

static void stream_message(struct bridge_far *f, const struct bridge_message *m,
                           struct chunk *chunk)
{
    const void *payload = m + 1;
    ensure_magic(f, BRIDGE_FAR_MAGIC);
    switch (m->type) {
    case BRIDGE_DATA: {
        uint32_t len;
        memcpy(&len, payload, sizeof(len));
        uint32_t off = (uint32_t)((const char *)payload + sizeof(uint64_t) - chunk->data);
        on_bytes(f, &(struct bridge_view){chunk, off, len});
        return;
    }
    case BRIDGE_VIEW:
        on_bytes(f, payload);
        return;
    case BRIDGE_BODY_END:
        on_body_end(f, m);
        return;
    case BRIDGE_ACK: {
        const struct bridge_ack *a = payload;
        f->out.bytes += a->bytes;
        f->out.records += a->records;
        say(f, BRIDGE_SAY_BODY);
        return;
    }
    case BRIDGE_TIMEOUTS:
        f->timeouts = *(const struct http_timeouts *)payload;
        if (f->stream != NULL) {
            f->stream->ops->set_timeouts(f->stream, &f->timeouts);
        }
        return;
    default:
        unreachable();
    }
}

void bridge_far_message(struct bridge_core *c, struct bridge_channel *back,
                        const struct bridge_message *m, struct chunk *chunk)
{
    struct bridge_stream *s = m->to;
    if (m->type == BRIDGE_ATTACH) {
        bridge_port_attach(c, back, m->to);
    } else if (m->type == BRIDGE_DETACH) {
        bridge_port_detach(m->to);
    } else if (m->type == BRIDGE_OPEN) {
        on_open(c, back, s, (const struct bridge_opening *)(m + 1));
    } else if (m->type == BRIDGE_END) {
        on_end(s, (const struct bridge_end *)(m + 1));
    } else {
        if (s->far != NULL) {
            stream_message(s->far, m, chunk);
        }
        if (m->type == BRIDGE_VIEW) {
            chunk_unref(((const struct bridge_view *)(m + 1))->chunk);
        }
    }
}

void bridge_far_close(struct bridge_core *c)
{
    struct list *node;
    while ((node = list_first(&c->ports)) != NULL) {
        bridge_port_close(list_entry(node, struct bridge_port, link), E_DRAINING);
    }
    while ((node = list_first(&c->fars)) != NULL) {
        struct bridge_far *f = list_entry(node, struct bridge_far, link);
        struct bridge_stream *s = f->near;
        give_up(f, E_DRAINING);
        bool told = f->over && (s->far_voice.say & BRIDGE_SAY_CLOSED) == 0;
        free_far(f);
        bridge_hush(&s->far_voice);
        if (!told) {
            bridge_say(s->far_channel, &s->far_voice, BRIDGE_SAY_CLOSED, false);
        }
    }
}
