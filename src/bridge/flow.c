// SPDX-License-Identifier: Apache-2.0
//
// A body over a bridge. The sender is the consumer of the pipe on its core, the receiver the producer
// of that on the other. At most BRIDGE_WINDOW bytes and BRIDGE_RECORDS pieces are on their way or in
// the receiver's pipe: fewer pieces than such a pipe has places, so that whatever comes can be put.
// What was taken out of the receiver's pipe is told when it is half of that.
//
// Large pieces go as references to their chunk (base/chunk.h), small ones within the message, and are
// views of it on the other side, unless they wait behind others: then they are copied together.

#include "base/error.h"
#include "base/num.h"
#include "bridge/bridge_int.h"

// ---- what goes -------------------------------------------------------------------------------------

void bridge_out_begin(struct bridge_out *o, struct http_body *body, void *consumer,
                      void (*on_data)(struct http_body *b, void *consumer))
{
    *o = (struct bridge_out){.body = body, .bytes = BRIDGE_WINDOW, .records = BRIDGE_RECORDS};
    body->takes_kernel = false;
    http_body_set_consumer(body, consumer, on_data);
}

void bridge_out_stop(struct bridge_out *o)
{
    if (o->body != NULL) {
        http_body_set_consumer(o->body, NULL, NULL);
        o->body = NULL;
    }
}

static bool say_view(struct bridge_out *o, struct bridge_channel *c, bool to_far, void *to)
{
    struct http_body *b = o->body;
    const struct span *front = &b->q.spans[b->q.head];
    struct bridge_view *v = bridge_write(c, BRIDGE_VIEW, to_far, to, sizeof(*v));
    if (v == NULL) {
        return false;
    }
    uint32_t n = front->len < o->bytes ? front->len : o->bytes;
    chunk_share(front->chunk);
    *v = (struct bridge_view){chunk_ref(front->chunk), front->off, n};
    http_body_take(b, n);
    o->bytes -= n;
    return true;
}

/** How much of the small pieces at the front goes in one message. */
static uint32_t small_bytes(const struct bridge_out *o)
{
    const struct bufq *q = &o->body->q;
    uint32_t n = 0;
    for (unsigned i = 0; i < q->count; i++) {
        const struct span *s = &q->spans[(q->head + i) % BUFQ_SPANS];
        if (s->len >= BRIDGE_VIEW_MIN || n + s->len > BRIDGE_COPY_MAX) {
            break;
        }
        n += s->len;
    }
    return n < o->bytes ? n : o->bytes;
}

static bool say_bytes(struct bridge_out *o, struct bridge_channel *c, bool to_far, void *to)
{
    struct http_body *b = o->body;
    uint32_t n = small_bytes(o);
    // The length is before the bytes: a message is padded.
    char *p = bridge_write(c, BRIDGE_DATA, to_far, to, sizeof(uint64_t) + n);
    if (p == NULL) {
        return false;
    }
    memcpy(p, &n, sizeof(n));
    p += sizeof(uint64_t);
    for (uint32_t left = n; left > 0;) {
        struct slice front = bufq_front(&b->q);
        uint32_t part = (uint32_t)num_min_size(left, front.len);
        memcpy(p, front.ptr, part);
        http_body_take(b, part);
        p += part;
        left -= part;
    }
    o->bytes -= n;
    return true;
}

static bool say_end(struct bridge_out *o, struct bridge_channel *c, bool to_far, void *to)
{
    const struct fields *trailers = o->body->trailers;
    size_t size = trailers != NULL ? fields_packed_size(trailers) : 0;
    void *p = bridge_write(c, BRIDGE_BODY_END, to_far, to, size);
    if (p == NULL) {
        return false;
    }
    if (trailers != NULL) {
        fields_pack(trailers, p);
    }
    bridge_out_stop(o);
    return true;
}

bool bridge_out_speak(struct bridge_out *o, struct bridge_channel *c, bool to_far, void *to)
{
    struct http_body *b = o->body;
    if (b == NULL) {
        return true;
    }
    bool good = true;
    bool some = false;
    while (good && b->q.bytes > 0 && o->bytes > 0 && o->records > 0) {
        bool small = b->q.spans[b->q.head].len < BRIDGE_VIEW_MIN;
        good = small ? say_bytes(o, c, to_far, to) : say_view(o, c, to_far, to);
        o->records -= good;
        some = true;
    }
    if (good && http_body_done(b)) {
        return say_end(o, c, to_far, to);
    }
    if (some) {
        http_body_pull(b);
    }
    return good;
}

// ---- what comes ------------------------------------------------------------------------------------

void bridge_in_begin(struct bridge_in *in, struct http_body *body, void *producer,
                     void (*on_room)(struct http_body *b, void *producer))
{
    ensure(in->body == NULL);
    *in = (struct bridge_in){.body = body, .taken = body->taken_total};
    http_body_set_producer(body, producer, on_room);
}

void bridge_in_stop(struct bridge_in *in, int error)
{
    struct http_body *b = in->body;
    if (b == NULL) {
        return;
    }
    if (error != 0) {
        http_body_fail(b, error);
    }
    http_body_set_producer(b, NULL, NULL);
    in->body = NULL;
}

int bridge_in_data(struct bridge_in *in, struct chunk_pool *pool, const struct bridge_view *v)
{
    struct http_body *b = in->body;
    if (b == NULL) {
        return 0; // who wanted it has turned away
    }
    bool copied = v->len < BRIDGE_VIEW_MIN && b->q.bytes > 0 && !b->discarding;
    if (copied && v->len > b->total_max - b->put_total) {
        return E_BODY_TOO_LARGE;
    }
    int e = copied ? http_body_write(b, pool, v->chunk->data + v->off, v->len)
                   : http_body_put(b, v->chunk, v->off, v->len);
    if (e < 0) {
        return e == E_AGAIN ? E_INTERNAL : e; // there is a place for each: the sender has counted
    }
    ensure(in->count < BRIDGE_RECORDS);
    in->records[(in->head + in->count++) % BRIDGE_RECORDS] = v->len;
    b->wants_room = true; // hears of every take
    return 0;
}

bool bridge_in_taken(struct bridge_in *in)
{
    struct http_body *b = in->body;
    uint32_t n = (uint32_t)(b->taken_total - in->taken);
    in->taken += n;
    in->ack.bytes += n;
    while (n > 0) {
        ensure(in->count > 0);
        uint32_t *first = &in->records[in->head];
        uint32_t part = n < *first ? n : *first;
        *first -= part;
        n -= part;
        if (*first == 0) {
            in->head = (uint8_t)((in->head + 1) % BRIDGE_RECORDS);
            in->count--;
            in->ack.records++;
        }
    }
    b->wants_room = in->count > 0;
    return in->ack.bytes >= BRIDGE_WINDOW / 2 || in->ack.records >= BRIDGE_RECORDS / 2;
}

void bridge_in_open(struct bridge_in *in)
{
    in->ack.bytes += BRIDGE_WINDOW - BRIDGE_FIRST_BYTES;
    in->ack.records += BRIDGE_RECORDS - BRIDGE_FIRST_RECORDS;
}

bool bridge_in_speak(struct bridge_in *in, struct bridge_channel *c, bool to_far, void *to)
{
    if (in->ack.bytes == 0 || in->body == NULL) {
        return true;
    }
    struct bridge_ack *p = bridge_write(c, BRIDGE_ACK, to_far, to, sizeof(*p));
    if (p == NULL) {
        return false;
    }
    *p = in->ack;
    in->ack = (struct bridge_ack){0};
    return true;
}

static int read_trailers(struct arena *arena, const struct http_head *limits, const void *packed,
                         struct fields **out)
{
    struct fields *f = arena_alloc(arena, sizeof(*f));
    if (f == NULL) {
        return E_NO_MEMORY;
    }
    fields_init(f, arena, limits->fields.bytes_max, limits->fields.count_max);
    *out = f;
    return fields_unpack(f, packed);
}

int bridge_in_end(struct bridge_in *in, struct arena *arena, const struct http_head *limits,
                  const void *packed)
{
    struct http_body *b = in->body;
    if (b == NULL) {
        return 0;
    }
    struct fields *trailers = NULL;
    int e = packed != NULL ? read_trailers(arena, limits, packed, &trailers) : 0;
    if (e < 0) {
        return e;
    }
    in->body = NULL;
    http_body_end(b, trailers);
    http_body_set_producer(b, NULL, NULL);
    http_body_notify(b);
    return 0;
}
