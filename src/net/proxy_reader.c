// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers on their way (net/proxy_reader.h). The chunk that a header is gathered in is there from
// its first byte to its end, so a connection on which nothing came yet holds none.

#include "net/proxy_reader.h"

#include "base/error.h"

enum { PROXY_READER_MAGIC = 0x70727264 };

static_assert((int)PROXY_HEADER_MAX <= (int)CHUNK_BYTES, "a header fits one chunk");

static enum counter counter_of(int error)
{
    switch (error) {
    case 0:
        return COUNTER_proxy_headers;
    case E_PROXY_MISSING:
        return COUNTER_proxy_header_missing;
    case E_PROXY_MALFORMED:
        return COUNTER_proxy_header_malformed;
    case E_PROXY_CHECKSUM:
        return COUNTER_proxy_header_checksum;
    case E_PROXY_UNSUPPORTED:
        return COUNTER_proxy_header_unsupported;
    case E_NO_MEMORY:
        return COUNTER_connections_shed;
    default:
        return COUNTER_proxy_header_closed;
    }
}

static void end(struct proxy_reader *r)
{
    if (r->bytes != NULL) {
        chunk_unref(r->bytes);
    }
    r->bytes = NULL;
    r->t = NULL;
    r->magic = 0;
}

static void finish(struct proxy_reader *r, int error)
{
    struct proxy_header header = {.version = 0};
    struct chunk *bytes = r->bytes;
    if (error == 0) {
        error = proxy_header_parse(slice_of(bytes->data, bytes->used), &header);
    }
    if (error < 0) {
        header = (struct proxy_header){.version = 0};
    }
    counter_add(r->counters, counter_of(error), 1);
    r->bytes = NULL;
    end(r);
    r->done(r, error, &header); // the reader may be gone after this
    if (bytes != NULL) {
        chunk_unref(bytes);
    }
}

// Reads what the header needs next. False: the reader is over.
static bool read_more(struct proxy_reader *r, size_t need)
{
    struct chunk *c = r->bytes;
    ensure(need <= chunk_room(c));
    struct iovec iov = {c->data + c->used, need};
    struct io_result got = transport_read(r->t, &iov, 1);
    if (got.status == IO_OK) {
        c->used += (uint32_t)got.n;
    } else if (got.status != IO_AGAIN) {
        finish(r, got.status == IO_EOF ? E_EOF : got.error);
        return false;
    }
    return true;
}

static void on_ready(struct transport *t, unsigned events)
{
    struct proxy_reader *r = t->owner;
    ensure_magic(r, PROXY_READER_MAGIC);
    ensure(r->t == t);
    (void)events;
    if (!t->readable) {
        return;
    }
    if (r->bytes == NULL) {
        r->bytes = chunk_new(&t->core->loop->chunks);
        if (r->bytes == NULL) {
            finish(r, E_NO_MEMORY);
            return;
        }
    }
    for (;;) {
        size_t need = 0;
        int e = proxy_header_need(slice_of(r->bytes->data, r->bytes->used), &need);
        if (e < 0 || need == 0) {
            finish(r, e);
            return;
        }
        if (!t->readable || !read_more(r, need)) {
            return;
        }
    }
}

void proxy_reader_begin(struct proxy_reader *r, struct transport *t, struct counters *counters,
                        void (*done)(struct proxy_reader *r, int error,
                                     const struct proxy_header *header))
{
    ensure(!t->readable);
    ensure(t->clear);
    *r = (struct proxy_reader){
        .magic = PROXY_READER_MAGIC, .t = t, .counters = counters, .done = done};
    transport_set_owner(t, r, on_ready);
}

void proxy_reader_stop(struct proxy_reader *r)
{
    if (r->t != NULL) {
        ensure_magic(r, PROXY_READER_MAGIC);
        counter_add(r->counters, COUNTER_proxy_header_late, 1);
        end(r);
    }
}
