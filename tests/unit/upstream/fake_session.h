// SPDX-License-Identifier: Apache-2.0
//
// Sessions of servers that only count what is asked of them, for tests of who gets which.

#pragma once

#include "http/session.h"
#include "loop/transport.h"

struct fake_session {
    struct up_session session;
    struct http_peer peer;
    struct transport *t;
    struct http_stream stream; // every request's
    bool closed;
    char said[64]; // the last words to it
};

/** Begins one on a connection that is there, as a protocol's open() does. */
struct up_session *fake_session_open(struct fake_session *f, struct transport *t,
                                     const struct up_session_terms *terms, uint32_t streams_max);
