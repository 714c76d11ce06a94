// SPDX-License-Identifier: Apache-2.0
//
// What sessions of every protocol have in common, and all that others know of them.
//
// Down: an open client connection is a down_session in one of two lists of its core, idle (nothing
// asked for) or busy, whoever speaks on it: a TLS handshake, h1, h2. So whoever sheds load or drains
// needs no protocol's name.
//
// Up: a connection to an origin is an up_session that can carry one exchange at a time (h1) or many
// (h2, a tunnel). Its owner, a pool, takes a stream while `streams < streams_max` and hears when
// that changes.

#pragma once

#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "loop/transport.h"
#include "obs/counters.h"
#include "os/addr.h"

#include "http/stream.h"

struct down_session;
struct up_session;

/** Limits and times of client connections: of the current snapshot, the same for all protocols. */
struct http_settings {
    uint32_t head_bytes;       // a whole head (HPACK: decoded, cookie crumbs counted)
    uint32_t target_bytes;     // of the request target
    uint16_t fields;           // of a head
    uint32_t header_ms;        // request head, from its first byte
    uint32_t idle_ms;          // keep-alive wait of a client
    uint32_t handshake_ms;     // TLS, from the accept
    struct http_timeouts down; // until a route sets its own
    uint64_t requests_per_connection;
    uint32_t streams_max;      // h2: requests at once on a client's connection
    uint32_t connection_bytes; // budget of one connection: its first windows and its output
    uint32_t window_bytes;     // h2: to which the window of a stream may grow
};

/** One core's client connections. */
enum { DOWN_CROWDS = 256 };

/** Newcomers from one address (of IPv6 its /64), and from those that share its place. */
struct down_crowd {
    struct list members; // oldest first
    uint32_t count;
};

struct down_core {
    uint32_t magic;
    bool draining; // sessions end with their last answer
    bool patient;  // while draining: a connection that is idle may ask once more
    struct loop *loop;
    struct counters *counters;
    struct http_handler *handler; // of requests
    struct http_settings settings;
    struct list idle; // struct down_session, idlest first
    struct list busy;
    struct list newcomers; // that have asked for nothing yet, oldest first
    uint32_t count;
    uint32_t newcomer_count;
    struct hash_key key; // nobody can choose an address to be counted with another one
    struct down_crowd crowds[DOWN_CROWDS];
    uint64_t next_id;
    uint64_t date_second;
    char date[29];
};

struct down_session_ops {
    /** Closes an idle one, at once: load is shed. */
    void (*shed)(struct down_session *s);
    /** No further exchange: an idle one is closed when nothing has come (unless the core is
     * patient), a busy one ends with what it carries (h1: close after the answer; h2: GOAWAY).
     * Tunnels live on. */
    void (*drain)(struct down_session *s);
    /** Ends at once, whatever it carries. */
    void (*abort)(struct down_session *s);
};

/** Of the other side's last words: more of a GOAWAY's debug data is not passed on. */
enum { SESSION_TEXT_MAX = 256 };

/** Who wants to know more of one client's session than its exchanges: an agent, to whom the edge is the
 * client. Called from inside the session's turn. */
struct down_session_watcher {
    /** The client said GOAWAY. True: it may ask on, and the session is its to end; false: what lives goes
     * on, and the session ends with it. `text` is the peer's, any bytes, at most SESSION_TEXT_MAX, valid
     * during the call. Called for each GOAWAY; may be NULL. */
    bool (*on_goaway)(struct down_session *s, void *arg, uint32_t code, struct slice text);
    /** It is closed, and about to be forgotten; `error` says why. May be NULL. */
    void (*on_gone)(struct down_session *s, void *arg, int error);
};

/** What such a session is opened with. */
struct down_session_terms {
    const struct http_peer *peer; // copied
    const struct down_session_watcher *watcher;
    void *watcher_arg;
    bool liveness; // as in struct up_session_terms
};

struct down_session {
    struct list link; // of down_core
    struct list mate; // of its crowd, while it is a newcomer
    uint8_t crowd;
    bool newcomer;
    const struct down_session_ops *ops;
    struct down_core *core;
    const struct down_session_watcher *watcher; // NULL: nobody
    void *watcher_arg;
    uint32_t rtt_us; // as last measured, smoothed; 0: not yet. Only HTTP/2 measures
};

void down_core_init(struct down_core *c, struct loop *l, struct counters *counters,
                    struct http_handler *handler);
/** Joins the newcomers; counted. */
void down_session_open(struct down_core *c, struct down_session *s, const struct os_peer *from,
                       const struct down_session_ops *ops);
/** Leaves; counted. */
void down_session_close(struct down_session *s);
/** Moves to the end of the idle list, or to the busy one. It is no newcomer any more. */
void down_session_set_idle(struct down_session *s, bool idle);
/** Sheds one that carries nothing; false: there is none. When most connections are newcomers one of them
 * goes, else the idlest. `from` is who wants the room, NULL: not known. An address from which more than
 * a quarter of the newcomers are makes room itself: so a flood of connections that never ask displaces
 * itself, and neither those who have asked before nor those who are about to. */
bool down_core_shed(struct down_core *c, const struct os_peer *from);
/** Before one more comes from there: with `most` newcomers, or a quarter of that from its address, an older
 * one makes room. */
void down_core_bound(struct down_core *c, const struct os_peer *from, uint32_t most);
/** Every session is to end. Patiently: one that is idle where a client may be about to ask (h1) waits
 * for that request and says in its answer that the connection ends; else it is closed. May be called
 * again, less patient. */
void down_core_drain(struct down_core *c, bool patient);
void down_core_abort(struct down_core *c);
/** A number for a connection, unique in this process. */
uint64_t http_connection_id(struct loop *l, uint64_t *next);
/** The Date of answers of ours: 29 bytes, made once a second. */
struct slice down_core_date(struct down_core *c);

/** A pool that owns up sessions. Called from inside the session's turn; the pool may take streams or
 * close sessions inside. */
struct up_session_owner {
    /** A stream may be taken now: an exchange ended, or the peer allows more (also the first time,
     * after the open). */
    void (*on_room)(struct up_session *s, void *owner);
    /** It will be gone: no stream is to be taken any more, those that live go on (GOAWAY, a last
     * keep-alive answer). s->goaway_text is what the peer said with it. At most once; may be left
     * out. Not called for what the owner began itself (drain). */
    void (*on_closing)(struct up_session *s, void *owner);
    /** It is closed; `error` says why (E_EOF: the origin closed an idle one). */
    void (*on_gone)(struct up_session *s, void *owner, int error);
};

struct up_session_ops {
    const char *protocol; // "http/1.1", "h2": the ALPN names
    /** A stream for an exchange; only while up_session_has_room(). The caller sets events, user and
     * receive_head and may then send. NULL: out of memory. */
    struct http_stream *(*take)(struct up_session *s);
    /** Closes one that carries nothing; on_gone is not called. Of HTTP/2 something may be left at a core's
     * end, which ends with it: a request of ours, an answer that was whole before its stream was over. */
    void (*close)(struct up_session *s);
    /** No further streams; those that live go on, and with the last one it is closed and on_gone is
     * called, with E_EOF, never from inside this call. The peer is told `text` (at most
     * SESSION_TEXT_MAX bytes go out; GOAWAY). May be NULL: a protocol that cannot tell. */
    void (*drain)(struct up_session *s, struct slice text);
    /** The peer is told `text` in the same way, and nothing else changes: streams may begin. May be
     * NULL. */
    void (*announce)(struct up_session *s, struct slice text);
};

struct up_session {
    const struct up_session_ops *ops;
    const struct up_session_owner *owner;
    void *owner_arg;
    struct list link;         // the owner's: the session never touches it
    uint32_t streams;         // exchanges that it carries; in on_gone: that it carried at its end
    uint32_t streams_max;     // as the peer allows now
    bool closing;             // no further ones
    bool left;                // the peer said goodbye
    bool can_upgrade;         // it can carry a switch of protocols (head.upgrade)
    bool greeted;             // the peer has sent its SETTINGS (HTTP/2); on_room comes after
    uint8_t owner_flags;      // the owner's
    uint64_t client;          // the owner's: for whose requests alone it is; 0: for everybody's
    uint64_t exchanges;       // that it has ever begun
    uint64_t connect_ns;      // what connect and handshake took
    uint32_t rtt_us;          // as last measured, smoothed; 0: not yet. Only HTTP/2 measures
    uint32_t goaway_code;     // of the peer's GOAWAY
    struct slice goaway_text; // its debug data, any bytes; only inside on_closing
    const struct http_peer *peer; // lives as long as the session
};

static inline bool up_session_has_room(const struct up_session *s)
{
    return !s->closing && s->streams < s->streams_max;
}

/** What a pool tells a session that it opens. */
struct up_session_terms {
    const struct http_peer *peer; // copied
    const struct up_session_owner *owner;
    void *owner_arg;
    uint32_t idle_ms; // how long an idle one is kept
    /** h2, a tunnel's: it is kept whatever it carries, asked by PING when nothing came for 10 s, and
     * ends with E_PEER_SILENT when nothing came for 15 s; its streams are of different people, so
     * none waits for another's credit. idle_ms does not count. */
    bool liveness;
};

/** How a pool gets a session for a connected transport: one per protocol, by ALPN name. */
struct up_protocol {
    const char *alpn;
    /** Takes the transport in any case (closed on an error). on_room is not called for the first time
     * before this returns. NULL with *error. */
    struct up_session *(*open)(void *core, struct transport *t,
                               const struct up_session_terms *terms, int *error);
    void *core; // the protocol's own of this core
};
