// SPDX-License-Identifier: Apache-2.0
//
// A transport over a transport: a byte stream in binary WebSocket messages (http/websocket_frame.h), for
// where a middlebox on the way passes only these. The handshake is over; below is TLS or a socket in
// clear, or anything else that is a transport.
//
// Pings are answered. A close frame of the peer is the end of input; one of ours is sent when the owner
// closes its direction, or closes. A connection below that ends without a close frame was cut
// (E_EARLY_CLOSE). What the owner wrote before it closed is still sent, for a bounded time.
//
// It can change its core with all that is below it (loop/transport.h).

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "loop/transport.h"

struct chunk;

/** One per core. */
struct websocket_core {
    uint32_t magic;
    struct transport_core *transports;
    struct slab slab;
    struct list live;
    struct list dead; // over in this turn
    struct task reap;
};

/** `transports` outlives it; transports are wrapped on it from now on. */
void websocket_core_init(struct websocket_core *c, struct transport_core *transports,
                         uint32_t sockets_max);
/** Every transport must be closed; what was still to be sent is given up. */
void websocket_core_fini(struct websocket_core *c);

/** Wraps `below`, which is taken and belongs to the result; its owner is to be set at once, and looks by
 * itself. `client`: we are the client, whose bytes are masked. `first` (taken; may be NULL) is what was
 * read of it beyond the handshake, from `pos` on. NULL: out of memory, and `below` is closed. Core of
 * `below`, whose struct websocket_core must be there. */
struct transport *websocket_wrap(struct transport *below, bool client, struct chunk *first,
                                 uint32_t pos) must_check;
