// SPDX-License-Identifier: Apache-2.0
//
// The near end: an up_session whose streams are carried elsewhere. What an exchange says goes into the
// channel; what comes back is told to it as any session would. All times run at the far end, where the
// origin is heard.
//
// When a stream ends is the far end's word (CLOSED), said behind the last byte of the response; or the
// exchange's, by reset or by a body that breaks off. Either way END is said once, and the object waits
// for FORGET.

#include "base/error.h"
#include "bridge/bridge_int.h"

static struct bridge_channel *channel_of(const struct bridge_stream *s)
{
    return s->session->channel;
}

static struct bridge_session *of_session(struct up_session *s)
{
    struct bridge_session *x = container_of(s, struct bridge_session, session);
    ensure_magic(x, BRIDGE_SESSION_MAGIC);
    return x;
}

// ---- the end of a session --------------------------------------------------------------------------

static void tell_closing(struct bridge_session *s)
{
    struct up_session *session = &s->session;
    if (session->closing || s->ended) {
        session->closing = true;
        return;
    }
    session->closing = true;
    if (session->owner->on_closing != NULL) {
        session->owner->on_closing(session, session->owner_arg);
    }
}

/** Its last word goes when no stream of it is known at the far end. */
static void leave_if_done(struct bridge_session *s)
{
    if (s->ended && s->objects == 0) {
        bridge_say(s->channel, &s->voice, BRIDGE_SAY_LAST, true);
    }
}

static void tell_gone(struct bridge_session *s)
{
    if (s->ended) {
        return;
    }
    s->ended = true;
    loop_cancel(s->core->loop, &s->room);
    struct up_session *session = &s->session;
    session->owner->on_gone(session, session->owner_arg, s->gone_error);
    leave_if_done(s);
}

/** The port is closed: what lives ends by itself. */
static void port_gone(struct bridge_session *s, int error)
{
    if (s->gone) {
        return;
    }
    s->gone = true;
    s->gone_error = error;
    tell_closing(s);
    if (list_empty(&s->streams)) {
        tell_gone(s);
    }
}

// ---- the end of a stream ---------------------------------------------------------------------------

static void release(struct bridge_stream *s)
{
    struct bridge_session *session = s->session;
    ensure(s->over && session->objects > 0);
    session->objects--;
    bridge_hush(&s->voice);
    list_remove(&s->all);
    s->magic = 0;
    slab_give(&session->core->streams, s);
    leave_if_done(session);
}

void bridge_near_reap(struct task *t)
{
    struct bridge_core *c = container_of(t, struct bridge_core, reap);
    ensure_magic(c, BRIDGE_CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->dead)) != NULL) {
        list_remove(node);
        release(list_entry(node, struct bridge_stream, link));
    }
}

/** Of a session that lost a stream. */
static void make_room(struct bridge_session *s)
{
    struct up_session *session = &s->session;
    if (s->gone) {
        if (list_empty(&s->streams)) {
            tell_gone(s);
        }
    } else if (!s->ended && up_session_has_room(session)) {
        session->owner->on_room(session, session->owner_arg);
    }
}

/** The exchange hears that it is over; the far end, unless it said so itself. */
static void finish(struct bridge_stream *s, int error, int reset_error)
{
    if (s->over) {
        return;
    }
    struct bridge_session *session = s->session;
    s->over = true;
    bridge_in_stop(&s->in, error);
    bridge_out_stop(&s->out);
    list_remove(&s->link);
    ensure(session->session.streams > 0);
    session->session.streams--;
    counter_sub(session->core->counters, COUNTER_bridge_streams_open, 1);
    s->end.error = reset_error;
    s->end.reset = reset_error != 0;
    bridge_hush(&s->voice);
    if (s->opened) {
        bridge_say(session->channel, &s->voice, BRIDGE_SAY_LAST, !s->end.reset);
    } else {
        list_push_back(&session->core->dead, &s->link);
        loop_defer(session->core->loop, &session->core->reap);
    }
    if (s->attached) {
        s->attached = false;
        if (error != 0) {
            s->stream.events->on_error(&s->stream, error);
        }
        s->stream.events->on_closed(&s->stream);
    }
    make_room(session);
}

// ---- what a stream says ----------------------------------------------------------------------------

static bool speak(struct bridge_voice *v)
{
    struct bridge_stream *s = container_of(v, struct bridge_stream, voice);
    ensure_magic(s, BRIDGE_STREAM_MAGIC);
    struct bridge_channel *c = channel_of(s);
    unsigned say = v->say;
    if ((say & BRIDGE_SAY_TIMEOUTS) != 0) {
        struct http_timeouts *t = bridge_write(c, BRIDGE_TIMEOUTS, true, s, sizeof(*t));
        if (t == NULL) {
            return false;
        }
        *t = s->timeouts;
        v->say &= (uint16_t) ~(unsigned)BRIDGE_SAY_TIMEOUTS;
    }
    if ((say & BRIDGE_SAY_LAST) != 0) {
        struct bridge_end *e = bridge_write(c, BRIDGE_END, true, s, sizeof(*e));
        if (e == NULL) {
            return false;
        }
        *e = s->end;
        v->say = 0;
        return true;
    }
    v->say &= (uint16_t) ~(unsigned)(BRIDGE_SAY_BODY | BRIDGE_SAY_ACK);
    if (!bridge_in_speak(&s->in, c, true, s) || !bridge_out_speak(&s->out, c, true, s)) {
        return s->over; // it is asked again
    }
    const struct http_body *b =
        s->out.body; // NULL also when the exchange has turned away meanwhile
    if (b != NULL && b->error != 0) {
        finish(s, b->error, b->error); // what came before the cut went first, as far as it may
    }
    return true;
}

static void on_data(struct http_body *b, void *consumer)
{
    struct bridge_stream *s = consumer;
    ensure_magic(s, BRIDGE_STREAM_MAGIC);
    ensure(s->out.body == b);
    bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_BODY, false);
}

static void on_room(struct http_body *b, void *producer)
{
    struct bridge_stream *s = producer;
    ensure_magic(s, BRIDGE_STREAM_MAGIC);
    ensure(s->in.body == b);
    if (bridge_in_taken(&s->in)) {
        bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_ACK, false);
    }
}

// ---- what an exchange says -------------------------------------------------------------------------

static int say_open(struct bridge_stream *s, const struct http_head *head, bool has_body)
{
    struct bridge_channel *c = channel_of(s);
    size_t size = sizeof(struct bridge_opening) + bridge_head_size(head);
    struct bridge_opening *o = bridge_write(c, BRIDGE_OPEN, true, s, size);
    if (o == NULL) {
        return c->down ? E_NOT_PROCESSED : E_NO_MEMORY;
    }
    const struct fields *limits = &s->stream.receive_head->fields;
    *o = (struct bridge_opening){
        .port = s->session->port,
        .timeouts = s->timeouts,
        .bytes_max = limits->bytes_max,
        .fields_max = limits->count_max,
        .has_body = has_body,
    };
    bridge_head_write(head, o + 1);
    return 0;
}

static void send_head(struct http_stream *stream, const struct http_head *head,
                      struct http_body *body)
{
    struct bridge_stream *s = bridge_of_stream(stream);
    ensure(!s->opened && !s->over);
    s->attached = true;
    int e = s->session->gone ? E_NOT_PROCESSED : say_open(s, head, body != NULL);
    if (e < 0) {
        finish(s, e, 0);
        return;
    }
    s->opened = true;
    bridge_hush(&s->voice); // the times went along
    if (body != NULL) {
        bridge_out_begin(&s->out, body, s, on_data);
        s->out.bytes = BRIDGE_FIRST_BYTES;
        s->out.records = BRIDGE_FIRST_RECORDS;
        bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_BODY, false);
    }
}

static void receive_body(struct http_stream *stream, struct http_body *body)
{
    struct bridge_stream *s = bridge_of_stream(stream);
    ensure(s->opened && !s->over);
    bridge_in_begin(&s->in, body, s, on_room);
}

static void tunnel(struct http_stream *stream, struct http_body *receive, struct http_body *send)
{
    struct bridge_stream *s = bridge_of_stream(stream);
    ensure(s->opened && !s->over);
    bridge_in_begin(&s->in, receive, s, on_room);
    bridge_out_stop(&s->out); // an empty one that asked for it
    bridge_out_begin(&s->out, send, s, on_data);
    bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_BODY, false);
}

static void reset(struct http_stream *stream, int error)
{
    struct bridge_stream *s = bridge_of_stream(stream);
    s->attached = true; // also of one that has sent nothing yet
    finish(s, 0, error != 0 ? error : E_CLIENT_GONE);
}

static void set_timeouts(struct http_stream *stream, const struct http_timeouts *t)
{
    struct bridge_stream *s = bridge_of_stream(stream);
    s->timeouts = *t;
    if (s->opened && !s->over) {
        bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_TIMEOUTS, false);
    }
}

static const struct http_stream_ops ops_h1 = {
    .protocol = "1.1",
    .send_head = send_head,
    .receive_body = receive_body,
    .tunnel = tunnel,
    .reset = reset,
    .set_timeouts = set_timeouts,
};

static const struct http_stream_ops ops_h2 = {
    .protocol = "2",
    .send_head = send_head,
    .receive_body = receive_body,
    .tunnel = tunnel,
    .reset = reset,
    .set_timeouts = set_timeouts,
};

// ---- what the far end says -------------------------------------------------------------------------

static void on_head(struct bridge_stream *s, const void *packed)
{
    struct http_head *h = s->stream.receive_head;
    int e = bridge_head_read(h, packed);
    if (e < 0) {
        finish(s, e, e);
        return;
    }
    s->stream.events->on_head(&s->stream, h);
}

static void on_bytes(struct bridge_stream *s, const struct bridge_view *v)
{
    struct http_body *b = s->in.body;
    int e = bridge_in_data(&s->in, &s->session->core->loop->chunks, v);
    if (e < 0) {
        finish(s, e, e);
        return;
    }
    if (b != NULL) {
        http_body_notify(b);
    }
    if (!s->over && s->in.body == b && b != NULL && b->discarding) {
        on_room(b, s);
    }
}

static void on_body_end(struct bridge_stream *s, const struct bridge_message *m)
{
    struct http_head *h = s->stream.receive_head;
    const void *packed = m->size > sizeof(*m) ? m + 1 : NULL;
    int e = bridge_in_end(&s->in, h->fields.arena, h, packed);
    if (e < 0) {
        finish(s, e, e);
    }
}

static void stream_message(struct bridge_stream *s, const struct bridge_message *m,
                           struct chunk *chunk)
{
    ensure_magic(s, BRIDGE_STREAM_MAGIC);
    const void *payload = m + 1;
    if (m->type == BRIDGE_FORGET) {
        release(s);
        return;
    }
    if (s->over) {
        return;
    }
    switch (m->type) {
    case BRIDGE_HEAD:
        on_head(s, payload);
        return;
    case BRIDGE_DATA: {
        uint32_t len;
        memcpy(&len, payload, sizeof(len));
        uint32_t off = (uint32_t)((const char *)payload + sizeof(uint64_t) - chunk->data);
        on_bytes(s, &(struct bridge_view){chunk, off, len});
        return;
    }
    case BRIDGE_VIEW:
        on_bytes(s, payload);
        return;
    case BRIDGE_BODY_END:
        on_body_end(s, m);
        return;
    case BRIDGE_ACK: {
        const struct bridge_ack *a = payload;
        s->out.bytes += a->bytes;
        s->out.records += a->records;
        bridge_say(channel_of(s), &s->voice, BRIDGE_SAY_BODY, false);
        return;
    }
    case BRIDGE_SENT:
        s->stream.events->on_sent(&s->stream);
        return;
    case BRIDGE_CLOSED:
        finish(s, ((const struct bridge_end *)payload)->error, 0);
        return;
    default:
        unreachable();
    }
}

static void on_state(struct bridge_session *s, const struct bridge_port_state *state)
{
    struct up_session *session = &s->session;
    bool same =
        session->streams_max == state->streams_max && session->can_upgrade == state->can_upgrade;
    session->streams_max = state->streams_max;
    session->can_upgrade = state->can_upgrade;
    session->rtt_us = state->rtt_us;
    if (!same && !s->ended && up_session_has_room(session)) {
        session->owner->on_room(session, session->owner_arg);
    }
}

static void session_message(struct bridge_session *s, const struct bridge_message *m)
{
    ensure_magic(s, BRIDGE_SESSION_MAGIC);
    switch (m->type) {
    case BRIDGE_DETACHED:
        ensure(s->ended && s->objects == 0);
        bridge_hush(&s->voice);
        list_remove(&s->all);
        bridge_port_unref(s->port);
        s->magic = 0;
        counter_sub(s->core->counters, COUNTER_bridges_open, 1);
        slab_give(&s->core->sessions, s);
        return;
    case BRIDGE_STATE:
        on_state(s, (const struct bridge_port_state *)(m + 1));
        return;
    case BRIDGE_CLOSING:
        tell_closing(s);
        return;
    case BRIDGE_GONE:
        port_gone(s, ((const struct bridge_end *)(m + 1))->error);
        return;
    default:
        unreachable();
    }
}

void bridge_near_message(struct bridge_core *c, const struct bridge_message *m, struct chunk *chunk)
{
    (void)c;
    if (m->type >= BRIDGE_ATTACH) {
        session_message(m->to, m);
        return;
    }
    stream_message(m->to, m, chunk);
    if (m->type == BRIDGE_VIEW) {
        chunk_unref(((const struct bridge_view *)(m + 1))->chunk);
    }
}

// ---- sessions --------------------------------------------------------------------------------------

static struct http_stream *op_take(struct up_session *session)
{
    struct bridge_session *s = of_session(session);
    ensure(up_session_has_room(session) && !s->ended);
    struct bridge_stream *x = slab_take(&s->core->streams);
    if (x == NULL) {
        return NULL;
    }
    *x = (struct bridge_stream){.magic = BRIDGE_STREAM_MAGIC, .session = s};
    x->stream.side = HTTP_UP;
    x->stream.ops = s->port->is_h2 ? &ops_h2 : &ops_h1;
    x->stream.peer = &s->peer;
    bridge_voice_init(&x->voice, speak);
    list_init(&x->far_voice.link); // the far core's from OPEN on
    list_init(&x->link);
    list_init(&x->all);
    list_push_back(&s->streams, &x->link);
    list_push_back(&s->core->all_streams, &x->all);
    s->objects++;
    session->streams++;
    session->exchanges++;
    counter_add(s->core->counters, COUNTER_bridge_streams, 1);
    counter_add(s->core->counters, COUNTER_bridge_streams_open, 1);
    return &x->stream;
}

static void op_close(struct up_session *session)
{
    struct bridge_session *s = of_session(session);
    ensure(session->streams == 0);
    s->ended = true;
    session->closing = true;
    session->owner = NULL;
    loop_cancel(s->core->loop, &s->room);
    leave_if_done(s);
}

static const struct up_session_ops session_h1 = {
    .protocol = "http/1.1", .take = op_take, .close = op_close};
static const struct up_session_ops session_h2 = {
    .protocol = "h2", .take = op_take, .close = op_close};

static void give_room(struct task *t)
{
    struct bridge_session *s = container_of(t, struct bridge_session, room);
    ensure_magic(s, BRIDGE_SESSION_MAGIC);
    make_room(s);
}

static bool speak_session(struct bridge_voice *v)
{
    struct bridge_session *s = container_of(v, struct bridge_session, voice);
    ensure_magic(s, BRIDGE_SESSION_MAGIC);
    if (v->say == 0) {
        return true;
    }
    bool attach = (v->say & BRIDGE_SAY_ATTACH) != 0;
    enum bridge_type type = attach ? BRIDGE_ATTACH : BRIDGE_DETACH;
    if (bridge_write(s->channel, type, true, s, 0) == NULL) {
        return false;
    }
    v->say &= (uint16_t) ~(unsigned)(attach ? BRIDGE_SAY_ATTACH : BRIDGE_SAY_LAST);
    return speak_session(v);
}

static struct bridge_session *new_session(struct bridge_core *c, struct bridge_port *port,
                                          const struct up_session_terms *terms)
{
    struct bridge_session *s = slab_take(&c->sessions);
    if (s == NULL) {
        return NULL;
    }
    const struct bridge_port_state state = bridge_port_look(port);
    *s = (struct bridge_session){
        .magic = BRIDGE_SESSION_MAGIC,
        .core = c,
        .channel = &c->channels[port->core],
        .port = bridge_port_ref(port),
        .session =
            {
                .ops = port->is_h2 ? &session_h2 : &session_h1,
                .owner = terms->owner,
                .owner_arg = terms->owner_arg,
                .streams_max = state.streams_max,
                .can_upgrade = state.can_upgrade,
                .rtt_us = state.rtt_us,
            },
        .peer = *terms->peer,
    };
    counter_add(c->counters, COUNTER_bridges_open, 1);
    s->session.peer = &s->peer;
    // What these say is of the connection, on the other core.
    s->peer.security = NULL;
    s->peer.proxied = NULL;
    s->peer.transport = NULL;
    s->channel->to = c->all->cores[port->core];
    list_init(&s->session.link);
    list_init(&s->streams);
    list_init(&s->all);
    list_push_back(&c->all_sessions, &s->all);
    task_init(&s->room, give_room);
    bridge_voice_init(&s->voice, speak_session);
    list_init(&s->far_voice.link); // the far core's from ATTACH on
    list_init(&s->port_link);
    return s;
}

struct up_session *bridge_open(struct bridge_core *c, struct bridge_port *port,
                               const struct up_session_terms *terms, int *error)
{
    ensure_magic(c, BRIDGE_CORE_MAGIC);
    ensure_magic(port, BRIDGE_PORT_MAGIC);
    ensure(port->core < c->all->count);
    bool open = atomic_load_explicit(&port->open, memory_order_relaxed);
    if (c->closing || c->channels[port->core].down || !open) {
        *error = E_DRAINING;
        return NULL;
    }
    struct bridge_session *s = new_session(c, port, terms);
    if (s == NULL) {
        *error = E_UPSTREAM_FULL;
        return NULL;
    }
    bridge_say(s->channel, &s->voice, BRIDGE_SAY_ATTACH, false);
    loop_defer(c->loop, &s->room);
    return &s->session;
}

// ---- the end of a core -----------------------------------------------------------------------------

static void lose(struct bridge_session *s, int error)
{
    if (s->gone && s->ended) {
        return;
    }
    s->gone = true; // no stream finds room by the end of another
    s->gone_error = error;
    tell_closing(s);
    struct list *node;
    while ((node = list_first(&s->streams)) != NULL) {
        finish(list_entry(node, struct bridge_stream, link), error, error);
    }
    tell_gone(s);
}

/** What is told may end others of the list. */
static void lose_all(struct bridge_core *c, const struct bridge_channel *of, int error)
{
    for (bool again = true; again;) {
        again = false;
        list_each(node, &c->all_sessions)
        {
            struct bridge_session *s = list_entry(node, struct bridge_session, all);
            if ((of == NULL || s->channel == of) && !s->ended) {
                lose(s, error);
                again = true;
                break;
            }
        }
    }
}

void bridge_near_lost(struct bridge_channel *c)
{
    lose_all(c->from, c, E_EARLY_CLOSE); // what became of the requests nobody knows
}

void bridge_near_close(struct bridge_core *c)
{
    lose_all(c, NULL, E_DRAINING);
}
