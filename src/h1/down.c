// SPDX-License-Identifier: Apache-2.0
//
// The client's side of an HTTP/1.1 connection: receives requests, sends responses, one exchange at
// a time; pipelined requests wait in the input until the answer before them is out (RFC 9112 9.3.2).
//
// A request that breaks a rule is answered and the connection closed: we cannot know where the next
// one begins. Closing while the client still sends would make the kernel reset the connection and
// destroy the answer on its way, so we shut our direction and read the rest for a little while
// (RFC 9112 9.6, "lingering").

#include "base/error.h"
#include "obs/trace.h"

#include "h1/conn_int.h"

static const char overloaded_response[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                          "Content-Length: 0\r\n"
                                          "Retry-After: 1\r\n"
                                          "Connection: close\r\n\r\n";

// The first half of HTTP/2's preface (RFC 9113 3.4).
#define PREFACE "PRI * HTTP/2.0\r\n\r\n"

static void set_idle(struct h1_conn *c)
{
    down_session_set_idle(&c->u.down.session, true);
    h1_rx_deadline(c, c->h1->down->settings.idle_ms, E_IDLE_TIMEOUT);
}

static void linger(struct h1_conn *c)
{
    if (transport_shutdown_write(c->t) < 0) {
        h1_conn_close(c, false);
        return;
    }
    h1_conn_detach(c);
    c->rx = H1_RX_LINGER;
    c->u.down.linger_left = H1_LINGER_BYTES;
    h1_rx_deadline(c, H1_LINGER_MS, E_IDLE_TIMEOUT);
    h1_conn_again(c);
}

/** The exchange is over on our side. Who was to inherit the connection hears that there is none. */
static void close_stream(struct h1_conn *c)
{
    if (!c->stream_open) {
        return;
    }
    c->stream_open = false;
    c->stream.events->on_closed(&c->stream);
    struct http_heir *heir = c->u.down.heir;
    if (heir != NULL) {
        c->u.down.heir = NULL;
        heir->take(heir, NULL, NULL, NULL, 0);
    }
}

static struct iovec overloaded(void)
{
    return (struct iovec){(void *)(uintptr_t)overloaded_response, sizeof(overloaded_response) - 1};
}

/** Sends a fixed answer when no exchange could be begun. */
static void refuse(struct h1_conn *c)
{
    struct iovec iov = overloaded();
    struct io_result ignored = transport_write(c->t, &iov, 1, false);
    (void)ignored; // best effort: the connection closes whether it left or not
    counter_add(c->h1->counters, COUNTER_connections_shed, 1);
    linger(c);
}

static bool begin_stream(struct h1_conn *c)
{
    down_session_set_idle(&c->u.down.session, false);
    c->exchanges++;
    c->u.down.client_minor = 1;
    c->u.down.head_only = false;
    c->u.down.keep_alive = false;
    struct down_core *down = c->h1->down;
    c->timeouts = down->settings.down;
    if (down->handler->begin(down->handler, &c->stream) < 0) {
        refuse(c);
        return false;
    }
    c->stream_open = true;
    return true;
}

static void bad_message(struct h1_conn *c, int error)
{
    c->close_after = true;
    c->u.down.refused = true;
    h1_rx_fail_body(c, error);
    c->rx = H1_RX_DONE;
    h1_rx_deadline(c, 0, 0);
    c->stream.events->on_bad_message(&c->stream, error);
}

static void on_first_byte(struct h1_conn *c)
{
    // RFC 9112 2.2: an empty line before a request is tolerated, once.
    if (h1_unread(c) >= 2 && memcmp(c->in->data + c->in_pos, "\r\n", 2) == 0) {
        c->in_pos += 2;
        counter_add(c->h1->counters, COUNTER_glitches, 1);
    }
    h1_rx_deadline(c, c->h1->down->settings.header_ms, E_HEADER_TIMEOUT);
}

/** The client speaks HTTP/2: whoever does gets the transport and what was read. */
static void pass_on(struct h1_conn *c, size_t preface_len)
{
    struct h1_core *h = c->h1;
    struct transport *t = c->t;
    struct chunk *first = c->in;
    uint32_t pos = c->in_pos - (uint32_t)preface_len;
    struct http_peer peer = c->peer;
    c->t = NULL;
    c->in = NULL;
    h1_conn_close(c, false);
    h->on_preface(h->preface_arg, t, &peer, first, pos);
}

static void on_head(struct h1_conn *c, const char *head, size_t head_len)
{
    if (c->exchanges == 0 && c->h1->on_preface != NULL &&
        slice_eq(slice_of(head, head_len), SLICE(PREFACE))) {
        pass_on(c, head_len);
        return;
    }
    if (!begin_stream(c)) {
        return;
    }
    struct http_head *h = c->stream.receive_head;
    enum h1_framing framing = H1_FRAMING_NONE;
    int e = h1_parse_request(head, head_len, &c->h1->limits, h, &framing);
    c->u.down.client_minor = h->version_minor;
    c->u.down.head_only = h->method == HTTP_METHOD_HEAD;
    if (e < 0) {
        bad_message(c, e);
        return;
    }
    if (h->scheme.len == 0) {
        h->scheme = http_peer_secure(&c->peer) ? SLICE("https") : SLICE("http");
    }
    // After a CONNECT that was refused its sender may go on with bytes that are not HTTP.
    c->u.down.keep_alive =
        h->keep_alive && h->method != HTTP_METHOD_CONNECT && h->method != HTTP_METHOD_TRACE;
    c->u.down.expects = h->expect_continue;
    h1_rx_begin_body(c, framing, h);
    c->stream.events->on_head(&c->stream, h);
    ensure(c->dead || c->rx != H1_RX_BODY || c->rx_body != NULL);
}

/** True when the rest of the request is small and worth reading to keep the connection. */
static bool rest_is_small(const struct h1_conn *c)
{
    return c->rx == H1_RX_DONE ||
           (c->rx == H1_RX_BODY && !c->u.down.expects && c->rx_framing == H1_FRAMING_LENGTH &&
            (c->rx_left <= H1_DISCARD_MAX || c->rx_left <= h1_unread(c)));
}

static void next_or_close(struct h1_conn *c)
{
    h1_conn_detach(c); // the bodies end with the exchange, though the request may still be coming
    close_stream(c);
    if (c->dead) {
        return;
    }
    if (c->close_after || c->tx_framing == H1_FRAMING_TUNNEL) {
        bool input_left = h1_unread(c) > 0 || (c->t->readable && !c->t->hung_up) ||
                          c->rx != H1_RX_DONE || c->u.down.refused;
        if (input_left && c->tx_framing != H1_FRAMING_TUNNEL) {
            linger(c);
        } else {
            h1_conn_close(c, false);
        }
        return;
    }
    h1_conn_reset_message(c);
    set_idle(c);
    bool leaving = c->h1->down->draining && !c->h1->down->patient;
    if (c->t->readable || h1_unread(c) > 0 || leaving) {
        h1_conn_again(c);
    }
}

/** The 101 is out: the session ends without its transport. */
static void give_away(struct h1_conn *c)
{
    struct http_heir *heir = c->u.down.heir;
    struct transport *t = c->t;
    struct http_peer peer = c->peer;
    struct chunk *first = h1_unread(c) > 0 ? c->in : NULL;
    uint32_t pos = c->in_pos;
    c->u.down.heir = NULL;
    c->t = NULL;
    if (first != NULL) {
        c->in = NULL;
    }
    h1_conn_close(c, false);
    close_stream(c);
    heir->take(heir, t, &peer, first, pos);
}

static void on_end(struct h1_conn *c)
{
    if (c->tx == H1_TX_DONE && !c->sent_told) {
        h1_tx_tell_sent(c);
        if (c->dead) {
            return;
        }
    }
    if (c->tx == H1_TX_DONE && c->u.down.heir != NULL) {
        give_away(c);
        return;
    }
    if (c->tx == H1_TX_DONE && c->rx == H1_RX_DONE) {
        next_or_close(c);
    } else if (c->tx == H1_TX_DONE && c->tx_framing != H1_FRAMING_TUNNEL && c->close_after) {
        next_or_close(c); // the request is still coming, but answered
    }
}

/** The transport is gone or the answer cannot be completed: close, and make a cut visible. */
static void drop(struct h1_conn *c, int error)
{
    bool cut = c->tx == H1_TX_ACTIVE && c->tx_framing == H1_FRAMING_CLOSE;
    h1_rx_fail_body(c, error);
    h1_conn_close(c, cut || error == E_WRITE_TIMEOUT);
    if (c->stream_open) {
        c->stream.events->on_error(&c->stream, error);
        close_stream(c);
    }
}

/** True for what a client did in its message, as against what became of the connection. */
static bool can_answer(const struct h1_conn *c, int error)
{
    if (c->tx != H1_TX_IDLE || c->rx == H1_RX_DONE || c->rx == H1_RX_LINGER) {
        return false;
    }
    int status = error_status(error);
    return status >= 400 && status != 499 && status != 502 && status != 504;
}

static void on_fail(struct h1_conn *c, int error)
{
    if (c->rx == H1_RX_LINGER || (c->rx == H1_RX_IDLE && !c->stream_open)) {
        h1_conn_close(c, false);
        return;
    }
    if (!can_answer(c, error)) {
        drop(c, error);
        return;
    }
    counter_add(c->h1->counters, COUNTER_requests_refused, 1);
    if (c->stream_open) {
        bad_message(c, error);
    } else if (begin_stream(c)) {
        bad_message(c, error);
    }
}

static void on_write_error(struct h1_conn *c, int error)
{
    drop(c, error);
}

static void on_events(struct h1_conn *c, unsigned events)
{
    if ((events & SYS_ERROR) != 0) {
        drop(c, E_CLIENT_GONE);
    }
}

/** How the answer's body is delimited on the wire (RFC 9112 6.3). */
static enum h1_framing answer_framing(const struct h1_conn *c, const struct http_head *head)
{
    bool bodiless =
        head->status < 200 || head->status == 204 || head->status == 304 || c->u.down.head_only;
    if (!bodiless && head->body == HTTP_BODY_LENGTH) {
        return H1_FRAMING_LENGTH;
    }
    if (!bodiless && head->body == HTTP_BODY_STREAM) {
        return c->u.down.client_minor >= 1 ? H1_FRAMING_CHUNKED : H1_FRAMING_CLOSE;
    }
    return H1_FRAMING_NONE;
}

/** Whether the connection ends with this answer. */
static bool is_last_answer(struct h1_conn *c, enum h1_framing framing)
{
    const struct down_core *down = c->h1->down;
    return !c->u.down.keep_alive || down->draining || framing == H1_FRAMING_CLOSE ||
           !rest_is_small(c) || c->exchanges >= down->settings.requests_per_connection;
}

static void send_head(struct http_stream *s, const struct http_head *head, struct http_body *body)
{
    struct h1_conn *c = h1_of_stream(s);
    bool interim = http_status_is_interim(head->status);
    if (interim && c->u.down.client_minor == 0) {
        return; // RFC 9110 15.2: not to a 1.0 client
    }
    if (interim && c->out.count >= H1_INTERIM_SPANS_MAX) {
        return; // the client does not read, and the final head must find room
    }
    enum h1_framing framing = answer_framing(c, head);
    if (head->status >= 200 && is_last_answer(c, framing)) {
        c->close_after = true;
    }
    struct text t;
    struct chunk *chunk = h1_head_chunk(c, head, &t);
    if (chunk == NULL) {
        drop(c, E_NO_MEMORY);
        return;
    }
    h1_write_response(&t, head, framing, c->close_after && !interim, c->u.down.client_minor,
                      interim ? (struct slice){NULL, 0} : down_core_date(c->h1->down));
    h1_websocket_answer(c, head, &t);
    if (t.overflow) {
        chunk_unref(chunk);
        drop(c, E_HEAD_TOO_LARGE);
        return;
    }
    c->u.down.expects = c->u.down.expects && head->status != 100;
    if (interim || head->status == 101) {
        h1_tx_interim(c, chunk, t.len);
        return;
    }
    if (body != NULL && framing == H1_FRAMING_NONE) {
        http_body_discard(body);
        body = NULL;
    }
    c->tx_left = framing == H1_FRAMING_LENGTH ? (uint64_t)head->content_length : 0;
    h1_tx_begin(c, chunk, t.len, framing, framing == H1_FRAMING_NONE ? NULL : body);
}

static void hand_over(struct http_stream *s, const struct http_head *head, struct http_heir *heir)
{
    struct h1_conn *c = h1_of_stream(s);
    ensure(head->status == 101 && c->u.down.heir == NULL);
    ensure(c->rx == H1_RX_DONE && c->tx == H1_TX_IDLE);
    c->u.down.heir = heir;
    if (!h1_rx_peek(c)) {
        if (!c->dead) {
            drop(c, E_EOF);
        }
        return;
    }
    struct text t;
    struct chunk *chunk = h1_head_chunk(c, head, &t);
    if (chunk == NULL) {
        drop(c, E_NO_MEMORY);
        return;
    }
    h1_write_response(&t, head, H1_FRAMING_NONE, false, c->u.down.client_minor,
                      (struct slice){NULL, 0});
    if (t.overflow) {
        chunk_unref(chunk);
        drop(c, E_HEAD_TOO_LARGE);
        return;
    }
    h1_tx_begin(c, chunk, t.len, H1_FRAMING_NONE, NULL);
}

static void reset(struct http_stream *s, int error)
{
    struct h1_conn *c = h1_of_stream(s);
    (void)error;
    if (c->dead) {
        return;
    }
    bool cut = c->tx == H1_TX_ACTIVE && c->tx_framing == H1_FRAMING_CLOSE;
    h1_conn_close(c, cut);
    close_stream(c);
}

const struct h1_role h1_down_role = {
    .on_first_byte = on_first_byte,
    .on_head = on_head,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_write_error = on_write_error,
    .on_events = on_events,
};

static const struct http_stream_ops down_ops = {
    .protocol = "1.1",
    .send_head = send_head,
    .receive_body = h1_receive_body,
    .tunnel = h1_tunnel,
    .hand_over = hand_over,
    .reset = reset,
    .set_timeouts = h1_set_timeouts,
};

static struct h1_conn *of_session(struct down_session *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, u.down.session);
    ensure_magic(c, H1_CONN_MAGIC);
    return c;
}

static void shed(struct down_session *s)
{
    h1_conn_close(of_session(s), false);
}

// A request that has come but was not reported yet is not lost: an idle connection is read once more,
// and closed by conn.c's go_on() when nothing is there. A busy one sees `draining` when it answers.
static void drain(struct down_session *s)
{
    struct h1_conn *c = of_session(s);
    if (c->rx == H1_RX_IDLE && !c->stream_open && !c->h1->down->patient) {
        c->t->readable = true;
        h1_conn_again(c);
    }
}

static void abort_now(struct down_session *s)
{
    struct h1_conn *c = of_session(s);
    h1_conn_close(c, true);
    if (c->stream_open) {
        c->stream.events->on_error(&c->stream, E_DRAINING);
        close_stream(c);
    }
}

static const struct down_session_ops session_ops = {
    .shed = shed, .drain = drain, .abort = abort_now};

int h1_down_open(struct h1_core *h, struct transport *t, const struct http_peer *peer)
{
    struct h1_conn *c = h1_conn_new(h, t, &h1_down_role, peer);
    if (c == NULL) {
        transport_close(t, true);
        return E_NO_MEMORY;
    }
    c->stream.side = HTTP_DOWN;
    c->stream.ops = &down_ops;
    down_session_open(h->down, &c->u.down.session, &peer->addr, &session_ops);
    trace(TRACE_accept, c->peer.connection_id, (uint64_t)t->io.fd);
    h1_rx_deadline(c, h->down->settings.header_ms, E_IDLE_TIMEOUT);
    if (t->readable) { // a filter has read ahead
        h1_conn_again(c);
    }
    return 0;
}

void h1_down_turn_away(struct h1_core *h, int fd)
{
    struct sys *sys = h->loop->sys;
    struct iovec iov = overloaded();
    struct io_result ignored = sys->ops->write(sys, fd, &iov, 1, false);
    (void)ignored; // best effort, as in refuse()
    counter_add(h->counters, COUNTER_connections_shed, 1);
    sys->ops->close(sys, fd, false);
}
