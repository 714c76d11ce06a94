// SPDX-License-Identifier: Apache-2.0
//
// The two libraries behind one state of a fixed size, so that one slab per core holds both. zlib's
// own allocations are served from the state (it asks for all of them when it begins); ISA-L takes a
// buffer for its level. Without ISA-L (a build option) zlib does every level.
//
// Thread-local: a core's states never leave it.

#include "compress/deflate.h"

#include <string.h>
#include <zlib.h>

#ifdef ADIT_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

#include "base/slab.h"

enum {
    DEFLATE_MAGIC = 0x4445464c,
    GZIP_WINDOW_BITS = 15 + 16, // 32 KiB, gzip framing
    ZLIB_MEMORY_LEVEL = 8,
    // What deflateInit2() asks for with these parameters: 268 KiB and the state of some 6 KiB.
    ZLIB_BYTES = 280 * 1024,
};

#ifdef ADIT_HAVE_ISAL
enum { FAST_LEVEL_MAX = 3 }; // above it zlib

struct fast {
    struct isal_zstream stream;
    uint8_t buffer[ISAL_DEF_LVL3_DEFAULT];
};
#else
enum { FAST_LEVEL_MAX = 0 };

struct fast {
    uint8_t nothing;
};
#endif

struct slow {
    z_stream stream;
    size_t used;
    _Alignas(16) uint8_t memory[ZLIB_BYTES];
};

struct deflate {
    uint32_t magic;
    bool fast;
    bool finished;
    union {
        struct fast fast;
        struct slow slow;
    } u;
};

static _Thread_local struct slab states;

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    struct slow *s = opaque;
    size_t bytes = ((size_t)items * size + 15) & ~(size_t)15;
    if (bytes > sizeof(s->memory) - s->used) {
        return NULL;
    }
    void *p = s->memory + s->used;
    s->used += bytes;
    return p;
}

static void zlib_free(void *opaque, void *address)
{
    (void)opaque;
    (void)address; // all of it ends with the state
}

static bool begin_slow(struct slow *s, int level)
{
    memset(&s->stream, 0, sizeof(s->stream));
    s->used = 0;
    s->stream.zalloc = zlib_alloc;
    s->stream.zfree = zlib_free;
    s->stream.opaque = s;
    return deflateInit2(&s->stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, ZLIB_MEMORY_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool step_slow(struct slow *s, struct deflate_io *io, enum deflate_flush flush)
{
    static const int modes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    s->stream.next_in = (Bytef *)(uintptr_t)io->in; // zlib does not write there
    s->stream.avail_in = (uInt)io->in_len;
    s->stream.next_out = io->out;
    s->stream.avail_out = (uInt)io->out_len;
    int rc = deflate(&s->stream, modes[flush]);
    ensure(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
    io->consumed = io->in_len - s->stream.avail_in;
    io->produced = io->out_len - s->stream.avail_out;
    if (flush == DEFLATE_FINISH) {
        return rc == Z_STREAM_END;
    }
    return s->stream.avail_in == 0 && s->stream.avail_out > 0;
}

#ifdef ADIT_HAVE_ISAL

static void begin_fast(struct fast *f, int level)
{
    static const uint32_t buffer_bytes[] = {0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
                                            ISAL_DEF_LVL3_DEFAULT};
    isal_deflate_init(&f->stream);
    f->stream.level = (uint32_t)level;
    f->stream.level_buf = f->buffer;
    f->stream.level_buf_size = buffer_bytes[level];
    f->stream.gzip_flag = IGZIP_GZIP;
}

static bool step_fast(struct fast *f, struct deflate_io *io, enum deflate_flush flush)
{
    struct isal_zstream *z = &f->stream;
    z->next_in = (uint8_t *)(uintptr_t)io->in; // ISA-L does not write there
    z->avail_in = (uint32_t)io->in_len;
    z->next_out = io->out;
    z->avail_out = (uint32_t)io->out_len;
    z->flush = flush == DEFLATE_FLUSH ? SYNC_FLUSH : NO_FLUSH;
    z->end_of_stream = flush == DEFLATE_FINISH;
    int rc = isal_deflate(z);
    ensure(rc == COMP_OK);
    io->consumed = io->in_len - z->avail_in;
    io->produced = io->out_len - z->avail_out;
    if (flush == DEFLATE_FINISH) {
        return z->internal_state.state == ZSTATE_END;
    }
    return z->avail_in == 0 && z->avail_out > 0;
}

#else

static void begin_fast(struct fast *f, int level)
{
    (void)f;
    (void)level;
    unreachable();
}

static bool step_fast(struct fast *f, struct deflate_io *io, enum deflate_flush flush)
{
    (void)f;
    (void)io;
    (void)flush;
    unreachable();
}

#endif

struct deflate *deflate_new(int level)
{
    ensure(level >= 1);
    ensure(level <= 9);
    if (states.magic == 0) {
        slab_init(&states, "deflate states", sizeof(struct deflate), DEFLATE_LIVE_MAX);
    }
    struct deflate *d = slab_take(&states);
    if (d == NULL) {
        return NULL;
    }
    d->magic = DEFLATE_MAGIC;
    d->finished = false;
    d->fast = level <= FAST_LEVEL_MAX;
    if (d->fast) {
        begin_fast(&d->u.fast, level);
    } else if (!begin_slow(&d->u.slow, level)) {
        deflate_free(d);
        return NULL;
    }
    return d;
}

void deflate_free(struct deflate *d)
{
    ensure_magic(d, DEFLATE_MAGIC);
    d->magic = 0;
    slab_give(&states, d);
}

bool deflate_step(struct deflate *d, struct deflate_io *io, enum deflate_flush flush)
{
    ensure_magic(d, DEFLATE_MAGIC);
    ensure(!d->finished);
    ensure(io->out_len > 0);
    io->consumed = 0;
    io->produced = 0;
    bool done = d->fast ? step_fast(&d->u.fast, io, flush) : step_slow(&d->u.slow, io, flush);
    d->finished = done && flush == DEFLATE_FINISH;
    return done;
}

unsigned deflate_live(void)
{
    return states.magic == 0 ? 0 : states.in_use;
}
