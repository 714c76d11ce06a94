// SPDX-License-Identifier: Apache-2.0
//
// The client's side of a connection: receives requests, sends responses.
//
// A malformed request gets an answer as in HTTP/1.1, and then RST_STREAM with PROTOCOL_ERROR (RFC 9113
// 8.1.1). A request that was answered before all of it came is reset with NO_ERROR (8.1).
//
// The end comes in two steps (6.8): GOAWAY for all stream numbers there are says that no request
// should be sent any more; when a PING behind it has come back, everything that was on its way is
// here, and a second GOAWAY names the last request that counts. So none is lost.

#include "base/error.h"
#include "obs/trace.h"

#include "h2/conn_int.h"

static uint32_t streams_max(const struct h2_conn *c)
{
    uint32_t n = c->core->down->settings.streams_max;
    return n > 0 ? n : H2_STREAMS_DEFAULT;
}

// ---- requests --------------------------------------------------------------------------------------

static void set_busy(struct h2_conn *c)
{
    if (c->live == 1 && !c->liveness) {
        c->idle_deadline_ms = 0;
        down_session_set_idle(&c->u.down, false);
    }
}

static void set_idle(struct h2_conn *c)
{
    if (c->liveness) {
        c->idle_deadline_ms = 0;
        return; // it is none of those that are shed when they are idle
    }
    down_session_set_idle(&c->u.down, true);
    uint32_t ms = c->core->down->settings.idle_ms;
    if (ms > 0) {
        c->idle_deadline_ms = h2_now_ms(c) + ms;
        h2_conn_deadline(c, c->idle_deadline_ms);
    }
}

static struct h2_limits limits_of(const struct h2_conn *c)
{
    const struct http_settings *settings = &c->core->down->settings;
    return (struct h2_limits){.head_bytes = settings->head_bytes,
                              .target_bytes = settings->target_bytes,
                              .fields = settings->fields,
                              .switches = c->peer.stream != 0};
}

static const struct http_stream_ops down_ops;

/** A stream for a request, with an exchange on it; NULL: it was refused. */
static struct h2_stream *begin_stream(struct h2_conn *c, uint32_t id)
{
    bool full = c->live >= streams_max(c);
    struct h2_stream *s = full ? NULL : h2_stream_new(c, id);
    if (s == NULL) {
        h2_stream_note_closed(c, id, false);
        h2_tx_reset(c, id, H2_REFUSED_STREAM);
        counter_add(c->core->counters, COUNTER_h2_refused, 1);
        if (full) {
            h2_glitch(c, H2_GLITCH_BLOCK, 2);
        }
        return NULL;
    }
    s->stream.ops = &down_ops;
    set_busy(c);
    if (c->core->down->handler->begin(c->core->down->handler, &s->stream) < 0) {
        counter_add(c->core->counters, COUNTER_h2_refused, 1);
        h2_stream_reset(s, H2_REFUSED_STREAM, 0);
        return NULL;
    }
    s->attached = true;
    return s;
}

static void begin_request(struct h2_conn *c, uint32_t id)
{
    // Numbers that were passed over are closed (RFC 9113 5.1.1).
    for (uint32_t skipped = id; skipped > c->last_id + 2 && id - skipped < 2 * H2_CLOSED_IDS;) {
        skipped -= 2;
        h2_stream_note_closed(c, skipped, true);
    }
    c->last_id = id;
    if (c->goaway_last) {
        h2_stream_note_closed(c, id, false);
        return; // beyond the last one that counts: the client knows
    }
    struct h2_stream *s = begin_stream(c, id);
    if (s == NULL) {
        return;
    }
    c->block_stream = s;
    struct h2_limits limits = limits_of(c);
    h2_in_begin(&c->in, H2_SECTION_REQUEST, s->stream.receive_head, &s->stream.receive_head->fields,
                &limits);
}

static void begin_trailers(struct h2_stream *s, bool end_stream)
{
    struct h2_conn *c = s->conn;
    struct arena *arena = s->stream.receive_head->fields.arena;
    if (!end_stream) {
        c->role->on_bad(s, E_BAD_TRAILER); // RFC 9113 8.1
        return;
    }
    struct fields *f = arena_alloc(arena, sizeof(*f));
    if (f == NULL) {
        c->role->on_bad(s, E_NO_MEMORY);
        return;
    }
    struct h2_limits limits = limits_of(c);
    fields_init(f, arena, limits.head_bytes, limits.fields);
    h2_in_begin(&c->in, H2_SECTION_TRAILERS, NULL, f, &limits);
    c->block_stream = s;
}

static void on_block(struct h2_conn *c, uint32_t id, bool end_stream)
{
    if (id % 2 == 0) {
        h2_conn_fail(c, H2_PROTOCOL_ERROR, E_PROTOCOL);
        return;
    }
    if (id > c->last_id) {
        begin_request(c, id);
        return;
    }
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL) {
        if (h2_stream_was_ended(c, id) || h2_stream_is_forgotten(c, id)) {
            h2_conn_fail(c, H2_STREAM_CLOSED, E_PROTOCOL); // RFC 9113 5.1, 5.1.1
        }
        return; // else it was on its way when we reset the stream
    }
    if (s->rx == H2_RX_DONE) {
        h2_stream_reset(s, H2_STREAM_CLOSED, E_PROTOCOL);
        if (!c->dead) {
            h2_glitch(c, H2_GLITCH_MADE_US, 4);
        }
        return;
    }
    if (s->switching) {
        h2_stream_reset(s, H2_PROTOCOL_ERROR, E_PROTOCOL); // RFC 9113 8.5
        if (!c->dead) {
            h2_glitch(c, H2_GLITCH_MADE_US, 4);
        }
        return;
    }
    begin_trailers(s, end_stream);
}

static void on_request(struct h2_conn *c, struct h2_stream *s, bool ended)
{
    struct http_head *h = s->stream.receive_head;
    int e = h2_in_request(&c->in, ended);
    s->head_only = h->method == HTTP_METHOD_HEAD;
    bool connects = h->method == HTTP_METHOD_CONNECT && c->peer.stream != 0;
    s->switching = e == 0 && (h->upgrade.len > 0 || connects);
    s->incremental = !c->in.priority || c->in.incremental;
    s->urgency = c->in.urgency;
    if (h->scheme.len == 0) {
        h->scheme = http_peer_secure(&c->peer) ? SLICE("https") : SLICE("http");
    }
    if (e < 0) {
        s->rx = ended ? H2_RX_DONE : H2_RX_OPEN;
        c->role->on_bad(s, e);
        return;
    }
    h2_stream_begin_body(s, h, ended);
    s->stream.events->on_head(&s->stream, h);
}

static void on_block_end(struct h2_conn *c, struct h2_stream *s, bool ended)
{
    if (c->in.section == H2_SECTION_REQUEST) {
        on_request(c, s, ended);
        if (!c->dead && !c->closing &&
            c->opened >= c->core->down->settings.requests_per_connection &&
            c->core->down->settings.requests_per_connection > 0) {
            h2_down_drain(c);
        }
        return;
    }
    int e = h2_in_trailers(&c->in);
    if (e < 0) {
        c->role->on_bad(s, e);
        return;
    }
    h2_stream_end(s, c->in.fields->count > 0 ? c->in.fields : NULL);
}

// ---- what becomes of a stream ------------------------------------------------------------------------

static void on_bad(struct h2_stream *s, int error)
{
    struct h2_conn *c = s->conn;
    if (error == E_IDLE_TIMEOUT || error == E_NO_MEMORY || s->bad) {
        h2_stream_reset(s, error == E_NO_MEMORY ? H2_INTERNAL_ERROR : H2_CANCEL, error);
        return;
    }
    s->bad = true;
    counter_add(c->core->counters, COUNTER_requests_refused, 1);
    h2_stream_fail_body(s, error);
    h2_stream_deadline(s, 0, 0);
    s->rx_length = false;
    if (error_class_of(error) == ERROR_CLASS_PEER && !h2_glitch(c, H2_GLITCH_MADE_US, 1)) {
        return;
    }
    s->bad_error = error;
    s->stream.events->on_bad_message(&s->stream, error);
}

static void on_end(struct h2_stream *s)
{
    if (s->tx != H2_TX_DONE) {
        return;
    }
    if (s->tunnel && (s->held_bytes > 0 || s->held_end)) {
        return; // its pipe has no room yet for all that the client had sent
    }
    if (s->rx == H2_RX_DONE && !s->bad) {
        h2_stream_finish(s, 0);
    } else if (s->tunnel) {
        return; // the client's direction lives on
    } else if (s->bad) {
        h2_stream_reset(s, error_status(s->bad_error) == 400 ? H2_PROTOCOL_ERROR : H2_NO_ERROR, 0);
    } else {
        h2_stream_reset(s, H2_NO_ERROR, 0); // answered before all of the request came
    }
}

static void on_room(struct h2_conn *c)
{
    if (c->live > 0) {
        return;
    }
    if (c->rx != H2_RX_LINGER) {
        set_idle(c);
    }
    if (c->closing || c->peer_leaves) {
        h2_conn_again(c); // closes when everything is out
    }
}

static void on_gone(struct h2_conn *c, int error)
{
    struct down_session *session = &c->u.down;
    counter_sub(c->core->counters, COUNTER_h2_sessions_open, 1);
    down_session_close(session);
    if (session->watcher != NULL && session->watcher->on_gone != NULL && !c->opening) {
        session->watcher->on_gone(session, session->watcher_arg, error == 0 ? E_EOF : error);
    }
}

void h2_down_goaway(struct h2_conn *c, uint32_t code, struct slice text)
{
    struct down_session *session = &c->u.down;
    const struct down_session_watcher *w = session->watcher;
    bool stays = w != NULL && w->on_goaway != NULL &&
                 w->on_goaway(session, session->watcher_arg, code, text);
    c->peer_leaves = c->peer_leaves || !stays; // it goes when its answers are there
    h2_conn_again(c);
}

const struct h2_role h2_down_role = {
    .on_block = on_block,
    .on_block_end = on_block_end,
    .on_bad = on_bad,
    .on_end = on_end,
    .on_room = on_room,
    .on_gone = on_gone,
};

// ---- responses -------------------------------------------------------------------------------------

static bool is_bodiless(const struct h2_stream *s, unsigned status)
{
    return s->head_only || status == 204 || status == 304;
}

static void send_head(struct http_stream *stream, const struct http_head *head,
                      struct http_body *body)
{
    struct h2_stream *s = h2_of_stream(stream);
    struct h2_conn *c = s->conn;
    bool interim = http_status_is_interim(head->status);
    if (s->dead || (interim && h2_out_bytes(c) > H2_OUT_CHOKED)) {
        return; // the client does not read, and the final head must find room
    }
    if (body != NULL && is_bodiless(s, head->status)) {
        http_body_discard(body);
        body = NULL;
        if (s->dead) {
            return;
        }
    }
    bool switching = head->status == 101;
    struct http_head refusal;
    if (s->switching && head->status / 100 == 2) {
        refusal = *head; // a success would say that the tunnel is open (RFC 8441 5)
        refusal.status = 502;
        head = &refusal;
    }
    bool last = !interim && !switching && (body == NULL || head->body == HTTP_BODY_NONE);
    struct h2_block b;
    h2_block_begin(&b, c->hpack);
    h2_out_response(&b, head, interim ? slice_of("", 0) : down_core_date(c->core->down));
    int e = h2_tx_block(c, s->id, &b, last);
    if (e < 0) {
        h2_stream_reset(s, H2_INTERNAL_ERROR, e);
        return;
    }
    if (interim || switching) {
        return; // tunnel() follows the switch
    }
    s->tx_length = !last && head->body == HTTP_BODY_LENGTH;
    s->tx_left = s->tx_length ? (uint64_t)head->content_length : 0;
    h2_tx_begin(s, last ? NULL : body);
}

static void reset(struct http_stream *stream, int error)
{
    struct h2_stream *s = h2_of_stream(stream);
    enum h2_code code = s->tunnel && error == E_RESET ? H2_CONNECT_ERROR : h2_code_of(error);
    h2_stream_reset(s, code == H2_NO_ERROR ? H2_INTERNAL_ERROR : code, 0);
}

static const struct http_stream_ops down_ops = {
    .protocol = "2",
    .send_head = send_head,
    .receive_body = h2_receive_body,
    .tunnel = h2_tunnel,
    .reset = reset,
    .set_timeouts = h2_set_timeouts,
};

// ---- the session -----------------------------------------------------------------------------------

void h2_down_drain(struct h2_conn *c)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    c->drain_pings = true;
    h2_tx_goaway(c, H2_STREAM_ID_MAX, H2_NO_ERROR);
    h2_tx_frame(c, H2_PING, 0, 0, "adit-drn", 8);
    c->drain_deadline_ms = h2_now_ms(c) + H2_DRAIN_MS;
    h2_conn_deadline(c, c->drain_deadline_ms);
}

void h2_down_drain_pong(struct h2_conn *c)
{
    if (!c->drain_pings) {
        return;
    }
    c->drain_pings = false;
    c->drain_deadline_ms = 0;
    c->goaway_last = true;
    h2_tx_goaway(c, c->last_id, H2_NO_ERROR);
}

static struct h2_conn *conn_of(struct down_session *session)
{
    struct h2_conn *c = container_of(session, struct h2_conn, u.down);
    ensure_magic(c, H2_CONN_MAGIC);
    return c;
}

static void op_shed(struct down_session *session)
{
    struct h2_conn *c = conn_of(session);
    h2_tx_goaway(c, c->last_id, H2_NO_ERROR);
    h2_tx_pump(c);
    h2_conn_close(c, false, E_OVERLOADED);
}

static void op_drain(struct down_session *session)
{
    h2_down_drain(conn_of(session));
}

static void op_abort(struct down_session *session)
{
    h2_conn_close(conn_of(session), true, E_DRAINING);
}

static const struct down_session_ops session_ops = {
    .shed = op_shed,
    .drain = op_drain,
    .abort = op_abort,
};

static void send_settings(struct h2_conn *c)
{
    const struct http_settings *settings = &c->core->down->settings;
    char payload[6 * 6];
    char *p = payload;
    p = h2_setting_write(p, H2_SET_MAX_CONCURRENT_STREAMS, streams_max(c));
    p = h2_setting_write(p, H2_SET_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW);
    p = h2_setting_write(p, H2_SET_MAX_HEADER_LIST_SIZE, settings->head_bytes);
    if (h2_frame_max(c) > H2_FRAME_MAX) {
        p = h2_setting_write(p, H2_SET_MAX_FRAME_SIZE, h2_frame_max(c));
    }
    p = h2_setting_write(p, H2_SET_ENABLE_CONNECT_PROTOCOL, 1);
    p = h2_setting_write(p, H2_SET_NO_RFC7540_PRIORITIES, 1);
    h2_tx_frame(c, H2_SETTINGS, 0, 0, payload, (size_t)(p - payload));
    h2_flow_open(c);
    h2_alive_settings(c);
    c->settings_deadline_ms = h2_now_ms(c) + H2_SETTINGS_MS;
    h2_conn_deadline(c, c->settings_deadline_ms);
}

/** Begins on a new one; what was read already is used up. */
static void begin(struct h2_conn *c, struct chunk *first, uint32_t first_pos)
{
    struct h2_core *core = c->core;
    send_settings(c);
    c->idle_deadline_ms = h2_now_ms(c) + core->down->settings.header_ms;
    h2_conn_deadline(c, c->idle_deadline_ms);
    if (core->down->draining) {
        h2_down_drain(c);
    }
    if (first != NULL) {
        c->busy = true;
        h2_rx_bytes(c, first, first_pos);
        c->busy = false;
        h2_stream_tell_all(c);
        chunk_unref(first);
    }
    if (!c->dead) {
        h2_conn_again(c); // reads what has come already
    }
}

static struct h2_conn *open_conn(struct h2_core *core, struct transport *t,
                                 const struct http_peer *peer, struct chunk *first, int *error)
{
    struct h2_conn *c = h2_conn_new(core, t, &h2_down_role, HTTP_DOWN, peer, error);
    if (c == NULL) {
        if (first != NULL) {
            chunk_unref(first);
        }
        transport_close(t, true);
        return NULL;
    }
    c->rx = H2_RX_PREFACE;
    if (c->peer.connection_id == 0) {
        c->peer.connection_id = http_connection_id(core->loop, &core->down->next_id);
    }
    down_session_open(core->down, &c->u.down, &peer->addr, &session_ops);
    counter_add(core->counters, COUNTER_h2_sessions_open, 1);
    return c;
}

int h2_down_open(struct h2_core *core, struct transport *t, const struct http_peer *peer,
                 struct chunk *first, uint32_t first_pos)
{
    int error = 0;
    struct h2_conn *c = open_conn(core, t, peer, first, &error);
    if (c == NULL) {
        return error;
    }
    begin(c, first, first_pos);
    return 0;
}

struct down_session *h2_down_open_watched(struct h2_core *core, struct transport *t,
                                          const struct down_session_terms *terms,
                                          struct chunk *first, uint32_t first_pos, int *error)
{
    struct h2_conn *c = open_conn(core, t, terms->peer, first, error);
    if (c == NULL) {
        return NULL;
    }
    c->u.down.watcher = terms->watcher;
    c->u.down.watcher_arg = terms->watcher_arg;
    c->opening = true;
    if (terms->liveness) {
        h2_alive_begin(c);
        down_session_set_idle(&c->u.down, false);
    }
    begin(c, first, first_pos);
    c->opening = false;
    if (c->dead) {
        *error = E_PROTOCOL;
        return NULL;
    }
    return &c->u.down;
}
