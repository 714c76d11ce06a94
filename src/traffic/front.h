// SPDX-License-Identifier: Apache-2.0
//
// The front of a listener: what a client's connection goes through before its session. There are two
// steps, each where the listener asks for it: a PROXY header, which says who the client is, and a TLS
// handshake. Then the transport goes to the session of the protocol that was agreed on. A connection
// on its way is a client connection like any other: it can be shed, and both steps together end with
// the time they are given. Listeners that ask for neither do not come here.

#pragma once

#include <stdint.h>

#include "base/slab.h"
#include "http/session.h"
#include "loop/transport.h"

struct tls_core;

/** Takes a transport that is through to its session; it is closed on an error. It may be readable. */
struct front_session {
    void (*open)(struct front_session *f, struct transport *t, const struct http_peer *peer,
                 struct slice alpn);
    /** The same for a stream's client. */
    void (*open_stream)(struct front_session *f, struct transport *t, const struct http_peer *peer,
                        uint64_t key);
};

/** What is to be done first. */
struct front_steps {
    bool header;     // a PROXY header is required; whether the source may send one was asked before
    bool secure;     // TLS
    uint64_t stream; // key of the stream that it goes to (l4/plan.h); 0: to the sites
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
                struct front_session *session, uint32_t connections_max);
/** Every connection that came through must be over: down_core_abort() sees to that. */
void front_fini(struct front *f);
/** Begins on an accepted transport. On an error it is closed. */
int front_open(struct front *f, struct transport *t, const struct http_peer *peer,
               struct front_steps steps) must_check;
