// SPDX-License-Identifier: Apache-2.0
//
// Takes the PROXY header off a connection that somebody opened for a client: the first step of a
// connection, before TLS and before any session. Only the header's own bytes are read; what follows is
// still in the socket, and `readable` of the transport says so.
//
// Who may send one is the caller's business, and how long it may take: it has to be asked of sources
// that are known to send it, always, and never be guessed (section 5 of the specification).

#pragma once

#include "base/chunk.h"
#include "loop/transport.h"
#include "obs/counters.h"

#include "net/proxy_header.h"

/** Embedded in its owner. */
struct proxy_reader {
    uint32_t magic;
    struct transport *t; // NULL: none is on its way
    struct counters *counters;
    struct chunk *bytes; // what came so far
    /** Once, never from inside proxy_reader_begin(). On an error `header` is empty and the transport
     * the caller's to close; else its owner must be set anew, and it may be readable already. Views in
     * `header` live as long as the call. */
    void (*done)(struct proxy_reader *r, int error, const struct proxy_header *header);
};

/** Begins on a transport of which nothing was read and no event is pending (a new one). The reader is
 * its owner until `done` or proxy_reader_stop(). What goes wrong is counted by reason. */
void proxy_reader_begin(struct proxy_reader *r, struct transport *t, struct counters *counters,
                        void (*done)(struct proxy_reader *r, int error,
                                     const struct proxy_header *header));
/** Gives up, without a call: it took too long, or load is shed. Nothing when none is on its way. The
 * transport stays the caller's. */
void proxy_reader_stop(struct proxy_reader *r);
/** Counts a connection whose source may not send a header. */
static inline void proxy_reader_refuse(struct counters *counters)
{
    counter_add(counters, COUNTER_proxy_header_untrusted, 1);
}
