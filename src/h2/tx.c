// SPDX-License-Identifier: Apache-2.0
//
// The sending half of a connection: frames become output, output is written once a turn.
//
// Heads are encoded when they are sent, for HPACK wants the order of the wire; bodies stay in their
// pipes until the scheduler takes a frame's worth of one. Small content is copied behind its frame's
// head, so that a small answer is one run of bytes; the rest is queued as views of its chunks.
//
// Who goes first (RFC 9218 10): lower urgency numbers before higher ones; within one, streams that
// said nothing or asked for it take turns frame by frame, and one that asked to come whole does.

#include "base/error.h"
#include "base/num.h"
#include "h2/conn_int.h"

enum {
    FRAME_SPANS = BUFQ_SPANS + 2, // at most, of one DATA frame
    UPDATES_PER_FRAME = 4,        // window updates that a frame of ours may bring
    PING_BYTES = 8,
};

// ---- the queue -------------------------------------------------------------------------------------

static struct h2_out *open_out(struct h2_conn *c)
{
    if (c->out == NULL) {
        struct h2_out *o = slab_take(&c->core->outs);
        if (o == NULL) {
            return NULL;
        }
        o->head = 0;
        o->count = 0;
        o->cut = false;
        o->bytes = 0;
        o->pen = NULL;
        c->out = o;
    }
    return c->out;
}

void h2_tx_free(struct h2_conn *c)
{
    struct h2_out *o = c->out;
    if (o == NULL) {
        return;
    }
    for (uint32_t i = 0; i < o->count; i++) {
        chunk_unref(o->spans[(o->head + i) % H2_OUT_SPANS].chunk);
    }
    if (o->pen != NULL) {
        chunk_unref(o->pen);
    }
    c->out = NULL;
    slab_give(&c->core->outs, o);
}

/** n contiguous bytes to write into; NULL: out of memory. */
static char *pen_room(struct h2_conn *c, size_t n)
{
    struct h2_out *o = open_out(c);
    if (o == NULL) {
        return NULL;
    }
    if (o->pen != NULL && chunk_room(o->pen) >= n) {
        return o->pen->data + o->pen->used;
    }
    struct chunk_pool *pool = &c->core->loop->chunks;
    struct chunk *fresh = n <= CHUNK_BYTES ? chunk_new(pool) : chunk_new_large(pool, (uint32_t)n);
    if (fresh == NULL) {
        return NULL;
    }
    if (o->pen != NULL) {
        chunk_unref(o->pen);
    }
    o->pen = fresh;
    return fresh->data;
}

/** Queues bytes of a chunk as a span of their own; takes a reference. `begins`: a frame begins with them,
 * and another may stand before it. False: no room. */
static bool append(struct h2_conn *c, struct chunk *chunk, uint32_t off, uint32_t len, bool begins)
{
    struct h2_out *o = c->out;
    if (o->count == H2_OUT_SPANS) {
        return false;
    }
    uint32_t at = (o->head + o->count++) % H2_OUT_SPANS;
    o->spans[at] = (struct span){chunk_ref(chunk), off, len};
    o->begins[at] = begins;
    o->bytes += len;
    c->out_queued += len;
    return true;
}

/** The same, joined with what is last when that ends where these begin. */
static bool push(struct h2_conn *c, struct chunk *chunk, uint32_t off, uint32_t len, bool begins)
{
    struct h2_out *o = c->out;
    if (o->count > 0) {
        struct span *tail = &o->spans[(o->head + o->count - 1) % H2_OUT_SPANS];
        if (tail->chunk == chunk && tail->off + tail->len == off) {
            tail->len += len;
            o->bytes += len;
            c->out_queued += len;
            return true;
        }
    }
    return append(c, chunk, off, len, begins);
}

/** Queues n bytes that were written at pen_room(). */
static bool push_pen(struct h2_conn *c, size_t n, bool begins)
{
    struct chunk *pen = c->out->pen;
    uint32_t off = pen->used;
    pen->used += (uint32_t)n;
    return push(c, pen, off, (uint32_t)n, begins);
}

static void drop(struct h2_conn *c, size_t n)
{
    struct h2_out *o = c->out;
    ensure(n <= o->bytes);
    o->bytes -= n;
    c->out_written += n;
    while (n > 0) {
        struct span *s = &o->spans[o->head % H2_OUT_SPANS];
        if (n < s->len) {
            s->off += (uint32_t)n;
            s->len -= (uint32_t)n;
            o->cut = true;
            return;
        }
        n -= s->len;
        chunk_unref(s->chunk);
        o->head = (o->head + 1) % H2_OUT_SPANS;
        o->count--;
        o->cut = false;
    }
}

/** Room for the last word: the newest frames go when the queue is full, for nobody will read them. */
static void drop_newest(struct h2_conn *c)
{
    struct h2_out *o = c->out;
    bool begins = o == NULL || o->count < H2_OUT_SPANS;
    while (!begins && o->count > 1) { // the first one may be half out
        uint32_t at = (o->head + --o->count) % H2_OUT_SPANS;
        begins = o->begins[at];
        o->bytes -= o->spans[at].len;
        c->out_queued -= o->spans[at].len;
        chunk_unref(o->spans[at].chunk);
    }
}

/** The first place, as an index and in bytes, where a frame may stand before all that waits. False:
 * there is none but the end. */
static bool first_place(const struct h2_conn *c, uint32_t *place, uint64_t *ahead)
{
    const struct h2_out *o = c->out;
    *ahead = 0;
    if (o == NULL || c->out_written == 0 || o->count == H2_OUT_SPANS) {
        return false; // the preface and SETTINGS are always first
    }
    for (uint32_t i = 0; i < o->count; i++) {
        uint32_t at = (o->head + i) % H2_OUT_SPANS;
        if (o->begins[at] && (i > 0 || !o->cut)) {
            *place = i;
            return true;
        }
        *ahead += o->spans[at].len;
    }
    return false;
}

/** Moves what was just queued last, a span of its own, to that place. */
static void move_up(struct h2_conn *c, uint32_t place, uint64_t ahead)
{
    struct h2_out *o = c->out;
    uint32_t last = (o->head + o->count - 1) % H2_OUT_SPANS;
    struct span moved = o->spans[last];
    for (uint32_t i = o->count - 1; i > place; i--) {
        uint32_t to = (o->head + i) % H2_OUT_SPANS;
        uint32_t from = (o->head + i - 1) % H2_OUT_SPANS;
        o->spans[to] = o->spans[from];
        o->begins[to] = o->begins[from];
    }
    uint32_t at = (o->head + place) % H2_OUT_SPANS;
    o->spans[at] = moved;
    o->begins[at] = true;
    uint64_t from = c->out_written + ahead;
    c->heads_mark += c->heads_mark > from ? moved.len : 0;
    list_each(node, &c->leaving)
    {
        struct h2_stream *s = list_entry(node, struct h2_stream, ready);
        if (s->sent_mark > from) {
            s->sent_mark += moved.len;
        }
    }
}

// ---- frames ----------------------------------------------------------------------------------------

void h2_tx_frame(struct h2_conn *c, enum h2_frame_type type, unsigned flags, uint32_t stream,
                 const void *payload, size_t len)
{
    if (c->dead || c->shut) {
        return;
    }
    ensure(len <= H2_TX_SMALL_MAX);
    char *p = pen_room(c, H2_FRAME_HEAD + len);
    if (p == NULL) {
        h2_conn_fail_soon(c, H2_INTERNAL_ERROR, E_NO_MEMORY);
        return;
    }
    char *to = h2_frame_write(p, (struct h2_frame){.length = (uint32_t)len,
                                                   .type = (uint8_t)type,
                                                   .flags = (uint8_t)flags,
                                                   .stream = stream});
    if (len > 0) {
        memcpy(to, payload, len);
    }
    if (!push_pen(c, H2_FRAME_HEAD + len, true)) {
        h2_conn_fail_soon(c, H2_ENHANCE_YOUR_CALM, E_OVERLOADED);
        return;
    }
    h2_conn_again(c);
}

void h2_tx_ping(struct h2_conn *c, const char *payload, bool ack)
{
    uint32_t place = 0;
    uint64_t ahead = 0;
    unsigned flags = ack ? H2_FLAG_ACK : 0;
    bool jumps = !c->dead && !c->shut && first_place(c, &place, &ahead);
    // A peer that drains takes our acknowledgement for the end of what we had asked for before.
    jumps = jumps && (!ack || c->out_written + ahead >= c->heads_mark);
    char *p = jumps ? pen_room(c, H2_FRAME_HEAD + PING_BYTES) : NULL;
    if (p == NULL) {
        h2_tx_frame(c, H2_PING, flags, 0, payload, PING_BYTES);
        return;
    }
    p = h2_frame_write(
        p, (struct h2_frame){.length = PING_BYTES, .type = H2_PING, .flags = (uint8_t)flags});
    memcpy(p, payload, PING_BYTES);
    struct chunk *pen = c->out->pen;
    uint32_t off = pen->used;
    pen->used += H2_FRAME_HEAD + PING_BYTES;
    bool good = append(c, pen, off, H2_FRAME_HEAD + PING_BYTES, true);
    ensure(good); // there was a place
    move_up(c, place, ahead);
    h2_conn_again(c);
}

bool h2_tx_bytes(struct h2_conn *c, const char *bytes, size_t n)
{
    char *p = pen_room(c, n);
    if (p == NULL) {
        return false;
    }
    memcpy(p, bytes, n);
    return push_pen(c, n, true);
}

void h2_tx_reset(struct h2_conn *c, uint32_t id, enum h2_code code)
{
    char payload[4];
    h2_put32(payload, code);
    counter_add(c->core->counters, COUNTER_h2_resets_sent, 1);
    h2_tx_frame(c, H2_RST_STREAM, 0, id, payload, sizeof(payload));
}

void h2_tx_window(struct h2_conn *c, uint32_t id, uint32_t n)
{
    char payload[4];
    ensure(n > 0 && n <= H2_WINDOW_MAX);
    h2_put32(payload, n);
    h2_tx_frame(c, H2_WINDOW_UPDATE, 0, id, payload, sizeof(payload));
}

void h2_tx_goaway(struct h2_conn *c, uint32_t last_id, enum h2_code code)
{
    h2_tx_goaway_text(c, last_id, code, slice_of("", 0));
}

void h2_tx_goaway_text(struct h2_conn *c, uint32_t last_id, enum h2_code code, struct slice text)
{
    char payload[8 + SESSION_TEXT_MAX];
    size_t n = num_min_size(text.len, SESSION_TEXT_MAX);
    h2_put32(payload, last_id);
    h2_put32(payload + 4, code);
    if (code != H2_NO_ERROR) {
        drop_newest(c);
    }
    if (n > 0) {
        memcpy(payload + 8, text.ptr, n);
    }
    h2_tx_frame(c, H2_GOAWAY, 0, 0, payload, 8 + n);
}

/** A block longer than a frame: HEADERS and CONTINUATIONs, each copied to its place. */
static int push_long(struct h2_conn *c, uint32_t id, const char *block, size_t len, unsigned flags)
{
    unsigned type = H2_HEADERS;
    while (len > 0) {
        size_t n = num_min_size(len, H2_FRAME_MAX);
        char *p = pen_room(c, H2_FRAME_HEAD + n);
        if (p == NULL) {
            return E_NO_MEMORY;
        }
        unsigned end = n == len ? H2_FLAG_END_HEADERS : 0;
        p = h2_frame_write(p, (struct h2_frame){.length = (uint32_t)n,
                                                .type = (uint8_t)type,
                                                .flags = (uint8_t)(flags | end),
                                                .stream = id});
        memcpy(p, block, n);
        if (!push_pen(c, H2_FRAME_HEAD + n, type == H2_HEADERS)) {
            return E_OVERLOADED;
        }
        block += n;
        len -= n;
        type = H2_CONTINUATION;
        flags = 0;
    }
    return 0;
}

static int write_long(struct h2_conn *c, uint32_t id, struct h2_block *b, size_t bound,
                      unsigned flags)
{
    struct chunk_pool *pool = &c->core->loop->chunks;
    struct chunk *space =
        bound <= CHUNK_BYTES ? chunk_new(pool) : chunk_new_large(pool, (uint32_t)bound);
    if (space == NULL) {
        return E_NO_MEMORY;
    }
    ptrdiff_t n = h2_block_end(b, space->data, space->capacity);
    int e = n < 0 ? (int)n : push_long(c, id, space->data, (size_t)n, flags);
    chunk_unref(space);
    return e;
}

static int write_short(struct h2_conn *c, uint32_t id, struct h2_block *b, size_t bound,
                       unsigned flags)
{
    char *p = pen_room(c, H2_FRAME_HEAD + bound);
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    ptrdiff_t n = h2_block_end(b, p + H2_FRAME_HEAD, bound);
    if (n < 0) {
        return (int)n;
    }
    h2_frame_write(p, (struct h2_frame){.length = (uint32_t)n,
                                        .type = H2_HEADERS,
                                        .flags = (uint8_t)(flags | H2_FLAG_END_HEADERS),
                                        .stream = id});
    return push_pen(c, H2_FRAME_HEAD + (size_t)n, true) ? 0 : E_OVERLOADED;
}

int h2_tx_block(struct h2_conn *c, uint32_t id, struct h2_block *b, bool end_stream)
{
    size_t bound = h2_block_bound(b);
    if (b->error != 0 || bound > H2_WRITE_BYTES_MAX) {
        return E_HEAD_TOO_LARGE; // nothing was encoded: the tables are as they were
    }
    unsigned flags = end_stream ? H2_FLAG_END_STREAM : 0;
    int e = bound + H2_FRAME_HEAD <= CHUNK_BYTES && bound <= H2_FRAME_MAX
                ? write_short(c, id, b, bound, flags)
                : write_long(c, id, b, bound, flags);
    if (e < 0) {
        h2_conn_fail_soon(c, H2_INTERNAL_ERROR, E_NO_MEMORY);
        return E_NO_MEMORY;
    }
    c->updates_allowed += UPDATES_PER_FRAME;
    c->heads_mark = c->out_queued;
    h2_conn_again(c);
    return 0;
}

// ---- the scheduler ---------------------------------------------------------------------------------

/** Has it something that may go now, its own window asked? */
static bool has_work(const struct h2_stream *s)
{
    const struct http_body *b = s->tx_body;
    if (s->dead || s->tx != H2_TX_ACTIVE || b == NULL) {
        return false;
    }
    return b->error != 0 || (b->q.bytes > 0 ? s->tx_window > 0 : b->ended || b->kernel_bytes > 0);
}

void h2_tx_unready(struct h2_stream *s)
{
    if (!s->has_ready) {
        return;
    }
    struct h2_conn *c = s->conn;
    s->has_ready = false;
    list_remove(&s->ready);
    if (list_empty(&c->ready[s->urgency])) {
        c->urgency_mask &= (uint8_t) ~(1u << s->urgency);
    }
}

/** The stall of a stream that has bytes and no window is timed (its connection's is another matter). */
static void time_stall(struct h2_stream *s)
{
    bool stalled =
        s->tx == H2_TX_ACTIVE && s->tx_body != NULL && s->tx_body->q.bytes > 0 && s->tx_window <= 0;
    if (!stalled) {
        s->tx_deadline_ms = 0;
    } else if (s->tx_deadline_ms == 0 && s->timeouts.write_ms > 0) {
        s->tx_deadline_ms = h2_now_ms(s->conn) + s->timeouts.write_ms;
        h2_conn_deadline(s->conn, s->tx_deadline_ms);
    }
}

void h2_tx_ready(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    if (!has_work(s)) {
        time_stall(s);
        return;
    }
    if (!s->has_ready) {
        s->has_ready = true;
        list_push_back(&c->ready[s->urgency], &s->ready);
        c->urgency_mask |= (uint8_t)(1u << s->urgency);
    }
    h2_conn_again(c);
}

/** The message cannot be completed: the peer sees a cut. */
static void cut(struct h2_stream *s, int error)
{
    enum h2_code code = s->conn->side == HTTP_UP ? H2_CANCEL : h2_code_of(error);
    if (code == H2_PROTOCOL_ERROR || code == H2_REFUSED_STREAM || code == H2_NO_ERROR) {
        code = H2_INTERNAL_ERROR; // it is not the peer's fault
    }
    h2_stream_reset(s, code, error);
}

/** The end of the message is queued. */
static void leave(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    h2_tx_unready(s);
    s->tx = H2_TX_LEAVING;
    s->tx_deadline_ms = 0;
    s->sent_mark = c->out_queued;
    list_push_back(&c->leaving, &s->ready);
    if (s->tx_body != NULL) {
        http_body_set_consumer(s->tx_body, NULL, NULL);
        s->tx_body = NULL;
    }
    h2_conn_again(c);
}

static bool stage_trailers(struct h2_stream *s)
{
    struct h2_block b;
    h2_block_begin(&b, s->conn->hpack);
    h2_out_trailers(&b, s->tx_body->trailers);
    if (b.count == 0 && b.error == 0) {
        return false; // all were dropped
    }
    int e = h2_tx_block(s->conn, s->id, &b, true);
    if (e < 0) {
        cut(s, e);
    } else {
        leave(s);
    }
    return true;
}

/** Moves n bytes of the body to the queue, behind the frame's head of which `head` bytes are in the
 * pen. */
static bool move_content(struct h2_conn *c, struct http_body *b, size_t n, char *p)
{
    if (n <= H2_COPY_MAX) {
        char *to = p + H2_FRAME_HEAD;
        for (size_t left = n; left > 0;) {
            struct slice front = bufq_front(&b->q);
            size_t part = num_min_size(left, front.len);
            memcpy(to, front.ptr, part);
            to += part;
            left -= part;
            http_body_take(b, part);
        }
        return push_pen(c, H2_FRAME_HEAD + n, true);
    }
    bool good = push_pen(c, H2_FRAME_HEAD, true);
    while (n > 0 && good) {
        const struct span *front = &b->q.spans[b->q.head];
        size_t part = num_min_size(n, front->len);
        good = push(c, front->chunk, front->off, (uint32_t)part, false);
        http_body_take(b, part);
        n -= part;
    }
    return good;
}

/** One DATA frame of n bytes (0: nothing but its END_STREAM). */
static bool stage_data(struct h2_stream *s, size_t n, bool end)
{
    struct h2_conn *c = s->conn;
    char *p = pen_room(c, H2_FRAME_HEAD + (n <= H2_COPY_MAX ? n : 0));
    if (p == NULL) {
        h2_conn_fail_soon(c, H2_INTERNAL_ERROR, E_NO_MEMORY);
        return false;
    }
    h2_frame_write(p, (struct h2_frame){.length = (uint32_t)n,
                                        .type = H2_DATA,
                                        .flags = end ? H2_FLAG_END_STREAM : 0,
                                        .stream = s->id});
    if (!move_content(c, s->tx_body, n, p)) {
        h2_conn_fail_soon(c, H2_INTERNAL_ERROR, E_INTERNAL); // spans were counted before
        return false;
    }
    s->tx_window -= (int32_t)n;
    c->tx_window -= (int64_t)n;
    c->updates_allowed += UPDATES_PER_FRAME;
    if (s->tx_length) {
        s->tx_left -= n;
    }
    if (s->tunnel) {
        h2_stream_gap_deadline(s);
    }
    return true;
}

/** Why the body cannot go on like this; 0: it can. */
static int check_body(const struct h2_stream *s, size_t n)
{
    const struct http_body *b = s->tx_body;
    if (b->error != 0 && (n == 0 || s->tx_window <= 0 || s->conn->tx_window <= 0)) {
        return b->error; // what came before the cut goes first, as far as the windows are open
    }
    if ((s->tx_length && n > s->tx_left) || (n == 0 && b->kernel_bytes > 0)) {
        return E_INTERNAL; // the producer gave more than it said, or for another kind of session
    }
    bool done = http_body_done(b);
    return done && s->tx_length && s->tx_left > 0 ? E_EARLY_CLOSE : 0;
}

/** How much of the body the next frame takes: when it cannot be all, whole spans, so that those behind
 * it are not cut either, each time elsewhere: a span and a frame's head go into one record of TLS. */
static size_t frame_of(const struct h2_conn *c, const struct bufq *q)
{
    size_t most = c->peer_frame;
    if (q->bytes <= most) {
        return q->bytes;
    }
    size_t n = 0;
    for (unsigned i = 0; i < q->count; i++) {
        size_t len = q->spans[(q->head + i) % BUFQ_SPANS].len;
        if (n + len > most) {
            break;
        }
        n += len;
    }
    return n >= most / 2 ? n : most;
}

/** Takes one frame from the stream. False: the connection is in trouble. */
static bool stage(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    struct http_body *b = s->tx_body;
    size_t n = frame_of(c, &b->q);
    int e = check_body(s, n);
    if (e < 0) {
        cut(s, e);
        return !c->dead;
    }
    n = num_min_size(n, (size_t)s->tx_window);
    n = num_min_size(n, (size_t)c->tx_window);
    bool last = b->ended && n == b->q.bytes && b->kernel_bytes == 0;
    bool trailers = last && b->trailers != NULL;
    if (last && s->tx_length && s->tx_left != n) {
        last = false; // the cut comes when these bytes are out
        trailers = false;
    }
    if (n > 0 && !stage_data(s, n, last && !trailers)) {
        return false;
    }
    if (!last) {
        return true;
    }
    if (trailers && stage_trailers(s)) {
        return !c->dead;
    }
    if ((n == 0 || trailers) && !stage_data(s, 0, true)) {
        return false;
    }
    leave(s);
    return true;
}

static void time_closed_window(struct h2_conn *c)
{
    if (c->stall_deadline_ms == 0 && c->write_ms > 0) {
        c->stall_deadline_ms = h2_now_ms(c) + c->write_ms;
        h2_conn_deadline(c, c->stall_deadline_ms);
    }
}

/** Stages what may go. */
static void stage_all(struct h2_conn *c)
{
    while (c->urgency_mask != 0 && !c->dead && c->soon_error == 0 && !c->shut) {
        struct h2_out *o = open_out(c);
        if (o == NULL) {
            h2_conn_fail_soon(c, H2_INTERNAL_ERROR, E_NO_MEMORY);
            return;
        }
        if (o->bytes >= H2_OUT_BYTES_MAX || o->count + FRAME_SPANS + H2_OUT_SPARE > H2_OUT_SPANS) {
            return;
        }
        struct list *ready = &c->ready[__builtin_ctz(c->urgency_mask)];
        ensure(!list_empty(ready));
        struct h2_stream *s = list_entry(ready->next, struct h2_stream, ready);
        if (!has_work(s)) {
            h2_tx_unready(s);
            time_stall(s);
            continue;
        }
        if (c->tx_window <= 0 && s->tx_body->q.bytes > 0 && s->tx_body->error == 0) {
            time_closed_window(c);
            return; // nobody's bytes may go
        }
        struct http_body *b = s->tx_body;
        if (!stage(s)) {
            return;
        }
        if (s->dead || s->tx != H2_TX_ACTIVE) {
            continue;
        }
        s->tx_deadline_ms = 0;
        if (s->incremental) {
            list_remove(&s->ready);
            list_push_back(ready, &s->ready);
        }
        http_body_pull(b);
    }
}

// ---- writing ---------------------------------------------------------------------------------------

static void tell_sent(struct h2_conn *c)
{
    struct list *node;
    while (!c->dead && (node = list_first(&c->leaving)) != NULL) {
        struct h2_stream *s = list_entry(node, struct h2_stream, ready);
        if (s->sent_mark > c->out_written) {
            return;
        }
        list_remove(node);
        h2_stream_sent(s);
    }
}

static void wait_writable(struct h2_conn *c)
{
    if (c->write_deadline_ms == 0 && c->write_ms > 0) {
        c->write_deadline_ms = h2_now_ms(c) + c->write_ms;
        h2_conn_deadline(c, c->write_deadline_ms);
    }
}

/** Writes once. False: no more can be written now. */
static bool write_once(struct h2_conn *c)
{
    struct h2_out *o = c->out;
    struct iovec iov[H2_OUT_SPANS];
    int n = 0;
    for (; (uint32_t)n < o->count; n++) {
        const struct span *s = &o->spans[(o->head + (uint32_t)n) % H2_OUT_SPANS];
        iov[n] = (struct iovec){s->chunk->data + s->off, s->len};
    }
    struct io_result r = transport_write(c->t, iov, n, false);
    if (r.status == IO_AGAIN) {
        wait_writable(c);
        return false;
    }
    if (r.status != IO_OK) {
        h2_conn_close(c, false, r.status == IO_EOF ? E_RESET : r.error);
        return false;
    }
    c->write_deadline_ms = 0;
    drop(c, r.n);
    return true;
}

void h2_tx_pump(struct h2_conn *c)
{
    if (c->pumping || c->dead) {
        return;
    }
    c->pumping = true;
    for (;;) {
        stage_all(c);
        if (c->dead || c->out == NULL || c->out->bytes == 0 || !c->t->writable) {
            break;
        }
        if (!write_once(c)) {
            break;
        }
        tell_sent(c);
        if (c->dead) {
            break;
        }
    }
    c->pumping = false;
    if (c->dead) {
        return;
    }
    if (c->out != NULL && c->out->bytes == 0) {
        h2_tx_free(c);
    } else if (c->out != NULL && !c->t->writable) {
        wait_writable(c);
    }
}

// ---- what a stream begins to send --------------------------------------------------------------------

static void on_data(struct http_body *b, void *consumer)
{
    struct h2_stream *s = consumer;
    ensure_magic(s, H2_STREAM_MAGIC);
    ensure(s->tx_body == b);
    h2_tx_ready(s);
}

/** How much of a body may wait: its share of the connection's budget, so that a peer that shuts the
 * windows of many streams holds little more than that. */
static uint32_t share_of(const struct h2_conn *c)
{
    uint64_t share = c->budget / (2 * (uint64_t)(c->live > 0 ? c->live : 1));
    return (uint32_t)(share > CHUNK_BYTES ? share : CHUNK_BYTES);
}

void h2_tx_begin(struct h2_stream *s, struct http_body *body)
{
    s->tx = H2_TX_ACTIVE;
    s->tx_body = body;
    if (body == NULL) {
        leave(s);
        return;
    }
    body->takes_kernel = false;
    body->limit = (uint32_t)num_min_u64(body->limit, share_of(s->conn));
    http_body_set_consumer(body, s, on_data);
    h2_tx_ready(s);
    http_body_pull(body);
}
