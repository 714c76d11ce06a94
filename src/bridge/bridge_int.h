// SPDX-License-Identifier: Apache-2.0
//
// Bridges from the inside. channel.c carries messages between cores, flow.c bodies, head.c heads;
// near.c and far.c are the two ends of a stream, port.c is a session that others may use.
//
// A stream is one object that both cores know by its address, of the near core's slab. Each core has
// its own part of it and never looks at the other's; what they tell each other goes in messages. The
// near core begins with OPEN and says END as its last word, the far core answers with FORGET as its
// own: then the object is free. The far end's larger part is of the far core's slab. A session over a
// bridge lives likewise, between ATTACH and DETACHED.
//
// Who has something to say is put on the channel's list; at the end of the turn each is asked, and
// all that is said goes in one mail. So nothing is lost when there is no memory for a message: it is
// said later.

#pragma once

#include "base/slab.h"
#include "loop/gate.h"

#include "bridge/bridge.h"

enum {
    BRIDGES_MAGIC = 0x62726773,
    BRIDGE_CORE_MAGIC = 0x62726763,
    BRIDGE_SESSION_MAGIC = 0x62726e73,
    BRIDGE_STREAM_MAGIC = 0x6272737d,
    BRIDGE_FAR_MAGIC = 0x62726661,
    BRIDGE_PORT_MAGIC = 0x6272706f,

    // Pieces of a body on their way. The pipe there has a place for each, and one for a piece that was
    // copied to the end of one chunk and the beginning of the next.
    BRIDGE_RECORDS = BUFQ_SPANS - 1,
    // Of a request, before it has a stream: it can still be given to another server (proxy/attempt.h).
    BRIDGE_FIRST_BYTES = 32 * 1024,
    BRIDGE_FIRST_RECORDS = 6,
    BRIDGE_VIEW_MIN = 2048,     // smaller pieces are copied into the message
    BRIDGE_COPY_MAX = 4096,     // as many of them as this in one
    BRIDGE_LAZY_MS = 5,         // what nobody waits for goes with others, or after this time
    BRIDGE_RETRY_MS = 10,       // after there was no memory for a message
    BRIDGE_WAIT_MS = 10 * 1000, // for room in a far session
    BRIDGE_FAR_MEMORY = 3072,   // two usual heads
    BRIDGE_ARENA_MAX = 512 * 1024,
};

enum bridge_type {
    BRIDGE_OPEN, // to the far end: a request
    BRIDGE_HEAD, // to the near end: a response, interim or final
    BRIDGE_DATA, // both: bytes of a body, in the message ...
    BRIDGE_VIEW, // ... or of a chunk, with a reference
    BRIDGE_BODY_END,
    BRIDGE_ACK,      // both: so much was taken out of the pipe
    BRIDGE_TIMEOUTS, // far
    BRIDGE_SENT,     // near: the request is out
    BRIDGE_CLOSED,   // near: the stream is over
    BRIDGE_END,      // far: the near end's last word
    BRIDGE_FORGET,   // near: the far end's
    BRIDGE_ATTACH,   // far: a session
    BRIDGE_DETACH,   // far: its last word
    BRIDGE_DETACHED, // near: the far end's
    BRIDGE_STATE,    // near: what the far session allows now
    BRIDGE_CLOSING,  // near: no further streams
    BRIDGE_GONE,     // near: when its streams are over, so is it
};

/** Before each message; a multiple of 8 bytes in all. */
struct bridge_message {
    uint8_t type; // enum bridge_type
    bool to_far;  // one channel may be both, from a core to itself
    uint16_t pad;
    uint32_t size;
    void *to; // struct bridge_stream or struct bridge_session
};

struct bridge_view {
    struct chunk *chunk;
    uint32_t off;
    uint32_t len;
};

struct bridge_ack {
    uint32_t bytes;
    uint32_t records;
};

struct bridge_end {
    int32_t error;
    bool reset; // it was not over
};

struct bridge_opening {
    struct bridge_port *port;
    struct http_timeouts timeouts;
    uint32_t bytes_max; // of a response's head
    uint16_t fields_max;
    bool has_body;
};

/** What one end has to say; bits of `said`. */
enum {
    BRIDGE_SAY_BODY = 1, // there may be something of a body
    BRIDGE_SAY_ACK = 2,
    BRIDGE_SAY_TIMEOUTS = 4,
    BRIDGE_SAY_SENT = 8,
    BRIDGE_SAY_CLOSED = 16,
    BRIDGE_SAY_LAST = 32,     // END, FORGET, DETACH, DETACHED
    BRIDGE_SAY_ATTACH = 64,   // a session
    BRIDGE_SAY_STATE = 128,   // a session
    BRIDGE_SAY_CLOSING = 256, // a session
    BRIDGE_SAY_GONE = 512,    // a session
};

struct bridge_voice {
    struct list link; // of the channel, while there is something
    uint16_t say;
    /** Writes what there is to say. False: no memory, it stays on the list. */
    bool (*speak)(struct bridge_voice *v);
};

/** A channel from one core to another, or to itself; that of the sender. */
struct bridge_channel {
    struct bridge_core *from;
    struct bridge_core *to;
    bool down; // the other core has ended
    struct list voices;
    struct chunk *first; // what is written so far
    struct chunk *last;
    struct chunk *spare; // for when the pool is used up, by what waits for these messages
    struct task flush;
    struct wheel_timer later;
};

/** A body that goes over. */
struct bridge_out {
    struct http_body *body; // NULL: none, or it is over
    uint32_t bytes;         // that may go
    uint32_t records;
};

/** A body that comes. */
struct bridge_in {
    struct http_body *body; // NULL: none, or it is over
    uint64_t taken;         // of it, as far as is counted in `ack`
    struct bridge_ack ack;  // to be said
    uint8_t head;
    uint8_t count;
    uint32_t records[BRIDGE_RECORDS]; // what is left of each that was not taken
};

/** A stream, with both cores' parts of it. */
struct bridge_stream {
    // The near core's.
    uint32_t magic;
    bool attached; // an exchange hears of it
    bool opened;   // OPEN was said
    bool over;     // for the exchange
    struct bridge_end end;
    struct bridge_session *session;
    struct http_timeouts timeouts;
    struct bridge_out out; // the request
    struct bridge_in in;   // the response
    struct bridge_voice voice;
    struct list link; // of the session while it lives, or of core->dead
    struct list all;  // of the core
    struct http_stream stream;
    char apart[64];
    // The far core's.
    struct bridge_far *far; // NULL: it came to nothing
    int32_t far_error;
    struct bridge_channel *far_channel; // back
    struct bridge_voice far_voice;
};

/** The far core's larger part. */
struct bridge_far {
    uint32_t magic;
    bool over;      // the stream is
    bool receiving; // a response's body comes, or came
    struct bridge_stream *near;
    struct bridge_core *core;
    struct bridge_port *port;
    struct http_stream *stream; // of the session; NULL: it waits, or is over
    struct http_timeouts timeouts;
    struct bridge_out out; // the response
    struct bridge_in in;   // the request
    bool has_body;
    uint16_t fields_max;
    uint32_t bytes_max;
    struct list link;    // core->fars
    struct list waiting; // port->waiting
    struct wheel_timer timer;
    struct http_head request;
    struct http_head response;
    struct arena arena;
    struct http_body request_body;
    struct http_body response_body;
    char memory[BRIDGE_FAR_MEMORY];
};

/** A session over a bridge, with both cores' parts of it. */
struct bridge_session {
    // The near core's.
    uint32_t magic;
    bool ended; // the owner knows nothing of it any more
    bool gone;  // the port has closed ...
    int gone_error;
    uint32_t objects; // streams that are not forgotten
    struct bridge_core *core;
    struct bridge_channel *channel;
    struct bridge_port *port;
    struct list streams;
    struct list all;
    struct task room;
    struct bridge_voice voice;
    struct up_session session;
    struct http_peer peer;
    char apart[64];
    // The far core's.
    struct bridge_channel *far_channel;
    struct bridge_voice far_voice;
    struct list port_link;
    int32_t far_error;
};

struct bridge_port {
    uint32_t magic;
    uint32_t core;
    atomic_uint refs;
    // Seen by all cores.
    atomic_uint streams;
    atomic_uint streams_max;
    atomic_uint rtt_us;
    atomic_bool can_upgrade;
    atomic_bool open;
    bool is_h2;
    // The session's core's.
    bool closed;
    struct bridge_core *home;
    struct bridge_port_order order;
    struct list link;     // core->ports
    struct list sessions; // near ones
    struct list waiting;  // struct bridge_far
    uint32_t waiting_count;
};

struct bridge_core {
    uint32_t magic;
    bool closing; // nothing new
    bool closed;
    struct bridges *all;
    struct loop *loop;
    struct counters *counters;
    struct bridge_limits limits;
    struct slab sessions;
    struct slab streams;
    struct slab far_slab;
    struct list all_sessions; // near
    struct list all_streams;  // near
    struct list dead;         // streams that were never opened, until the end of the turn
    struct list fars;
    struct list ports;
    struct task reap;
    struct gate gate;
    struct bridge_channel channels[]; // to every core
};

struct bridges {
    uint32_t magic;
    uint32_t count;
    struct bridge_core *cores[];
};

static inline struct bridge_stream *bridge_of_stream(struct http_stream *s)
{
    struct bridge_stream *x = container_of(s, struct bridge_stream, stream);
    ensure_magic(x, BRIDGE_STREAM_MAGIC);
    return x;
}

// ---- channel.c -------------------------------------------------------------------------------------

/** Room for a message's payload, aligned to 8, in what goes at the end of this turn. NULL: out of
 * memory, or the other core has ended. */
void *bridge_write(struct bridge_channel *c, enum bridge_type type, bool to_far, void *to,
                   size_t size) must_check;
void bridge_voice_init(struct bridge_voice *v, bool (*speak)(struct bridge_voice *v));
/** `v` has something to say. Lazy: nobody waits for it. */
void bridge_say(struct bridge_channel *c, struct bridge_voice *v, unsigned what, bool lazy);
/** It has nothing to say. */
void bridge_hush(struct bridge_voice *v);

// ---- head.c ----------------------------------------------------------------------------------------

size_t bridge_head_size(const struct http_head *h);
void bridge_head_write(const struct http_head *h, void *to);
/** Into a head that http_head_init() has made. E_HEAD_TOO_LARGE, E_TOO_MANY_FIELDS, E_NO_MEMORY. */
int bridge_head_read(struct http_head *h, const void *from) must_check;

// ---- flow.c ----------------------------------------------------------------------------------------

void bridge_out_begin(struct bridge_out *o, struct http_body *body, void *consumer,
                      void (*on_data)(struct http_body *b, void *consumer));
/** Says what may go of the body, and its end. False: no memory. */
bool bridge_out_speak(struct bridge_out *o, struct bridge_channel *c, bool to_far, void *to);
void bridge_out_stop(struct bridge_out *o);
void bridge_in_begin(struct bridge_in *in, struct http_body *body, void *producer,
                     void (*on_room)(struct http_body *b, void *producer));
/** A piece has come, in a chunk that is shared. The consumer is not told yet. */
int bridge_in_data(struct bridge_in *in, struct chunk_pool *pool, const struct bridge_view *v)
    must_check;
/** Counts what was taken; true: it is time to say so. */
bool bridge_in_taken(struct bridge_in *in);
/** The sender may send all that a window has. */
void bridge_in_open(struct bridge_in *in);
bool bridge_in_speak(struct bridge_in *in, struct bridge_channel *c, bool to_far, void *to);
/** The end has come; `packed` NULL: without trailers. The consumer is told. */
int bridge_in_end(struct bridge_in *in, struct arena *arena, const struct http_head *limits,
                  const void *packed) must_check;
/** `error` not 0: the body is cut, its consumer is not told. */
void bridge_in_stop(struct bridge_in *in, int error);

// ---- near.c, far.c, port.c -------------------------------------------------------------------------

void bridge_near_message(struct bridge_core *c, const struct bridge_message *m,
                         struct chunk *chunk);
void bridge_far_message(struct bridge_core *c, struct bridge_channel *back,
                        const struct bridge_message *m, struct chunk *chunk);
/** The core at the other end of the channel has ended: with it go the sessions over it. */
void bridge_near_lost(struct bridge_channel *c);
/** Of the core that ends. */
void bridge_near_close(struct bridge_core *c);
void bridge_far_close(struct bridge_core *c);
void bridge_near_reap(struct task *t);
/** The session's stream for it, or none for ever. */
void bridge_far_start(struct bridge_far *f, struct http_stream *s);
void bridge_far_refuse(struct bridge_far *f, int error);
/** Asks the port's owner for a stream. False: it waits for one. */
bool bridge_port_ask(struct bridge_far *f);
void bridge_port_stop_waiting(struct bridge_far *f);
void bridge_port_attach(struct bridge_core *c, struct bridge_channel *back,
                        struct bridge_session *s);
void bridge_port_detach(struct bridge_session *s);
