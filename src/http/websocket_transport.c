// SPDX-License-Identifier: Apache-2.0
//
// Byte streams in WebSocket messages (http/websocket_transport.h).
//
// Reading. Bytes of the transport below come into a chunk, are unmasked there and copied to the owner.
// The chunk goes back when it is empty.
//
// Writing. One frame at a time is made in a chunk of its own, head, payload and mask, and the owner is
// told that these bytes were taken; until they are out nothing more is. A pong goes between two frames.
// So at most a chunk waits for a peer that does not read.

#include "http/websocket_transport.h"

#include "base/error.h"
#include "base/num.h"
#include "http/websocket_frame.h"

enum {
    CORE_MAGIC = 0x77736372,
    SOCKET_MAGIC = 0x77736f63,
    LINGER_MS = 5000,
    PAYLOAD_MAX = CHUNK_BYTES - WEBSOCKET_HEAD_MAX,
};

struct socket {
    uint32_t magic;
    bool client;
    bool close_due;  // a close frame is to be sent when there is room
    bool close_sent; // nothing may follow it
    bool pong_due;
    bool ended;       // the peer's close frame came
    uint8_t ping_len; // what the last ping wants back
    int error;
    struct websocket_core *core;
    struct transport *t;     // NULL: closed by its owner
    struct transport *below; // NULL: closed
    struct chunk *in;        // NULL: nothing
    uint32_t in_pos;
    struct chunk *out; // NULL: nothing
    uint32_t out_pos;
    struct websocket_reader reader;
    struct wheel_timer linger;
    struct list link; // core->live, then core->dead
    char ping[WEBSOCKET_CONTROL_MAX];
};

static const struct transport_ops websocket_ops;

static struct loop *loop_of(const struct socket *s)
{
    return s->core->transports->loop;
}

static struct socket *of(struct transport *t)
{
    struct socket *s = t->layer;
    ensure_magic(s, SOCKET_MAGIC);
    ensure(s->t == t);
    return s;
}

// ---- life ---------------------------------------------------------------------------------------

static void reap(struct task *task)
{
    struct websocket_core *c = container_of(task, struct websocket_core, reap);
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->dead)) != NULL) {
        struct socket *s = list_entry(node, struct socket, link);
        list_remove(node);
        s->magic = 0;
        slab_give(&c->slab, s);
    }
}

void websocket_core_init(struct websocket_core *c, struct transport_core *transports,
                         uint32_t sockets_max)
{
    *c = (struct websocket_core){.magic = CORE_MAGIC, .transports = transports};
    slab_init(&c->slab, "websockets", sizeof(struct socket), sockets_max);
    list_init(&c->live);
    list_init(&c->dead);
    task_init(&c->reap, reap);
    transport_core_set_layer(transports, &websocket_ops, c);
}

static void drop_chunk(struct chunk **c)
{
    if (*c != NULL) {
        chunk_unref(*c);
        *c = NULL;
    }
}

/** Gives everything back; `below` was closed, or has left this core. */
static void end(struct socket *s)
{
    struct websocket_core *c = s->core;
    ensure(s->below == NULL);
    loop_timer_stop(loop_of(s), &s->linger);
    drop_chunk(&s->in);
    drop_chunk(&s->out);
    list_remove(&s->link);
    list_push_back(&c->dead, &s->link);
    loop_defer(c->transports->loop, &c->reap);
}

static void close_below(struct socket *s, bool reset)
{
    struct transport *below = s->below;
    s->below = NULL;
    transport_close(below, reset);
}

void websocket_core_fini(struct websocket_core *c)
{
    ensure_magic(c, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&c->live)) != NULL) {
        struct socket *s = list_entry(node, struct socket, link);
        ensure(s->t == NULL);
        close_below(s, true);
        end(s);
    }
    reap(&c->reap);
    loop_cancel(c->transports->loop, &c->reap);
    slab_fini(&c->slab);
    c->magic = 0;
}

// ---- flags --------------------------------------------------------------------------------------

/** What the owner may do, as it follows from what is below and what is kept here. */
static void set_flags(struct socket *s)
{
    if (s->t != NULL) {
        bool over = s->error != 0 || s->ended;
        s->t->readable = over || s->in != NULL || s->below->readable;
        s->t->writable = s->error != 0 || (s->out == NULL && s->below->writable);
        s->t->hung_up = s->ended || s->below->hung_up;
    }
}

static struct io_result failed(struct socket *s, int error)
{
    s->error = s->error != 0 ? s->error : error;
    set_flags(s);
    return (struct io_result){.status = IO_ERROR, .error = (int16_t)s->error};
}

// ---- writing ------------------------------------------------------------------------------------

/** Sends what is in `out`. 0, E_AGAIN, or why it cannot be sent. */
static int send_out(struct socket *s, bool more)
{
    while (s->out != NULL) {
        struct iovec iov = {s->out->data + s->out_pos, s->out->used - s->out_pos};
        struct io_result r = transport_write(s->below, &iov, 1, more);
        if (r.status != IO_OK) {
            return r.status == IO_AGAIN ? E_AGAIN : r.status == IO_EOF ? E_RESET : r.error;
        }
        s->out_pos += (uint32_t)r.n;
        if (s->out_pos == s->out->used) {
            drop_chunk(&s->out);
        }
    }
    return 0;
}

/** Where in the owner's bytes we are. */
struct cursor {
    const struct iovec *iov;
    int left;   // pieces, the current one included
    size_t off; // in the current one
};

static size_t bytes_left(const struct cursor *c, size_t most)
{
    size_t len = 0;
    for (int i = 0; i < c->left && len < most + c->off; i++) {
        len += c->iov[i].iov_len;
    }
    return num_min_size(len - num_min_size(len, c->off), most);
}

static void copy_bytes(struct cursor *c, char *to, size_t len)
{
    while (len > 0) {
        size_t part = num_min_size(len, c->iov->iov_len - c->off);
        memcpy(to, (const char *)c->iov->iov_base + c->off, part);
        to += part;
        len -= part;
        c->off += part;
        if (c->off == c->iov->iov_len) {
            c->iov++;
            c->left--;
            c->off = 0;
        }
    }
}

/** Puts a frame of that many of the owner's next bytes into `out`, which is empty. */
static int make_frame(struct socket *s, enum websocket_opcode opcode, struct cursor *from,
                      size_t len)
{
    ensure(s->out == NULL);
    ensure(len <= PAYLOAD_MAX);
    s->out = chunk_new(&loop_of(s)->chunks);
    if (s->out == NULL) {
        return E_NO_MEMORY;
    }
    uint8_t mask[4] = {0};
    uint8_t head[WEBSOCKET_HEAD_MAX];
    if (s->client) {
        struct sys *sys = loop_of(s)->sys;
        sys->ops->random(sys, mask, sizeof(mask));
    }
    size_t head_len = websocket_write_head(head, opcode, len, s->client ? mask : NULL);
    char *payload = s->out->data + head_len;
    memcpy(s->out->data, head, head_len);
    copy_bytes(from, payload, len);
    if (s->client) {
        websocket_mask(payload, len, mask, 0);
    }
    s->out->used = (uint32_t)(head_len + len);
    s->out_pos = 0;
    return 0;
}

static int make_control(struct socket *s, enum websocket_opcode opcode, const char *bytes,
                        size_t len)
{
    const struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct cursor c = {&iov, 1, 0};
    return make_frame(s, opcode, &c, len);
}

/** Sends what waits: a frame, then a pong, then a close frame. 0, E_AGAIN, or why it cannot be sent. */
static int flush(struct socket *s)
{
    int e = send_out(s, false);
    if (e == 0 && s->pong_due && !s->close_sent) {
        s->pong_due = false;
        e = make_control(s, WEBSOCKET_PONG, s->ping, s->ping_len);
        e = e == 0 ? send_out(s, false) : e;
    }
    if (e == 0 && s->close_due && !s->close_sent) {
        unsigned status = s->error == E_BAD_WEBSOCKET ? WEBSOCKET_PROTOCOL_ERROR : WEBSOCKET_NORMAL;
        const char bytes[2] = {(char)(status >> 8), (char)(status & 255)};
        s->close_sent = true;
        e = make_control(s, WEBSOCKET_CLOSE, bytes, sizeof(bytes));
        e = e == 0 ? send_out(s, false) : e;
    }
    return e;
}

static struct io_result ws_write(struct transport *t, const struct iovec *iov, int n, bool more)
{
    struct socket *s = of(t);
    ensure(!s->close_due);
    if (s->error != 0) {
        return failed(s, s->error);
    }
    size_t total = 0;
    struct cursor c = {iov, n, 0};
    int e = flush(s);
    for (size_t len = bytes_left(&c, PAYLOAD_MAX); e == 0 && len > 0;) {
        e = make_frame(s, WEBSOCKET_BINARY, &c, len);
        if (e == 0) {
            total += len;
            len = bytes_left(&c, PAYLOAD_MAX);
            e = send_out(s, more || len > 0);
        }
    }
    if (e != 0 && e != E_AGAIN) {
        s->error = e;
    }
    set_flags(s);
    if (total > 0) {
        return (struct io_result){.n = total, .status = IO_OK};
    }
    return e == 0 || e == E_AGAIN ? (struct io_result){.status = IO_AGAIN} : failed(s, e);
}

static int ws_shutdown_write(struct transport *t)
{
    struct socket *s = of(t);
    s->close_due = true;
    int e = s->error != 0 ? s->error : flush(s);
    if (e == E_AGAIN) {
        e = 0;
    }
    s->error = s->error != 0 ? s->error : e;
    set_flags(s);
    return e;
}

// ---- reading ------------------------------------------------------------------------------------

/** Brings bytes into `in`, which is empty. False: none for now, or never more (s->error). */
static bool fill(struct socket *s)
{
    if (!s->below->readable) {
        return false;
    }
    struct chunk *c = chunk_new(&loop_of(s)->chunks);
    if (c == NULL) {
        s->error = E_NO_MEMORY;
        return false;
    }
    struct iovec iov = {c->data, chunk_room(c)};
    struct io_result r = transport_read(s->below, &iov, 1);
    if (r.status != IO_OK) {
        chunk_unref(c);
        s->error = r.status == IO_AGAIN ? 0 : r.status == IO_EOF ? E_EARLY_CLOSE : r.error;
        return false;
    }
    c->used = (uint32_t)r.n;
    s->in = c;
    s->in_pos = 0;
    return true;
}

/** Reads the stream out of `in`, at most `room` bytes of it; how much. */
static size_t take(struct socket *s, char *to, size_t room)
{
    struct slice piece;
    size_t used = 0;
    size_t len = s->in->used - s->in_pos;
    // Heads and control frames take no room: so many bytes can be looked at as the owner has room for.
    int event =
        websocket_read(&s->reader, s->in->data + s->in_pos, num_min_size(len, room), &used, &piece);
    s->in_pos += (uint32_t)used;
    if (event == WEBSOCKET_BYTES) {
        memcpy(to, piece.ptr, piece.len);
    } else if (event == WEBSOCKET_PINGED) {
        memcpy(s->ping, piece.ptr, piece.len);
        s->ping_len = (uint8_t)piece.len;
        s->pong_due = true; // only the last one needs an answer (RFC 6455 5.5.3)
    } else if (event == WEBSOCKET_ENDED) {
        s->ended = true;
    } else if (event < 0) {
        s->error = event;
    }
    if (s->in_pos == s->in->used || s->ended || s->error != 0) {
        drop_chunk(&s->in);
    }
    return event == WEBSOCKET_BYTES ? piece.len : 0;
}

/** Fills `to` as far as there is something. */
static size_t receive(struct socket *s, char *to, size_t room)
{
    size_t got = 0;
    while (got < room && !s->ended && s->error == 0 && (s->in != NULL || fill(s))) {
        got += take(s, to + got, room - got);
    }
    return got;
}

static struct io_result ws_read(struct transport *t, const struct iovec *iov, int n)
{
    struct socket *s = of(t);
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        size_t got = receive(s, iov[i].iov_base, iov[i].iov_len);
        total += got;
        if (got < iov[i].iov_len) {
            break;
        }
    }
    if (s->pong_due && s->out == NULL && s->error == 0) {
        int e = flush(s);
        s->error = e == E_AGAIN ? 0 : e;
    }
    set_flags(s);
    if (total > 0) {
        return (struct io_result){.n = total, .status = IO_OK};
    }
    if (s->ended && s->error == 0) {
        return (struct io_result){.status = IO_EOF};
    }
    return s->error != 0 ? failed(s, s->error) : (struct io_result){.status = IO_AGAIN};
}

// ---- events and the end -------------------------------------------------------------------------

/** Closed by its owner: sends the rest, then goes. */
static void go_on_lingering(struct socket *s)
{
    int e = flush(s);
    if (e == E_AGAIN) {
        return;
    }
    close_below(s, e != 0);
    end(s);
}

static void on_below(struct transport *below, unsigned events)
{
    struct socket *s = below->owner;
    ensure_magic(s, SOCKET_MAGIC);
    ensure(s->below == below);
    if (s->t == NULL) {
        go_on_lingering(s);
        return;
    }
    if ((events & SYS_WRITE) != 0 && s->error == 0) {
        int e = flush(s);
        s->error = e == E_AGAIN ? 0 : e;
    }
    set_flags(s);
    s->t->on_ready(s->t, events);
}

static void on_linger(struct wheel_timer *timer)
{
    struct socket *s = container_of(timer, struct socket, linger);
    ensure_magic(s, SOCKET_MAGIC);
    close_below(s, true);
    end(s);
}

static void ws_close(struct transport *t, bool reset)
{
    struct socket *s = of(t);
    s->t = NULL;
    if (reset || (s->error != 0 && s->error != E_BAD_WEBSOCKET)) {
        close_below(s, reset);
        end(s);
        return;
    }
    s->close_due = true;
    drop_chunk(&s->in);
    int e = flush(s);
    if (e != E_AGAIN) {
        close_below(s, false);
        end(s);
        return;
    }
    loop_timer_set(loop_of(s), &s->linger, LINGER_MS);
}

static const struct http_security *ws_security(const struct transport *t)
{
    const struct socket *s = t->layer;
    const struct transport *below = s->below;
    return below->ops->security != NULL ? below->ops->security(below) : NULL;
}

// ---- from core to core --------------------------------------------------------------------------

/** What of a socket is of no core. */
struct packed {
    bool client;
    bool close_sent;
    bool ended;
    struct websocket_reader reader;
    struct transport_parcel below;
    uint32_t in_len;
    char in[];
};

static int ws_pack(struct transport *t, void **out)
{
    struct socket *s = of(t);
    if (s->error != 0 || s->out != NULL || s->pong_due || s->close_due) {
        return E_UNSUPPORTED; // not now
    }
    uint32_t in_len = s->in != NULL ? s->in->used - s->in_pos : 0;
    struct packed *p = mem_alloc(sizeof(*p) + in_len);
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    int e = transport_pack(s->below, &p->below);
    if (e < 0) {
        mem_free(p);
        return e;
    }
    p->client = s->client;
    p->close_sent = s->close_sent;
    p->ended = s->ended;
    p->reader = s->reader;
    p->in_len = in_len;
    if (in_len > 0) {
        memcpy(p->in, s->in->data + s->in_pos, in_len);
    }
    s->below = NULL;
    s->t = NULL;
    end(s);
    *out = p;
    return 0;
}

static void ws_drop(void *packed, struct sys *sys)
{
    struct packed *p = packed;
    transport_parcel_drop(&p->below, sys);
    mem_free(p);
}

static struct transport *wrap(struct websocket_core *c, struct transport *below, bool client)
{
    struct socket *s = slab_take(&c->slab);
    struct transport *t = s != NULL ? transport_over(c->transports, &websocket_ops, s) : NULL;
    if (t == NULL) {
        if (s != NULL) {
            slab_give(&c->slab, s);
        }
        return NULL;
    }
    *s = (struct socket){
        .magic = SOCKET_MAGIC,
        .client = client,
        .core = c,
        .t = t,
        .below = below,
        .reader = websocket_reader_new(!client),
    };
    wheel_timer_init(&s->linger, on_linger);
    list_init(&s->link);
    list_push_back(&c->live, &s->link);
    transport_set_owner(below, s, on_below);
    return t;
}

static struct transport *ws_unpack_over(struct transport_core *tc, void *packed, int *error)
{
    struct packed *p = packed;
    struct websocket_core *c = transport_core_layer(tc, &websocket_ops);
    struct chunk *in = p->in_len > 0 ? chunk_new(&tc->loop->chunks) : NULL;
    *error = E_NO_MEMORY;
    if (c == NULL || (p->in_len > 0 && in == NULL)) {
        ws_drop(p, tc->loop->sys);
        return NULL;
    }
    struct transport *below = transport_unpack(tc, &p->below, error);
    struct transport *t = below != NULL ? wrap(c, below, p->client) : NULL;
    if (t == NULL) {
        if (below != NULL) {
            *error = E_NO_MEMORY;
            transport_close(below, true);
        }
        if (in != NULL) {
            chunk_unref(in);
        }
        mem_free(p);
        return NULL;
    }
    struct socket *s = of(t);
    if (in != NULL) {
        memcpy(in->data, p->in, p->in_len);
        in->used = p->in_len;
        s->in = in;
    }
    s->reader = p->reader;
    s->close_sent = p->close_sent;
    s->ended = p->ended;
    mem_free(p);
    set_flags(s);
    return t;
}

static const struct transport_ops websocket_ops = {
    .name = "websocket",
    .read = ws_read,
    .write = ws_write,
    .shutdown_write = ws_shutdown_write,
    .close = ws_close,
    .security = ws_security,
    .pack = ws_pack,
    .unpack_over = ws_unpack_over,
    .drop_over = ws_drop,
};

struct transport *websocket_wrap(struct transport *below, bool client, struct chunk *first,
                                 uint32_t pos)
{
    struct websocket_core *c = transport_core_layer(below->core, &websocket_ops);
    ensure(c != NULL);
    struct transport *t = wrap(c, below, client);
    if (t == NULL) {
        if (first != NULL) {
            chunk_unref(first);
        }
        transport_close(below, true);
        return NULL;
    }
    struct socket *s = of(t);
    if (first != NULL && pos < first->used) {
        s->in = first;
        s->in_pos = pos;
    } else if (first != NULL) {
        chunk_unref(first);
    }
    set_flags(s);
    return t;
}
