// SPDX-License-Identifier: Apache-2.0
//
// The origin's side of an HTTP/1.1 connection: sends requests, receives responses, one exchange at a
// time, never pipelined.
//
// A connection goes back to its owner only when the exchange ended cleanly: request sent to its last
// byte, response received to its last byte, nothing after it, and the origin willing. In every other
// case it is closed; bytes of one exchange can never be taken for those of another (RFC 9112 9.3).

#include "base/error.h"
#include "h1/conn_int.h"

static void set_idle(struct h1_conn *c)
{
    h1_conn_reset_message(c);
    c->stream.events = NULL;
    c->u.up.request = NULL;
    h1_rx_deadline(c, c->u.up.idle_ms, E_IDLE_TIMEOUT);
    struct up_session *s = &c->u.up.session;
    s->streams = 0;
    s->owner->on_room(s, s->owner_arg);
}

static void close_stream(struct h1_conn *c)
{
    if (!c->stream_open) {
        return;
    }
    c->stream_open = false;
    c->stream.events->on_closed(&c->stream);
}

/** Closes; the exchange hears on_closed (and on_error before it, when `error` is not 0), the owner
 * on_gone. */
static void finish(struct h1_conn *c, int error)
{
    if (c->dead) {
        return;
    }
    if (error != 0) {
        h1_rx_fail_body(c, error);
    }
    h1_conn_close(c, false);
    if (c->stream_open && error != 0) {
        c->stream.events->on_error(&c->stream, error);
    }
    close_stream(c);
    struct up_session *s = &c->u.up.session;
    s->owner->on_gone(s, s->owner_arg, error == 0 ? E_EOF : error);
}

static void on_first_byte(struct h1_conn *c)
{
    if (!c->stream_open) {
        counter_add(c->h1->counters, COUNTER_glitches, 1);
        finish(c, E_EXTRA_BYTES);
    }
}

static void on_head(struct h1_conn *c, const char *head, size_t head_len)
{
    struct http_head *h = c->stream.receive_head;
    enum h1_framing framing = H1_FRAMING_NONE;
    int e = h1_parse_response(head, head_len, &c->h1->limits, c->u.up.request, h, &framing);
    if (e == 0 && http_status_is_interim(h->status) && ++c->u.up.interim > H1_INTERIM_MAX) {
        e = E_BAD_INTERIM;
    }
    if (e == 0) {
        e = h1_websocket_check(c, h);
    }
    if (e < 0) {
        finish(c, e);
        return;
    }
    if (http_status_is_interim(h->status)) {
        c->rx = H1_RX_HEAD;
        c->scan = (struct h1_scan){0};
        c->stream.events->on_head(&c->stream, h);
        return;
    }
    c->close_after = c->close_after || !h->keep_alive || framing == H1_FRAMING_CLOSE;
    h1_rx_begin_body(c, framing, h);
    c->stream.events->on_head(&c->stream, h);
    if (c->dead) {
        return;
    }
    ensure(c->rx != H1_RX_BODY || c->rx_body != NULL);
    if (c->rx == H1_RX_DONE) {
        h1_up_role.on_end(c);
    }
}

/** True when the origin has sent nothing behind its response. A read that was filled to its last byte,
 * or a splice, stops at the response's end and does not tell. */
static bool is_quiet(struct h1_conn *c)
{
    if (h1_unread(c) > 0 || c->t->hung_up) {
        return false;
    }
    if (!c->t->readable) {
        return true;
    }
    char byte;
    struct iovec iov = {&byte, 1};
    struct io_result r = transport_read(c->t, &iov, 1);
    return r.status == IO_AGAIN;
}

static void on_end(struct h1_conn *c)
{
    bool tunnel = c->tx_framing == H1_FRAMING_TUNNEL;
    if (c->tx == H1_TX_DONE && !c->sent_told) {
        if (!tunnel && c->rx < H1_RX_BODY) {
            h1_rx_deadline(c, c->timeouts.head_ms, E_RESPONSE_TIMEOUT);
        }
        h1_tx_tell_sent(c);
        if (c->dead) {
            return;
        }
    }
    if (c->rx != H1_RX_DONE || (tunnel && c->tx != H1_TX_DONE)) {
        return;
    }
    if (c->tx != H1_TX_DONE || tunnel) {
        finish(c, 0); // answered before the request was all sent
        return;
    }
    if (h1_unread(c) > 0) {
        counter_add(c->h1->counters, COUNTER_glitches, 1);
    }
    if (c->close_after || !is_quiet(c)) {
        finish(c, 0);
        return;
    }
    close_stream(c);
    if (!c->dead) {
        set_idle(c);
    }
}

static void on_fail(struct h1_conn *c, int error)
{
    bool nothing_came = c->rx == H1_RX_IDLE && c->stream_open;
    if (nothing_came && c->exchanges > 1 && (error == E_EOF || error == E_RESET)) {
        error = E_STALE;
    } else if (nothing_came && error == E_EOF) {
        error = E_EARLY_CLOSE;
    }
    finish(c, error);
}

/** The origin takes no more; it may have answered already (a 413, say), so we go on reading. */
static void on_write_error(struct h1_conn *c, int error)
{
    if (c->tx_framing == H1_FRAMING_TUNNEL) {
        finish(c, error);
        return;
    }
    c->close_after = true;
    bufq_clear(&c->out);
    if (c->tx_body != NULL) {
        struct http_body *b = c->tx_body;
        c->tx_body = NULL;
        http_body_set_consumer(b, NULL, NULL);
    }
    c->tx_last = false; // stays ACTIVE: the request was not sent
    c->tx_deadline_ms = 0;
    c->t->readable = true;
    h1_conn_again(c);
}

static void on_events(struct h1_conn *c, unsigned events)
{
    bool said = (events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0;
    if (!c->stream_open && said && ((events & SYS_ERROR) != 0 || !is_quiet(c))) {
        finish(c, E_EOF); // an idle origin has nothing to say but goodbye
    }
}

static void send_head(struct http_stream *s, const struct http_head *head, struct http_body *body)
{
    struct h1_conn *c = h1_of_stream(s);
    ensure(!c->stream_open && c->tx == H1_TX_IDLE && c->rx == H1_RX_IDLE);
    c->stream_open = true;
    c->exchanges++;
    c->u.up.request = head;
    c->u.up.interim = 0;
    h1_rx_deadline(c, 0, 0);
    enum h1_framing framing = H1_FRAMING_NONE;
    if (head->body == HTTP_BODY_LENGTH) {
        framing = H1_FRAMING_LENGTH;
    } else if (head->body == HTTP_BODY_STREAM) {
        framing = H1_FRAMING_CHUNKED;
    }
    struct text t;
    struct chunk *chunk = h1_head_chunk(c, head, &t);
    if (chunk == NULL) {
        finish(c, E_NO_MEMORY);
        return;
    }
    h1_write_request(&t, head, framing);
    h1_websocket_ask(c, head, &t);
    if (t.overflow) {
        chunk_unref(chunk);
        finish(c, E_HEAD_TOO_LARGE);
        return;
    }
    c->tx_left = framing == H1_FRAMING_LENGTH ? (uint64_t)head->content_length : 0;
    h1_tx_begin(c, chunk, t.len, framing, framing == H1_FRAMING_NONE ? NULL : body);
}

static void reset(struct http_stream *s, int error)
{
    struct h1_conn *c = h1_of_stream(s);
    (void)error;
    finish(c, 0);
}

const struct h1_role h1_up_role = {
    .on_first_byte = on_first_byte,
    .on_head = on_head,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_write_error = on_write_error,
    .on_events = on_events,
};

static const struct http_stream_ops up_ops = {
    .protocol = "1.1",
    .send_head = send_head,
    .receive_body = h1_receive_body,
    .tunnel = h1_tunnel,
    .reset = reset,
    .set_timeouts = h1_set_timeouts,
};

static struct h1_conn *of_session(struct up_session *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, u.up.session);
    ensure_magic(c, H1_CONN_MAGIC);
    return c;
}

static struct http_stream *take(struct up_session *s)
{
    struct h1_conn *c = of_session(s);
    ensure(s->streams == 0 && !c->dead);
    s->streams = 1;
    s->exchanges++;
    return &c->stream;
}

static void close_session(struct up_session *s)
{
    ensure(s->streams == 0);
    h1_conn_close(of_session(s), false);
}

static const struct up_session_ops session_ops = {
    .protocol = "http/1.1", .take = take, .close = close_session};

struct up_session *h1_up_open(void *core, struct transport *t, const struct up_session_terms *terms,
                              int *error)
{
    struct h1_core *h = core;
    struct h1_conn *c = h1_conn_new(h, t, &h1_up_role, terms->peer);
    if (c == NULL) {
        transport_close(t, false);
        *error = E_NO_MEMORY;
        return NULL;
    }
    c->stream.side = HTTP_UP;
    c->stream.ops = &up_ops;
    c->u.up.idle_ms = terms->idle_ms;
    struct up_session *s = &c->u.up.session;
    s->ops = &session_ops;
    s->owner = terms->owner;
    s->owner_arg = terms->owner_arg;
    s->streams_max = 1;
    s->can_upgrade = true;
    s->peer = &c->peer;
    list_init(&s->link);
    counter_add(h->counters, COUNTER_upstream_open, 1);
    h1_rx_deadline(c, terms->idle_ms, E_IDLE_TIMEOUT);
    return s;
}
