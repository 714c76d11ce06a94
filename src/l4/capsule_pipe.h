// SPDX-License-Identifier: Apache-2.0
//
// Datagrams over a transport, as capsules (http/capsule.h): one flow, which is one stream of a tunnel's
// session. What finds no room is dropped, as on any network: nothing waits but the rest of a datagram
// that was half written. Private to src/l4.

#pragma once

#include "http/capsule.h"
#include "loop/transport.h"

struct capsule_pipe {
    struct transport *t;
    struct chunk *in;   // input that was not looked at yet
    struct chunk *rest; // of the datagram that was half written
    uint32_t in_at;
    uint32_t rest_at;
    struct capsule_reader reader;
};

/** The transport stays the caller's, who hears of its events and closes it. */
void capsule_pipe_init(struct capsule_pipe *p, struct transport *t);
/** Gives back what it holds. Nothing happens to one that is all zero. */
void capsule_pipe_fini(struct capsule_pipe *p);
/** Sends a datagram of at most CAPSULE_PAYLOAD_MAX bytes. E_AGAIN: there was no room, it is lost. Other
 * codes: the stream has failed. */
int capsule_pipe_send(struct capsule_pipe *p, const void *bytes, size_t len) must_check;
/** There may be room again: the rest of a datagram goes out. 0, E_AGAIN, or the stream has failed. */
int capsule_pipe_flush(struct capsule_pipe *p) must_check;
/** The next one that has come, good until the next call. E_AGAIN: none now; E_EOF: none any more, and
 * the last one was whole; other codes: the stream has failed. */
int capsule_pipe_receive(struct capsule_pipe *p, struct slice *out) must_check;
