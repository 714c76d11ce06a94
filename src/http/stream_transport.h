// SPDX-License-Identifier: Apache-2.0
//
// Transports over streams: a byte stream that is one stream of another session. A CONNECT (RFC 9113
// 8.5) or an extended CONNECT (RFC 8441, 9298) that was agreed to gives both ends a transport without
// a descriptor, and whoever works with transports, layer 4, works with it unchanged: half-closes are
// END_STREAM, resets are RST_STREAM, and what the other side has not taken fills a bounded pipe.
//
// On the up side stream_transport_ask() sends the request, and the transport comes with the 2xx. On
// the down side the transport is there with the request; stream_transport_agree() sends the 2xx, and
// one that is closed before that was refused.
//
// Events are told at the end of the turn, never from inside of a call of the owner's. A transport that
// is closed without a reset goes on in the background until what was written has been sent, as long as
// the peer takes any of it. It stays on the core of its stream.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "loop/transport.h"

#include "http/stream.h"

struct stream_transport;

/** One per core. */
struct stream_transports {
    uint32_t magic;
    struct transport_core *transports;
    struct slab slab;
    struct list dead; // over in this turn
    struct task reap;
};

/** What is asked for on the up side. Slices are copied. */
struct stream_order {
    struct slice authority; // HOST:PORT
    struct slice protocol;  // of an extended CONNECT; empty: a plain one
    struct slice path;      // with `protocol`
    struct slice forwarded; // value of Forwarded (RFC 7239): who the visitor is; empty: none
    uint32_t limit_ms;      // until the answer; 0: none
    /** Once: with `t`, which is ours to close, or NULL and why. Never before ask() returns. */
    void (*on_answer)(void *arg, struct transport *t, int error);
    void *arg;
};

/** `transports` outlives it. */
void stream_transports_init(struct stream_transports *c, struct transport_core *transports,
                            uint32_t streams_max);
/** Every stream must be over and every transport closed. */
void stream_transports_fini(struct stream_transports *c);

/** Sends the request on an idle stream of the up side, which is ours from then on in any case. NULL
 * with *error: the stream was reset, on_answer is not called. */
struct stream_transport *stream_transport_ask(struct stream_transports *c, struct http_stream *s,
                                              const struct stream_order *o, int *error) must_check;
/** Gives up what has had no answer; on_answer is not called. */
void stream_transport_cancel(struct stream_transport *st);

/** The transport of a stream of the down side whose request was read and which nobody else uses: its
 * events are ours from now on. `capsules`: of an extended CONNECT whose bytes are capsules (RFC 9297).
 * NULL: out of memory, the stream stays the caller's. */
struct transport *stream_transport_take(struct stream_transports *c, struct http_stream *s,
                                        bool capsules) must_check;
/** Answers 2xx, once; only then bytes pass. Until then the transport is neither readable nor writable.
 * Nothing happens where no answer is due. */
void stream_transport_agree(struct transport *t);
