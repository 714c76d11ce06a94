// SPDX-License-Identifier: Apache-2.0
//
// The receiving half of an HTTP/1.1 connection: input bytes become heads and body bytes.
//
// Input is read into one chunk; a head must lie in it in one piece, body bytes are handed on as
// views of it. Nothing is read while the body's pipe has no room, so a peer is never taken further
// ahead than the pipe's limit. Large bodies of known length between two clear sockets are spliced.
//
// The transport remembers whether there may be input (loop/transport.h); as long as there is and
// somebody wants it, we read.

#include "base/error.h"
#include "base/num.h"
#include "h1/conn_int.h"

static void release_input(struct h1_conn *c)
{
    if (c->in != NULL && h1_unread(c) == 0) {
        chunk_unref(c->in);
        c->in = NULL;
        c->in_pos = 0;
    }
}

/** A chunk for `unread` bytes of a head that is not complete, and more. */
static struct chunk *input_chunk(struct h1_conn *c, size_t unread)
{
    struct chunk_pool *pool = &c->h1->loop->chunks;
    if (unread < CHUNK_BYTES) {
        return chunk_new(pool);
    }
    // The scan would have refused it had it reached its limit, so there is always room behind it.
    size_t most = (size_t)c->h1->limits.head_bytes + H1_READ_ROOM_MIN;
    size_t capacity = num_min_size(2 * unread, most);
    ensure(capacity > unread);
    return chunk_new_large(pool, (uint32_t)capacity);
}

/** Makes room to read into: what is unread of a head stays in one piece. */
static int prepare_input(struct h1_conn *c)
{
    size_t unread = h1_unread(c);
    if (c->in != NULL && c->in->capacity > CHUNK_BYTES) {
        release_input(c); // a large one is for heads only
    }
    if (c->in != NULL && unread == 0 && chunk_is_sole(c->in)) {
        c->in->used = 0;
        c->in_pos = 0;
    }
    if (c->in != NULL && chunk_room(c->in) >= H1_READ_ROOM_MIN) {
        return 0;
    }
    if (c->in != NULL && c->in_pos == 0 && chunk_room(c->in) > 0) {
        return 0;
    }
    struct chunk *fresh = input_chunk(c, unread);
    if (fresh == NULL) {
        return E_NO_MEMORY;
    }
    if (unread > 0) {
        memcpy(fresh->data, c->in->data + c->in_pos, unread);
        fresh->used = (uint32_t)unread;
    }
    if (c->in != NULL) {
        chunk_unref(c->in);
    }
    c->in = fresh;
    c->in_pos = 0;
    return 0;
}

static void end_message(struct h1_conn *c, struct fields *trailers)
{
    struct http_body *b = c->rx_body;
    c->rx = H1_RX_DONE;
    if (c->rx_framing != H1_FRAMING_TUNNEL) {
        h1_rx_deadline(c, 0, 0);
    }
    if (b != NULL) {
        http_body_end(b, trailers);
        http_body_set_producer(b, NULL, NULL);
        c->rx_body = NULL;
        http_body_notify(b);
    }
    if (!c->dead) {
        c->role->on_end(c);
    }
}

static void take_eof(struct h1_conn *c)
{
    c->t->readable = false;
    c->t->hung_up = true;
    switch ((enum h1_rx)c->rx) {
    case H1_RX_BODY:
        if (c->rx_framing == H1_FRAMING_CLOSE || c->rx_framing == H1_FRAMING_TUNNEL) {
            c->close_after = true;
            end_message(c, NULL);
            return;
        }
        c->role->on_fail(c, E_EARLY_CLOSE);
        return;
    case H1_RX_IDLE:
        c->role->on_fail(c, E_EOF);
        return;
    case H1_RX_HEAD:
    case H1_RX_TRAILERS:
        c->role->on_fail(c, E_EARLY_CLOSE);
        return;
    case H1_RX_LINGER:
        h1_conn_close(c, false);
        return;
    case H1_RX_DONE:
        return;
    }
}

/** Bytes came: deadlines move on; a body slower than its least rate fails. False: it did. */
static bool note_progress(struct h1_conn *c, size_t n)
{
    if (c->rx != H1_RX_BODY) {
        return true;
    }
    h1_rx_gap_deadline(c);
    if (c->timeouts.rate_bytes == 0 || c->rx_framing == H1_FRAMING_TUNNEL) {
        return true;
    }
    uint64_t now = c->h1->loop->now_ms;
    if (c->rate_since_ms == 0) {
        c->rate_since_ms = now;
        c->rate_bytes = 0;
    }
    c->rate_bytes += n;
    uint64_t elapsed = now - c->rate_since_ms;
    if (elapsed > H1_RATE_GRACE_MS && c->rate_bytes < elapsed * c->timeouts.rate_bytes / 1000) {
        counter_add(c->h1->counters, COUNTER_timeouts, 1);
        c->role->on_fail(c, c->stream.side == HTTP_DOWN ? E_BODY_TIMEOUT : E_READ_TIMEOUT);
        return false;
    }
    return true;
}

/** Handles what a byte mover said. True: n bytes came. */
static bool took(struct h1_conn *c, struct io_result r)
{
    switch ((enum io_status)r.status) {
    case IO_OK:
        return true;
    case IO_AGAIN:
        c->t->readable = false;
        return false;
    case IO_EOF:
        take_eof(c);
        return false;
    case IO_ERROR:
        c->t->readable = false;
        c->role->on_fail(c, r.error);
        return false;
    }
    return false;
}

/** Reads once. False: nothing came (or the connection failed). */
static bool fill(struct h1_conn *c, size_t *budget)
{
    if (!c->t->readable) {
        return false;
    }
    if (*budget == 0) {
        h1_conn_again(c);
        return false;
    }
    int e = prepare_input(c);
    if (e < 0) {
        c->role->on_fail(c, e);
        return false;
    }
    size_t room = chunk_room(c->in);
    struct iovec iov = {c->in->data + c->in->used, room};
    struct io_result r = transport_read(c->t, &iov, 1);
    if (!took(c, r)) {
        return false;
    }
    ensure(r.n <= room);
    c->in->used += (uint32_t)r.n;
    *budget -= num_min_size(*budget, r.n);
    return note_progress(c, r.n);
}

/** The pipe is full: it is we who are slow, and no deadline runs until there is room. */
static void wait_for_room(struct h1_conn *c)
{
    c->rx_body->wants_room = true;
    h1_rx_deadline(c, 0, 0);
    c->rate_since_ms = 0;
}

static bool splice_step(struct h1_conn *c, size_t *budget)
{
    struct http_body *b = c->rx_body;
    struct loop *l = c->h1->loop;
    if (!c->t->readable) {
        return false;
    }
    if (*budget == 0) {
        h1_conn_again(c);
        return false;
    }
    if (http_body_open_kernel(b, l) < 0) {
        b->takes_kernel = false;
        return true;
    }
    size_t want =
        num_min_size(b->kernel->capacity - num_min_size(b->kernel->capacity, b->kernel_bytes),
                     (size_t)num_min_u64(c->rx_left, SIZE_MAX));
    if (want == 0) {
        wait_for_room(c);
        return false;
    }
    struct io_result r = l->sys->ops->splice(l->sys, c->t->io.fd, b->kernel->write_fd, want, false);
    if (r.status == IO_AGAIN && b->kernel_bytes > 0) {
        wait_for_room(c); // the pipe may be out of slots before it is out of bytes
        return false;
    }
    if (!took(c, r)) {
        return false;
    }
    *budget -= num_min_size(*budget, r.n);
    c->rx_left -= r.n;
    http_body_put_kernel(b, r.n);
    if (!note_progress(c, r.n)) {
        return false;
    }
    if (c->rx_left == 0) {
        end_message(c, NULL);
        return false;
    }
    http_body_notify(b);
    return true;
}

static bool may_splice(const struct h1_conn *c)
{
    const struct http_body *b = c->rx_body;
    if (b->kernel_bytes > 0) {
        return true;
    }
    return b->takes_kernel && b->tee == NULL && c->t->clear && c->rx_framing == H1_FRAMING_LENGTH &&
           c->rx_left >= H1_SPLICE_MIN && b->q.bytes == 0;
}

/** Hands on a run of input bytes. */
static int put_input(struct h1_conn *c, size_t n)
{
    int e = http_body_put(c->rx_body, c->in, c->in_pos, n);
    if (e == 0) {
        c->in_pos += (uint32_t)n;
    }
    return e;
}

/** Decodes chunked input until it is used up or the pipe is full. 0, E_AGAIN at the trailers, or the
 * rule that was broken. */
static int put_chunked(struct h1_conn *c, bool *end)
{
    while (h1_unread(c) > 0) {
        size_t room = http_body_room(c->rx_body);
        if (room == 0) {
            return 0;
        }
        const char *p = c->in->data + c->in_pos;
        size_t used = 0;
        struct slice data = {NULL, 0};
        int event = h1_chunked_next(&c->chunked, p, num_min_size(h1_unread(c), room), &used, &data);
        if (event < 0) {
            return event;
        }
        if (event == H1_CHUNKED_DATA) {
            int e = http_body_put(c->rx_body, c->in, (size_t)(data.ptr - c->in->data), data.len);
            if (e < 0) {
                return e;
            }
        }
        c->in_pos += (uint32_t)used;
        if (event == H1_CHUNKED_END) {
            *end = true;
            return 0;
        }
        if (event == H1_CHUNKED_TRAILERS) {
            c->rx = H1_RX_TRAILERS;
            return 0;
        }
    }
    return 0;
}

/** Hands on unread input. *end: the message is complete. */
static int put_body(struct h1_conn *c, size_t room, bool *end)
{
    size_t n = num_min_size(h1_unread(c), room);
    switch ((enum h1_framing)c->rx_framing) {
    case H1_FRAMING_LENGTH: {
        n = (size_t)num_min_u64(n, c->rx_left);
        int e = put_input(c, n);
        if (e < 0) {
            return e;
        }
        c->rx_left -= n;
        *end = c->rx_left == 0;
        return 0;
    }
    case H1_FRAMING_CLOSE:
    case H1_FRAMING_TUNNEL:
        return put_input(c, n);
    case H1_FRAMING_CHUNKED:
        return put_chunked(c, end);
    case H1_FRAMING_NONE:
        break;
    }
    unreachable();
}

static bool body_step(struct h1_conn *c, size_t *budget)
{
    struct http_body *b = c->rx_body;
    if (b == NULL) {
        return false; // a tunnel that is about to be attached
    }
    if (h1_unread(c) == 0 && may_splice(c)) {
        return splice_step(c, budget);
    }
    size_t room = http_body_room(b);
    if (room == 0) {
        wait_for_room(c);
        return false;
    }
    if (h1_unread(c) == 0) {
        if (!fill(c, budget)) {
            return false;
        }
        if (c->rx != H1_RX_BODY || c->rx_body != b) {
            return true;
        }
    }
    bool end = false;
    int e = put_body(c, room, &end);
    if (e < 0) {
        c->role->on_fail(c, e);
        return false;
    }
    if (end) {
        end_message(c, NULL);
    } else {
        http_body_notify(b);
    }
    return true;
}

static bool trailers_step(struct h1_conn *c, size_t *budget)
{
    if (h1_unread(c) == 0) {
        return fill(c, budget);
    }
    const struct h1_limits *limits = &c->h1->limits;
    if (c->trailers == NULL) {
        struct arena *arena = c->stream.receive_head->fields.arena;
        c->trailers = arena_alloc(arena, sizeof(*c->trailers));
        if (c->trailers == NULL) {
            c->role->on_fail(c, E_NO_MEMORY);
            return false;
        }
        fields_init(c->trailers, arena, limits->head_bytes, limits->fields);
    }
    size_t used = 0;
    int e = h1_parse_trailers(&c->chunked, limits, c->in->data + c->in_pos, h1_unread(c), &used,
                              c->trailers);
    if (e == E_AGAIN) {
        return fill(c, budget);
    }
    if (e < 0) {
        c->role->on_fail(c, e);
        return false;
    }
    c->in_pos += (uint32_t)used;
    end_message(c, c->trailers->count > 0 ? c->trailers : NULL);
    return true;
}

static bool head_step(struct h1_conn *c, size_t *budget)
{
    if (h1_unread(c) == 0) {
        return fill(c, budget);
    }
    const char *p = c->in->data + c->in_pos;
    size_t len = 0;
    int e = h1_scan_head(&c->scan, &c->h1->limits, p, h1_unread(c), &len);
    if (e == E_AGAIN) {
        return fill(c, budget);
    }
    if (e < 0) {
        c->role->on_fail(c, e);
        return false;
    }
    c->in_pos += (uint32_t)len;
    struct chunk *held = chunk_ref(c->in); // on_head may close the connection
    c->role->on_head(c, p, len);
    chunk_unref(held);
    return true;
}

static bool idle_step(struct h1_conn *c, size_t *budget)
{
    // Half of an empty line before a request says nothing yet (RFC 9112 2.2).
    bool half = h1_unread(c) == 1 && c->in->data[c->in_pos] == '\r';
    if (h1_unread(c) == 0 || half) {
        return fill(c, budget);
    }
    c->rx = H1_RX_HEAD;
    c->scan = (struct h1_scan){0};
    c->role->on_first_byte(c);
    return true;
}

static bool linger_step(struct h1_conn *c, size_t *budget)
{
    size_t unread = h1_unread(c);
    if (unread > c->u.down.linger_left) {
        h1_conn_close(c, true);
        return false;
    }
    c->u.down.linger_left -= (uint32_t)unread;
    c->in_pos += (uint32_t)unread;
    return fill(c, budget);
}

static bool step(struct h1_conn *c, size_t *budget)
{
    switch ((enum h1_rx)c->rx) {
    case H1_RX_IDLE:
        return idle_step(c, budget);
    case H1_RX_HEAD:
        return head_step(c, budget);
    case H1_RX_BODY:
        return body_step(c, budget);
    case H1_RX_TRAILERS:
        return trailers_step(c, budget);
    case H1_RX_LINGER:
        return linger_step(c, budget);
    case H1_RX_DONE:
        return false;
    }
    unreachable();
}

void h1_rx_pump(struct h1_conn *c)
{
    if (c->rx_busy || c->dead) {
        return;
    }
    c->rx_busy = true;
    size_t budget = H1_TURN_BYTES_MAX;
    while (!c->dead && step(c, &budget)) {
    }
    c->rx_busy = false;
    if (!c->dead) {
        release_input(c);
    }
}

bool h1_rx_peek(struct h1_conn *c)
{
    ensure(!c->dead && c->rx == H1_RX_DONE);
    size_t budget = H1_TURN_BYTES_MAX;
    bool came = h1_unread(c) > 0 || fill(c, &budget);
    if (c->dead || (!came && c->t->hung_up)) {
        return false;
    }
    release_input(c);
    return true;
}

static void on_room(struct http_body *b, void *producer)
{
    struct h1_conn *c = producer;
    ensure_magic(c, H1_CONN_MAGIC);
    ensure(c->rx_body == b);
    if (c->rx_deadline_ms == 0) {
        h1_rx_gap_deadline(c);
    }
    h1_rx_pump(c);
}

void h1_rx_begin_body(struct h1_conn *c, enum h1_framing framing, const struct http_head *head)
{
    ensure(c->rx_body == NULL);
    c->rx_framing = (uint8_t)framing;
    if (framing == H1_FRAMING_NONE || (framing == H1_FRAMING_LENGTH && head->content_length == 0)) {
        c->rx = H1_RX_DONE;
        h1_rx_deadline(c, 0, 0);
        return;
    }
    c->rx = H1_RX_BODY;
    c->rx_left = framing == H1_FRAMING_LENGTH ? (uint64_t)head->content_length : 0;
    if (framing == H1_FRAMING_CHUNKED) {
        c->chunked = (struct h1_chunked){0};
        c->trailers = NULL;
    }
}

void h1_rx_fail_body(struct h1_conn *c, int error)
{
    if (c->rx_body == NULL) {
        return;
    }
    http_body_fail(c->rx_body, error);
    http_body_set_producer(c->rx_body, NULL, NULL);
    c->rx_body = NULL;
}

void h1_receive_body(struct http_stream *s, struct http_body *body)
{
    struct h1_conn *c = h1_of_stream(s);
    ensure(c->rx_body == NULL);
    if (c->rx == H1_RX_DONE) { // Content-Length: 0
        http_body_end(body, NULL);
        return;
    }
    ensure(c->rx == H1_RX_BODY);
    c->rx_body = body;
    http_body_set_producer(body, c, on_room);
    c->rate_since_ms = 0;
    h1_rx_gap_deadline(c);
}

void h1_tunnel(struct http_stream *s, struct http_body *receive, struct http_body *send)
{
    struct h1_conn *c = h1_of_stream(s);
    ensure(c->rx_body == NULL && (c->rx == H1_RX_DONE || c->rx == H1_RX_BODY));
    c->rx = H1_RX_BODY;
    c->rx_framing = H1_FRAMING_TUNNEL;
    c->rx_body = receive;
    c->sent_told = false;
    c->close_after = true;
    http_body_set_producer(receive, c, on_room);
    h1_tx_begin(c, NULL, 0, H1_FRAMING_TUNNEL, send);
    h1_rx_gap_deadline(c);
    h1_conn_again(c);
}
