// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a body that passes the module `compress`: an origin that gives and a client that
// takes.

#pragma once

#include <zlib.h>

#include "base/rng.h"
#include "compress/compress.h"
#include "compress/deflate.h"
#include "headers/stage.h"

enum { BODY_BYTES = 300 * 1000 };

static char body[BODY_BYTES];
static char received[BODY_BYTES * 2];
__attribute__((unused)) static char plain[BODY_BYTES + 1];

// What stands at the two ends of the filter.
struct ends {
    struct stage s;
    struct http_body *in;
    struct http_body *out;
    size_t given;
    size_t total;
    size_t got;
    unsigned rooms;
    bool pulled; // the consumer takes at once
};

static void take(struct ends *e, size_t n)
{
    while (n > 0 && e->out->q.bytes > 0) {
        struct slice front = bufq_front(&e->out->q);
        size_t part = front.len < n ? front.len : n;
        REQUIRE(e->got + part <= sizeof(received));
        memcpy(received + e->got, front.ptr, part);
        e->got += part;
        http_body_take(e->out, part);
        n -= part;
    }
    http_body_pull(e->out);
}

static void down_on_data(struct http_body *b, void *consumer)
{
    struct ends *e = consumer;
    if (e->pulled) {
        take(e, b->q.bytes);
    }
}

static void up_on_room(struct http_body *b, void *producer)
{
    struct ends *e = producer;
    (void)b;
    e->rooms++;
}

__attribute__((unused)) static size_t unpack(const struct ends *e, bool whole)
{
    z_stream z;
    memset(&z, 0, sizeof(z));
    REQUIRE(inflateInit2(&z, 15 + 16) == Z_OK);
    z.next_in = (unsigned char *)received;
    z.avail_in = (uInt)e->got;
    z.next_out = (unsigned char *)plain;
    z.avail_out = sizeof(plain);
    int rc = inflate(&z, Z_SYNC_FLUSH);
    CHECK(whole ? rc == Z_STREAM_END : rc == Z_OK || rc == Z_BUF_ERROR);
    size_t n = sizeof(plain) - z.avail_out;
    (void)inflateEnd(&z);
    return n;
}

static void begin(struct ends *e, const char *compress)
{
    char directives[256];
    memset(e, 0, sizeof(*e));
    (void)snprintf(directives, sizeof(directives), "compress: %s, respond: x", compress);
    stage_begin(&e->s, &compress_module, directives);
    struct exchange *x = &e->s.f->x;
    chunk_pool_init(&e->s.f->loop.chunks, 4096, 16);
    http_body_init(&x->response_body, EXCHANGE_BODY_LIMIT);
    http_body_set_producer(&x->response_body, e, up_on_room);
    x->state = EXCHANGE_ANSWERING;
    x->response.status = 200;
    x->response.body = HTTP_BODY_STREAM;
    fake_field(e->s.f, "Accept-Encoding", "gzip, br");
    REQUIRE(fields_add_id(&x->response.fields, HTTP_CONTENT_TYPE, SLICE("text/html")) == 0);
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = "the quick brown fox "[i * i % 20];
    }
    filter_out = NULL;
    e->in = &x->response_body;
}

// Runs both hooks; true when a filter was put in.
static bool decide(struct ends *e)
{
    CHECK_EQ_INT(stage_request(&e->s), STAGE_CONTINUE);
    CHECK_EQ_INT(stage_response(&e->s), STAGE_CONTINUE);
    e->out = filter_out;
    if (e->out != NULL) {
        http_body_set_consumer(e->out, e, down_on_data);
    }
    return e->out != NULL;
}

static void end(struct ends *e)
{
    struct loop *loop = &e->s.f->loop;
    http_body_fini(e->in, loop);
    if (e->out != NULL) {
        http_body_fini(e->out, loop);
    }
    struct chunk_pool pool = loop->chunks;
    stage_end(&e->s); // also gives back the deflate state
    chunk_pool_fini(&pool);
    CHECK_EQ_INT(deflate_live(), 0);
}

__attribute__((unused)) static void give(struct ends *e, size_t n)
{
    struct chunk_pool *pool = &e->s.f->loop.chunks;
    size_t room = http_body_room(e->in);
    n = n < room ? n : room;
    REQUIRE(http_body_write(e->in, pool, body + e->given, n) == 0);
    e->given += n;
    http_body_notify(e->in);
}
