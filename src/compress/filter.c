// SPDX-License-Identifier: Apache-2.0
//
// The filter consumes one pipe and produces another. It never holds bytes back: when the origin's pipe
// runs empty, what has been compressed so far is flushed to a byte boundary, so an event stream
// arrives event by event. It never gets ahead: it works only as far as its output pipe has room, and
// goes on when that pipe's consumer asks. One deflate state per live stream, bounded per core
// (compress/deflate.h); it is given back as soon as the last byte is out.

#include "compress/filter.h"

#include "base/error.h"
#include "proxy/exchange.h"

#include "compress/deflate.h"

enum {
    GZIP_MAGIC = 0x677a6970,
    // With less room than this it is not worth to go on: libraries need some bytes for a flush.
    GZIP_ROOM_MIN = 256,
};

struct gzip_filter {
    uint32_t magic;
    bool dirty;      // something went in since the last flush
    bool busy;       // in pump(), perhaps below one of its own notifications
    bool again;      // pump() was called while busy
    bool finished;   // the last byte is out, or the body was cut
    uint8_t pending; // enum deflate_flush that has more to give
    struct exchange *x;
    struct http_body *in;
    struct http_body *out;
    struct deflate *deflate;
};

static void release(void *arg)
{
    struct gzip_filter *g = arg;
    ensure_magic(g, GZIP_MAGIC);
    if (g->deflate != NULL) {
        deflate_free(g->deflate);
        g->deflate = NULL;
    }
}

static void finish(struct gzip_filter *g, int error)
{
    g->finished = true;
    if (error == 0) {
        http_body_end(g->out, g->in->trailers);
    } else {
        http_body_fail(g->out, error);
    }
    release(g);
}

// What the next step is for, or false when there is nothing to do.
static bool next_purpose(const struct gzip_filter *g, struct slice front,
                         enum deflate_flush *purpose)
{
    if (g->pending != DEFLATE_RUN) {
        *purpose = (enum deflate_flush)g->pending;
        return true;
    }
    *purpose = DEFLATE_RUN;
    if (front.len > 0) {
        return true;
    }
    *purpose = g->in->ended ? DEFLATE_FINISH : DEFLATE_FLUSH;
    return g->in->ended || g->dirty;
}

// One step of the library. False: wait for bytes or for room.
static bool compress_some(struct gzip_filter *g)
{
    static _Thread_local char buffer[CHUNK_BYTES];
    enum deflate_flush purpose;
    struct slice front = bufq_front(&g->in->q);
    if (!next_purpose(g, front, &purpose)) {
        return false;
    }
    size_t room = http_body_room(g->out);
    if (room < GZIP_ROOM_MIN) {
        g->out->wants_room = true;
        return false;
    }
    struct deflate_io io = {
        .in = front.ptr,
        .in_len = purpose == DEFLATE_RUN ? front.len : 0,
        .out = buffer,
        .out_len = room < sizeof(buffer) ? room : sizeof(buffer),
    };
    bool done = deflate_step(g->deflate, &io, purpose);
    http_body_take(g->in, io.consumed);
    g->dirty = purpose == DEFLATE_RUN || !done;
    g->pending = done || purpose == DEFLATE_RUN ? DEFLATE_RUN : (uint8_t)purpose;
    if (io.produced > 0) {
        int rc = http_body_write(g->out, &g->x->loop->chunks, buffer, io.produced);
        if (rc != 0) {
            finish(g, rc);
            return false;
        }
    }
    if (done && purpose == DEFLATE_FINISH) {
        finish(g, 0);
        return false;
    }
    return true;
}

static void compress_all(struct gzip_filter *g)
{
    if (g->out->discarding) { // the client has gone: let the origin's bytes go the same way
        g->finished = true;
        release(g);
        http_body_discard(g->in);
        return;
    }
    while (compress_some(g)) {
    }
    // A cut comes behind what was there before it.
    if (!g->finished && g->in->error != 0 && g->in->q.bytes == 0 && !g->dirty) {
        finish(g, g->in->error);
    }
}

// A notification may call back into the other end and so come here again, or end the exchange. The
// filter itself lives in the exchange's arena, which outlives the turn.
static void pump(struct gzip_filter *g)
{
    g->again = true;
    if (g->busy) {
        return;
    }
    g->busy = true;
    while (g->again && !g->finished && g->x->state != EXCHANGE_DONE) {
        g->again = false;
        uint64_t put = g->out->put_total;
        uint64_t taken = g->in->taken_total;
        compress_all(g);
        if (g->out->put_total != put || g->finished) {
            http_body_notify(g->out);
        }
        if (g->x->state != EXCHANGE_DONE && g->in->taken_total != taken) {
            http_body_pull(g->in);
        }
    }
    g->busy = false;
}

static void on_data(struct http_body *b, void *consumer)
{
    struct gzip_filter *g = consumer;
    ensure_magic(g, GZIP_MAGIC);
    ensure(b == g->in);
    pump(g);
}

static void on_room(struct http_body *b, void *producer)
{
    struct gzip_filter *g = producer;
    ensure_magic(g, GZIP_MAGIC);
    ensure(b == g->out);
    pump(g);
}

bool gzip_filter_install(struct exchange *x, int level)
{
    struct gzip_filter *g = arena_zalloc(&x->arena, sizeof(*g));
    if (g == NULL) {
        return false;
    }
    g->magic = GZIP_MAGIC;
    g->x = x;
    if (arena_on_fini(&x->arena, release, g) != 0) {
        return false;
    }
    g->deflate = deflate_new(level);
    if (g->deflate == NULL) {
        return false;
    }
    g->out = exchange_filter_response(x, &g->in);
    if (g->out == NULL) {
        release(g);
        return false;
    }
    http_body_set_consumer(g->in, g, on_data);
    http_body_set_producer(g->out, g, on_room);
    pump(g);
    struct http_head *r = &x->response;
    r->body = HTTP_BODY_STREAM;
    r->has_length = false;
    // All of it was there: its length is known after all. Trailers need a stream (RFC 9112 7.1.2).
    if (g->finished && g->out->error == 0 && g->out->trailers == NULL) {
        r->body = HTTP_BODY_LENGTH;
        r->has_length = true;
        r->content_length = (int64_t)g->out->put_total;
    }
    return true;
}
