// SPDX-License-Identifier: Apache-2.0
//
// The receiving half of a connection: bytes become frames, frames go where they belong.
//
// A read goes into the core's input chunk and is used up to its last byte before the next one: frame
// heads and small payloads that a read has cut are kept in conn->scratch, blocks and content are
// passed on in the pieces in which they came. So a connection holds no input between two turns, and
// no frame, however long it says it is, costs memory before its bytes are there.
//
// Nothing is read while much output waits: a peer that asks without listening waits for itself.

#include "base/error.h"
#include "base/num.h"
#include "h2/conn_int.h"

enum {
    SETTINGS_PER_GLITCH = 16,
    DEAD_BYTES_PER_GLITCH = 64 * 1024, // DATA of streams that we have reset
    DEAD_FRAME_BYTES = 64,             // what a frame of it counts beyond its payload
};

// ---- frames that are there as a whole ---------------------------------------------------------------

static bool fail(struct h2_conn *c, enum h2_code code)
{
    int error = E_PROTOCOL;
    if (code == H2_FLOW_CONTROL_ERROR) {
        error = E_FLOW_CONTROL;
    } else if (code == H2_COMPRESSION_ERROR) {
        error = E_BAD_COMPRESSION;
    }
    h2_conn_fail(c, code, error);
    return false;
}

/** True for a stream that nobody has opened yet (RFC 9113 5.1, "idle"). */
static bool is_idle(const struct h2_conn *c, uint32_t id)
{
    return id > c->last_id || id % 2 == 0;
}

static void on_ping(struct h2_conn *c, const char *p)
{
    if ((c->frame.flags & H2_FLAG_ACK) == 0) {
        if (h2_glitch(c, H2_GLITCH_PING, 1)) {
            h2_tx_ping(c, p, true);
        }
        return;
    }
    if (memcmp(p, "adit-drn", 8) == 0) {
        h2_down_drain_pong(c);
    } else if (!h2_alive_pong(c, p)) {
        h2_glitch(c, H2_GLITCH_PING, 1);
    }
}

static void on_reset(struct h2_conn *c, const char *p)
{
    uint32_t id = c->frame.stream;
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL) {
        if (is_idle(c, id)) {
            (void)fail(c, H2_PROTOCOL_ERROR);
        } else {
            h2_glitch(c, H2_GLITCH_RESET, 1);
        }
        return;
    }
    bool complete = c->side == HTTP_UP && s->rx == H2_RX_DONE && !s->tunnel;
    h2_stream_note_closed(c, id, true);
    h2_stream_finish(s, complete             ? 0
                        : c->side == HTTP_UP ? h2_error_of(h2_get32(p))
                                             : E_CLIENT_GONE);
    if (!complete && !c->dead) {
        h2_glitch(c, H2_GLITCH_RESET, 1);
    }
}

/** All of a GOAWAY that we care for has come. */
static void end_goaway(struct h2_conn *c)
{
    struct chunk *text = c->text;
    struct slice said = text != NULL ? slice_of(text->data, text->used) : slice_of("", 0);
    c->text = NULL;
    if (c->side == HTTP_UP) {
        h2_up_goaway(c, c->goaway_last_id, c->goaway_code, said);
    } else {
        h2_down_goaway(c, c->goaway_code, said);
    }
    if (text != NULL) {
        chunk_unref(text);
    }
}

/** The fixed part of a GOAWAY. True: debug data follows that is to be gathered first. */
static bool on_goaway(struct h2_conn *c, const char *p)
{
    c->goaway_last_id = h2_get32(p) & H2_STREAM_ID_MAX;
    c->goaway_code = h2_get32(p + 4);
    c->text = c->left > 0 ? chunk_new(&c->core->loop->chunks) : NULL;
    if (c->text == NULL) {
        end_goaway(c); // without its text, when there is no memory for it
        return false;
    }
    c->rx = H2_RX_TEXT;
    return true;
}

static void skip_rest(struct h2_conn *c);

/** n bytes of it; returns how many were used up. */
static uint32_t take_text(struct h2_conn *c, const char *p, uint32_t n)
{
    uint32_t room = SESSION_TEXT_MAX - c->text->used;
    n = (uint32_t)num_min_u64(num_min_u64(n, room), c->left);
    memcpy(c->text->data + c->text->used, p, n);
    c->text->used += n;
    c->left -= n;
    if (c->left == 0 || c->text->used == SESSION_TEXT_MAX) {
        end_goaway(c);
        if (!c->dead && c->rx == H2_RX_TEXT) {
            skip_rest(c);
        }
    }
    return n;
}

static void on_priority_update(struct h2_conn *c, const char *p, uint32_t n)
{
    uint32_t id = h2_get32(p) & H2_STREAM_ID_MAX;
    if (c->side == HTTP_UP || id == 0) {
        (void)fail(c, H2_PROTOCOL_ERROR); // RFC 9218 7.1
        return;
    }
    if (!h2_glitch(c, H2_GLITCH_PRIORITY, 1)) {
        return;
    }
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL) {
        return; // of a stream that is still to come, or over: not worth remembering
    }
    h2_tx_unready(s);
    h2_priority_parse(slice_of(p + 4, n - 4), &s->urgency, &s->incremental);
    h2_tx_ready(s);
}

static bool check_setting(struct h2_conn *c, uint16_t id, uint32_t value)
{
    switch (id) {
    case H2_SET_ENABLE_PUSH:
        return value <= (c->side == HTTP_UP ? 0u : 1u);
    case H2_SET_MAX_FRAME_SIZE:
        return value >= H2_FRAME_MAX && value < H2_FRAME_LIMIT;
    case H2_SET_ENABLE_CONNECT_PROTOCOL:
        return value <= 1 && (value == 1 || !c->connect_allowed); // RFC 8441 3
    case H2_SET_NO_RFC7540_PRIORITIES:
        return value <= 1;
    default:
        return true;
    }
}

void h2_settings_entry(struct h2_conn *c, const char *p)
{
    uint16_t id;
    uint32_t value;
    h2_setting_parse(p, &id, &value);
    if (!check_setting(c, id, value)) {
        (void)fail(c, H2_PROTOCOL_ERROR);
        return;
    }
    switch (id) {
    case H2_SET_HEADER_TABLE_SIZE:
        if (h2_encoder_table_max(c->hpack, value) < 0) {
            h2_conn_fail(c, H2_INTERNAL_ERROR, E_NO_MEMORY);
        }
        break;
    case H2_SET_MAX_CONCURRENT_STREAMS:
        c->peer_streams = value;
        break;
    case H2_SET_INITIAL_WINDOW_SIZE:
        h2_flow_initial(c, value);
        break;
    case H2_SET_ENABLE_CONNECT_PROTOCOL:
        c->connect_allowed = value == 1;
        break;
    case H2_SET_MAX_FRAME_SIZE:
        c->peer_frame = (uint32_t)num_min_u64(value, h2_frame_max(c));
        break;
    default:
        break; // lists are not limited by it
    }
}

static void settings_done(struct h2_conn *c)
{
    unsigned cost = c->first_settings ? 4 : 0;
    if (!c->first_settings && c->live == 0 && c->side == HTTP_DOWN) {
        c->role->on_room(c); // from here on it may be idle for as long as any other
    }
    c->first_settings = true;
    if (!h2_glitch(c, H2_GLITCH_SETTINGS, cost + c->frame.length / 6 / SETTINGS_PER_GLITCH)) {
        return;
    }
    h2_tx_frame(c, H2_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
    if (c->side == HTTP_UP && !c->dead) {
        h2_up_settings(c);
    }
}

// ---- content ---------------------------------------------------------------------------------------

/** A DATA frame on a stream that takes none (RFC 9113 5.1, 6.1). */
static bool refuse_data(struct h2_conn *c, uint32_t id)
{
    struct h2_stream *s = h2_stream_find(c, id);
    if (s != NULL) {
        h2_stream_reset(s, H2_STREAM_CLOSED, c->side == HTTP_UP ? E_PROTOCOL : E_CLIENT_GONE);
        return !c->dead && h2_glitch(c, H2_GLITCH_MADE_US, 2);
    }
    if (is_idle(c, id)) {
        return fail(c, H2_PROTOCOL_ERROR);
    }
    if (h2_stream_was_ended(c, id)) {
        h2_tx_reset(c, id, H2_STREAM_CLOSED);
        return h2_glitch(c, H2_GLITCH_MADE_US, 2);
    }
    // It was on its way when we reset the stream. A window's worth may be; more costs the peer.
    c->dead_bytes += c->frame.length + DEAD_FRAME_BYTES;
    uint32_t cost = c->dead_bytes / DEAD_BYTES_PER_GLITCH;
    c->dead_bytes %= DEAD_BYTES_PER_GLITCH;
    return h2_glitch(c, H2_GLITCH_EMPTY, cost);
}

static bool begin_data(struct h2_conn *c)
{
    uint32_t id = c->frame.stream;
    if (!h2_flow_received(c, c->frame.length)) {
        return false;
    }
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL || s->rx == H2_RX_DONE) {
        return refuse_data(c, id);
    }
    s->rx_window -= c->frame.length;
    if (s->rx_window < 0) {
        h2_stream_reset(s, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL);
        return !c->dead && h2_glitch(c, H2_GLITCH_MADE_US, 4);
    }
    if (c->side == HTTP_UP && !s->got_head) {
        h2_stream_reset(s, H2_PROTOCOL_ERROR, E_PROTOCOL);
        return !c->dead;
    }
    bool empty = c->frame.length == 0 && (c->frame.flags & H2_FLAG_END_STREAM) == 0;
    return !empty || h2_glitch(c, H2_GLITCH_EMPTY, 1);
}

/** The content of a DATA frame is there to its end. */
static void end_data(struct h2_conn *c)
{
    struct h2_stream *s = h2_stream_find(c, c->frame.stream);
    if (s != NULL && s->rx == H2_RX_OPEN) {
        if ((c->frame.flags & H2_FLAG_END_STREAM) != 0) {
            h2_stream_end(s, NULL);
        } else {
            h2_flow_credit(s);
        }
    }
    if (!c->dead) {
        h2_flow_credit_conn(c);
    }
}

static void take_data(struct h2_conn *c, struct chunk *chunk, uint32_t off, uint32_t n)
{
    struct h2_stream *s = h2_stream_find(c, c->frame.stream);
    if (s != NULL && s->rx == H2_RX_OPEN && n > 0) {
        h2_stream_data(s, chunk, off, n);
    }
}

// ---- from one frame to the next ---------------------------------------------------------------------

static void next_frame(struct h2_conn *c)
{
    c->rx = H2_RX_HEAD;
    c->need = H2_FRAME_HEAD;
}

/** What is left of the frame, padding included, is thrown away. */
static void skip_rest(struct h2_conn *c)
{
    c->left += c->pad;
    c->pad = 0;
    if (c->left == 0) {
        next_frame(c);
    } else {
        c->rx = H2_RX_SKIP;
    }
}

/** The frame has content or a block from here on. */
static void begin_payload(struct h2_conn *c)
{
    if (c->frame.type == H2_DATA) {
        bool padding = c->frame.length > 0 && (c->frame.flags & H2_FLAG_END_STREAM) == 0;
        c->rx = H2_RX_DATA;
        if (c->left == 0 && padding && !h2_glitch(c, H2_GLITCH_EMPTY, 1)) {
            return;
        }
        if (c->left == 0) {
            end_data(c);
            skip_rest(c);
        }
        return;
    }
    if (c->frame.type == H2_HEADERS) {
        h2_block_open(c, c->frame.stream, (c->frame.flags & H2_FLAG_END_STREAM) != 0);
    } else if (!h2_block_continue(c)) {
        return;
    }
    if (c->dead || c->rx == H2_RX_LINGER) {
        return;
    }
    c->rx = H2_RX_BLOCK;
    if (c->left == 0) {
        bool last = (c->frame.flags & H2_FLAG_END_HEADERS) != 0;
        if (h2_block_piece(c, slice_of("", 0), last)) {
            skip_rest(c);
        }
    }
}

/** Pad length and priority of DATA and HEADERS have come. */
static void on_prefix(struct h2_conn *c, const char *p)
{
    if ((c->frame.flags & H2_FLAG_PADDED) != 0) {
        c->pad = (unsigned char)p[0];
        if (c->pad > c->left) {
            (void)fail(c, H2_PROTOCOL_ERROR); // RFC 9113 6.1, 6.2
            return;
        }
        c->left -= c->pad;
    }
    begin_payload(c);
}

static void want(struct h2_conn *c, uint32_t n)
{
    c->rx = H2_RX_SMALL;
    c->need = (uint8_t)n;
}

static void begin_settings(struct h2_conn *c)
{
    if ((c->frame.flags & H2_FLAG_ACK) != 0) {
        if (c->acked && !h2_glitch(c, H2_GLITCH_SETTINGS, 4)) {
            return;
        }
        if (!c->acked) {
            h2_alive_settings_acked(c);
        }
        c->acked = true;
        c->settings_deadline_ms = 0;
        next_frame(c);
        return;
    }
    if (c->frame.length == 0) {
        settings_done(c);
        next_frame(c);
        return;
    }
    want(c, 6);
}

static void begin_priority(struct h2_conn *c)
{
    struct h2_stream *s = h2_stream_find(c, c->frame.stream);
    if (!h2_glitch(c, H2_GLITCH_PRIORITY, 1)) {
        return;
    }
    if (c->frame.length != 5) { // an error of the stream (RFC 9113 6.3)
        if (s != NULL) {
            h2_stream_reset(s, H2_FRAME_SIZE_ERROR, E_PROTOCOL);
        } else {
            h2_tx_reset(c, c->frame.stream, H2_FRAME_SIZE_ERROR);
        }
        if (c->dead) {
            return;
        }
    }
    skip_rest(c); // what it says is of no meaning any more (RFC 9113 5.3.2)
}

/** How many bytes come before the content or block of the frame. */
static uint32_t prefix_bytes(const struct h2_frame *f)
{
    uint32_t n = (f->flags & H2_FLAG_PADDED) != 0 ? 1 : 0;
    return n + (f->type == H2_HEADERS && (f->flags & H2_FLAG_PRIORITY) != 0 ? 5 : 0);
}

static void begin_block_frame(struct h2_conn *c)
{
    uint32_t prefix = c->frame.type == H2_CONTINUATION ? 0 : prefix_bytes(&c->frame);
    if (c->frame.type == H2_DATA && !begin_data(c)) {
        return;
    }
    if (prefix > 0) {
        want(c, prefix);
    } else {
        begin_payload(c);
    }
}

static void begin_frame(struct h2_conn *c)
{
    const struct h2_frame *f = &c->frame;
    enum h2_code code = h2_frame_check(f, h2_frame_max(c));
    bool continues = f->type == H2_CONTINUATION;
    bool out_of_place = c->in_block != continues || (continues && f->stream != c->last_block_id);
    bool too_early =
        !c->first_settings && (f->type != H2_SETTINGS || (f->flags & H2_FLAG_ACK) != 0);
    if (code == H2_NO_ERROR && (out_of_place || too_early)) {
        code = H2_PROTOCOL_ERROR; // RFC 9113 6.10, 3.4
    }
    if (code != H2_NO_ERROR) {
        (void)fail(c, code);
        return;
    }
    c->left = f->length;
    c->pad = 0;
    switch (f->type) {
    case H2_DATA:
    case H2_HEADERS:
    case H2_CONTINUATION:
        begin_block_frame(c);
        break;
    case H2_PRIORITY:
        begin_priority(c);
        break;
    case H2_SETTINGS:
        begin_settings(c);
        break;
    case H2_RST_STREAM:
    case H2_PING:
    case H2_WINDOW_UPDATE:
        want(c, f->length);
        break;
    case H2_GOAWAY:
        want(c, 8);
        break;
    case H2_PRIORITY_UPDATE:
        want(c, (uint32_t)num_min_u64(f->length, H2_SMALL_MAX));
        break;
    default:
        if (h2_glitch(c, H2_GLITCH_OTHER, 1)) {
            skip_rest(c);
        }
        break;
    }
}

/** `need` bytes of a payload are at p. */
static void on_small(struct h2_conn *c, const char *p)
{
    uint32_t n = c->need;
    c->left -= n;
    switch (c->frame.type) {
    case H2_DATA:
    case H2_HEADERS:
        on_prefix(c, p);
        return;
    case H2_SETTINGS:
        h2_settings_entry(c, p);
        if (c->dead || c->rx == H2_RX_LINGER || c->left > 0) {
            return;
        }
        settings_done(c);
        break;
    case H2_RST_STREAM:
        on_reset(c, p);
        break;
    case H2_PING:
        on_ping(c, p);
        break;
    case H2_GOAWAY:
        if (on_goaway(c, p)) {
            return;
        }
        break;
    case H2_WINDOW_UPDATE:
        h2_flow_update(c, c->frame.stream, h2_get32(p) & H2_WINDOW_MAX);
        break;
    default:
        on_priority_update(c, p, n);
        break;
    }
    if (!c->dead && c->rx != H2_RX_LINGER) {
        skip_rest(c);
    }
}

/** `need` bytes in one piece, from the input or gathered; NULL while they are not all there. *used is
 * how much of the input went. */
static const char *gather(struct h2_conn *c, const char *p, uint32_t n, uint32_t *used)
{
    if (c->scratch_len == 0 && n >= c->need) {
        *used = c->need;
        return p;
    }
    uint32_t part = (uint32_t)num_min_u64(n, (uint32_t)c->need - c->scratch_len);
    memcpy(c->scratch + c->scratch_len, p, part);
    c->scratch_len = (uint8_t)(c->scratch_len + part);
    *used = part;
    if (c->scratch_len < c->need) {
        return NULL;
    }
    c->scratch_len = 0;
    return c->scratch;
}

static void take_preface(struct h2_conn *c, const char *p, uint32_t *used)
{
    uint32_t n = (uint32_t)num_min_u64(*used, (uint32_t)H2_PREFACE_BYTES - c->scratch_len);
    if (memcmp(p, h2_preface + c->scratch_len, n) != 0) {
        (void)fail(c, H2_PROTOCOL_ERROR); // RFC 9113 3.4
        return;
    }
    *used = n;
    c->scratch_len = (uint8_t)(c->scratch_len + n);
    if (c->scratch_len == H2_PREFACE_BYTES) {
        c->scratch_len = 0;
        next_frame(c);
    }
}

/** Uses up some of the n bytes at off; returns how many. */
static uint32_t step(struct h2_conn *c, struct chunk *chunk, uint32_t off, uint32_t n)
{
    const char *p = chunk->data + off;
    const char *whole;
    uint32_t used = n;
    switch ((enum h2_rx_state)c->rx) {
    case H2_RX_PREFACE:
        take_preface(c, p, &used);
        return used;
    case H2_RX_HEAD:
        whole = gather(c, p, n, &used);
        if (whole != NULL) {
            c->frame = h2_frame_parse(whole);
            begin_frame(c);
        }
        return used;
    case H2_RX_SMALL:
        whole = gather(c, p, n, &used);
        if (whole != NULL) {
            on_small(c, whole);
        }
        return used;
    case H2_RX_DATA:
        used = (uint32_t)num_min_u64(n, c->left);
        c->left -= used;
        take_data(c, chunk, off, used);
        if (!c->dead && c->rx == H2_RX_DATA && c->left == 0) {
            end_data(c);
            if (!c->dead && c->rx == H2_RX_DATA) {
                skip_rest(c);
            }
        }
        return used;
    case H2_RX_BLOCK:
        used = (uint32_t)num_min_u64(n, c->left);
        c->left -= used;
        if (h2_block_piece(c, slice_of(p, used),
                           c->left == 0 && (c->frame.flags & H2_FLAG_END_HEADERS) != 0) &&
            c->left == 0) {
            skip_rest(c);
        }
        return used;
    case H2_RX_TEXT:
        return take_text(c, p, n);
    case H2_RX_SKIP:
        used = (uint32_t)num_min_u64(n, c->left);
        c->left -= used;
        if (c->left == 0) {
            next_frame(c);
        }
        return used;
    case H2_RX_LINGER:
        if (n > c->linger_left) {
            h2_conn_close(c, true, E_EOF);
        } else {
            c->linger_left -= n;
        }
        return n;
    }
    unreachable();
}

void h2_rx_bytes(struct h2_conn *c, struct chunk *chunk, uint32_t pos)
{
    while (pos < chunk->used && !c->dead) {
        pos += step(c, chunk, pos, chunk->used - pos);
    }
}

// ---- reading ---------------------------------------------------------------------------------------

/** Room to read into; NULL: out of memory. */
static struct chunk *input(struct h2_core *core)
{
    struct chunk *in = core->in;
    if (in != NULL && chunk_is_sole(in)) {
        in->used = 0;
        return in;
    }
    if (in != NULL && chunk_room(in) >= H2_READ_ROOM_MIN) {
        return in;
    }
    if (in != NULL) {
        chunk_unref(in);
    }
    core->in = chunk_new(&core->loop->chunks);
    return core->in;
}

static void take_end(struct h2_conn *c, struct io_result r)
{
    c->t->readable = false;
    if (r.status == IO_AGAIN) {
        return;
    }
    h2_conn_close(c, false, r.status == IO_EOF ? E_EOF : r.error);
}

/** Reads once and uses up what came. False: there was nothing, or it is over. */
static bool read_once(struct h2_conn *c, size_t *budget)
{
    struct chunk *in = input(c->core);
    if (in == NULL) {
        h2_conn_close(c, true, E_NO_MEMORY);
        return false;
    }
    struct iovec iov = {in->data + in->used, chunk_room(in)};
    struct io_result r = transport_read(c->t, &iov, 1);
    if (r.status != IO_OK) {
        take_end(c, r);
        return false;
    }
    uint32_t pos = in->used;
    in->used += (uint32_t)r.n;
    *budget -= num_min_size(*budget, r.n);
    c->rx_total += r.n;
    c->heard_ms = h2_now_ms(c);
    struct chunk *held = chunk_ref(in); // another connection's turn may change the core's
    h2_rx_bytes(c, held, pos);
    chunk_unref(held);
    return !c->dead;
}

/** Answers of ours pile up. */
static bool is_choked(const struct h2_conn *c)
{
    const struct h2_out *o = c->out;
    return o != NULL && (o->bytes > H2_OUT_CHOKED || o->count > H2_OUT_SPANS - H2_OUT_SPARE / 2);
}

void h2_rx_pump(struct h2_conn *c)
{
    if (c->busy || c->dead) {
        return;
    }
    c->busy = true;
    size_t budget = H2_TURN_BYTES_MAX;
    while (!c->dead && c->t->readable) {
        if (is_choked(c) && c->rx != H2_RX_LINGER) {
            break; // goes on when that is written
        }
        if (budget == 0) {
            h2_conn_again(c);
            break;
        }
        if (!read_once(c, &budget)) {
            break;
        }
    }
    c->busy = false;
    h2_stream_tell_all(c);
}
