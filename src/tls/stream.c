// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a connection: plaintext through OpenSSL to ciphertext and to the socket, and back.
//
// Reading. The library asks for as much as its buffer holds (read-ahead), so that one call of the
// kernel brings all records there are; when that buffer was filled, more is on its way, and the next
// call has a chunk behind it, then two, then four. A call that came back short has emptied the socket, so
// no further one is made before the next edge; what it brought is what that one will have room for. What may be read is thus in three places: the socket, the chunk, the
// library; `readable` is true while one of them has something.
//
// Writing. Small pieces are put together to one record; large ones are encrypted from where they are.
// All records of a batch but the last wait in `out`, and go with the last one in one call. What the
// socket does not take stays in `out`; until it is gone the owner's bytes are refused (E_AGAIN), so at
// most one batch waits for a peer that does not read. The owner is told that these bytes were taken,
// so a close must not lose them: a lingerer takes the descriptor over and closes it when they are out.
//
// An end of the TCP connection without close_notify is E_EARLY_CLOSE, never an end of file: anybody on
// the way can send a FIN, so a body that ends with the connection would end where he likes (RFC 9112
// 9.8). What was complete before stays complete.

#include <openssl/err.h>

#include "base/error.h"
#include "base/num.h"
#include "tls/tls_int.h"

struct lingerer {
    uint32_t magic;
    struct io io;
    struct tls_core *core;
    struct bufq *out;
    struct list link;
    struct wheel_timer timer;
};

enum { LINGERER_MAGIC = 0x746c6c67, BIO_NOTHING = -1 };

static_assert(sizeof(struct lingerer) <= STREAM_LINGERER_BYTES, "as the slab has them");

// ---- the library's socket --------------------------------------------------------------------------

static void drop_first_ahead(struct tls *s)
{
    struct chunk *c = s->ahead;
    s->ahead = c->next;
    s->ahead_off = 0;
    c->next = NULL;
    chunk_unref(c);
}

void stream_drop_ahead(struct tls *s)
{
    while (s->ahead != NULL) {
        drop_first_ahead(s);
    }
}

size_t stream_ahead_bytes(const struct tls *s)
{
    size_t n = 0;
    for (const struct chunk *c = s->ahead; c != NULL; c = c->next) {
        n += c->used;
    }
    return n - s->ahead_off;
}

void stream_ahead_copy(const struct tls *s, char *to)
{
    uint32_t off = s->ahead_off;
    for (const struct chunk *c = s->ahead; c != NULL; c = c->next) {
        memcpy(to, c->data + off, c->used - off);
        to += c->used - off;
        off = 0;
    }
}

bool stream_ahead_restore(struct tls *s, const char *bytes, size_t len)
{
    struct chunk **at = &s->ahead;
    while (len > 0) {
        struct chunk *c = chunk_new(&s->core->loop->chunks);
        if (c == NULL) {
            return false;
        }
        size_t part = num_min_size(len, chunk_room(c));
        memcpy(c->data, bytes, part);
        c->used = (uint32_t)part;
        *at = c;
        at = &c->next;
        bytes += part;
        len -= part;
    }
    return true;
}

static size_t read_ahead_chunk(struct tls *s, char *buffer, size_t len)
{
    struct chunk *c = s->ahead;
    size_t n = num_min_size(len, c->used - s->ahead_off);
    memcpy(buffer, c->data + s->ahead_off, n);
    s->ahead_off += (uint32_t)n;
    if (s->ahead_off == c->used) {
        drop_first_ahead(s);
    }
    return n;
}

// Adds the chunks that are wished for to the library's buffer. How many places there are with them.
static int add_ahead_room(const struct tls *s, struct iovec *iov, struct chunk **chunks,
                          size_t *room)
{
    struct chunk_pool *pool = &s->core->loop->chunks;
    bool scarce = pool->in_use > pool->in_use_max / 4 * 3;
    unsigned wish = scarce && s->ahead_wish > 1 ? 1 : s->ahead_wish;
    int n = 1;
    for (unsigned i = 0; i < wish; i++) {
        struct chunk *c = chunk_new(pool);
        if (c == NULL) {
            break;
        }
        chunks[i] = c;
        iov[n++] = (struct iovec){c->data, chunk_room(c)};
        *room += chunk_room(c);
    }
    return n;
}

// Keeps those of n chunks that hold some of `bytes`, and wishes for the next read.
static void keep_ahead(struct tls *s, struct chunk **chunks, int n, size_t bytes, bool full)
{
    struct chunk **at = &s->ahead;
    unsigned used = 0;
    for (int i = 0; i < n; i++) {
        struct chunk *c = chunks[i];
        size_t part = num_min_size(bytes, chunk_room(c));
        if (part == 0) {
            chunk_unref(c);
            continue;
        }
        c->used = (uint32_t)part;
        *at = c;
        at = &c->next;
        bytes -= part;
        used++;
    }
    s->ahead_off = 0;
    unsigned wish = !full ? used : used == 0 ? 1 : 2 * used;
    s->ahead_wish = (uint8_t)(wish < TLS_AHEAD_CHUNKS ? wish : TLS_AHEAD_CHUNKS);
}

static int read_socket(struct tls *s, char *buffer, size_t len, size_t *got)
{
    struct chunk *chunks[TLS_AHEAD_CHUNKS];
    struct iovec iov[TLS_AHEAD_CHUNKS + 1] = {{buffer, len}};
    size_t room = len;
    int n = s->ahead_wish > 0 ? add_ahead_room(s, iov, chunks, &room) : 1;
    struct io_result r = loop_read(s->core->loop, &s->t->io, iov, n);
    size_t bytes = r.status == IO_OK ? r.n : 0;
    keep_ahead(s, chunks, n - 1, bytes > len ? bytes - len : 0, bytes == room);
    if (r.status == IO_OK) {
        s->socket_readable = r.n == room || s->t->hung_up;
        *got = num_min_size(r.n, len);
        return 1;
    }
    s->socket_readable = false;
    if (r.status == IO_AGAIN) {
        BIO_set_retry_read(s->core->bio);
        return BIO_NOTHING;
    }
    s->socket_ended = r.status == IO_EOF;
    s->socket_error = r.status == IO_EOF ? (int16_t)E_EARLY_CLOSE : r.error;
    return 0;
}

static int bio_read(BIO *b, char *buffer, size_t len, size_t *got)
{
    struct tls_core *c = BIO_get_data(b);
    ensure_magic(c, TLS_CORE_MAGIC);
    struct tls *s = c->current;
    ensure_magic(s, TLS_MAGIC);
    BIO_clear_retry_flags(b);
    *got = 0;
    if (s->ahead != NULL) {
        *got = read_ahead_chunk(s, buffer, len);
        return 1;
    }
    if (s->demands > TLS_DEMANDS_MAX) {
        s->socket_error = E_PROTOCOL;
        return 0;
    }
    if (!s->socket_readable) {
        BIO_set_retry_read(b);
        return BIO_NOTHING;
    }
    int rc = read_socket(s, buffer, len, got);
    if (rc == 1 && !s->first_byte_seen) {
        s->first_byte_seen = true;
        s->first_byte = (unsigned char)buffer[0];
    }
    return rc;
}

bool stream_queue(struct tls *s, const char *bytes, size_t len)
{
    if (s->out == NULL) {
        s->out = slab_take(&s->core->queues);
        if (s->out == NULL) {
            return false;
        }
        bufq_init(s->out);
    }
    return bufq_write(s->out, &s->core->loop->chunks, bytes, len) == 0;
}

void stream_drop_queue(struct tls *s)
{
    if (s->out != NULL) {
        bufq_clear(s->out);
        slab_give(&s->core->queues, s->out);
        s->out = NULL;
    }
}

// What is queued, and a last record from where the library has it. How much of that was taken, or -1:
// the socket is broken.
static ptrdiff_t write_out(struct tls *s, const char *last, size_t len)
{
    struct iovec iov[BUFQ_SPANS + 1];
    size_t queued = s->out != NULL ? s->out->bytes : 0;
    int n = s->out != NULL ? bufq_iov(s->out, iov, BUFQ_SPANS) : 0;
    if (len > 0) {
        iov[n++] = (struct iovec){(void *)(uintptr_t)last, len};
    }
    struct io_result r = loop_write(s->core->loop, &s->t->io, iov, n, s->more);
    if (r.status == IO_ERROR || r.status == IO_EOF) {
        s->socket_error = r.status == IO_EOF ? (int16_t)E_RESET : r.error;
        stream_drop_queue(s);
        return -1;
    }
    size_t taken = r.status == IO_OK ? r.n : 0;
    if (taken < queued + len) {
        s->t->writable = false;
    }
    if (taken >= queued) {
        stream_drop_queue(s);
    } else if (taken > 0) {
        bufq_drop(s->out, taken);
    }
    return taken > queued ? (ptrdiff_t)(taken - queued) : 0;
}

static int bio_write(BIO *b, const char *bytes, size_t len, size_t *written)
{
    struct tls_core *c = BIO_get_data(b);
    ensure_magic(c, TLS_CORE_MAGIC);
    struct tls *s = c->current;
    ensure_magic(s, TLS_MAGIC);
    BIO_clear_retry_flags(b);
    *written = 0;
    size_t taken = 0;
    if (s->last_record && s->t->writable) {
        ptrdiff_t n = write_out(s, bytes, len);
        if (n < 0) {
            return 0;
        }
        taken = (size_t)n;
    }
    if (taken < len && !stream_queue(s, bytes + taken, len - taken)) {
        s->socket_error = E_NO_MEMORY;
        return 0;
    }
    *written = len;
    return 1;
}

static long bio_ctrl(BIO *b, int command, long number, void *ptr)
{
    (void)b;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO *stream_bio_new(struct tls_core *c)
{
    if (c->bio_method == NULL) {
        c->bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "adit transport");
    }
    if (c->bio_method == NULL) {
        return NULL;
    }
    BIO_meth_set_read_ex(c->bio_method, bio_read);
    BIO_meth_set_write_ex(c->bio_method, bio_write);
    BIO_meth_set_ctrl(c->bio_method, bio_ctrl);
    BIO *b = BIO_new(c->bio_method);
    if (b != NULL) {
        BIO_set_data(b, c);
        BIO_set_init(b, 1);
    }
    return b;
}

// ---- state -----------------------------------------------------------------------------------------

bool stream_flush(struct tls *s)
{
    if (s->out != NULL && s->t->writable && write_out(s, NULL, 0) < 0) {
        s->error = s->error != 0 ? s->error : s->socket_error;
    }
    if (s->out != NULL) {
        return false;
    }
    if (s->fin_due) {
        struct sys *sys = s->core->loop->sys;
        s->fin_due = false;
        (void)sys->ops->shutdown_write(sys, s->t->io.fd); // the peer may be gone: reading tells
    }
    return true;
}

bool stream_pending(struct tls *s)
{
    return s->socket_readable || s->ahead != NULL || SSL_has_pending(s->ssl) == 1;
}

int stream_error(struct tls *s, int result)
{
    int kind = SSL_get_error(s->ssl, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    if (kind == SSL_ERROR_ZERO_RETURN) {
        return E_EOF;
    }
    if (s->socket_error != 0) {
        ERR_clear_error();
        return s->socket_error;
    }
    return handshake_error(s);
}

static struct io_result failed(struct tls *s)
{
    s->t->readable = true; // whoever looks is told again
    s->t->writable = true;
    return (struct io_result){.status = IO_ERROR, .error = s->error};
}

// ---- reading ---------------------------------------------------------------------------------------

// One record's plaintext, or what fits. 1, 0: nothing for now, or an error.
static int read_some(struct tls *s, void *to, size_t len, size_t *got)
{
    int rc = SSL_read_ex(s->ssl, to, len, got);
    if (likely(rc == 1)) {
        return 1;
    }
    *got = 0;
    return stream_error(s, rc);
}

static struct io_result op_read(struct transport *t, const struct iovec *iov, int n)
{
    struct tls *s = tls_of(t);
    if (unlikely(s->error != 0)) {
        return failed(s);
    }
    tls_enter(s);
    size_t total = 0;
    int rc = 1;
    for (int i = 0; i < n && rc == 1; i++) {
        size_t filled = 0;
        while (filled < iov[i].iov_len && rc == 1) {
            if (total > 0 && !stream_pending(s)) {
                rc = 0; // no need to ask
                break;
            }
            size_t got = 0;
            rc = read_some(s, (char *)iov[i].iov_base + filled, iov[i].iov_len - filled, &got);
            filled += got;
            total += got;
        }
    }
    if (unlikely(s->out != NULL)) {
        (void)stream_flush(s); // the library had something to say
    }
    t->readable = rc == 1 ? stream_pending(s) : rc != 0 && total > 0;
    if (unlikely(rc < 0 && rc != E_EOF)) {
        s->error = (int16_t)rc;
    }
    if (total > 0) {
        s->demands = 0;
        return (struct io_result){.n = total, .status = IO_OK};
    }
    if (rc == E_EOF) {
        return (struct io_result){.status = IO_EOF};
    }
    return rc < 0 ? failed(s) : (struct io_result){.status = IO_AGAIN};
}

// ---- writing ---------------------------------------------------------------------------------------

struct cursor {
    const struct iovec *iov;
    int left;   // iovecs, the current one included
    size_t off; // in the current one
};

static void skip_empty(struct cursor *c)
{
    while (c->left > 0 && c->off == c->iov->iov_len) {
        c->iov++;
        c->left--;
        c->off = 0;
    }
}

static size_t here(const struct cursor *c)
{
    return c->iov->iov_len - c->off;
}

// May what is next go into a record that has so many bytes? A large piece that does not fit whole begins
// one of its own, where it need not be copied.
static bool may_join(const struct cursor *c, size_t filled, size_t record)
{
    return filled == 0 || here(c) < TLS_GATHER_BYTES || here(c) <= record - filled ||
           record < TLS_GATHER_BYTES;
}

// The plaintext of the next record: where it is, or put together in the core's buffer.
static struct slice next_piece(struct tls *s, struct cursor *c, size_t record)
{
    const char *at = (const char *)c->iov->iov_base + c->off;
    size_t large = num_min_size(record, TLS_GATHER_BYTES);
    if (c->left == 1 || here(c) >= large) {
        size_t n = num_min_size(here(c), record);
        c->off += n;
        skip_empty(c);
        return slice_of(at, n);
    }
    size_t filled = 0;
    while (c->left > 0 && filled < record && may_join(c, filled, record)) {
        size_t n = num_min_size(here(c), record - filled);
        memcpy(s->core->gather + filled, (const char *)c->iov->iov_base + c->off, n);
        filled += n;
        c->off += n;
        skip_empty(c);
    }
    return slice_of(s->core->gather, filled);
}

static size_t record_size(struct tls *s)
{
    return s->small_bytes < TLS_SMALL_BYTES ? TLS_RECORD_SMALL : TLS_RECORD_MAX;
}

// Encrypts until the batch is full or nothing is left; its last record takes everything to the socket.
// How much plaintext, or an error.
static ptrdiff_t write_batch(struct tls *s, struct cursor *c, bool more)
{
    size_t batch = 0;
    while (c->left > 0 && batch < TLS_WRITE_BATCH) {
        struct slice piece = next_piece(s, c, record_size(s));
        bool end = c->left == 0;
        s->last_record = end || batch + piece.len >= TLS_WRITE_BATCH;
        s->more = more || !end;
        size_t written = 0;
        int rc = SSL_write_ex(s->ssl, piece.ptr, piece.len, &written);
        if (unlikely(rc != 1)) {
            int error = stream_error(s, rc);
            s->last_record = false;
            return error < 0 ? error : E_INTERNAL; // it never waits: what it writes is queued
        }
        ensure(written == piece.len);
        s->small_bytes += (uint32_t)num_min_size(written, TLS_SMALL_BYTES);
        s->small_bytes = s->small_bytes < TLS_SMALL_BYTES ? s->small_bytes : TLS_SMALL_BYTES;
        batch += written;
    }
    s->last_record = false;
    return (ptrdiff_t)batch;
}

static struct io_result op_write(struct transport *t, const struct iovec *iov, int n, bool more)
{
    struct tls *s = tls_of(t);
    ensure(!s->half_closed);
    if (unlikely(s->error != 0)) {
        return failed(s);
    }
    tls_enter(s);
    s->more = more;
    if (unlikely(!stream_flush(s))) {
        t->writable = false;
        return (struct io_result){.status = IO_AGAIN};
    }
    uint32_t now_ms = (uint32_t)s->core->loop->now_ms;
    if (now_ms - s->last_write_ms > TLS_PAUSE_MS) {
        s->small_bytes = 0;
    }
    s->last_write_ms = now_ms;
    struct cursor c = {iov, n, 0};
    skip_empty(&c);
    size_t total = 0;
    while (c.left > 0 && s->out == NULL && s->error == 0) {
        ptrdiff_t batch = write_batch(s, &c, more);
        if (unlikely(batch < 0)) {
            s->error = (int16_t)batch;
        } else {
            total += (size_t)batch;
        }
    }
    if (total > 0) {
        return (struct io_result){.n = total, .status = IO_OK};
    }
    return s->error != 0 ? failed(s) : (struct io_result){.status = IO_AGAIN};
}

// ---- closing ---------------------------------------------------------------------------------------

static void send_close_notify(struct tls *s)
{
    tls_enter(s);
    s->half_closed = true;
    s->more = false;
    s->last_record = true;
    int rc = SSL_shutdown(s->ssl);
    s->last_record = false;
    if (rc < 0) {
        ERR_clear_error();
    }
}

static int op_shutdown_write(struct transport *t)
{
    struct tls *s = tls_of(t);
    if (s->error != 0) {
        return s->error;
    }
    if (!s->half_closed) {
        send_close_notify(s);
        s->fin_due = true;
        (void)stream_flush(s);
    }
    return 0;
}

static void free_lingerer(struct lingerer *l, bool reset)
{
    struct tls_core *c = l->core;
    loop_timer_stop(c->loop, &l->timer);
    loop_close(c->loop, &l->io, reset);
    list_remove(&l->link);
    bufq_clear(l->out);
    slab_give(&c->queues, l->out);
    l->magic = 0;
    slab_give(&c->lingerers, l);
}

static void lingerer_on_io(struct io *io, unsigned events)
{
    struct lingerer *l = container_of(io, struct lingerer, io);
    ensure_magic(l, LINGERER_MAGIC);
    if ((events & SYS_ERROR) != 0) {
        free_lingerer(l, true);
        return;
    }
    struct iovec iov[BUFQ_SPANS];
    int n = bufq_iov(l->out, iov, BUFQ_SPANS);
    struct io_result r = loop_write(l->core->loop, &l->io, iov, n, false);
    if (r.status == IO_AGAIN) {
        return;
    }
    if (r.status != IO_OK) {
        free_lingerer(l, true);
        return;
    }
    bufq_drop(l->out, r.n);
    loop_timer_set(l->core->loop, &l->timer, TLS_LINGER_MS);
    if (l->out->bytes == 0) {
        free_lingerer(l, false);
    }
}

static void lingerer_on_timer(struct wheel_timer *t)
{
    struct lingerer *l = container_of(t, struct lingerer, timer);
    ensure_magic(l, LINGERER_MAGIC);
    free_lingerer(l, true);
}

void stream_linger(struct tls *s)
{
    struct tls_core *c = s->core;
    struct transport *t = s->t;
    struct lingerer *l = slab_take(&c->lingerers);
    if (l == NULL) {
        return;
    }
    *l = (struct lingerer){.magic = LINGERER_MAGIC, .core = c};
    loop_unwatch(c->loop, &t->io);
    io_init(&l->io, t->io.fd, lingerer_on_io);
    if (loop_watch(c->loop, &l->io, false) != 0) {
        slab_give(&c->lingerers, l);
        return;
    }
    t->io.fd = -1; // it is the lingerer's to close
    l->out = s->out;
    s->out = NULL;
    list_init(&l->link);
    list_push_back(&c->lingering, &l->link);
    wheel_timer_init(&l->timer, lingerer_on_timer);
    loop_timer_set(c->loop, &l->timer, TLS_LINGER_MS);
}

void stream_abort_lingerers(struct tls_core *c)
{
    struct list *node;
    while ((node = list_first(&c->lingering)) != NULL) {
        free_lingerer(list_entry(node, struct lingerer, link), true);
    }
}

static void op_close(struct transport *t, bool reset)
{
    struct tls *s = tls_of(t);
    if (s->state == TLS_HANDSHAKING) {
        handshake_given_up(s);
    } else if (!reset && s->socket_error == 0) {
        if (s->state == TLS_OPEN && s->error == 0 && !s->half_closed) {
            send_close_notify(s);
        }
        if (!stream_flush(s)) {
            stream_linger(s);
        }
    }
    stream_drop_queue(s);
    tls_destroy(s);
    t->layer = NULL;
}

// ---- events ----------------------------------------------------------------------------------------

static void op_on_io(struct transport *t, unsigned events)
{
    struct tls *s = tls_of(t);
    if ((events & (SYS_READ | SYS_HANGUP | SYS_ERROR)) != 0) {
        s->socket_readable = true;
    }
    if (s->state != TLS_OPEN) {
        handshake_on_io(s);
        return;
    }
    s->more = false;
    if ((events & SYS_WRITE) != 0 && !stream_flush(s)) {
        events &= ~(unsigned)SYS_WRITE;
        t->writable = false;
    }
    if (events != 0) {
        t->on_ready(t, events);
    }
}

const struct transport_ops tls_ops = {
    .name = "tls",
    .read = op_read,
    .write = op_write,
    .shutdown_write = op_shutdown_write,
    .close = op_close,
    .on_io = op_on_io,
    .security = tls_security,
    .pack = move_pack,
    .unpack = move_unpack,
    .drop = move_drop,
};
