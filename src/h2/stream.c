// SPDX-License-Identifier: Apache-2.0
//
// Streams: their place in the connection, their life, and the content that they receive.
//
// Content is put into the exchange's pipe as views of the input; small runs are copied, for a view
// keeps a whole input chunk alive. What the pipe has no room for is copied into chunks that the
// stream holds: at most its window, for no credit goes back before the pipe has drained. So the
// connection is read on, whatever becomes of one stream.

#include "base/error.h"
#include "base/num.h"
#include "h2/conn_int.h"

// ---- places ----------------------------------------------------------------------------------------

static struct h2_stream **bucket(struct h2_conn *c, uint32_t id)
{
    return &c->buckets[id / 2 % H2_BUCKETS];
}

struct h2_stream *h2_stream_find(struct h2_conn *c, uint32_t id)
{
    struct h2_stream *s = c->found;
    if (s != NULL && s->id == id) {
        return s;
    }
    s = *bucket(c, id);
    while (s != NULL && s->id != id) {
        s = s->next;
    }
    c->found = s;
    return s;
}

static void forget_place(struct h2_stream *s)
{
    if (s->id == 0) {
        return;
    }
    struct h2_stream **at = bucket(s->conn, s->id);
    while (*at != s) {
        ensure(*at != NULL);
        at = &(*at)->next;
    }
    *at = s->next;
    s->next = NULL;
    if (s->conn->found == s) {
        s->conn->found = NULL;
    }
}

static uint64_t *closed_word(struct h2_conn *c, uint32_t id)
{
    return &c->closed[id / 2 % H2_CLOSED_IDS / 64];
}

void h2_stream_note_closed(struct h2_conn *c, uint32_t id, bool ended)
{
    uint64_t bit = UINT64_C(1) << (id / 2 % 64);
    if (ended) {
        *closed_word(c, id) |= bit;
    } else {
        *closed_word(c, id) &= ~bit;
    }
}

bool h2_stream_is_forgotten(const struct h2_conn *c, uint32_t id)
{
    return id <= c->last_id && c->last_id - id >= 2 * H2_CLOSED_IDS;
}

bool h2_stream_was_ended(const struct h2_conn *c, uint32_t id)
{
    if (id > c->last_id || h2_stream_is_forgotten(c, id)) {
        return false;
    }
    return (c->closed[id / 2 % H2_CLOSED_IDS / 64] >> (id / 2 % 64) & 1) != 0;
}

void h2_stream_set_id(struct h2_stream *s, uint32_t id)
{
    ensure(s->id == 0 && id != 0);
    struct h2_conn *c = s->conn;
    struct h2_stream **at = bucket(c, id);
    s->id = id;
    s->next = *at;
    *at = s;
    h2_stream_note_closed(c, id, false);
}

// ---- life ------------------------------------------------------------------------------------------

struct h2_stream *h2_stream_new(struct h2_conn *c, uint32_t id)
{
    struct h2_stream *s = slab_take(&c->core->streams);
    if (s == NULL) {
        return NULL;
    }
    memset(s, 0, sizeof(*s));
    s->magic = H2_STREAM_MAGIC;
    s->conn = c;
    s->urgency = 3;
    s->incremental = true;
    s->tx_window = (int32_t)c->peer_window;
    s->rx_window = H2_STREAM_WINDOW;
    s->window = H2_STREAM_WINDOW;
    s->timeouts = c->core->down->settings.down;
    list_init(&s->link);
    list_init(&s->ready);
    list_init(&s->untold);
    list_push_back(&c->streams, &s->link);
    s->stream.side = c->side;
    s->stream.peer = &c->peer;
    if (id != 0) {
        h2_stream_set_id(s, id);
    }
    c->live++;
    c->opened++;
    counter_add(c->core->counters, COUNTER_h2_streams, 1);
    return s;
}

static void drop_held(struct h2_stream *s)
{
    while (s->held != NULL) {
        struct chunk *next = s->held->next;
        s->held->next = NULL;
        chunk_unref(s->held);
        s->held = next;
    }
    s->held_last = NULL;
    s->held_bytes = 0;
    s->held_pos = 0;
}

void h2_stream_detach(struct h2_stream *s)
{
    if (s->rx_body != NULL) {
        http_body_set_producer(s->rx_body, NULL, NULL);
        s->rx_body = NULL;
    }
    if (s->tx_body != NULL) {
        http_body_set_consumer(s->tx_body, NULL, NULL);
        s->tx_body = NULL;
    }
    drop_held(s);
}

void h2_stream_fail_body(struct h2_stream *s, int error)
{
    if (s->rx_body != NULL) {
        http_body_fail(s->rx_body, error);
        http_body_set_producer(s->rx_body, NULL, NULL);
        s->rx_body = NULL;
    }
    drop_held(s);
}

void h2_stream_finish(struct h2_stream *s, int error)
{
    if (s->dead) {
        return;
    }
    struct h2_conn *c = s->conn;
    struct h2_core *core = c->core;
    s->dead = true;
    if (s->id != 0 && s->rx == H2_RX_DONE) {
        h2_stream_note_closed(c, s->id, true);
    }
    if (error != 0) {
        h2_stream_fail_body(s, error);
    }
    h2_stream_detach(s);
    h2_tx_unready(s);
    list_remove(&s->ready);
    list_remove(&s->untold);
    forget_place(s);
    if (c->block_stream == s) {
        c->block_stream = NULL;
        c->in.section = H2_SECTION_IGNORED;
        h2_block_orphan(c);
    }
    ensure(c->rx_pending >= s->rx_noted);
    c->rx_pending -= s->rx_noted;
    s->rx_noted = 0;
    h2_flow_forget(s);
    list_remove(&s->link);
    list_push_back(&core->dead_streams, &s->link);
    loop_defer(core->loop, &core->reap);
    ensure(c->live > 0);
    c->live--;
    if (s->attached) {
        s->attached = false;
        if (error != 0) {
            s->stream.events->on_error(&s->stream, error);
        }
        s->stream.events->on_closed(&s->stream);
    }
    if (!c->dead) {
        if (error == 0 && c->glitches > 0) {
            c->glitches--;
        }
        c->role->on_room(c);
    }
}

void h2_stream_reset(struct h2_stream *s, enum h2_code code, int error)
{
    if (s->dead) {
        return;
    }
    if (s->id != 0) {
        h2_tx_reset(s->conn, s->id, code);
    }
    h2_stream_finish(s, error);
}

void h2_stream_sent(struct h2_stream *s)
{
    ensure(s->tx == H2_TX_LEAVING);
    s->tx = H2_TX_DONE;
    if (s->attached) {
        s->stream.events->on_sent(&s->stream);
    }
    if (!s->dead) {
        s->conn->role->on_end(s);
    }
}

// ---- deadlines -------------------------------------------------------------------------------------

void h2_stream_deadline(struct h2_stream *s, uint32_t ms, int error)
{
    if (ms == 0) {
        s->rx_deadline_ms = 0;
        return;
    }
    s->rx_deadline_ms = h2_now_ms(s->conn) + ms;
    s->rx_deadline_error = error;
    h2_conn_deadline(s->conn, s->rx_deadline_ms);
}

void h2_stream_gap_deadline(struct h2_stream *s)
{
    if (s->tunnel) {
        h2_stream_deadline(s, s->timeouts.tunnel_ms, E_IDLE_TIMEOUT);
        return;
    }
    h2_stream_deadline(s, s->timeouts.read_ms,
                       s->conn->side == HTTP_DOWN ? E_BODY_TIMEOUT : E_READ_TIMEOUT);
}

void h2_set_timeouts(struct http_stream *stream, const struct http_timeouts *t)
{
    struct h2_stream *s = h2_of_stream(stream);
    s->timeouts = *t;
    if (t->write_ms > 0) {
        s->conn->write_ms = t->write_ms;
    }
}

/** A body slower than its least rate fails. False: it did. */
static bool note_progress(struct h2_stream *s, uint32_t n)
{
    h2_stream_gap_deadline(s);
    if (s->timeouts.rate_bytes == 0 || s->tunnel) {
        return true;
    }
    uint64_t now = h2_now_ms(s->conn);
    if (s->rate_since_ms == 0) {
        s->rate_since_ms = now;
        s->rate_bytes = 0;
    }
    s->rate_bytes += n;
    uint64_t elapsed = now - s->rate_since_ms;
    if (elapsed > H2_RATE_GRACE_MS && s->rate_bytes < elapsed * s->timeouts.rate_bytes / 1000) {
        counter_add(s->conn->core->counters, COUNTER_timeouts, 1);
        s->conn->role->on_bad(s, s->conn->side == HTTP_DOWN ? E_BODY_TIMEOUT : E_READ_TIMEOUT);
        return false;
    }
    return true;
}

// ---- content ---------------------------------------------------------------------------------------

static bool has_room(struct http_body *b)
{
    return http_body_room(b) > 0 && b->kernel_bytes == 0 && !bufq_full(&b->q);
}

/** Copies bytes to what is held. */
static int hold(struct h2_stream *s, const char *p, uint32_t n)
{
    while (n > 0) {
        struct chunk *last = s->held_last;
        if (last == NULL || chunk_room(last) == 0 || !chunk_is_sole(last)) {
            struct chunk *fresh = chunk_new(&s->conn->core->loop->chunks);
            if (fresh == NULL) {
                return E_NO_MEMORY;
            }
            if (last == NULL) {
                s->held = fresh;
                s->held_pos = 0;
            } else {
                last->next = fresh;
            }
            s->held_last = fresh;
            last = fresh;
        }
        uint32_t part = (uint32_t)num_min_u64(n, chunk_room(last));
        memcpy(last->data + last->used, p, part);
        last->used += part;
        s->held_bytes += part;
        p += part;
        n -= part;
    }
    return 0;
}

static int put(struct h2_stream *s, struct chunk *chunk, uint32_t off, uint32_t n)
{
    struct http_body *b = s->rx_body;
    if (n < H2_VIEW_MIN && !b->discarding) {
        if (n > b->total_max - b->put_total) {
            return E_BODY_TOO_LARGE;
        }
        return http_body_write(b, &s->conn->core->loop->chunks, chunk->data + off, n);
    }
    return http_body_put(b, chunk, off, n);
}

/** Moves what is held into the pipe, as far as there is room. */
static int unhold(struct h2_stream *s)
{
    struct http_body *b = s->rx_body;
    while (s->held != NULL && b != NULL && has_room(b)) {
        struct chunk *first = s->held;
        size_t left = first->used - s->held_pos;
        uint32_t n = (uint32_t)num_min_size(left, http_body_room(b));
        int e = http_body_put(b, first, s->held_pos, n);
        if (e == E_AGAIN) {
            return 0;
        }
        if (e < 0) {
            return e;
        }
        s->held_pos += n;
        s->held_bytes -= n;
        if (s->held_pos == first->used) {
            s->held = first->next;
            s->held_last = s->held == NULL ? NULL : s->held_last;
            s->held_pos = 0;
            first->next = NULL;
            chunk_unref(first);
        }
    }
    return 0;
}

/** Tells the pipe's consumer of what came. While more is being read that waits until all is there, or the
 * pipe is nearly full: who writes it on then does so in few large pieces, not in one for each record and
 * frame. */
static void tell(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    struct http_body *b = s->rx_body;
    bool room =
        b->q.bytes + H2_TELL_ROOM <= b->limit && b->q.count + H2_TELL_ROOM_SPANS <= BUFQ_SPANS;
    if (c->busy && room) {
        if (list_empty(&s->untold)) {
            list_push_back(&c->untold, &s->untold);
        }
        return;
    }
    list_remove(&s->untold);
    http_body_notify(b);
}

void h2_stream_tell_all(struct h2_conn *c)
{
    struct list *node;
    while ((node = list_first(&c->untold)) != NULL) {
        struct h2_stream *s = list_entry(node, struct h2_stream, untold);
        list_remove(node);
        if (s->rx_body != NULL) {
            http_body_notify(s->rx_body);
        }
    }
}

static void end_body(struct h2_stream *s)
{
    struct http_body *b = s->rx_body;
    s->held_end = false;
    list_remove(&s->untold);
    s->rx_body = NULL;
    http_body_end(b, s->trailers);
    http_body_set_producer(b, NULL, NULL);
    if (s->rx_noted > 0 || s->reserved > 0) {
        h2_flow_credit(s); // what is left is the pipe's
    }
    http_body_notify(b);
    if (!s->dead) {
        s->conn->role->on_end(s);
    }
}

/** The pipe has drained somewhat. */
static void on_room(struct http_body *b, void *producer)
{
    struct h2_stream *s = producer;
    ensure_magic(s, H2_STREAM_MAGIC);
    ensure(s->rx_body == b);
    bool held = s->held_bytes > 0;
    int e = unhold(s);
    if (e < 0) {
        s->conn->role->on_bad(s, e);
        return;
    }
    h2_flow_credit(s);
    if (s->held_end && s->held_bytes == 0) {
        end_body(s);
        return;
    }
    if (s->rx_noted > 0) {
        b->wants_room = true;
    }
    if (s->rx == H2_RX_OPEN && s->rx_deadline_ms == 0 && s->held_bytes == 0) {
        h2_stream_gap_deadline(s);
    }
    if (held) {
        http_body_notify(b);
    }
}

/** Puts or holds n bytes. */
static int take(struct h2_stream *s, struct chunk *chunk, uint32_t off, uint32_t n)
{
    struct http_body *b = s->rx_body;
    if (b != NULL && s->held == NULL) {
        uint32_t part = has_room(b) ? (uint32_t)num_min_u64(n, http_body_room(b)) : 0;
        int e = part == 0 ? 0 : put(s, chunk, off, part);
        if (e == E_AGAIN) {
            e = 0;
            part = 0;
        }
        if (e < 0) {
            return e;
        }
        off += part;
        n -= part;
    }
    // A tunnel's pipe is attached with the answer: until then its bytes are held.
    bool wanted = b != NULL || s->switching;
    return n == 0 || !wanted ? 0 : hold(s, chunk->data + off, n);
}

void h2_stream_data(struct h2_stream *s, struct chunk *chunk, uint32_t off, uint32_t n)
{
    if (s->rx_length) {
        if (n > s->rx_left) {
            s->conn->role->on_bad(s, E_LENGTH_MISMATCH);
            return;
        }
        s->rx_left -= n;
    }
    if (!note_progress(s, n)) {
        return;
    }
    int e = take(s, chunk, off, n);
    if (e < 0) {
        s->conn->role->on_bad(s, e);
        return;
    }
    struct http_body *b = s->rx_body;
    if (s->held_bytes > 0) {
        h2_stream_deadline(s, 0, 0); // it is we who are slow
        s->rate_since_ms = 0;
    }
    if (b == NULL) {
        return;
    }
    b->wants_room = true; // hears of every take: that is when credit goes back
    tell(s);
}

void h2_stream_end(struct h2_stream *s, struct fields *trailers)
{
    if (s->rx_length && s->rx_left > 0) {
        s->conn->role->on_bad(s, E_LENGTH_MISMATCH);
        return;
    }
    s->rx = H2_RX_DONE;
    s->trailers = trailers;
    if (!s->tunnel) {
        h2_stream_deadline(s, 0, 0);
    }
    if (s->rx_body != NULL && s->held_bytes == 0) {
        end_body(s);
    } else if (s->rx_body != NULL || s->switching) {
        s->held_end = true;
    } else {
        s->conn->role->on_end(s);
    }
}

void h2_stream_begin_body(struct h2_stream *s, const struct http_head *head, bool ended)
{
    if (ended) {
        s->rx = H2_RX_DONE;
        s->held_end = s->switching;
        h2_stream_deadline(s, 0, 0);
        return;
    }
    // A length that was told binds, also one of zero. What comes to a HEAD answer must be nothing.
    bool none = head->body == HTTP_BODY_NONE && !s->switching;
    s->rx_length = none || head->body == HTTP_BODY_LENGTH;
    s->rx_left = none ? 0 : (uint64_t)head->content_length;
    if (head->method == HTTP_METHOD_CONNECT) {
        s->rx_length = false; // refused, and what its sender goes on with is no content
    }
    if (!s->switching) { // who waits for a tunnel has nothing to send yet
        h2_stream_gap_deadline(s);
    }
}

void h2_receive_body(struct http_stream *stream, struct http_body *body)
{
    struct h2_stream *s = h2_of_stream(stream);
    ensure(s->rx_body == NULL);
    ensure(s->rx == H2_RX_OPEN);
    s->rx_body = body;
    http_body_set_producer(body, s, on_room);
    s->rate_since_ms = 0;
    h2_stream_gap_deadline(s);
}

void h2_tunnel(struct http_stream *stream, struct http_body *receive, struct http_body *send)
{
    struct h2_stream *s = h2_of_stream(stream);
    struct h2_conn *c = s->conn;
    ensure(s->rx_body == NULL && s->switching);
    s->tunnel = true;
    s->rx_length = false;
    s->rx_body = receive;
    http_body_set_producer(receive, s, on_room);
    h2_stream_gap_deadline(s);
    h2_tx_begin(s, send);
    int e = s->dead ? 0 : unhold(s);
    if (e < 0) {
        c->role->on_bad(s, e);
        return;
    }
    if (s->dead || s->rx_body == NULL) {
        return;
    }
    if (s->held_end && s->held_bytes == 0) {
        end_body(s);
        return;
    }
    receive->wants_room = true;
    if (http_body_bytes(receive) > 0) {
        http_body_notify(receive);
    }
}
