// SPDX-License-Identifier: Apache-2.0
//
// Header compression (RFC 7541) as the sessions see it: a decoder that is fed pieces of a block as
// they come and hands out fields one by one, and an encoder that is given fields one by one and
// writes a block. Whose HPACK it is, is known to hpack.c alone (nghttp2's now).
//
// The memory of both is taken through hooks that count it, and more than H2_HPACK_BYTES_MAX per
// connection is refused: the tables are bounded by the settings, what is decoded by the longest field
// that the library bears.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum {
    H2_HPACK_TABLE = 4096,           // of either direction at most
    H2_HPACK_BYTES_MAX = 256 * 1024, // of one connection
    H2_HPACK_FIELDS_MAX = 1024,      // of a block that we write
};

struct h2_hpack;

/** NULL: out of memory. */
struct h2_hpack *h2_hpack_new(void) must_check;
void h2_hpack_free(struct h2_hpack *h);

/** `secret`: it came as one that is never to be indexed, by no intermediary (RFC 7541 7.1.3). */
typedef void h2_field_fn(void *user, struct slice name, struct slice value, bool secret);

/** Decodes a piece of a block; `last`: it is the end of it. fn is called for each complete field; its
 * slices die when it returns. 0, E_BAD_COMPRESSION, E_NO_MEMORY: the connection must end. */
int h2_decode(struct h2_hpack *h, struct slice piece, bool last, h2_field_fn *fn, void *user)
    must_check;

/** A block that is being written. */
struct h2_block {
    struct h2_hpack *hpack;
    uint32_t count;
    int error;
    char status[3]; // text that fields of the block point to
    char length[20];
};

/** One block at a time per thread. */
void h2_block_begin(struct h2_block *b, struct h2_hpack *h);
/** `name` is in lower case; both live until h2_block_end(). `secret`: never to be indexed (RFC 7541
 * 7.1.3). */
void h2_block_add(struct h2_block *b, struct slice name, struct slice value, bool secret);
/** An upper bound for what h2_block_end() writes; 0 with b->error set. */
size_t h2_block_bound(struct h2_block *b) must_check;
/** Writes the block; its length, or E_HEAD_TOO_LARGE, E_NO_MEMORY: then the connection must end, for
 * the peer's table no longer is ours. */
ptrdiff_t h2_block_end(struct h2_block *b, char *out, size_t room) must_check;

/** The peer's SETTINGS_HEADER_TABLE_SIZE. 0 or E_NO_MEMORY. */
int h2_encoder_table_max(struct h2_hpack *h, uint32_t bytes) must_check;
