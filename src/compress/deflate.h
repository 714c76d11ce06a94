// SPDX-License-Identifier: Apache-2.0
//
// A gzip stream being written (RFC 1952), over ISA-L or zlib, with the number of live ones bounded for
// each core: a state takes some 430 KiB whatever the body's size, and it lives as long as its client
// takes to read.
//
// Which library: ISA-L for levels 1 to 3, zlib for 4 to 9. Measured on 15 MB of HTML, scripts, JSON
// and text in one megabyte bodies: ISA-L level 3 gives a ratio of 4.9 at 390 MB/s of one core, zlib
// level 1 4.4 at 156 MB/s, zlib level 6 5.6 at 52 MB/s. On bodies of 4 KiB zlib spends most of its
// time on clearing tables: 3.3 at 42 MB/s against 3.2 at 207 MB/s. So the default is 3.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"

enum {
    // Live states of a core: 27 MiB at most. With more, bodies go out as they are, which a client
    // cannot tell from an edge that does not compress.
    DEFLATE_LIVE_MAX = 64,
    DEFLATE_LEVEL_DEFAULT = 3,
};

struct deflate;

enum deflate_flush {
    DEFLATE_RUN,    // output when it is worth it
    DEFLATE_FLUSH,  // everything that went in can be decoded from what came out
    DEFLATE_FINISH, // the end, with the trailer
};

struct deflate_io {
    const void *in;
    size_t in_len;
    void *out;
    size_t out_len;
    size_t consumed; // out
    size_t produced; // out
};

/** NULL over the core's limit or out of memory. `level`: 1..9. */
struct deflate *deflate_new(int level) must_check;
void deflate_free(struct deflate *d);
/** Compresses; consumed and produced are set. True when everything that was asked for is done: the
 * input is taken and, for FLUSH and FINISH, all of the output is out. False: there is more to come,
 * call again with room and the same `flush`. After FINISH came true nothing may follow. E_INTERNAL is
 * not to be expected: it is an assert. */
bool deflate_step(struct deflate *d, struct deflate_io *io, enum deflate_flush flush);
/** How many are alive on this core (thread). */
unsigned deflate_live(void);
