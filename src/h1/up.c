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
    c->u.up.idle = true;
    h1_rx_deadline(c, c->u.up.idle_ms, E_IDLE_TIMEOUT);
    c->u.up.owner->on_idle(c, c->u.up.owner_arg);
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
    c->u.up.owner->on_gone(c, c->u.up.owner_arg, error == 0 ? E_EOF : error);
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
    int e =
        h1_parse_response(head, head_len, &c->h1->settings.limits, c->u.up.request, h, &framing);
    if (e == 0 && http_status_is_interim(h->status) && ++c->u.up.interim > H1_INTERIM_MAX) {
        e = E_BAD_INTERIM;
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
    if (h1_unread(c) > 0 || c->hung_up) {
        return false;
    }
    if (!c->readable) {
        return true;
    }
    char byte;
    struct iovec iov = {&byte, 1};
    struct io_result r = loop_read(c->h1->loop, &c->io, &iov, 1);
    c->readable = false;
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
    c->readable = true;
    h1_conn_again(c);
}

static void on_connected(struct h1_conn *c)
{
    struct loop *l = c->h1->loop;
    int e = l->sys->ops->connect_result(l->sys, c->io.fd);
    if (e == E_AGAIN) {
        return;
    }
    if (e < 0) {
        finish(c, e);
        return;
    }
    c->u.up.connect_ns = loop_clock_ns(l) - c->u.up.connect_started_ns;
    c->rx = H1_RX_IDLE;
    c->writable = true;
    c->u.up.idle = true;
    h1_rx_deadline(c, c->u.up.idle_ms, E_IDLE_TIMEOUT);
    c->u.up.owner->on_idle(c, c->u.up.owner_arg);
}

static void on_events(struct h1_conn *c, unsigned events)
{
    if (c->rx == H1_RX_CONNECTING) {
        if ((events & (SYS_WRITE | SYS_ERROR | SYS_HANGUP)) != 0) {
            on_connected(c);
        }
        return;
    }
    if (!c->stream_open && (events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0) {
        finish(c, E_EOF); // an idle origin has nothing to say but goodbye
    }
}

static void send_head(struct http_stream *s, const struct http_head *head, struct http_body *body)
{
    struct h1_conn *c = h1_of_stream(s);
    ensure(!c->stream_open && c->tx == H1_TX_IDLE && c->rx == H1_RX_IDLE);
    c->stream_open = true;
    c->u.up.idle = false;
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

struct h1_conn *h1_up_open(struct h1_core *h, const struct sys_connect *to, uint32_t connect_ms,
                           const struct h1_up_owner *owner, void *owner_arg, int *error)
{
    struct loop *l = h->loop;
    int fd = l->sys->ops->connect(l->sys, to);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    struct h1_conn *c = h1_conn_new(h, fd, &h1_up_role, error);
    if (c == NULL) {
        l->sys->ops->close(l->sys, fd, false);
        return NULL;
    }
    c->rx = H1_RX_CONNECTING;
    c->stream.side = HTTP_UP;
    c->stream.ops = &up_ops;
    c->peer.addr = to->to;
    c->u.up.owner = owner;
    c->u.up.owner_arg = owner_arg;
    c->u.up.connect_started_ns = loop_clock_ns(l);
    counter_add(h->counters, COUNTER_upstream_connects, 1);
    counter_add(h->counters, COUNTER_upstream_open, 1);
    h1_rx_deadline(c, connect_ms, E_CONNECT_TIMEOUT);
    return c;
}

struct http_stream *h1_up_stream(struct h1_conn *c)
{
    ensure_magic(c, H1_CONN_MAGIC);
    return &c->stream;
}

struct list *h1_up_link(struct h1_conn *c)
{
    return &c->link;
}

struct h1_conn *h1_up_of_link(struct list *link)
{
    struct h1_conn *c = list_entry(link, struct h1_conn, link);
    ensure_magic(c, H1_CONN_MAGIC);
    return c;
}

void h1_up_close(struct h1_conn *c)
{
    ensure(!c->stream_open);
    h1_conn_close(c, false);
}

bool h1_up_connected(const struct h1_conn *c)
{
    return c->rx != H1_RX_CONNECTING;
}

bool h1_up_is_idle(const struct h1_conn *c)
{
    return c->u.up.idle;
}

void h1_up_set_idle(struct h1_conn *c, uint32_t idle_ms)
{
    c->u.up.idle_ms = idle_ms;
}

uint64_t h1_up_connect_ns(const struct h1_conn *c)
{
    return c->u.up.connect_ns;
}

uint64_t h1_up_exchanges(const struct h1_conn *c)
{
    return c->exchanges;
}
