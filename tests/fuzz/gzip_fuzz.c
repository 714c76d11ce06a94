// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the gzip filter between its two pipes. The first byte picks the level, the rest is a script
// of pairs: an operation and an amount. Bytes are given, taken, the body ends or is cut. At any time,
// when the consumer has taken all there is, what it can decompress is all that was given (the flush
// property), and in the end it is the same bytes.

#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "compress/deflate.h"
#include "compress/filter.h"
#include "proxy/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GIVEN_MAX = 1 << 20 };

struct world {
    struct exchange x;
    struct loop loop;
    struct http_body *out;
    struct rng rng;
    z_stream inflate;
    unsigned char *given; // a ring is not needed: what was given and is not yet seen
    size_t given_len;
    size_t seen;
    bool pulls; // the consumer takes everything at once
    bool ended;
};

static struct world *now;

// The filter's output pipe, as the exchange would make it.
struct http_body *exchange_filter_response(struct exchange *x, struct http_body **in)
{
    now->out = arena_alloc(&x->arena, sizeof(*now->out));
    ensure(now->out != NULL);
    http_body_init(now->out, EXCHANGE_FILTER_LIMIT);
    x->response_body.limit = EXCHANGE_FILTER_LIMIT;
    *in = &x->response_body;
    return now->out;
}

static void see(struct world *w, struct slice packed)
{
    static unsigned char plain[65536];
    w->inflate.next_in = (unsigned char *)(uintptr_t)packed.ptr;
    w->inflate.avail_in = (uInt)packed.len;
    do {
        w->inflate.next_out = plain;
        w->inflate.avail_out = sizeof(plain);
        int rc = inflate(&w->inflate, Z_SYNC_FLUSH);
        size_t n = sizeof(plain) - w->inflate.avail_out;
        ensure(rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END);
        ensure(n <= w->given_len - w->seen);
        ensure(memcmp(plain, w->given + w->seen, n) == 0);
        w->seen += n;
        w->ended = w->ended || rc == Z_STREAM_END;
        if (rc != Z_OK) {
            break;
        }
    } while (w->inflate.avail_out == 0 || w->inflate.avail_in > 0);
}

static void take(struct world *w, size_t n)
{
    while (n > 0 && w->out->q.bytes > 0) {
        struct slice front = bufq_front(&w->out->q);
        size_t part = front.len < n ? front.len : n;
        see(w, slice_sub(front, 0, part));
        http_body_take(w->out, part);
        n -= part;
    }
    http_body_pull(w->out);
}

static void on_data(struct http_body *b, void *consumer)
{
    if (((struct world *)consumer)->pulls) {
        take(consumer, b->q.bytes);
    }
}

static void give(struct world *w, size_t n, bool random)
{
    struct http_body *in = &w->x.response_body;
    size_t room = http_body_room(in);
    n = n < room ? n : room;
    n = n < GIVEN_MAX - w->given_len ? n : GIVEN_MAX - w->given_len;
    for (size_t i = 0; i < n; i++) {
        w->given[w->given_len + i] =
            random ? (unsigned char)rng_u64(&w->rng) : (unsigned char)i % 7;
    }
    if (n > 0 && http_body_write(in, &w->loop.chunks, w->given + w->given_len, n) == 0) {
        w->given_len += n;
    }
    http_body_notify(in);
}

static void take_all(struct world *w)
{
    while (w->out->q.bytes > 0) {
        take(w, w->out->q.bytes);
    }
    if (w->out->error == 0) {
        ensure(w->seen == w->given_len);
    }
}

// One operation. False: the body is over.
static bool act(struct world *w, uint8_t op, size_t amount)
{
    struct http_body *in = &w->x.response_body;
    switch (op % 8) {
    case 0:
    case 1:
    case 2:
        give(w, amount * amount, op % 8 == 2);
        return true;
    case 3:
    case 4:
        take(w, amount * 64);
        return true;
    case 5:
        take_all(w);
        return true;
    case 6:
        w->pulls = !w->pulls;
        return true;
    default:
        break;
    }
    if (amount < 200) {
        return true;
    }
    if (amount < 240) {
        http_body_end(in, NULL);
    } else {
        http_body_fail(in, E_EARLY_CLOSE);
    }
    http_body_notify(in);
    return false;
}

static void finish(struct world *w, bool over)
{
    struct http_body *in = &w->x.response_body;
    if (!over) {
        http_body_end(in, NULL);
        http_body_notify(in);
    }
    take_all(w);
    ensure(w->out->ended == (in->error == 0));
    ensure(w->out->error == in->error);
    ensure(w->ended == w->out->ended);
    ensure(w->seen == w->given_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) {
        return 0;
    }
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL || (w->given = malloc(GIVEN_MAX)) == NULL) {
        abort();
    }
    now = w;
    rng_seed(&w->rng, data[0]);
    chunk_pool_init(&w->loop.chunks, 4096, 64);
    w->x.loop = &w->loop;
    w->x.state = EXCHANGE_ANSWERING;
    arena_init(&w->x.arena, NULL, 0, NULL, 1 << 20);
    http_body_init(&w->x.response_body, EXCHANGE_BODY_LIMIT);
    ensure(inflateInit2(&w->inflate, 15 + 16) == Z_OK);
    ensure(gzip_filter_install(&w->x, data[0] % 9 + 1));
    http_body_set_consumer(w->out, w, on_data);
    bool over = false;
    for (size_t i = 1; i + 1 < size && !over; i += 2) {
        over = !act(w, data[i], data[i + 1]);
    }
    finish(w, over);
    (void)inflateEnd(&w->inflate);
    http_body_fini(&w->x.response_body, &w->loop);
    http_body_fini(w->out, &w->loop);
    arena_fini(&w->x.arena);
    chunk_pool_fini(&w->loop.chunks);
    ensure(deflate_live() == 0);
    free(w->given);
    free(w);
    return 0;
}
