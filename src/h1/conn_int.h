// SPDX-License-Identifier: Apache-2.0
//
// One HTTP/1.1 connection, either side: private to src/h1.
//
// Two half machines run on it. Receiving (rx): IDLE -> HEAD -> BODY -> (TRAILERS) -> DONE -> IDLE.
// Sending (tx): IDLE -> ACTIVE -> DONE. An exchange is over when both are DONE; the role then
// decides whether the connection goes on. The role (down or up) is a table of what happens at the
// turning points.

#pragma once

#include "h1/session.h"

struct h1_conn;

enum h1_rx {
    H1_RX_IDLE, // nothing of a message has come
    H1_RX_HEAD, // part of a head has come
    H1_RX_BODY,
    H1_RX_TRAILERS, // the last chunk was seen, the trailer section is awaited
    H1_RX_DONE,     // the message is complete
    H1_RX_LINGER,   // down: input is thrown away until the client closes
};

enum h1_tx { H1_TX_IDLE, H1_TX_ACTIVE, H1_TX_DONE };

struct h1_role {
    /** The first byte of a head has come. */
    void (*on_first_byte)(struct h1_conn *c);
    /** A complete head; it has been taken from the input but is readable until this returns. */
    void (*on_head)(struct h1_conn *c, const char *head, size_t head_len);
    /** The received message (rx is DONE) or the sent one (tx is DONE) is complete. */
    void (*on_end)(struct h1_conn *c);
    /** The transport failed, a rule was broken, a deadline passed, the peer closed. */
    void (*on_fail)(struct h1_conn *c, int error);
    /** Writing failed; the peer may still have something to say. */
    void (*on_write_error)(struct h1_conn *c, int error);
    /** Readiness, before the common part sees to it. */
    void (*on_events)(struct h1_conn *c, unsigned events);
};

enum {
    H1_CONN_MAGIC = 0x68316331,
    H1_SOON_BYTES_MAX = 2048,       // what is sent at the end of the turn rather than at once
    H1_OUT_BYTES_MAX = 100 * 1024,  // moved to the out queue ahead of the socket
    H1_TURN_BYTES_MAX = 512 * 1024, // received from one connection in one turn
    H1_SPLICE_MIN = 64 * 1024,      // bodies with less left are copied
    H1_READ_ROOM_MIN = 4096,        // a chunk with less room is not read into
    H1_WRITE_FIXED_BYTES = 512,     // of a head: what is neither a field nor text of its first line
    H1_WRITE_BYTES_MAX = 512 * 1024, // of a head: above any limit on received ones
    H1_INTERIM_MAX = 16,             // interim responses to one request
    H1_INTERIM_SPANS_MAX = 8,        // output that waits; beyond it interim responses are dropped
    H1_LINGER_MS = 2000,             // how long a refused client may go on sending
    H1_LINGER_BYTES = 1024 * 1024,   // and how much
    H1_DISCARD_MAX = 64 * 1024,      // request body left that is read to keep a connection
    H1_RATE_GRACE_MS = 10000,        // before the least rate of a body is asked for
};

struct h1_conn {
    uint32_t magic;
    uint8_t rx;         // enum h1_rx
    uint8_t tx;         // enum h1_tx
    uint8_t rx_framing; // enum h1_framing
    uint8_t tx_framing;
    bool dead;        // closed; the memory goes at the end of the turn
    bool rx_busy;     // h1_rx_pump is on the stack
    bool tx_busy;     // h1_tx_pump is on the stack
    bool tx_last;     // the end of the message has been put into `out`
    bool tx_glue;     // chunked: a CRLF is owed before the next size line
    bool close_after; // no further exchange on this connection
    bool stream_open; // an exchange is attached
    bool sent_told;   // on_sent has been called
    bool head_waits;  // `again` is queued for nothing but a head that waits for its body
    uint32_t in_pos;
    struct transport *t; // NULL when it is closed or was passed on
    struct h1_core *h1;
    const struct h1_role *role;
    struct chunk *in; // input; unread bytes are [in_pos, in->used)
    uint64_t rx_left; // LENGTH: body bytes to come
    uint64_t tx_left; // LENGTH: body bytes to go
    int tx_error;     // the message is cut here: nothing more of it is staged
    struct http_body *rx_body;
    struct http_body *tx_body;
    struct task again; // goes on with both pumps at the end of the turn
    struct http_stream stream;
    uint64_t exchanges;
    struct h1_scan scan;
    struct http_timeouts timeouts;
    int rx_deadline_error;   // what the rx deadline means
    uint64_t rx_deadline_ms; // 0: none; the timer may fire earlier and is then set anew
    uint64_t tx_deadline_ms;
    uint64_t rate_since_ms; // window of the least rate; 0: not begun
    struct wheel_timer rx_timer;
    union {
        struct {
            struct down_session session;
            bool head_only; // the request is HEAD: its answer has no body
            bool keep_alive;
            bool expects; // the client waits for 100 before it sends its body
            bool refused; // the request broke a rule: more of it may be on its way
            uint8_t client_minor;
            uint32_t linger_left;
            struct http_heir *heir; // gets the connection after the 101; NULL: nobody
        } down;
        struct {
            struct up_session session;
            const struct http_head *request; // being answered; lives in the exchange
            uint32_t idle_ms;
            uint8_t interim;
            const char *websocket_key; // made by us, in the exchange's arena; NULL: none was
        } up;
    } u;
    struct bufq out;
    // What follows is not looked at with each piece of a message.
    uint64_t rate_bytes;
    struct wheel_timer tx_timer;
    struct h1_chunked chunked;
    struct fields *trailers; // being received
    struct list link;        // h1_core.dead
    struct http_peer peer;
};

extern const struct h1_role h1_down_role;
extern const struct h1_role h1_up_role;

static inline struct h1_conn *h1_of_stream(struct http_stream *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ensure_magic(c, H1_CONN_MAGIC);
    return c;
}

/** A connection on `t`, which it owns from now on; NULL: out of memory, and t stays the caller's. */
struct h1_conn *h1_conn_new(struct h1_core *h, struct transport *t, const struct h1_role *role,
                            const struct http_peer *peer) must_check;
/** Closes and schedules the memory's end. Detaches from bodies. Idempotent. Its place in the lists of
 * others is for the roles to leave. */
void h1_conn_close(struct h1_conn *c, bool reset);

/** Lets go of both bodies without a word to their other ends. */
void h1_conn_detach(struct h1_conn *c);

/** Reads and hands on what there is, as far as the state and the body's room allow. */
void h1_rx_pump(struct h1_conn *c);
/** Reads once what came before its time, without looking at it, while nothing is awaited. False: the
 * peer has gone, or the connection failed and is closed. */
bool h1_rx_peek(struct h1_conn *c);
/** Sends what there is. */
void h1_tx_pump(struct h1_conn *c);
/** Goes on with both at the end of this turn. */
void h1_conn_again(struct h1_conn *c);

static inline size_t h1_unread(const struct h1_conn *c)
{
    return c->in == NULL ? 0 : c->in->used - c->in_pos;
}

/** Ready for the next message on both halves. */
void h1_conn_reset_message(struct h1_conn *c);
/** The received message goes on with a body of this framing; receive_body() must follow. */
void h1_rx_begin_body(struct h1_conn *c, enum h1_framing framing, const struct http_head *head);
/** The received body is cut; its consumer is not told (http/stream.h). */
void h1_rx_fail_body(struct h1_conn *c, int error);
/** http_stream_ops of both sides. */
void h1_receive_body(struct http_stream *s, struct http_body *body);
void h1_tunnel(struct http_stream *s, struct http_body *receive, struct http_body *send);
void h1_set_timeouts(struct http_stream *s, const struct http_timeouts *t);

/** A chunk to write a head into, with a text on it; NULL: out of memory. */
struct chunk *h1_head_chunk(struct h1_conn *c, const struct http_head *head, struct text *text)
    must_check;
/** Queues the head (the chunk's one reference is taken over) and begins on the body. */
void h1_tx_begin(struct h1_conn *c, struct chunk *head, size_t head_len, enum h1_framing framing,
                 struct http_body *body);
/** The sent message is complete: tells the exchange, once; a tunnel's direction is shut. */
void h1_tx_tell_sent(struct h1_conn *c);
/** Queues and sends an interim head. */
void h1_tx_interim(struct h1_conn *c, struct chunk *head, size_t head_len);

/** Deadline of the receiving half, `ms` from now; 0: none. */
void h1_rx_deadline(struct h1_conn *c, uint32_t ms, int error);
/** The same for the gap between two bytes of a body. */
void h1_rx_gap_deadline(struct h1_conn *c);

/** Adds to a request for an origin what a switch to WebSocket needs and its client did not send. */
void h1_websocket_ask(struct h1_conn *c, const struct http_head *request, struct text *t);
/** Checks the origin's proof when the key was ours. 0 or E_BAD_UPGRADE. */
int h1_websocket_check(const struct h1_conn *c, struct http_head *response) must_check;
/** Adds the proof to a 101 that has none. */
void h1_websocket_answer(const struct h1_conn *c, const struct http_head *response, struct text *t);
