// SPDX-License-Identifier: Apache-2.0
//
// The front of a secure listener: TLS handshakes on their way. When one is done, the client's
// transport goes to the session of the protocol that was agreed on. A handshake is a client connection
// like any other: it can be shed, and it ends with the time it is given.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "http/session.h"
#include "loop/transport.h"

struct tls_core;

/** Takes a secured transport to its session; the transport is closed on an error. */
struct front_session {
    void (*open)(struct front_session *f, struct transport *t, const struct http_peer *peer,
                 struct slice alpn);
};

/** One per core. */
struct front {
    uint32_t magic;
    struct tls_core *tls;
    struct down_core *down;
    struct front_session *session;
    struct slab slab;
    struct list dead; // over in this turn
    struct task reap;
};

void front_init(struct front *f, struct tls_core *tls, struct down_core *down,
                struct front_session *session, uint32_t handshakes_max);
/** Every handshake must be over: down_core_abort() sees to that. */
void front_fini(struct front *f);
/** Begins on an accepted transport. On an error it is closed. */
int front_open(struct front *f, struct transport *t, const struct http_peer *peer) must_check;
