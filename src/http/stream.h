// SPDX-License-Identifier: Apache-2.0
//
// http_stream: one exchange's share of a session, on either side of it, whatever the protocol.
//
// A session (h1 now, h2 and h3 later, a tunnel's h2 as well) implements http_stream_ops; whoever
// runs the exchange implements http_stream_events and http_handler. Both directions have the same
// shape: a stream receives one kind of message and sends the other. On the down side it receives a
// request and sends responses; on the up side it sends a request and receives responses. The
// exchange never learns which protocol it speaks.
//
// Life of a down stream: the session calls handler->begin(), parses into the head it got back, then
// events->on_head() (or on_bad_message()). The exchange answers with ops->send_head() any number of
// interim times and once finally. The stream is over when both messages are, or after on_error() or
// ops->reset(); then the session calls events->on_closed() exactly once and forgets the stream.
// Nothing may be called on it after that.
//
// A switch to another protocol always looks like that of HTTP/1.1, whatever the versions: a GET with
// head.upgrade, answered by 101 and tunnel(). Sessions of newer versions map it (RFC 8441: CONNECT with
// :protocol, answered by 200), and an h1 session makes or checks the Sec-WebSocket fields that only its
// side knows (RFC 6455 4). What HTTP/1.1 has no like of stays a CONNECT, with the protocol in
// head.upgrade where it is an extended one, and is answered by 101 and tunnel() as well: bytes of one
// connection (RFC 9113 8.5) or capsules (RFC 9298). Only http/stream_transport.h asks for these, and
// only connections with peer->stream take them.
//
// Life of an up stream: an upstream hands it over idle; the exchange calls send_head() with the
// request; the session calls on_head() for each interim and the final response; on_closed() ends it.
// The session decides by itself whether its connection can carry another exchange.

#pragma once

#include <stdint.h>

#include "os/addr.h"

#include "http/body.h"
#include "http/head.h"

struct chunk;
struct http_peer;
struct http_stream;
struct text;
struct transport;

/** In milliseconds; 0 = none. Which ones matter depends on the side. */
struct http_timeouts {
    uint32_t head_ms;    // down: request head; up: response head after the request was sent
    uint32_t read_ms;    // between two bytes of the received body
    uint32_t write_ms;   // peer takes no byte
    uint32_t tunnel_ms;  // tunnel with no byte either way
    uint32_t rate_bytes; // least bytes per second of a received body after the first 10 s; 0: any
};

/** Who gets a client's connection after a 101. It is told exactly once. */
struct http_heir {
    /** The last byte of the 101 is out: the transport is the heir's. It may be readable, and its owner is
     * still to be set. `peer` is good during the call; what it points to lives as long as the
     * transport. `first`, with its one reference, holds at [pos, first->used) what the client sent
     * behind its request, too early, without waiting for the 101; NULL: nothing, as it should be.
     * t (and peer) are NULL when the connection ended before: then there is nothing to take. */
    void (*take)(struct http_heir *heir, struct transport *t, const struct http_peer *peer,
                 struct chunk *first, uint32_t pos);
};

struct http_stream_ops {
    const char *protocol; // as Via writes it: "1.1", "2"
    /** Sends a head and then `body` until its end (NULL: head->body is HTTP_BODY_NONE). A request's
     * head and every body live until on_closed(); a response's head may be gone when this returns.
     * For an interim response `body` is NULL and further heads follow. For a switch of protocols
     * (101) `body` is NULL and tunnel() follows at once. */
    void (*send_head)(struct http_stream *s, const struct http_head *head, struct http_body *body);
    /** Takes a place for the body of the message this stream receives; must be called before
     * on_head() returns when head->body is not NONE. The session becomes its producer. */
    void (*receive_body)(struct http_stream *s, struct http_body *body);
    /** The exchange became a pipe (HTTP_BODY_TUNNEL): bytes flow both ways, each direction ends by
     * itself (half-close). Instead of receive_body(), and after send_head() of the 101. */
    void (*tunnel)(struct http_stream *s, struct http_body *receive, struct http_body *send);
    /** Answers with this head (101) and gives the connection away when it is out; instead of
     * send_head(). The message received has ended. The stream closes before the heir takes over, all
     * of which may happen before this returns. NULL: this session's connection cannot be given away. */
    void (*hand_over)(struct http_stream *s, const struct http_head *head, struct http_heir *heir);
    /** Gives up: nothing more is sent or received, the peer sees a cut (h1: close; h2: RST_STREAM).
     * `error` says why. on_closed() is called before this returns. */
    void (*reset)(struct http_stream *s, int error);
    /** Re-arms the time-outs with those of the route (milliseconds, 0 = none). */
    void (*set_timeouts)(struct http_stream *s, const struct http_timeouts *t);
};

struct http_stream_events {
    /** A head: the request; or a response, interim (status < 200) or final. It lives in the head
     * that begin() or set_response() gave. */
    void (*on_head)(struct http_stream *s, struct http_head *head);
    /** The received message broke a rule, in its head (which may be half filled) or its body (whose
     * pipe was failed). On the down side the stream can still send: an answer is due if none has
     * begun, and the session closes after it. Never on the up side: there it is on_error(). */
    void (*on_bad_message)(struct http_stream *s, int error);
    /** The stream failed: peer gone, framing broken, time out, body over... Both directions are
     * dead. A body that it produced was failed but its consumer not yet told: that is for the
     * exchange, which knows whether there is a way out (a retry, an error page). on_closed() follows. */
    void (*on_error)(struct http_stream *s, int error);
    /** The outgoing message is complete, its last byte handed to the transport. */
    void (*on_sent)(struct http_stream *s);
    /** The stream is over and about to be forgotten. */
    void (*on_closed)(struct http_stream *s);
    /** For the panic dump: a line or two about whom the stream belongs to, who may be half broken.
     * May be NULL. */
    void (*describe)(const struct http_stream *s, struct text *out);
};

/** Of an IPv6 address with its scope, and then some. */
enum { HTTP_IP_TEXT_MAX = 55 };

enum http_side { HTTP_DOWN, HTTP_UP };

/** What a secure transport knows of its other end; lives as long as the connection. */
struct http_security {
    struct slice version;     // "TLSv1.3"; constant, as is the next
    struct slice cipher;      // as IANA names it: "TLS_AES_128_GCM_SHA256"
    struct slice alpn;        // the protocol that the handshake agreed on; empty: none
    struct slice server_name; // SNI, lower case; empty: none was sent
    bool resumed;
    bool client_verified;        // it showed a certificate, and one of the wanted CAs stands for it
    struct slice client_subject; // RFC 4514; empty: it showed none, as of the next; not to be
                                 // believed unless client_verified
    struct slice client_name;    // first DNS, URI or mail name of its certificate, else its CN
    struct slice client_serial;  // hexadecimal
    struct slice client_fingerprint; // SHA-256 of the certificate, hexadecimal
    struct slice client_certificate; // base64 of its DER (RFC 9440 puts colons around it)
    uint64_t client_from;            // seconds since 1970: when its certificate is good,
    uint64_t client_until;           // whoever stands for it
    /** May a request for `host` be answered on this connection? Yes when its certificate names the
     * host and the host's policy is the one under which the handshake was made (RFC 9110 7.4). */
    bool (*covers)(const struct http_security *s, struct slice host);
};

/** What a PROXY header said of a client's connection beside the client's address; lives as long as the
 * connection. What comes last is left out when it is too much. */
struct http_proxied {
    struct os_peer to; // where the client connected to; OS_ADDR_NONE: not said
    bool secure;       // the client speaks TLS with who sent the header, or with one before it
    bool client_verified;
    struct slice unique_id; // empty: not said, as for the next
    struct slice authority; // the name it asked for
    struct slice alpn;
    struct slice version; // of TLS
    struct slice cipher;
    struct slice client_name; // common name of its certificate
};

struct http_peer {
    struct os_peer addr;            // the other end of the connection; http_peer_set()
    char ip_text[HTTP_IP_TEXT_MAX]; // its address as text, made once per connection
    uint8_t ip_text_len;            // 0: a Unix socket, which has none
    bool secure;                    // TLS; then `security` is set
    bool
        many; // down, of an agent: its requests are of many clients, each to have connections to the
              // origin of its own; connection_id is then random
    const struct http_security *security;
    const struct http_proxied *proxied; // NULL: there was no PROXY header
    struct transport *transport;        // down: the connection itself; NULL: not known
    uint32_t listener;                  // down: index of the listener
    uint16_t port;                      // down: that the listener is bound to; 0: not known
    uint64_t
        stream; // down, of an agent: the stream (l4/plan.h) for which CONNECT is taken; 0: none
    struct slice site;      // down: for which site every request is, whatever its host
                            // (an agent's tunnel); empty: its host says
    uint64_t connection_id; // unique in this process, for logs
};

/** Sets addr and its text. */
void http_peer_set(struct http_peer *p, const struct os_addr *addr);
/** Whether the client speaks TLS: with us, or with who passed the connection on. */
static inline bool http_peer_secure(const struct http_peer *p)
{
    return p->secure || (p->proxied != NULL && p->proxied->secure);
}
static inline struct slice http_peer_ip(const struct http_peer *p)
{
    return slice_of(p->ip_text, p->ip_text_len);
}

struct http_stream {
    uint8_t side; // enum http_side
    const struct http_stream_ops *ops;
    const struct http_stream_events *events; // set by begin() or by who takes an up stream
    void *user;                              // of who implements events
    const struct http_peer *peer;            // of the connection
    struct http_head *receive_head;          // where the next received head is parsed into
};

/** Who takes requests of the down side. */
struct http_handler {
    /** A request is about to be parsed on `s`. Sets s->events, s->user and s->receive_head. 0, or
     * E_NO_MEMORY / E_OVERLOADED: the session sends a fixed 503 and closes. */
    int (*begin)(struct http_handler *h, struct http_stream *s);
};
