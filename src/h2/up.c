// SPDX-License-Identifier: Apache-2.0
//
// The origin's side of a connection: sends requests, receives responses, many at a time.
//
// The owner, a pool, takes streams while there is room: as many as the origin's SETTINGS allow and no
// more than we want on one connection. What the origin did not look at (a GOAWAY below it, a stream
// refused) fails with E_NOT_PROCESSED and may be repeated whatever its method (RFC 9113 8.7).

#include "base/error.h"
#include "http/websocket.h"

#include "h2/conn_int.h"

enum {
    STREAMS_BEFORE_SETTINGS = 100, // RFC 9113 6.5.2 asks for no less of those that limit it
};

static struct h2_conn *conn_of(struct up_session *session)
{
    struct h2_conn *c = container_of(session, struct h2_conn, u.up.session);
    ensure_magic(c, H2_CONN_MAGIC);
    return c;
}

// ---- what the owner hears ----------------------------------------------------------------------------

static void tell_closing(struct h2_conn *c)
{
    struct up_session *session = &c->u.up.session;
    c->closing = true;
    session->closing = true;
    h2_conn_again(c); // closes when nothing is left
    if (c->told_closing || c->dead) {
        return;
    }
    c->told_closing = true;
    if (session->owner->on_closing != NULL) {
        session->owner->on_closing(session, session->owner_arg);
    }
}

static void give_room(struct task *t)
{
    struct h2_conn *c = container_of(t, struct h2_conn, u.up.room);
    ensure_magic(c, H2_CONN_MAGIC);
    struct up_session *session = &c->u.up.session;
    if (!c->dead && up_session_has_room(session)) {
        session->owner->on_room(session, session->owner_arg);
    }
}

static void room_soon(struct h2_conn *c)
{
    loop_defer(c->core->loop, &c->u.up.room);
}

static void set_idle(struct h2_conn *c)
{
    h2_alive_rest(c);
    if (c->idle_ms > 0 && !c->liveness) {
        c->idle_deadline_ms = h2_now_ms(c) + c->idle_ms;
        h2_conn_deadline(c, c->idle_deadline_ms);
    }
}

static void on_room(struct h2_conn *c)
{
    struct up_session *session = &c->u.up.session;
    session->streams = c->live;
    if (c->live == 0) {
        set_idle(c);
    }
    if (c->closing) {
        h2_conn_again(c);
        return;
    }
    if (up_session_has_room(session)) {
        session->owner->on_room(session, session->owner_arg);
    }
}

static void on_gone(struct h2_conn *c, int error)
{
    struct up_session *session = &c->u.up.session;
    loop_cancel(c->core->loop, &c->u.up.room);
    counter_sub(c->core->counters, COUNTER_upstream_open, 1);
    counter_sub(c->core->counters, COUNTER_h2_up_sessions_open, 1);
    session->streams = c->streams_at_end;
    if (session->owner != NULL) {
        session->owner->on_gone(session, session->owner_arg, error == 0 ? E_EOF : error);
    }
}

void h2_up_goaway(struct h2_conn *c, uint32_t last_id, uint32_t code, struct slice text)
{
    struct up_session *session = &c->u.up.session;
    counter_add(c->core->counters, COUNTER_h2_goaways, 1);
    session->left = true;
    session->goaway_code = code;
    session->goaway_text = text;
    tell_closing(c);
    session->goaway_text = slice_of("", 0);
    c->peer_leaves = true;
    // Each end may take others of this connection with it, so the list is begun anew.
    for (bool again = true; again && !c->dead;) {
        again = false;
        list_each(node, &c->streams)
        {
            struct h2_stream *s = list_entry(node, struct h2_stream, link);
            if (s->id == 0 || s->id > last_id) {
                h2_stream_finish(s, code == H2_HTTP_1_1_REQUIRED ? E_HTTP_1_1_REQUIRED
                                                                 : E_NOT_PROCESSED);
                again = true;
                break;
            }
        }
    }
    h2_conn_again(c);
}

// ---- responses -------------------------------------------------------------------------------------

static struct h2_limits limits_of(const struct h2_conn *c)
{
    const struct http_settings *settings = &c->core->down->settings;
    return (struct h2_limits){.head_bytes = settings->head_bytes,
                              .target_bytes = settings->target_bytes,
                              .fields = settings->fields};
}

static void on_bad(struct h2_stream *s, int error)
{
    h2_stream_reset(s, h2_code_of(error), error);
}

static void begin_trailers(struct h2_stream *s, bool end_stream)
{
    struct h2_conn *c = s->conn;
    struct arena *arena = s->stream.receive_head->fields.arena;
    struct fields *f = end_stream ? arena_alloc(arena, sizeof(*f)) : NULL;
    if (f == NULL) {
        on_bad(s, end_stream ? E_NO_MEMORY : E_BAD_TRAILER);
        return;
    }
    struct h2_limits limits = limits_of(c);
    fields_init(f, arena, limits.head_bytes, limits.fields);
    h2_in_begin(&c->in, H2_SECTION_TRAILERS, NULL, f, &limits);
    c->block_stream = s;
}

static void on_block(struct h2_conn *c, uint32_t id, bool end_stream)
{
    if (id % 2 == 0 || id > c->last_id) {
        h2_conn_fail(c, H2_PROTOCOL_ERROR, E_PROTOCOL);
        return;
    }
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL) {
        if (h2_stream_was_ended(c, id)) {
            h2_conn_fail(c, H2_STREAM_CLOSED, E_PROTOCOL);
        }
        return;
    }
    if (s->rx == H2_RX_DONE) {
        h2_stream_reset(s, H2_STREAM_CLOSED, E_PROTOCOL);
        return;
    }
    if (s->switching && s->got_head) {
        h2_stream_reset(s, H2_PROTOCOL_ERROR, E_PROTOCOL); // RFC 9113 8.5
        return;
    }
    if (s->got_head) {
        begin_trailers(s, end_stream);
        return;
    }
    struct h2_limits limits = limits_of(c);
    c->block_stream = s;
    h2_in_begin(&c->in, H2_SECTION_RESPONSE, s->stream.receive_head,
                &s->stream.receive_head->fields, &limits);
}

static void on_head(struct h2_conn *c, struct h2_stream *s, bool ended)
{
    struct http_head *h = s->stream.receive_head;
    int e = h2_in_response(&c->in, ended, s->head_only, s->switching);
    bool interim = http_status_is_interim(h->status);
    if (e == 0 && interim && ++s->interim > H2_INTERIM_MAX) {
        e = E_BAD_INTERIM;
    }
    if (e < 0) {
        h2_stream_reset(s, H2_PROTOCOL_ERROR, e);
        return;
    }
    if (interim) {
        s->stream.events->on_head(&s->stream, h);
        return;
    }
    s->got_head = true;
    s->switching = h->status == 101;
    h2_stream_begin_body(s, h, ended);
    s->stream.events->on_head(&s->stream, h);
    if (!s->dead) {
        c->role->on_end(s);
    }
}

static void on_block_end(struct h2_conn *c, struct h2_stream *s, bool ended)
{
    if (c->in.section == H2_SECTION_RESPONSE) {
        on_head(c, s, ended);
        return;
    }
    int e = h2_in_trailers(&c->in);
    if (e < 0) {
        on_bad(s, e);
        return;
    }
    h2_stream_end(s, c->in.fields->count > 0 ? c->in.fields : NULL);
}

static void on_end(struct h2_stream *s)
{
    bool sent = s->tx == H2_TX_DONE;
    if (sent && !s->got_head && s->rx_deadline_ms == 0) {
        h2_stream_deadline(s, s->timeouts.head_ms, E_RESPONSE_TIMEOUT);
    }
    if (s->rx != H2_RX_DONE || s->held_bytes > 0 || s->held_end) {
        return;
    }
    if (sent) {
        h2_stream_finish(s, 0);
    } else if (!s->tunnel && s->tx != H2_TX_LEAVING) {
        h2_stream_reset(s, H2_NO_ERROR, 0); // answered before the request was all sent
    }
}

const struct h2_role h2_up_role = {
    .on_block = on_block,
    .on_block_end = on_block_end,
    .on_bad = on_bad,
    .on_end = on_end,
    .on_room = on_room,
    .on_closing = tell_closing,
    .on_gone = on_gone,
};

// ---- requests --------------------------------------------------------------------------------------

/** An extended CONNECT. Of what clients of HTTP/1.1 may switch to only WebSocket has one. */
static bool is_extended(const struct http_head *head)
{
    return websocket_is_asked(head) ||
           (head->method == HTTP_METHOD_CONNECT && head->upgrade.len > 0);
}

/** The head goes out, under the next number. */
static void send_request(struct h2_stream *s, struct http_body *body)
{
    struct h2_conn *c = s->conn;
    const struct http_head *head = s->request;
    if (is_extended(head) && !c->connect_allowed) {
        h2_stream_finish(s, E_HTTP_1_1_REQUIRED);
        return;
    }
    if (c->last_id >= H2_STREAM_ID_MAX - 1) {
        tell_closing(c);
        h2_stream_finish(s, E_NOT_PROCESSED);
        return;
    }
    uint32_t id = c->last_id == 0 ? 1 : c->last_id + 2;
    bool last = body == NULL && !s->switching;
    struct h2_block b;
    h2_block_begin(&b, c->hpack);
    h2_out_request(&b, head, c->peer.secure);
    int e = h2_tx_block(c, id, &b, last);
    if (e < 0) {
        h2_stream_finish(s, e);
        return;
    }
    c->last_id = id;
    h2_stream_set_id(s, id);
    s->seen_at_send = c->rx_total;
    h2_alive_wait(c);
    s->tx_length = !last && head->body == HTTP_BODY_LENGTH;
    s->tx_left = s->tx_length ? (uint64_t)head->content_length : 0;
    if (s->switching) {
        h2_stream_deadline(s, s->timeouts.head_ms, E_RESPONSE_TIMEOUT);
        return; // the pipe is attached when the origin has agreed
    }
    h2_tx_begin(s, last ? NULL : body);
}

static void send_head(struct http_stream *stream, const struct http_head *head,
                      struct http_body *body)
{
    struct h2_stream *s = h2_of_stream(stream);
    ensure(s->id == 0 && !s->dead);
    s->attached = true;
    s->request = head;
    s->head_only = head->method == HTTP_METHOD_HEAD;
    s->switching = head->method == HTTP_METHOD_CONNECT || websocket_is_asked(head);
    if (is_extended(head) && !s->conn->first_settings) {
        s->waits = true; // whether it is allowed, the SETTINGS will say (RFC 8441 3)
        h2_stream_deadline(s, s->timeouts.head_ms, E_RESPONSE_TIMEOUT);
        return;
    }
    send_request(s, body);
}

/** Sends what has waited for the SETTINGS, or fails it. */
static void send_waiting(struct h2_conn *c)
{
    for (bool again = true; again && !c->dead;) {
        again = false;
        list_each(node, &c->streams)
        {
            struct h2_stream *s = list_entry(node, struct h2_stream, link);
            if (s->waits) {
                s->waits = false;
                send_request(s, NULL);
                again = true;
                break;
            }
        }
    }
}

void h2_up_settings(struct h2_conn *c)
{
    struct up_session *session = &c->u.up.session;
    uint32_t most = c->liveness ? H2_STREAMS_TUNNEL : H2_STREAMS_DEFAULT;
    session->streams_max = c->peer_streams < most ? c->peer_streams : most;
    session->can_upgrade = c->connect_allowed;
    session->greeted = true;
    room_soon(c);
    send_waiting(c);
}

static void reset(struct http_stream *stream, int error)
{
    struct h2_stream *s = h2_of_stream(stream);
    s->attached = true; // also of one that has sent nothing yet
    h2_stream_reset(s, s->tunnel && error == E_RESET ? H2_CONNECT_ERROR : H2_CANCEL, 0);
}

static const struct http_stream_ops up_ops = {
    .protocol = "2",
    .send_head = send_head,
    .receive_body = h2_receive_body,
    .tunnel = h2_tunnel,
    .reset = reset,
    .set_timeouts = h2_set_timeouts,
};

static struct http_stream *op_take(struct up_session *session)
{
    struct h2_conn *c = conn_of(session);
    ensure(up_session_has_room(session));
    struct h2_stream *s = h2_stream_new(c, 0);
    if (s == NULL) {
        return NULL;
    }
    s->stream.ops = &up_ops;
    c->idle_deadline_ms = 0;
    session->streams = c->live;
    session->exchanges++;
    return &s->stream;
}

static void op_close(struct up_session *session)
{
    struct h2_conn *c = conn_of(session);
    session->owner = NULL; // nobody is told of anything from here on
    session->closing = true;
    c->closing = true;
    c->told_closing = true;
    h2_tx_goaway(c, 0, H2_NO_ERROR);
    h2_tx_pump(c);
    h2_conn_close(c, false, E_EOF);
}

static void op_drain(struct up_session *session, struct slice text)
{
    struct h2_conn *c = conn_of(session);
    if (c->dead || c->goaway_last) {
        return;
    }
    c->goaway_last = true;
    c->told_closing = true; // the owner knows
    h2_tx_goaway_text(c, 0, H2_NO_ERROR, text);
    h2_alive_doubt(c);
    tell_closing(c);
}

static void op_announce(struct up_session *session, struct slice text)
{
    struct h2_conn *c = conn_of(session);
    if (!c->dead && !c->goaway_last) {
        h2_tx_goaway_text(c, 0, H2_NO_ERROR, text);
    }
}

static const struct up_session_ops session_ops = {
    .protocol = "h2",
    .take = op_take,
    .close = op_close,
    .drain = op_drain,
    .announce = op_announce,
};

/** False: out of memory. */
static bool send_preface(struct h2_conn *c)
{
    const struct http_settings *settings = &c->core->down->settings;
    char payload[6 * 4];
    char *p = payload;
    p = h2_setting_write(p, H2_SET_ENABLE_PUSH, 0);
    p = h2_setting_write(p, H2_SET_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW);
    p = h2_setting_write(p, H2_SET_MAX_HEADER_LIST_SIZE, settings->head_bytes);
    if (h2_frame_max(c) > H2_FRAME_MAX) {
        p = h2_setting_write(p, H2_SET_MAX_FRAME_SIZE, h2_frame_max(c));
    }
    if (!h2_tx_bytes(c, h2_preface, H2_PREFACE_BYTES)) {
        return false;
    }
    h2_tx_frame(c, H2_SETTINGS, 0, 0, payload, (size_t)(p - payload));
    h2_flow_open(c);
    h2_alive_settings(c);
    c->settings_deadline_ms = h2_now_ms(c) + H2_SETTINGS_MS;
    h2_conn_deadline(c, c->settings_deadline_ms);
    return true;
}

struct up_session *h2_up_open(void *core, struct transport *t, const struct up_session_terms *terms,
                              int *error)
{
    struct h2_core *h = core;
    struct h2_conn *c = h2_conn_new(h, t, &h2_up_role, HTTP_UP, terms->peer, error);
    if (c == NULL) {
        transport_close(t, false);
        return NULL;
    }
    struct up_session *session = &c->u.up.session;
    *session = (struct up_session){
        .ops = &session_ops,
        .owner = terms->owner,
        .owner_arg = terms->owner_arg,
        .streams_max = STREAMS_BEFORE_SETTINGS,
        .can_upgrade = true, // until the SETTINGS say that it cannot
        .peer = &c->peer,
    };
    list_init(&session->link);
    task_init(&c->u.up.room, give_room);
    c->idle_ms = terms->idle_ms;
    counter_add(h->counters, COUNTER_upstream_open, 1);
    counter_add(h->counters, COUNTER_h2_up_sessions_open, 1);
    if (terms->liveness) {
        h2_alive_begin(c);
    }
    if (!send_preface(c)) {
        session->owner = NULL;
        h2_conn_close(c, false, E_NO_MEMORY);
        *error = E_NO_MEMORY;
        return NULL;
    }
    set_idle(c);
    room_soon(c);
    h2_conn_again(c); // reads what has come already
    return session;
}
