// SPDX-License-Identifier: Apache-2.0
//
// One HTTP/2 connection, either side, and its streams: private to src/h2.
//
// Input is taken apart as it comes (rx.c): no frame is ever gathered, only the few bytes of a frame's
// head or of a small payload that a read has cut in two. Header blocks go through the decoder piece
// by piece (block.c), DATA is handed on as views of the input (stream.c). Output (tx.c) is one queue
// of spans per connection, written once at the end of a turn in which anything happened; bodies wait
// in their pipes until the scheduler takes a frame's worth. Windows are flow.c's.
//
// A stream's two halves are like h1's: rx OPEN -> DONE, tx IDLE -> ACTIVE -> LEAVING -> DONE. What the
// two sides do differently is a role (down.c, up.c).
//
// Connections and streams that end stay readable memory until the end of the turn (core.reap).

#pragma once

#include "base/slab.h"
#include "h2/fields.h"
#include "h2/frame.h"
#include "h2/session.h"

enum {
    H2_CORE_MAGIC = 0x68326f72,
    H2_CONN_MAGIC = 0x68326331,
    H2_STREAM_MAGIC = 0x68327331,

    H2_BUCKETS = 32,
    H2_URGENCIES = 8,
    H2_OUT_SPANS = 80,
    H2_OUT_BYTES_MAX = 128 * 1024, // DATA is staged ahead of the transport up to here
    // With so much waiting nothing is read: answers would pile up. Content alone never comes to that, for
    // who sends much must hear of the windows that the other side opens.
    H2_OUT_CHOKED = H2_OUT_BYTES_MAX + H2_FRAME_MAX + 64 * 1024,
    H2_OUT_SPARE = 8,        // spans that content leaves to other frames
    H2_COPY_MAX = 1024,      // DATA up to this is copied to its frame's head
    H2_VIEW_MIN = 2048,      // received DATA from this on is handed on without a copy
    H2_READ_ROOM_MIN = 4096, // a chunk with less room is not read into
    // Content that came is told of when all that there is has been read, or when its pipe has no more
    // room than this.
    H2_TELL_ROOM = 3 * CHUNK_BYTES,
    H2_TELL_ROOM_SPANS = 4,
    H2_TURN_BYTES_MAX = 256 * 1024, // received from one connection in one turn
    H2_SMALL_MAX = 64,              // of a payload that is gathered; longer ones are cut there
    H2_TX_SMALL_MAX = 8 + SESSION_TEXT_MAX, // of one that we write: a GOAWAY
    H2_CLOSED_IDS = 1024,                   // streams whose end is remembered
    H2_STREAMS_DEFAULT = 128,
    H2_STREAMS_TUNNEL = 1000,      // an agent's visitors hold theirs for as long as they like
    H2_STREAM_WINDOW = 256 * 1024, // of a stream; more is reserved first
    H2_STREAM_WINDOW_MAX = 16 * 1024 * 1024,
    H2_CONN_WINDOW_MAX =
        64 * 1024 * 1024, // of a connection; what its streams hold is bounded by theirs
    H2_CONN_BYTES_DEFAULT = 16 * 1024 * 1024,
    H2_LINGER_MS = 2000,
    H2_LINGER_BYTES = 1024 * 1024,
    H2_SETTINGS_MS = 10 * 1000,      // until our settings are acknowledged
    H2_DRAIN_MS = 1000,              // until the second GOAWAY when no PING comes back
    H2_SILENCE_MS = 15 * 1000,       // up: a peer that says nothing while streams wait is asked
    H2_PONG_MS = 10 * 1000,          // and has so long to answer
    H2_LIVE_ASK_MS = 10 * 1000,      // a tunnel's peer that says nothing is asked
    H2_LIVE_DEAD_MS = 15 * 1000,     // and is dead then
    H2_LIVE_LATE_MS = 1000,          // unless it was we who slept
    H2_DOUBT_LEAST_MS = 1000,        // a doubted peer has at least so long to answer
    H2_DOUBT_MOST_MS = 5 * 1000,     // and at most
    H2_DOUBT_LATE = 4,               // we slept, when a timer is late by this part of it
    H2_LIVE_UNSENT = 128 * 1024,     // that a tunnel's kernel may hold unsent: PING is behind it
    H2_RTT_PAUSE_MS = 2000,          // between two measurements of a busy connection
    H2_WRITE_BYTES_MAX = 512 * 1024, // of a block that we write
    H2_INTERIM_MAX = 16,
    H2_RATE_GRACE_MS = 10000,
    H2_BLOCK_REST_MS = 10000, // a block of a stream that is over ends within this time
    H2_GLITCHES_MAX = 400,    // budget of one connection
    H2_GLITCH_REFILL_MS = 50, // one comes back in this time, and one with every good exchange
};

/** What a peer does that is legal but of no use; each kind has its counter. */
enum h2_glitch {
    H2_GLITCH_RESET,   // streams that it reset before their end
    H2_GLITCH_MADE_US, // streams that it made us reset
    H2_GLITCH_PING,
    H2_GLITCH_SETTINGS,
    H2_GLITCH_PRIORITY,
    H2_GLITCH_WINDOW, // window updates beyond what was sent
    H2_GLITCH_EMPTY,  // empty frames
    H2_GLITCH_BLOCK,  // header blocks in slivers, of refused streams
    H2_GLITCH_OTHER,
};

enum h2_rx_state {
    H2_RX_PREFACE,
    H2_RX_HEAD,   // nine bytes of a frame's head
    H2_RX_SMALL,  // `need` bytes of a payload
    H2_RX_DATA,   // `left` bytes of content
    H2_RX_BLOCK,  // `left` bytes of a header block
    H2_RX_TEXT,   // `left` bytes, the debug data of a GOAWAY
    H2_RX_SKIP,   // `left` bytes that nobody wants
    H2_RX_LINGER, // everything is thrown away until the peer closes
};

enum h2_half { H2_RX_OPEN, H2_RX_DONE };
enum h2_tx { H2_TX_IDLE, H2_TX_ACTIVE, H2_TX_LEAVING, H2_TX_DONE };

struct h2_conn;

/** Output that waits. Exists only while there is any. */
struct h2_out {
    struct span spans[H2_OUT_SPANS]; // ring
    bool begins[H2_OUT_SPANS]; // a frame begins where the span did, and nothing must come between
    uint32_t head;
    uint32_t count;
    bool cut; // some of the first span was written
    size_t bytes;
    struct chunk *pen; // where frame heads, blocks and small content are written; holds a reference
};

struct h2_stream {
    uint32_t magic;
    uint32_t id; // 0: up, nothing sent yet
    uint8_t rx;  // enum h2_half
    uint8_t tx;  // enum h2_tx
    uint8_t urgency;
    bool incremental;
    bool dead;     // forgotten; the memory goes at the end of the turn
    bool attached; // an exchange hears of it
    bool bad;      // the received message broke a rule: reset after the answer
    bool tunnel;
    bool head_only; // HEAD
    bool switching; // extended CONNECT
    bool waits;     // up: for the SETTINGS, before it is sent
    bool got_head;  // up: the final response head has come
    bool tx_none;   // no body follows the head (HEAD, 204, ...)
    bool tx_length; // tx_left counts
    bool rx_length; // rx_left counts
    bool has_ready; // is in a ready list
    bool held_end;  // END_STREAM has come behind what is held
    uint8_t interim;
    struct h2_conn *conn;
    struct h2_stream *next; // of its bucket
    struct list link;       // conn->streams
    struct list ready;      // conn->ready[urgency], or conn->leaving when its end is queued
    struct list untold;     // conn->untold, while its pipe's consumer has not heard of what came
    int32_t tx_window;
    int64_t rx_window;    // what the peer may still send
    uint32_t rx_noted;    // bytes received and not drained, as counted in conn->rx_pending
    uint32_t window;      // that rx_window is kept at
    uint32_t reserved;    // of it beyond H2_STREAM_WINDOW, as counted in conn->window_extra
    uint32_t epoch_bytes; // drained since epoch_ns: a window's worth of it is timed
    uint64_t epoch_ns;    // 0: none yet
    uint32_t held_pos;    // of the first held chunk
    uint32_t held_bytes;
    struct chunk *held; // content that its pipe had no room for, in order
    struct chunk *held_last;
    uint64_t rx_left;
    uint64_t tx_left;
    uint64_t sent_mark;    // conn->out_queued behind its last byte
    uint64_t seen_at_send; // up: conn->rx_total when the request was sent
    struct http_body *rx_body;
    struct http_body *tx_body;
    struct fields *trailers;
    const struct http_head *request; // up
    uint64_t rx_deadline_ms;         // 0: none
    uint64_t tx_deadline_ms;
    int rx_deadline_error;
    int bad_error; // the rule that the message broke
    struct http_timeouts timeouts;
    uint64_t rate_since_ms;
    uint64_t rate_bytes;
    struct http_stream stream;
};

struct h2_role {
    /** A header block begins on a stream that is new or known. Sets c->block_stream and c->in. */
    void (*on_block)(struct h2_conn *c, uint32_t id, bool end_stream);
    /** It is complete. */
    void (*on_block_end)(struct h2_conn *c, struct h2_stream *s, bool end_stream);
    /** The received message broke a rule behind its head. */
    void (*on_bad)(struct h2_stream *s, int error);
    /** Both halves may be complete. */
    void (*on_end)(struct h2_stream *s);
    /** A stream was forgotten. */
    void (*on_room)(struct h2_conn *c);
    /** The connection takes no further streams from now on (GOAWAY, limits). */
    void (*on_closing)(struct h2_conn *c);
    /** It is closed. */
    void (*on_gone)(struct h2_conn *c, int error);
};

struct h2_core {
    uint32_t magic;
    struct loop *loop;
    struct counters *counters;
    struct down_core *down;
    struct slab conns;
    struct slab streams;
    struct slab outs;
    struct list dead_conns;
    struct list dead_streams;
    struct task reap;
    struct chunk *in; // what all connections read into: input is used up at once
    struct h2_windows *windows;
    uint32_t count;
};

struct h2_conn {
    uint32_t magic;
    uint8_t side; // enum http_side
    uint8_t rx;   // enum h2_rx_state
    bool dead;
    bool busy;            // the receiving pump is on the stack
    bool pumping;         // the sending one is
    bool first_settings;  // the peer's have come
    bool acked;           // it has acknowledged ours
    bool in_block;        // a header block is open: only CONTINUATION may follow
    bool block_ends;      // END_STREAM of its HEADERS
    bool closing;         // no further streams: GOAWAY was sent or received
    bool peer_leaves;     // down: the client said GOAWAY; up: the origin did
    bool goaway_last;     // our final GOAWAY is out
    bool connect_allowed; // the peer takes extended CONNECT
    bool rtt_pings;       // a PING measures the path
    bool drain_pings;     // a PING waits to send the final GOAWAY
    bool alive_pings;     // a PING asks whether the peer lives
    bool liveness;        // a tunnel's: asked when idle, dead when silent
    bool opening;         // down: its owner has not got it yet
    bool shut;            // our direction is shut: lingering
    bool told_closing;
    uint8_t scratch_len;
    uint8_t need;
    uint8_t urgency_mask; // ready lists that hold something
    struct h2_core *core;
    struct transport *t;
    const struct h2_role *role;
    struct h2_hpack *hpack;
    struct h2_out *out;
    struct h2_frame frame;
    uint32_t left;
    uint32_t pad;
    char scratch[H2_SMALL_MAX];
    int soon_error; // the connection is to fail at the end of the turn
    uint8_t soon_code;
    // header block
    struct h2_in in;
    struct h2_stream *block_stream;
    uint32_t last_block_id;
    uint32_t block_bytes;
    uint64_t block_deadline_ms;
    // streams
    struct h2_stream *buckets[H2_BUCKETS];
    struct h2_stream *
        found; // the last that was looked for, or NULL: a frame's is looked for at each of its steps
    struct list streams;
    struct list ready[H2_URGENCIES];
    struct list leaving;
    struct list untold;      // streams whose pipes got content in this round of reading
    uint32_t streams_at_end; // up: that it carried when it was closed
    uint32_t live;           // streams that are not forgotten
    uint32_t last_id;        // highest that the peer has opened (down) or that we have (up)
    uint32_t goaway_id;
    uint64_t opened;
    uint64_t closed[H2_CLOSED_IDS / 64]; // bit: the peer had ended or reset it
    // windows
    int64_t tx_window;
    int64_t rx_window;
    uint64_t rx_pending;   // received by all streams and not drained
    uint64_t budget;       // of rx_pending, beside window_extra
    uint64_t window_extra; // reserved by its streams
    uint32_t peer_window;  // SETTINGS_INITIAL_WINDOW_SIZE of the peer
    uint32_t peer_frame;   // SETTINGS_MAX_FRAME_SIZE of the peer, cut to what we take ourselves
    uint32_t peer_streams;
    uint64_t updates_allowed; // window updates that what we sent may bring
    // the path
    uint64_t rtt_sent_ns;   // when the PING or SETTINGS that is timed went out
    uint64_t rtt_next_ms;   // when a busy connection is measured again
    uint64_t rtt_least_ms;  // when rtt_least_us was found
    uint32_t rtt_us;        // smoothed; 0: not known
    uint32_t rtt_varies_us; // by so much, smoothed
    uint32_t rtt_least_us;  // of late: what the path takes when nothing waits on it
    // GOAWAY
    struct chunk *text; // its debug data as far as it has come; NULL: none
    uint32_t goaway_last_id;
    uint32_t goaway_code;
    // glitches
    uint32_t dead_bytes; // of DATA for streams that are over, since the last glitch
    int32_t glitches;
    uint64_t glitch_ms;
    // output
    uint64_t out_queued;
    uint64_t heads_mark; // out_queued behind the last header block
    uint64_t out_written;
    uint64_t rx_total;
    // deadlines, in ms of the loop; 0: none
    uint64_t idle_deadline_ms;
    uint64_t write_deadline_ms; // the transport takes nothing
    uint64_t stall_deadline_ms; // the connection's window is shut
    uint64_t settings_deadline_ms;
    uint64_t drain_deadline_ms;
    uint64_t ping_deadline_ms;
    uint64_t heard_ms; // when the peer last said anything
    uint32_t doubt_ms; // that a doubted peer has to answer; 0: it is not doubted
    uint32_t write_ms;
    uint32_t idle_ms;
    uint32_t linger_left;
    struct wheel_timer timer;
    struct task again;
    struct list link; // core->dead_conns
    struct http_peer peer;
    union {
        struct down_session down;
        struct {
            struct up_session session;
            struct task room; // calls on_room
        } up;
    } u;
};

static inline struct h2_stream *h2_of_stream(struct http_stream *s)
{
    struct h2_stream *x = container_of(s, struct h2_stream, stream);
    ensure_magic(x, H2_STREAM_MAGIC);
    return x;
}

// ---- conn.c ----------------------------------------------------------------------------------------

/** A connection on `t`; NULL with *error, and the transport stays the caller's. */
struct h2_conn *h2_conn_new(struct h2_core *core, struct transport *t, const struct h2_role *role,
                            enum http_side side, const struct http_peer *peer, int *error)
    must_check;
/** Ends the connection: its streams fail with `error`, a GOAWAY with `code` is tried, the rest of the
 * peer's bytes are thrown away for a while. */
void h2_conn_fail(struct h2_conn *c, enum h2_code code, int error);
/** The same at the end of the turn, for who is deep in something of an exchange. */
void h2_conn_fail_soon(struct h2_conn *c, enum h2_code code, int error);
/** Closes at once. Streams are failed with `error`. Idempotent. */
void h2_conn_close(struct h2_conn *c, bool reset, int error);
/** Sees to output, and goes on reading when it stopped, at the end of this turn. */
void h2_conn_again(struct h2_conn *c);
/** Costs the peer n glitches; false when the connection has ended for it. */
bool h2_glitch(struct h2_conn *c, enum h2_glitch what, unsigned n);
/** A deadline has been set for then. */
void h2_conn_deadline(struct h2_conn *c, uint64_t at_ms);
/** How long frames may be: ours to the peer, and the other way round. A tunnel carries much between two
 * ends of ours; others seldom send or take frames beyond the least maximum. */
static inline uint32_t h2_frame_max(const struct h2_conn *c)
{
    return c->liveness ? H2_FRAME_MAX_TUNNEL : H2_FRAME_MAX;
}
static inline uint64_t h2_now_ms(const struct h2_conn *c)
{
    return c->core->loop->now_ms;
}

// ---- rx.c, block.c ---------------------------------------------------------------------------------

void h2_rx_pump(struct h2_conn *c);
/** Uses up the bytes of a chunk from pos on. */
void h2_rx_bytes(struct h2_conn *c, struct chunk *chunk, uint32_t pos);
/** HEADERS or CONTINUATION were seen: `left` bytes of them follow. */
void h2_block_open(struct h2_conn *c, uint32_t id, bool end_stream);
/** The stream of the block that is being read is over. Until the block ends, which it may never do,
 * nothing else can come: an origin's connection is given up, a tunnel's gets a moment, for nobody is in its
 * place. */
void h2_block_orphan(struct h2_conn *c);
/** A CONTINUATION begins; false: one of no use too many, the connection failed. */
bool h2_block_continue(struct h2_conn *c);
/** A piece; false: the connection failed. */
bool h2_block_piece(struct h2_conn *c, struct slice piece, bool last);
void h2_settings_entry(struct h2_conn *c, const char *p);

// ---- tx.c ------------------------------------------------------------------------------------------

void h2_tx_pump(struct h2_conn *c);
/** Appends a frame whose payload of at most H2_TX_SMALL_MAX bytes is copied. */
void h2_tx_frame(struct h2_conn *c, enum h2_frame_type type, unsigned flags, uint32_t stream,
                 const void *payload, size_t len);
/** Appends bytes as they are. False: out of memory. */
bool h2_tx_bytes(struct h2_conn *c, const char *bytes, size_t n) must_check;
void h2_tx_reset(struct h2_conn *c, uint32_t id, enum h2_code code);
void h2_tx_window(struct h2_conn *c, uint32_t id, uint32_t n);
/** A PING. It jumps the queue: it goes out behind the frame that is being written. */
void h2_tx_ping(struct h2_conn *c, const char *payload, bool ack);
void h2_tx_goaway(struct h2_conn *c, uint32_t last_id, enum h2_code code);
/** The same with debug data; what is more than SESSION_TEXT_MAX bytes is left out. */
void h2_tx_goaway_text(struct h2_conn *c, uint32_t last_id, enum h2_code code, struct slice text);
/** Appends HEADERS (and CONTINUATION). 0, or an error: E_HEAD_TOO_LARGE is of this message only, after
 * the others the connection fails soon. */
int h2_tx_block(struct h2_conn *c, uint32_t id, struct h2_block *b, bool end_stream) must_check;
/** The stream may have something to send. */
void h2_tx_ready(struct h2_stream *s);
void h2_tx_unready(struct h2_stream *s);
/** Begins on the body that follows a head (NULL: the head had END_STREAM). */
void h2_tx_begin(struct h2_stream *s, struct http_body *body);
void h2_tx_free(struct h2_conn *c);
static inline size_t h2_out_bytes(const struct h2_conn *c)
{
    return c->out == NULL ? 0 : c->out->bytes;
}

// ---- flow.c ----------------------------------------------------------------------------------------

/** n bytes of DATA came (padding counted). False: more than its window; the connection failed. */
bool h2_flow_received(struct h2_conn *c, uint32_t n);
/** Gives credit back to the connection. */
void h2_flow_credit_conn(struct h2_conn *c);
/** Counts anew what of the stream is not drained and gives credit back. */
void h2_flow_credit(struct h2_stream *s);
/** A WINDOW_UPDATE of n. */
void h2_flow_update(struct h2_conn *c, uint32_t id, uint32_t n);
/** The peer's SETTINGS_INITIAL_WINDOW_SIZE. */
void h2_flow_initial(struct h2_conn *c, uint32_t window);
/** The first credit of the connection, beside what every one has (RFC 9113 6.9.2). */
void h2_flow_open(struct h2_conn *c);
/** The stream ends: what it had reserved goes back. */
void h2_flow_forget(struct h2_stream *s);

// ---- alive.c ---------------------------------------------------------------------------------------

/** Our SETTINGS go out now: their acknowledgement is the first measurement. */
void h2_alive_settings(struct h2_conn *c);
void h2_alive_settings_acked(struct h2_conn *c);
/** The connection is busy: measures the path, when it is time to. */
void h2_alive_measure(struct h2_conn *c);
/** An acknowledged PING of ours. False: it is none. */
bool h2_alive_pong(struct h2_conn *c, const char *payload);
/** A tunnel's connection begins. */
void h2_alive_begin(struct h2_conn *c);
/** up, not a tunnel's: a request waits for its answer, or none does any more. */
void h2_alive_wait(struct h2_conn *c);
void h2_alive_rest(struct h2_conn *c);
/** ping_deadline_ms has come. */
void h2_alive_due(struct h2_conn *c);
/** There is a reason to think that nobody is there: a tunnel's peer is asked now. */
void h2_alive_doubt(struct h2_conn *c);

// ---- stream.c --------------------------------------------------------------------------------------

/** NULL: out of memory. `id` may be 0. */
struct h2_stream *h2_stream_new(struct h2_conn *c, uint32_t id) must_check;
void h2_stream_set_id(struct h2_stream *s, uint32_t id);
struct h2_stream *h2_stream_find(struct h2_conn *c, uint32_t id);
/** Forgets it: bodies are let go, on_error when error is not 0, on_closed. */
void h2_stream_finish(struct h2_stream *s, int error);
/** The same after a RST_STREAM of ours. */
void h2_stream_reset(struct h2_stream *s, enum h2_code code, int error);
/** Lets go of both bodies without a word to their other ends. */
void h2_stream_detach(struct h2_stream *s);
/** Content at chunk[off, off + n). */
void h2_stream_data(struct h2_stream *s, struct chunk *chunk, uint32_t off, uint32_t n);
/** Tells the consumers that were not told of content while there was more to read. */
void h2_stream_tell_all(struct h2_conn *c);
/** END_STREAM. */
void h2_stream_end(struct h2_stream *s, struct fields *trailers);
/** What follows the received head: sets the stream up for body or end. */
void h2_stream_begin_body(struct h2_stream *s, const struct http_head *head, bool ended);
void h2_stream_fail_body(struct h2_stream *s, int error);
void h2_stream_deadline(struct h2_stream *s, uint32_t ms, int error);
void h2_stream_gap_deadline(struct h2_stream *s);
/** Its last byte is with the transport. */
void h2_stream_sent(struct h2_stream *s);
/** How the peer's half of a closed stream had ended. */
bool h2_stream_was_ended(const struct h2_conn *c, uint32_t id);
/** Closed so long ago that how it ended is not known any more. */
bool h2_stream_is_forgotten(const struct h2_conn *c, uint32_t id);
void h2_stream_note_closed(struct h2_conn *c, uint32_t id, bool ended);
void h2_receive_body(struct http_stream *s, struct http_body *body);
void h2_tunnel(struct http_stream *s, struct http_body *receive, struct http_body *send);
void h2_set_timeouts(struct http_stream *s, const struct http_timeouts *t);

extern const struct h2_role h2_down_role;
extern const struct h2_role h2_up_role;

/** down.c: sends the first of two GOAWAYs (RFC 9113 6.8), or acts on the PING between them. */
void h2_down_drain(struct h2_conn *c);
void h2_down_drain_pong(struct h2_conn *c);
/** down.c, up.c: a GOAWAY came. */
void h2_down_goaway(struct h2_conn *c, uint32_t code, struct slice text);
void h2_up_goaway(struct h2_conn *c, uint32_t last_id, uint32_t code, struct slice text);
/** up.c: SETTINGS were read to their end. */
void h2_up_settings(struct h2_conn *c);
