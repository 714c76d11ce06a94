// SPDX-License-Identifier: Apache-2.0
//
// Header blocks on their way in: HEADERS and the CONTINUATIONs behind it are decoded piece by piece
// as they come, straight into the head of the exchange (fields_in.c). Nothing of a block is gathered.
//
// A block that nobody wants (a refused stream, one that we have reset) is decoded all the same: the
// tables are the connection's. What that may cost is bounded: a block that decodes to several times
// what we take, or that comes in slivers, ends the connection.

#include "base/error.h"
#include "h2/conn_int.h"

enum {
    SLIVER_BYTES = 1024, // a CONTINUATION below this that is not the last one costs a glitch
    EMPTY_COST = 16,     // one without any byte
    IGNORED_TIMES = 4,   // how many times our limit is decoded, at most
    IGNORED_SLACK = 64 * 1024,
};

static void on_field(void *user, struct slice name, struct slice value, bool secret)
{
    struct h2_conn *c = user;
    h2_in_field(&c->in, name, value, secret);
}

void h2_block_open(struct h2_conn *c, uint32_t id, bool end_stream)
{
    c->in_block = true;
    c->block_ends = end_stream;
    c->block_stream = NULL;
    c->last_block_id = id;
    c->block_bytes = 0;
    h2_in_ignore(&c->in);
    c->role->on_block(c, id, end_stream);
    if (c->dead || c->rx == H2_RX_LINGER) {
        return;
    }
    uint32_t ms = c->core->down->settings.header_ms;
    if ((c->frame.flags & H2_FLAG_END_HEADERS) == 0 && ms > 0) {
        c->block_deadline_ms = h2_now_ms(c) + ms;
        h2_conn_deadline(c, c->block_deadline_ms);
    }
}

void h2_block_orphan(struct h2_conn *c)
{
    if (c->side != HTTP_UP || c->dead || c->rx == H2_RX_LINGER) {
        return;
    }
    if (!c->liveness) {
        c->role->on_closing(c);
    } else if (c->block_deadline_ms == 0) {
        c->block_deadline_ms = h2_now_ms(c) + H2_BLOCK_REST_MS;
        h2_conn_deadline(c, c->block_deadline_ms);
    }
}

static void close_block(struct h2_conn *c)
{
    struct h2_stream *s = c->block_stream;
    c->in_block = false;
    c->block_stream = NULL;
    c->block_deadline_ms = 0;
    if (s != NULL) {
        c->role->on_block_end(c, s, c->block_ends);
    }
}

bool h2_block_continue(struct h2_conn *c)
{
    bool last = (c->frame.flags & H2_FLAG_END_HEADERS) != 0;
    if (c->frame.length == 0) {
        return h2_glitch(c, H2_GLITCH_BLOCK, EMPTY_COST);
    }
    return last || c->frame.length >= SLIVER_BYTES || h2_glitch(c, H2_GLITCH_BLOCK, 1);
}

bool h2_block_piece(struct h2_conn *c, struct slice piece, bool last)
{
    c->block_bytes += (uint32_t)piece.len;
    int e = h2_decode(c->hpack, piece, last, on_field, c);
    if (e < 0) {
        h2_conn_fail(c, e == E_NO_MEMORY ? H2_INTERNAL_ERROR : H2_COMPRESSION_ERROR, e);
        return false;
    }
    uint64_t most = (uint64_t)c->core->down->settings.head_bytes * IGNORED_TIMES + IGNORED_SLACK;
    if (c->in.bytes > most || c->block_bytes > most) {
        counter_add(c->core->counters, COUNTER_h2_floods, 1);
        h2_conn_fail(c, H2_ENHANCE_YOUR_CALM, E_HEAD_TOO_LARGE);
        return false;
    }
    if (last) {
        close_block(c);
    }
    return !c->dead && c->rx != H2_RX_LINGER;
}
