// SPDX-License-Identifier: Apache-2.0
//
// The sending half of an HTTP/1.1 connection: heads and body bytes become output.
//
// Bytes wait in `out`, at most H1_OUT_BYTES_MAX of them, as views of the chunks they came in; small
// pieces are copied together so that head and body of a small message leave in one write. A head is
// not sent by itself when its body is about to follow in the same turn: whoever puts the body
// notifies us, and `again` sees to it at the end of the turn if nobody does.
//
// A body that was cut is never completed: no last chunk is written, a length is left short, and a
// close-delimited body is ended by a reset, so that the client sees the cut (RFC 9112 8).

#include "base/error.h"
#include "base/num.h"
#include "h1/conn_int.h"

enum { CHUNKED_SPANS = 3 }; // size line, data, and room for the last chunk

/** A chunk for a section of these fields and `other` bytes beside them. */
static struct chunk *section_chunk(struct h1_conn *c, const struct fields *f, size_t other,
                                   struct text *text)
{
    // Names and values are in the store; each field adds ": " and CRLF.
    size_t need = other + (f == NULL ? 0 : (size_t)f->used + 4u * f->count);
    struct chunk_pool *pool = &c->h1->loop->chunks;
    struct chunk *chunk = need <= CHUNK_BYTES || need > H1_WRITE_BYTES_MAX
                              ? chunk_new(pool)
                              : chunk_new_large(pool, (uint32_t)need);
    if (chunk != NULL) {
        *text = text_on(chunk->data, chunk->capacity);
    }
    return chunk;
}

struct chunk *h1_head_chunk(struct h1_conn *c, const struct http_head *head, struct text *text)
{
    size_t other = head->method_text.len + head->target.len + head->authority.len +
                   head->reason.len + head->upgrade.len + H1_WRITE_FIXED_BYTES;
    return section_chunk(c, &head->fields, other, text);
}

static void queue_head(struct h1_conn *c, struct chunk *head, size_t head_len)
{
    head->used = (uint32_t)head_len;
    int e = bufq_push(&c->out, head, 0, head_len);
    ensure(e == 0); // a head is queued into an empty or nearly empty queue
    chunk_unref(head);
}

/** Moves at most n bytes of the body to `out`; small runs are copied. */
static int stage_bytes(struct h1_conn *c, size_t n, size_t *moved)
{
    struct http_body *b = c->tx_body;
    if (n <= BUFQ_COPY_MAX && bufq_front(&b->q).len >= n) {
        int e = bufq_write(&c->out, &c->h1->loop->chunks, bufq_front(&b->q).ptr, n);
        if (e == 0) {
            http_body_take(b, n);
            *moved = n;
        }
        return e;
    }
    *moved = http_body_take_to(b, &c->out, n);
    return 0;
}

/** One chunk of the chunked coding: the CRLF owed to the last one, the size line, the data. */
static int stage_chunk(struct h1_conn *c, size_t n, size_t *moved)
{
    *moved = 0;
    if (c->out.count > BUFQ_SPANS - CHUNKED_SPANS) {
        return 0;
    }
    n = num_min_size(n, bufq_front(&c->tx_body->q).len);
    char line[24];
    size_t len = 0;
    if (c->tx_glue) {
        memcpy(line, "\r\n", 2);
        len = 2;
    }
    len += h1_write_chunk_size(line + len, n);
    int e = bufq_write(&c->out, &c->h1->loop->chunks, line, len);
    if (e < 0) {
        return e;
    }
    c->tx_glue = true;
    e = stage_bytes(c, n, moved);
    ensure(e < 0 || *moved == n);
    return e;
}

static int stage_last_chunk(struct h1_conn *c, const struct fields *trailers)
{
    struct text t;
    struct chunk *chunk = section_chunk(c, trailers, H1_WRITE_FIXED_BYTES, &t);
    if (chunk == NULL) {
        return E_NO_MEMORY;
    }
    if (c->tx_glue) {
        text_put(&t, SLICE("\r\n"));
    }
    h1_write_last_chunk(&t, trailers);
    int e = t.overflow ? E_HEAD_TOO_LARGE : bufq_write(&c->out, &c->h1->loop->chunks, t.ptr, t.len);
    chunk_unref(chunk);
    return e;
}

/** The body has ended: what the framing still owes. */
static int stage_end(struct h1_conn *c)
{
    struct http_body *b = c->tx_body;
    if (c->tx_framing == H1_FRAMING_LENGTH && c->tx_left != 0) {
        return E_EARLY_CLOSE;
    }
    if (c->tx_framing == H1_FRAMING_CHUNKED) {
        if (c->out.count > BUFQ_SPANS - CHUNKED_SPANS) {
            return 0;
        }
        int e = stage_last_chunk(c, b->trailers);
        if (e < 0) {
            return e;
        }
    }
    c->tx_last = true;
    return 0;
}

/** The body has run dry for now: a peer may not look at a chunk before the CRLF behind it, so it goes
 * out as well. */
static int pay_glue(struct h1_conn *c)
{
    if (c->tx_framing != H1_FRAMING_CHUNKED || !c->tx_glue) {
        return 0;
    }
    int e = bufq_write(&c->out, &c->h1->loop->chunks, "\r\n", 2);
    c->tx_glue = e != 0;
    return e == E_AGAIN ? 0 : e; // no room: it goes with the next chunk
}

/** Moves what may go from the body to `out`. 0, or why the message must be cut. */
static int stage(struct h1_conn *c)
{
    struct http_body *b = c->tx_body;
    while (b != NULL && !c->tx_last && c->out.bytes < H1_OUT_BYTES_MAX && !bufq_full(&c->out)) {
        size_t n = num_min_size(b->q.bytes, H1_OUT_BYTES_MAX - c->out.bytes);
        if (n == 0) {
            if (b->error != 0) {
                return b->error;
            }
            return http_body_done(b) ? stage_end(c) : pay_glue(c);
        }
        size_t moved = 0;
        int e;
        if (c->tx_framing == H1_FRAMING_CHUNKED) {
            e = stage_chunk(c, n, &moved);
        } else {
            if (c->tx_framing == H1_FRAMING_LENGTH) {
                if (c->tx_left == 0) {
                    return E_INTERNAL; // the producer gave more than it said
                }
                n = (size_t)num_min_u64(n, c->tx_left);
            }
            e = stage_bytes(c, n, &moved);
            c->tx_left -= c->tx_framing == H1_FRAMING_LENGTH ? moved : 0;
        }
        if (e == E_AGAIN || (e == 0 && moved == 0)) {
            return 0; // `out` is full
        }
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

static void note_sent(struct h1_conn *c, bool all)
{
    if (c->tx_framing == H1_FRAMING_TUNNEL && c->tx == H1_TX_ACTIVE) {
        h1_rx_gap_deadline(c);
    }
    if (all) {
        c->tx_deadline_ms = 0;
        return;
    }
    c->tx_deadline_ms = c->timeouts.write_ms == 0 ? 0 : c->h1->loop->now_ms + c->timeouts.write_ms;
}

/** The socket takes no more for now: the write deadline runs. */
static void wait_writable(struct h1_conn *c)
{
    c->t->writable = false;
    if (c->timeouts.write_ms == 0) {
        return;
    }
    if (c->tx_deadline_ms == 0) {
        c->tx_deadline_ms = c->h1->loop->now_ms + c->timeouts.write_ms;
    }
    if (!wheel_timer_is_set(&c->tx_timer)) {
        loop_timer_set(c->h1->loop, &c->tx_timer, c->timeouts.write_ms);
    }
}

static bool wrote(struct h1_conn *c, struct io_result r)
{
    if (r.status == IO_OK) {
        return true;
    }
    if (r.status == IO_AGAIN) {
        wait_writable(c);
        return false;
    }
    c->t->writable = false;
    c->role->on_write_error(c, r.status == IO_EOF ? E_RESET : r.error);
    return false;
}

/** Writes `out` once. False: the socket is full or failed. */
static bool flush_once(struct h1_conn *c)
{
    struct iovec iov[BUFQ_SPANS];
    size_t total = c->out.bytes;
    int n = bufq_iov(&c->out, iov, BUFQ_SPANS);
    bool more = c->tx_body != NULL && c->tx_body->kernel_bytes > 0;
    struct io_result r = transport_write(c->t, iov, n, more);
    if (!wrote(c, r)) {
        return false;
    }
    ensure(r.n <= total);
    bufq_drop(&c->out, r.n);
    note_sent(c, r.n == total);
    if (r.n < total) {
        wait_writable(c);
        return false;
    }
    return true;
}

static bool splice_once(struct h1_conn *c)
{
    struct http_body *b = c->tx_body;
    struct loop *l = c->h1->loop;
    if (b->kernel_bytes > c->tx_left) {
        c->role->on_fail(c, E_INTERNAL);
        return false;
    }
    bool more = c->tx_left > b->kernel_bytes;
    struct io_result r =
        l->sys->ops->splice(l->sys, b->kernel->read_fd, c->t->io.fd, b->kernel_bytes, more);
    if (!wrote(c, r)) {
        return false;
    }
    c->tx_left -= r.n;
    http_body_take_kernel(b, r.n);
    note_sent(c, b->kernel_bytes == 0);
    return true;
}

/** Sends until there is nothing more to send for now. False: the connection failed. */
static bool send_all(struct h1_conn *c)
{
    while (!c->dead) {
        struct http_body *b = c->tx_body;
        if (c->tx == H1_TX_ACTIVE && c->tx_error == 0) {
            c->tx_error = stage(c);
        }
        if (c->tx_error < 0 && c->out.bytes == 0) { // what came before the cut is out
            c->role->on_fail(c, c->tx_error);
            return false;
        }
        if (!c->t->writable) {
            return true;
        }
        if (c->out.bytes > 0) {
            if (!flush_once(c)) {
                return !c->dead;
            }
        } else if (b != NULL && b->kernel_bytes > 0 && b->q.bytes == 0) {
            if (!splice_once(c)) {
                return !c->dead;
            }
        } else {
            return true;
        }
    }
    return false;
}

void h1_tx_pump(struct h1_conn *c)
{
    if (c->tx_busy || c->dead) {
        return;
    }
    c->tx_busy = true;
    bool good = send_all(c);
    c->tx_busy = false;
    if (!good || c->dead || c->tx != H1_TX_ACTIVE) {
        return;
    }
    if (c->tx_last && c->out.bytes == 0) {
        if (c->tx_body != NULL) {
            http_body_set_consumer(c->tx_body, NULL, NULL);
            c->tx_body = NULL;
        }
        c->tx = H1_TX_DONE;
        if (c->head_waits) {
            c->head_waits = false;
            loop_cancel(c->h1->loop, &c->again);
        }
        c->role->on_end(c);
        return;
    }
    if (c->tx_body != NULL) {
        http_body_pull(c->tx_body);
    }
}

/** Sends what is small at the end of the turn, when all other events of the batch have been seen to:
 * that is microseconds later, and the code of adit and that of the kernel's senders do not drive each
 * other out of the caches at every event. Larger things go at once, while their bytes are warm. */
static void pump_soon(struct h1_conn *c, size_t body_bytes)
{
    if (c->h1->loop->event_count > 1 && body_bytes + c->out.bytes <= H1_SOON_BYTES_MAX) {
        h1_conn_again(c);
    } else {
        h1_tx_pump(c);
    }
}

static void on_data(struct http_body *b, void *consumer)
{
    struct h1_conn *c = consumer;
    ensure_magic(c, H1_CONN_MAGIC);
    ensure(c->tx_body == b);
    if (b->error != 0) {
        h1_tx_pump(c); // a cut is seen at once
        return;
    }
    pump_soon(c, http_body_bytes(b));
}

void h1_tx_begin(struct h1_conn *c, struct chunk *head, size_t head_len, enum h1_framing framing,
                 struct http_body *body)
{
    if (head != NULL) {
        queue_head(c, head, head_len);
    }
    c->tx = H1_TX_ACTIVE;
    c->tx_framing = (uint8_t)framing;
    c->tx_last = body == NULL;
    c->tx_error = 0;
    c->tx_glue = false;
    c->tx_body = body;
    if (body == NULL) {
        pump_soon(c, 0);
        return;
    }
    http_body_set_consumer(body, c, on_data);
    body->takes_kernel = framing == H1_FRAMING_LENGTH && c->t->clear;
    if (body->q.bytes > 0 || body->ended) {
        pump_soon(c, http_body_bytes(body));
    } else {
        // The head leaves with the first bytes of the body, or at the turn's end.
        bool queued = task_is_queued(&c->again);
        h1_conn_again(c);
        c->head_waits = !queued;
    }
}

void h1_tx_tell_sent(struct h1_conn *c)
{
    ensure(c->tx == H1_TX_DONE && !c->sent_told);
    c->sent_told = true;
    if (c->tx_framing == H1_FRAMING_TUNNEL) {
        int ignored = transport_shutdown_write(c->t);
        (void)ignored; // a peer that has gone is noticed by the read
    }
    c->stream.events->on_sent(&c->stream);
}

void h1_tx_interim(struct h1_conn *c, struct chunk *head, size_t head_len)
{
    ensure(c->tx == H1_TX_IDLE);
    queue_head(c, head, head_len);
    h1_tx_pump(c);
}
