// SPDX-License-Identifier: Apache-2.0
//
// Capsules (RFC 9297 3.2): what a stream of datagrams is made of. Each is a type, a length and so many
// bytes; of the types only DATAGRAM is read, whose value is a context and a UDP payload (RFC 9298 5).
// Others are skipped, and so are datagrams of contexts that nobody agreed on.
//
// The reader is pure: bytes in, datagrams out, whatever the pieces they come in. A datagram that lies in
// one piece is a view of the input; one that was cut is gathered in a chunk, which is gone with it.

#pragma once

#include <stdint.h>

#include "base/chunk.h"
#include "base/slice.h"

enum {
    CAPSULE_DATAGRAM = 0,
    CAPSULE_HEAD_MAX = 16,           // type and length
    CAPSULE_PAYLOAD_MAX = 65527,     // of UDP (RFC 9298 5)
    CAPSULE_OTHER_MAX = 1024 * 1024, // of a capsule that is skipped
    CAPSULE_DATAGRAM_HEAD_MAX = 1 + 4 + 1,
};

struct capsule_reader {
    struct chunk_pool *pool;
    struct chunk *held; // the first part of a value that was cut
    uint64_t left;      // of the value that is being read, or skipped
    uint8_t head_len;
    bool in_value;
    bool skips;
    bool given; // what is in `held` was handed out
    char head[CAPSULE_HEAD_MAX];
};

void capsule_reader_init(struct capsule_reader *r, struct chunk_pool *pool);
/** Gives back what it holds. */
void capsule_reader_fini(struct capsule_reader *r);
/** Uses up bytes of *in until a datagram is complete: 0, its payload in *out, good until the next call
 * or as long as the input. E_AGAIN: the input is used up. E_PROTOCOL, E_TOO_LARGE: the stream is to be
 * given up (RFC 9297 3.3). E_NO_MEMORY. */
int capsule_read(struct capsule_reader *r, struct slice *in, struct slice *out) must_check;
/** Nothing is half read: the stream may end here (RFC 9297 3.3). */
bool capsule_reader_is_between(const struct capsule_reader *r);

/** What goes before the `len` bytes of a datagram's payload, context 0; how many bytes. */
size_t capsule_datagram_head(char out[CAPSULE_DATAGRAM_HEAD_MAX], size_t len);
