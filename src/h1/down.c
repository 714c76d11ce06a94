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

static struct slice date_now(struct h1_core *h)
{
    uint64_t second = h->loop->wall_ms / 1000;
    if (second != h->date_second) {
        h->date_second = second;
        http_date_format(h->date, second);
    }
    return slice_of(h->date, sizeof(h->date));
}

static void set_idle(struct h1_conn *c)
{
    list_remove(&c->link);
    list_push_back(&c->h1->idle, &c->link);
    h1_rx_deadline(c, c->h1->settings.idle_ms, E_IDLE_TIMEOUT);
}

static void linger(struct h1_conn *c)
{
    struct sys *sys = c->h1->loop->sys;
    if (sys->ops->shutdown_write(sys, c->io.fd) < 0) {
        h1_conn_close(c, false);
        return;
    }
    h1_conn_detach(c);
    c->rx = H1_RX_LINGER;
    c->u.down.linger_left = H1_LINGER_BYTES;
    h1_rx_deadline(c, H1_LINGER_MS, E_IDLE_TIMEOUT);
    h1_conn_again(c);
}

/** The exchange is over on our side. */
static void close_stream(struct h1_conn *c)
{
    if (!c->stream_open) {
        return;
    }
    c->stream_open = false;
    c->stream.events->on_closed(&c->stream);
}

static void say_overloaded(struct h1_core *h, int fd)
{
    struct sys *sys = h->loop->sys;
    struct iovec iov = {(void *)(uintptr_t)overloaded_response, sizeof(overloaded_response) - 1};
    struct io_result ignored = sys->ops->write(sys, fd, &iov, 1, false);
    (void)ignored; // best effort: the connection closes whether it left or not
    counter_add(h->counters, COUNTER_connections_shed, 1);
}

/** Sends a fixed answer when no exchange could be begun. */
static void shed(struct h1_conn *c)
{
    say_overloaded(c->h1, c->io.fd);
    linger(c);
}

static bool begin_stream(struct h1_conn *c)
{
    list_remove(&c->link);
    list_push_back(&c->h1->down, &c->link);
    c->exchanges++;
    c->u.down.client_minor = 1;
    c->u.down.head_only = false;
    c->u.down.keep_alive = false;
    c->timeouts = c->h1->settings.down;
    if (c->h1->handler->begin(c->h1->handler, &c->stream) < 0) {
        shed(c);
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
    h1_rx_deadline(c, c->h1->settings.header_ms, E_HEADER_TIMEOUT);
}

static void on_head(struct h1_conn *c, const char *head, size_t head_len)
{
    if (!begin_stream(c)) {
        return;
    }
    struct http_head *h = c->stream.receive_head;
    enum h1_framing framing = H1_FRAMING_NONE;
    int e = h1_parse_request(head, head_len, &c->h1->settings.limits, h, &framing);
    c->u.down.client_minor = h->version_minor;
    c->u.down.head_only = h->method == HTTP_METHOD_HEAD;
    if (e < 0) {
        bad_message(c, e);
        return;
    }
    if (h->scheme.len == 0) {
        h->scheme = c->peer.secure ? SLICE("https") : SLICE("http");
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
        bool input_left = h1_unread(c) > 0 || (c->readable && !c->hung_up) || c->rx != H1_RX_DONE ||
                          c->u.down.refused;
        if (input_left && c->tx_framing != H1_FRAMING_TUNNEL) {
            linger(c);
        } else {
            h1_conn_close(c, false);
        }
        return;
    }
    h1_conn_reset_message(c);
    set_idle(c);
    if (c->readable || h1_unread(c) > 0 || c->h1->draining) {
        h1_conn_again(c);
    }
}

static void on_end(struct h1_conn *c)
{
    if (c->tx == H1_TX_DONE && !c->sent_told) {
        h1_tx_tell_sent(c);
        if (c->dead) {
            return;
        }
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
    return !c->u.down.keep_alive || c->h1->draining || framing == H1_FRAMING_CLOSE ||
           !rest_is_small(c) || c->exchanges >= c->h1->settings.requests_per_connection;
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
                      interim ? (struct slice){NULL, 0} : date_now(c->h1));
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
    .reset = reset,
    .set_timeouts = h1_set_timeouts,
};

int h1_down_open(struct h1_core *h, int fd, const struct http_peer *peer)
{
    int error = 0;
    struct h1_conn *c = h1_conn_new(h, fd, &h1_down_role, &error);
    if (c == NULL) {
        h->loop->sys->ops->close(h->loop->sys, fd, true);
        return error;
    }
    uint64_t id = c->peer.connection_id;
    c->peer = *peer;
    c->peer.connection_id = id;
    c->stream.side = HTTP_DOWN;
    c->stream.ops = &down_ops;
    c->writable = true; // what has come already is reported by the first wait
    h->down_count++;
    counter_add(h->counters, COUNTER_connections_accepted, 1);
    counter_add(h->counters, COUNTER_connections_open, 1);
    list_push_back(&h->idle, &c->link);
    trace(TRACE_accept, id, (uint64_t)fd);
    h1_rx_deadline(c, h->settings.header_ms, E_IDLE_TIMEOUT);
    return 0;
}

void h1_down_turn_away(struct h1_core *h, int fd)
{
    say_overloaded(h, fd);
    h->loop->sys->ops->close(h->loop->sys, fd, false);
}

bool h1_down_close_idlest(struct h1_core *h)
{
    struct list *node = list_first(&h->idle);
    if (node == NULL) {
        return false;
    }
    counter_add(h->counters, COUNTER_connections_shed, 1);
    h1_conn_close(list_entry(node, struct h1_conn, link), false);
    return true;
}

// A request that has come but was not reported yet is not lost: each idle connection is read once
// more, and closed by go_on() when nothing is there.
void h1_core_drain(struct h1_core *h)
{
    h->draining = true;
    list_each(node, &h->idle)
    {
        struct h1_conn *c = list_entry(node, struct h1_conn, link);
        if (c->rx == H1_RX_IDLE) {
            c->readable = true;
            h1_conn_again(c);
        }
    }
}

void h1_core_abort(struct h1_core *h)
{
    struct list *node;
    while ((node = list_first(&h->idle)) != NULL || (node = list_first(&h->down)) != NULL) {
        struct h1_conn *c = list_entry(node, struct h1_conn, link);
        h1_conn_close(c, true);
        if (c->stream_open) {
            c->stream.events->on_error(&c->stream, E_DRAINING);
            close_stream(c);
        }
    }
}
