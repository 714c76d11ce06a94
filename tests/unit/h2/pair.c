// SPDX-License-Identifier: Apache-2.0
//
// See pair.h. The wire is two queues of segments, each with the time at which it comes out.

#include "pair.h"

#include "obs/counters.h"
#include "tap.h"

enum { MS = 1000000 };

struct segment {
    struct segment *next;
    uint64_t due_ns;
    size_t len;
    size_t off;
    char bytes[];
};

struct end {
    struct io *io;
    struct segment *first; // on its way to this end
    struct segment *last;
    size_t queued;
    uint64_t free_ns; // when the wire towards it can take more
    bool blocked;     // its writer waits for room at the other end
    bool shut;        // the other end will write no more
    bool reset;
    bool closed;
};

static struct {
    struct sys sys;
    uint64_t ns;
    struct end ends[2];
} wire;

struct pair pair;
static struct counters counters;
static struct chunk *pattern; // what every body is made of

static struct end *end_of(int fd)
{
    REQUIRE(fd == 10 + PAIR_UP || fd == 10 + PAIR_DOWN);
    return &wire.ends[fd - 10];
}

static struct end *other_of(int fd)
{
    return &wire.ends[1 - (fd - 10)];
}

// ---- the kernel --------------------------------------------------------------------------------------

static uint64_t now_ns(struct sys *s)
{
    (void)s;
    return wire.ns;
}

static uint64_t wall_ms(struct sys *s)
{
    (void)s;
    return 1000000 + wire.ns / MS;
}

static bool is_due(const struct end *e)
{
    return e->first != NULL && e->first->due_ns <= wire.ns && !pair.cut;
}

static int collect(struct sys_event *events)
{
    int n = 0;
    for (int i = 0; i < 2; i++) {
        struct end *e = &wire.ends[i];
        unsigned what = 0;
        if (e->closed || e->io == NULL) {
            continue;
        }
        what |= is_due(e) || (e->shut && e->first == NULL && !pair.cut) ? SYS_READ : 0u;
        what |= e->reset ? (unsigned)(SYS_READ | SYS_HANGUP | SYS_ERROR) : 0u;
        if (e->blocked && wire.ends[1 - i].queued < pair.wire_bytes / 2) {
            e->blocked = false;
            what |= SYS_WRITE;
        }
        if (what != 0) {
            events[n++] = (struct sys_event){e->io, what};
        }
    }
    return n;
}

static int wait_for(struct sys *s, struct sys_event *events, int max, int timeout_ms)
{
    (void)s;
    (void)max;
    int n = collect(events);
    if (n > 0 || timeout_ms == 0) {
        return n;
    }
    uint64_t until = wire.ns + (uint64_t)timeout_ms * MS;
    for (int i = 0; i < 2; i++) {
        const struct end *e = &wire.ends[i];
        if (e->first != NULL && !e->closed && !pair.cut && e->first->due_ns < until) {
            until = e->first->due_ns;
        }
    }
    wire.ns = until > wire.ns ? until : wire.ns;
    return collect(events);
}

static void wake_up(struct sys *s)
{
    (void)s;
}

static int watch(struct sys *s, int fd, void *data, bool listener)
{
    (void)s;
    (void)listener;
    end_of(fd)->io = data;
    return 0;
}

static void drop(struct end *e)
{
    while (e->first != NULL) {
        struct segment *next = e->first->next;
        free(e->first);
        e->first = next;
    }
    e->queued = 0;
}

static void close_end(struct sys *s, int fd, bool reset)
{
    (void)s;
    end_of(fd)->closed = true;
    drop(end_of(fd));
    other_of(fd)->shut = true;
    other_of(fd)->reset |= reset && !pair.cut;
}

static struct io_result read_some(struct sys *s, int fd, const struct iovec *iov, int n)
{
    (void)s;
    struct end *e = end_of(fd);
    REQUIRE(n == 1);
    if (e->reset) {
        return (struct io_result){0, IO_ERROR, E_RESET};
    }
    if (!is_due(e)) {
        bool over = e->shut && e->first == NULL && !pair.cut;
        return (struct io_result){0, over ? IO_EOF : IO_AGAIN, 0};
    }
    size_t done = 0;
    while (is_due(e) && done < iov->iov_len) {
        struct segment *first = e->first;
        size_t part = first->len - first->off;
        part = part < iov->iov_len - done ? part : iov->iov_len - done;
        memcpy((char *)iov->iov_base + done, first->bytes + first->off, part);
        first->off += part;
        done += part;
        if (first->off == first->len) {
            e->first = first->next;
            free(first);
        }
    }
    e->queued -= done;
    return (struct io_result){done, IO_OK, 0};
}

static struct io_result write_some(struct sys *s, int fd, const struct iovec *iov, int n, bool more)
{
    (void)s;
    (void)more;
    struct end *to = other_of(fd);
    if (end_of(fd)->reset || to->closed) {
        return (struct io_result){0, IO_ERROR, E_RESET};
    }
    size_t room = to->queued < pair.wire_bytes ? pair.wire_bytes - to->queued : 0;
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    end_of(fd)->blocked = total > room;
    total = total < room ? total : room;
    if (total == 0) {
        return (struct io_result){0, IO_AGAIN, 0};
    }
    struct segment *seg = malloc(sizeof(*seg) + total);
    REQUIRE(seg != NULL);
    to->free_ns = to->free_ns > wire.ns ? to->free_ns : wire.ns;
    to->free_ns += total * 1000 * MS / pair.rate;
    *seg = (struct segment){.due_ns = to->free_ns + pair.delay_ns, .len = total};
    size_t at = 0;
    for (int i = 0; i < n && at < total; i++) {
        size_t part = iov[i].iov_len < total - at ? iov[i].iov_len : total - at;
        memcpy(seg->bytes + at, iov[i].iov_base, part);
        at += part;
    }
    if (to->first == NULL) {
        to->first = seg;
    } else {
        to->last->next = seg;
    }
    to->last = seg;
    to->queued += total;
    pair.carried[fd - 10] += total;
    return (struct io_result){total, IO_OK, 0};
}

static int shut(struct sys *s, int fd)
{
    (void)s;
    other_of(fd)->shut = true;
    return 0;
}

static void random_bytes(struct sys *s, void *to, size_t n)
{
    (void)s;
    memset(to, 7, n);
}

static const struct sys_ops ops = {
    .name = "wire",
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .wait = wait_for,
    .wake = wake_up,
    .watch = watch,
    .close = close_end,
    .read = read_some,
    .write = write_some,
    .shutdown_write = shut,
    .random = random_bytes,
};

// ---- bodies ------------------------------------------------------------------------------------------

static void fill(struct http_body *b, void *producer)
{
    struct visit *v = producer;
    size_t room;
    while (v->put < v->wanted && (room = http_body_room(b)) > 0) {
        size_t off = v->put % pattern->used;
        size_t n = pattern->used - off;
        n = n < room ? n : room;
        n = n < v->wanted - v->put ? n : (size_t)(v->wanted - v->put);
        if (http_body_put(b, pattern, off, n) != 0) {
            return;
        }
        v->put += n;
    }
    // An answer that ends before its request would end that as well.
    if (v->put == v->wanted && !b->ended && (v->stream->side == HTTP_UP || v->ended)) {
        http_body_end(b, NULL);
    }
    http_body_notify(b);
}

static void take(struct visit *v, uint64_t most)
{
    struct http_body *b = &v->in;
    while (b->q.bytes > 0 && most > 0) {
        struct slice front = bufq_front(&b->q);
        size_t off = v->taken % pattern->used;
        size_t n = front.len < pattern->used - off ? front.len : pattern->used - off;
        n = n < most ? n : (size_t)most;
        v->wrong |= memcmp(front.ptr, pattern->data + off, n) != 0;
        v->taken += n;
        most -= n;
        http_body_take(b, n);
    }
    http_body_pull(b);
    if (!v->ended && http_body_done(b)) {
        v->ended = true;
        if (!v->closed && v->stream->side == HTTP_DOWN) {
            fill(&v->out, v);
        }
    }
}

static void on_data(struct http_body *b, void *consumer)
{
    struct visit *v = consumer;
    (void)b;
    v->told++;
    if (!v->stalled && v->slowly == 0) {
        take(v, UINT64_MAX);
    }
}

void pair_resume(struct visit *v)
{
    v->stalled = false;
    take(v, UINT64_MAX);
}

// ---- exchanges -----------------------------------------------------------------------------------------

static struct visit *visit_new(struct http_stream *s)
{
    REQUIRE(pair.visit_count < VISITS_MAX);
    struct visit *v = &pair.visits[pair.visit_count++];
    v->stream = s;
    arena_init(&v->arena, NULL, 0, &pair.loop.chunks, 1 << 16);
    http_head_init(&v->request, &v->arena, 8192, 100);
    http_head_init(&v->response, &v->arena, 8192, 100);
    http_body_init(&v->in, 128 * 1024);
    http_body_init(&v->out, 128 * 1024);
    http_body_set_consumer(&v->in, v, on_data);
    http_body_set_producer(&v->out, v, fill);
    s->user = v;
    return v;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct visit *v = s->user;
    if (head->body != HTTP_BODY_NONE) {
        s->ops->receive_body(s, &v->in);
    } else {
        v->ended = true;
    }
    if (s->side == HTTP_DOWN) {
        v->response.status = 200;
        v->response.body = HTTP_BODY_STREAM;
        v->wanted = pair.serve;
        s->ops->send_head(s, &v->response, &v->out);
        if (!v->closed) {
            fill(&v->out, v);
        }
    }
}

static void on_bad_message(struct http_stream *s, int error)
{
    s->ops->reset(s, error);
}

static void on_error(struct http_stream *s, int error)
{
    struct visit *v = s->user;
    v->error = error;
}

static void on_sent(struct http_stream *s)
{
    (void)s;
}

static void on_closed(struct http_stream *s)
{
    struct visit *v = s->user;
    v->closed = true;
    v->had_room = pair.up != NULL && up_session_has_room(pair.up);
    v->stream = NULL;
}

static const struct http_stream_events events = {.on_head = on_head,
                                                 .on_bad_message = on_bad_message,
                                                 .on_error = on_error,
                                                 .on_sent = on_sent,
                                                 .on_closed = on_closed};

static int begin(struct http_handler *h, struct http_stream *s)
{
    (void)h;
    struct visit *v = visit_new(s);
    v->stalled = pair.serve_stalled;
    s->events = &events;
    s->receive_head = &v->request;
    return 0;
}

static struct http_handler handler = {.begin = begin};

struct visit *pair_ask(uint64_t upload)
{
    struct http_stream *s = pair.up->ops->take(pair.up);
    REQUIRE(s != NULL);
    struct visit *v = visit_new(s);
    s->events = &events;
    s->receive_head = &v->response;
    v->wanted = upload;
    v->request.method = upload > 0 ? HTTP_METHOD_POST : HTTP_METHOD_GET;
    v->request.method_text = http_method_text(v->request.method);
    v->request.scheme = SLICE("http");
    v->request.authority = SLICE("a");
    v->request.host = SLICE("a");
    v->request.target = SLICE("/");
    v->request.path = SLICE("/");
    v->request.body = upload > 0 ? HTTP_BODY_STREAM : HTTP_BODY_NONE;
    s->ops->send_head(s, &v->request, upload > 0 ? &v->out : NULL);
    if (upload > 0 && !v->closed) {
        fill(&v->out, v);
    }
    return v;
}

struct visit *pair_served(const struct visit *asked)
{
    const struct h2_stream *s = pair_stream(asked);
    for (unsigned i = 0; i < pair.visit_count && s != NULL; i++) {
        struct visit *v = &pair.visits[i];
        const struct h2_stream *t = v->stream == NULL ? NULL : pair_stream(v);
        if (t != NULL && t != s && t->id == s->id) {
            return v;
        }
    }
    return NULL;
}

struct h2_stream *pair_stream(const struct visit *v)
{
    return v->stream == NULL ? NULL : container_of(v->stream, struct h2_stream, stream);
}

// ---- sessions ------------------------------------------------------------------------------------------

static void copy_text(char *to, struct slice text)
{
    REQUIRE(text.len <= SESSION_TEXT_MAX);
    if (text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
    to[text.len] = '\0';
}

static void up_room(struct up_session *s, void *owner)
{
    (void)s;
    (void)owner;
    pair.rooms++;
}

static void up_closing(struct up_session *s, void *owner)
{
    (void)owner;
    pair.closings++;
    copy_text(pair.up_text, s->goaway_text);
}

static void up_gone(struct up_session *s, void *owner, int error)
{
    (void)s;
    (void)owner;
    pair.up_gone++;
    pair.up_error = error;
    pair.up = NULL;
}

static bool down_goaway(struct down_session *s, void *arg, uint32_t code, struct slice text)
{
    (void)s;
    (void)arg;
    (void)code;
    pair.goaways++;
    copy_text(pair.down_text, text);
    return pair.stays;
}

static void down_gone(struct down_session *s, void *arg, int error)
{
    (void)s;
    (void)arg;
    pair.down_gone++;
    pair.down_error = error;
    pair.down = NULL;
}

static const struct up_session_owner up_owner = {
    .on_room = up_room, .on_closing = up_closing, .on_gone = up_gone};
static const struct down_session_watcher down_watcher = {.on_goaway = down_goaway,
                                                         .on_gone = down_gone};

static struct transport *end_open(int end)
{
    int error = 0;
    struct transport *t = transport_new(&pair.transports, 10 + end, &error);
    REQUIRE(t != NULL);
    return t;
}

static void open_core(const struct pair_terms *terms)
{
    uint32_t chunks = terms->chunks_max > 0 ? terms->chunks_max : 16384;
    struct loop_limits limits = {chunks, 8};
    REQUIRE(loop_init(&pair.loop, &wire.sys, 0, &limits) == 0);
    pattern = chunk_new(&pair.loop.chunks);
    REQUIRE(pattern != NULL);
    for (uint32_t i = 0; i < CHUNK_BYTES; i++) {
        pattern->data[i] = (char)(i * 7 + (i >> 8));
    }
    pattern->used = CHUNK_BYTES;
    h2_windows_init(&pair.windows, terms->small ? 0 : UINT64_C(256) << 20);
    down_core_init(&pair.down_core, &pair.loop, &counters, &handler);
    pair.down_core.settings = (struct http_settings){.head_bytes = 8192,
                                                     .target_bytes = 1024,
                                                     .fields = 100,
                                                     .header_ms = 10000,
                                                     .idle_ms = 60000,
                                                     .down.write_ms = 30000,
                                                     .connection_bytes = 4 << 20,
                                                     .window_bytes = terms->window_most};
    transport_core_init(&pair.transports, &pair.loop, 8);
    int e = h2_core_new(&pair.loop, &counters, &pair.down_core, &pair.windows, 8, &pair.core);
    REQUIRE(e == 0);
}

void pair_open(const struct pair_terms *terms, uint64_t delay_ms)
{
    static struct http_peer peer;
    memset(&pair, 0, sizeof(pair));
    memset(&wire, 0, sizeof(wire));
    wire.sys.ops = &ops;
    wire.ns = UINT64_C(5000000000);
    pair.delay_ns = delay_ms * MS;
    pair.wire_bytes = 64 << 20;
    pair.rate = 40 << 20;
    open_core(terms);
    int error = 0;
    struct down_session_terms down = {
        .peer = &peer, .watcher = &down_watcher, .liveness = terms->liveness};
    struct up_session_terms up = {
        .peer = &peer, .owner = &up_owner, .idle_ms = 60000, .liveness = terms->liveness};
    pair.down = h2_down_open_watched(pair.core, end_open(PAIR_DOWN), &down, NULL, 0, &error);
    REQUIRE(pair.down != NULL);
    pair.up = h2_up_open(pair.core, end_open(PAIR_UP), &up, &error);
    REQUIRE(pair.up != NULL);
    pair_run(4 * delay_ms + 1);
}

void pair_run(uint64_t ms)
{
    uint64_t until = wire.ns + ms * MS;
    uint64_t last_ms = wire.ns / MS;
    while (wire.ns < until) {
        uint64_t at = wire.ns;
        loop_turn(&pair.loop, 1);
        for (unsigned i = 0; wire.ns / MS > last_ms && i < pair.visit_count; i++) {
            struct visit *v = &pair.visits[i];
            if (v->slowly > 0 && !v->stalled) {
                take(v, v->slowly * (wire.ns / MS - last_ms));
            }
        }
        last_ms = wire.ns / MS;
        wire.ns += wire.ns == at ? 1000 : 0; // a turn takes a microsecond
    }
}

void pair_sleep(uint64_t ms)
{
    wire.ns += ms * MS;
}

void pair_break(void)
{
    wire.ends[PAIR_UP].reset = true;
    wire.ends[PAIR_DOWN].reset = true;
}

struct h2_conn *pair_conn(int end)
{
    return end == PAIR_UP ? container_of(pair.up, struct h2_conn, u.up.session)
                          : container_of(pair.down, struct h2_conn, u.down);
}

uint64_t pair_reserved(void)
{
    return atomic_load(&pair.windows.used);
}

void pair_close(void)
{
    if (pair.up != NULL) {
        h2_conn_close(pair_conn(PAIR_UP), false, E_EOF);
    }
    if (pair.down != NULL) {
        h2_conn_close(pair_conn(PAIR_DOWN), false, E_EOF);
    }
    loop_turn(&pair.loop, 0);
    CHECK_EQ_INT(pair_reserved(), 0);
    for (unsigned i = 0; i < pair.visit_count; i++) {
        struct visit *v = &pair.visits[i];
        CHECK(v->closed);
        CHECK(!v->wrong);
        http_body_fini(&v->in, &pair.loop);
        http_body_fini(&v->out, &pair.loop);
        arena_fini(&v->arena);
    }
    h2_core_free(pair.core);
    transport_core_fini(&pair.transports);
    chunk_unref(pattern);
    drop(&wire.ends[0]);
    drop(&wire.ends[1]);
    CHECK_EQ_INT(pair.loop.chunks.in_use, 0);
    loop_fini(&pair.loop);
}
