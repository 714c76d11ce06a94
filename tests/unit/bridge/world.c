// SPDX-License-Identifier: Apache-2.0
//
// See world.h.

#include "world.h"

#include "base/error.h"
#include "base/num.h"
#include "tap.h"

static void copy_text(char *to, size_t size, struct slice from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;
    if (n > 0) {
        memcpy(to, from.ptr, n);
    }
    to[n] = '\0';
}

/** Bytes [from, from + n) into a pipe; how many there was room for. */
static size_t put_bytes(struct http_body *b, struct loop *l, uint64_t from, size_t n)
{
    size_t done = 0;
    while (done < n) {
        size_t part = num_min_size(num_min_size(http_body_room(b), n - done), VISIT_PIECE);
        if (part == 0) {
            break;
        }
        char bytes[VISIT_PIECE];
        for (size_t i = 0; i < part; i++) {
            bytes[i] = world_byte(from + done + i);
        }
        int e = http_body_write(b, &l->chunks, bytes, part);
        if (e < 0) {
            b->wants_room = true;
            break;
        }
        done += part;
    }
    return done;
}

/** Takes all bytes; false: one was wrong. */
static bool take_bytes(struct http_body *b, uint64_t *got)
{
    bool good = true;
    while (b->q.bytes > 0) {
        struct slice front = bufq_front(&b->q);
        for (size_t i = 0; i < front.len; i++) {
            good = good && front.ptr[i] == world_byte(*got + i);
        }
        *got += front.len;
        http_body_take(b, front.len);
    }
    http_body_pull(b);
    return good;
}

// ---- the session -----------------------------------------------------------------------------------

static struct ostream *of_stream(struct http_stream *s)
{
    struct ostream *x = container_of(s, struct ostream, stream);
    ensure(x->used);
    return x;
}

static void close_stream(struct ostream *x)
{
    if (x->over) {
        return;
    }
    x->over = true;
    if (x->in != NULL) {
        http_body_set_consumer(x->in, NULL, NULL);
    }
    if (x->out != NULL) {
        http_body_set_producer(x->out, NULL, NULL);
    }
    struct up_session *s = &x->origin->session;
    s->streams--;
    x->stream.events->on_closed(&x->stream);
    if (s->owner != NULL) {
        s->owner->on_room(s, s->owner_arg);
    }
}

void ostream_finish(struct ostream *x, int error)
{
    if (error != 0) {
        if (x->out != NULL && !x->out->ended) {
            http_body_fail(x->out, error);
        }
        x->stream.events->on_error(&x->stream, error);
    }
    close_stream(x);
}

static void echo(struct ostream *x);

static void out_has_room(struct http_body *b, void *producer)
{
    struct ostream *x = producer;
    (void)b;
    if (x->origin->echoes) {
        echo(x);
    }
}

static void in_has_data(struct http_body *b, void *consumer)
{
    struct ostream *x = consumer;
    (void)b;
    if (x->origin->echoes) {
        echo(x);
    } else if (x->origin->takes) {
        ostream_take(x);
    }
}

void ostream_take(struct ostream *x)
{
    if (x->in == NULL) {
        return;
    }
    CHECK(take_bytes(x->in, &x->got));
    if (http_body_done(x->in)) {
        x->got_end = true;
        if (x->in->trailers != NULL) {
            copy_text(x->got_trailer, sizeof(x->got_trailer),
                      fields_get(x->in->trailers, SLICE("x-end")));
        }
        http_body_set_consumer(x->in, NULL, NULL);
        x->in = NULL;
    }
}

void ostream_answer(struct ostream *x, unsigned status, unsigned body)
{
    struct http_head *h = x->stream.receive_head;
    h->status = (uint16_t)status;
    h->reason = SLICE("As asked");
    h->body = (uint8_t)body;
    h->upgrade = status == 101 ? SLICE("websocket") : SLICE("");
    int e = fields_add(&h->fields, SLICE("x-of"), x->head->target);
    if (e < 0) { // memory is made to fail
        CHECK_EQ_INT(e, E_NO_MEMORY);
        ostream_finish(x, e);
        return;
    }
    x->stream.events->on_head(&x->stream, h);
    CHECK(status != 200 || body == HTTP_BODY_NONE || x->over || x->out != NULL);
}

size_t ostream_send(struct ostream *x, uint64_t from, size_t n)
{
    size_t done = put_bytes(x->out, x->origin->loop, from, n);
    http_body_notify(x->out);
    return done;
}

void ostream_end(struct ostream *x, const char *trailer)
{
    struct http_body *b = x->out;
    if (trailer != NULL) {
        struct arena *arena = x->stream.receive_head->fields.arena; // it lives as long as the pipe
        struct fields *f = arena_alloc(arena, sizeof(*f));
        if (f != NULL) {
            fields_init(f, arena, 1000, 10);
            x->trailers = fields_add(f, SLICE("x-end"), slice_str(trailer)) == 0 ? f : NULL;
        }
    }
    x->ended = true;
    http_body_end(b, x->trailers);
    http_body_notify(b);
}

/** Moves the request's bytes into the answer. */
static void echo(struct ostream *x)
{
    if (x->over || x->ended || x->in == NULL || x->out == NULL) {
        return;
    }
    struct http_body *in = x->in;
    struct http_body *out = x->out;
    bool some = false;
    size_t room;
    while (in->q.bytes > 0 && (room = http_body_room(out)) > 0) {
        const struct span *s = &in->q.spans[in->q.head];
        size_t n = num_min_size(room, s->len);
        if (http_body_put(out, s->chunk, s->off, n) != 0) {
            out->wants_room = true;
            break;
        }
        http_body_take(in, n);
        x->got += n;
        some = true;
    }
    http_body_pull(in);
    if (some) {
        http_body_notify(out);
    }
    if (x->over || x->ended || in->error != 0 || !http_body_done(in)) {
        return;
    }
    bool tunnel = x->head->upgrade.len > 0;
    x->in = NULL;
    http_body_set_consumer(in, NULL, NULL);
    ostream_end(x, tunnel || in->trailers == NULL ? NULL : "echoed");
    if (!x->over) {
        x->stream.events->on_sent(&x->stream);
        close_stream(x);
    }
}

static void send_head(struct http_stream *s, const struct http_head *head, struct http_body *body)
{
    struct ostream *x = of_stream(s);
    x->head = head;
    x->in = body;
    if (body != NULL) {
        body->takes_kernel = false;
        http_body_set_consumer(body, x, in_has_data);
    }
    if (!x->origin->echoes) {
        return;
    }
    if (head->upgrade.len > 0) {
        ostream_answer(x, 101, HTTP_BODY_NONE);
        return;
    }
    ostream_answer(x, 103, HTTP_BODY_NONE);
    if (!x->over) {
        ostream_answer(x, 200, body != NULL ? HTTP_BODY_STREAM : HTTP_BODY_NONE);
    }
    if (!x->over && body == NULL) {
        x->stream.events->on_sent(&x->stream);
        close_stream(x);
    } else if (!x->over) {
        echo(x);
    }
}

static void receive_body(struct http_stream *s, struct http_body *body)
{
    struct ostream *x = of_stream(s);
    ensure(x->out == NULL);
    x->out = body;
    http_body_set_producer(body, x, out_has_room);
}

static void tunnel(struct http_stream *s, struct http_body *receive, struct http_body *send)
{
    struct ostream *x = of_stream(s);
    ensure(x->in == NULL && x->out == NULL);
    x->out = receive;
    x->in = send;
    http_body_set_producer(receive, x, out_has_room);
    http_body_set_consumer(send, x, in_has_data);
}

static void reset(struct http_stream *s, int error)
{
    struct ostream *x = of_stream(s);
    x->reset = error;
    close_stream(x);
}

static void set_timeouts(struct http_stream *s, const struct http_timeouts *t)
{
    of_stream(s)->timeouts = *t;
}

static const struct http_stream_ops stream_ops = {
    .protocol = "2",
    .send_head = send_head,
    .receive_body = receive_body,
    .tunnel = tunnel,
    .reset = reset,
    .set_timeouts = set_timeouts,
};

static struct http_stream *take(struct up_session *s)
{
    struct origin *o = container_of(s, struct origin, session);
    struct ostream *x = o->streams;
    while (x < o->streams + ORIGIN_STREAMS_MAX && x->used && !x->over) {
        x++;
    }
    ensure(x < o->streams + ORIGIN_STREAMS_MAX);
    *x = (struct ostream){
        .used = true, .origin = o, .stream = {.side = HTTP_UP, .ops = &stream_ops}};
    s->streams++;
    return &x->stream;
}

static void close_session(struct up_session *s)
{
    ensure(s->streams == 0);
}

static const struct up_session_ops session_ops = {
    .protocol = "h2", .take = take, .close = close_session};

static struct http_stream *give(void *arg, int *error)
{
    struct origin *o = arg;
    if (!up_session_has_room(&o->session)) {
        o->refuses++;
        *error = o->take_error != 0 ? o->take_error : E_AGAIN;
        return NULL;
    }
    return o->session.ops->take(&o->session);
}

static void owner_on_room(struct up_session *s, void *owner)
{
    struct origin *o = owner;
    (void)s;
    bridge_port_room(o->port);
}

static const struct up_session_owner owner = {.on_room = owner_on_room};

void origin_init(struct origin *o, struct loop *l, struct bridge_core *c, uint32_t streams_max)
{
    ensure(streams_max <= ORIGIN_STREAMS_MAX);
    memset(o, 0, sizeof(*o));
    o->loop = l;
    o->session = (struct up_session){.ops = &session_ops,
                                     .owner = &owner,
                                     .owner_arg = o,
                                     .streams_max = streams_max,
                                     .can_upgrade = true};
    const struct bridge_port_order order = {.session = &o->session, .take = give, .arg = o};
    REQUIRE(bridge_port_new(c, &order, &o->port) == 0);
}

void origin_fini(struct origin *o)
{
    CHECK_EQ_INT(o->session.streams, 0);
    o->session.owner = NULL;
    bridge_port_close(o->port, E_EOF);
    bridge_port_unref(o->port);
}

struct ostream *origin_stream(struct origin *o, unsigned n)
{
    for (struct ostream *x = o->streams; x < o->streams + ORIGIN_STREAMS_MAX; x++) {
        if (x->used && !x->over && n-- == 0) {
            return x;
        }
    }
    return NULL;
}

// ---- visits ----------------------------------------------------------------------------------------

static void init_response(struct visit *v)
{
    http_head_init(&v->response, &v->arena, 60000, 100);
}

static void on_data(struct http_body *b, void *consumer)
{
    struct visit *v = consumer;
    (void)b;
    if (!v->lazy) {
        visit_take(v);
    }
}

void visit_take(struct visit *v)
{
    struct http_body *b = &v->response_body;
    v->wrong = !take_bytes(b, &v->got) || v->wrong;
    v->body_error = b->error;
    if (http_body_done(b) && !v->got_end) {
        v->got_end = true;
        if (b->trailers != NULL) {
            copy_text(v->got_trailer, sizeof(v->got_trailer),
                      fields_get(b->trailers, SLICE("x-end")));
        }
    }
}

static void on_room(struct http_body *b, void *producer)
{
    (void)b;
    visit_send(producer);
}

void visit_send(struct visit *v)
{
    struct http_body *b = &v->request_body;
    if (b->ended || b->error != 0) {
        return;
    }
    v->sent += put_bytes(b, v->loop, v->sent, (size_t)(v->to_send - v->sent));
    if (v->sent == v->to_send && v->ends) {
        bool has = v->trailers.count > 0;
        http_body_end(b, has ? &v->trailers : NULL);
    }
    http_body_notify(b);
}

static void visit_on_head(struct http_stream *s, struct http_head *head)
{
    struct visit *v = s->user;
    CHECK(head == &v->response);
    copy_text(v->field, sizeof(v->field), fields_get(&head->fields, SLICE("x-of")));
    if (http_status_is_interim(head->status)) {
        v->interim++;
        init_response(v);
        return;
    }
    v->status = head->status;
    if (head->status == 101) {
        s->ops->tunnel(s, &v->response_body, &v->request_body);
        http_body_set_producer(&v->request_body, v, on_room);
        visit_send(v);
    } else if (head->body != HTTP_BODY_NONE) {
        s->ops->receive_body(s, &v->response_body);
    }
}

static void visit_on_error(struct http_stream *s, int error)
{
    struct visit *v = s->user;
    v->error = error;
}

static void visit_on_sent(struct http_stream *s)
{
    (void)s;
}

static void visit_on_closed(struct http_stream *s)
{
    struct visit *v = s->user;
    CHECK(v->s == s);
    v->s = NULL;
    v->closed++;
    if (v->error == 0 && v->request_body.producer != NULL && !v->request_body.ended) {
        http_body_discard(&v->request_body);
    }
    if (v->on_over != NULL) {
        v->on_over(v);
    }
}

static const struct http_stream_events visit_events = {
    .on_head = visit_on_head,
    .on_error = visit_on_error,
    .on_sent = visit_on_sent,
    .on_closed = visit_on_closed,
};

void visit_init(struct visit *v, struct loop *l, const char *target, unsigned body, uint64_t bytes)
{
    *v = (struct visit){.loop = l, .to_send = bytes, .ends = true};
    arena_init(&v->arena, NULL, 0, &l->chunks, 256 * 1024);
    http_head_init(&v->request, &v->arena, 60000, 100);
    v->request.method = HTTP_METHOD_POST;
    v->request.method_text = SLICE("POST");
    v->request.scheme = SLICE("https");
    v->request.authority = SLICE("a.test:8443");
    v->request.host = SLICE("a.test");
    v->request.target = slice_str(target);
    v->request.path = slice_str(target);
    v->request.body = (uint8_t)body;
    init_response(v);
    http_body_init(&v->request_body, HTTP_BODY_LIMIT);
    http_body_init(&v->response_body, HTTP_BODY_LIMIT);
    http_body_set_consumer(&v->response_body, v, on_data);
    fields_init(&v->trailers, &v->arena, 1000, 10);
}

void visit_fini(struct visit *v)
{
    CHECK(v->s == NULL);
    http_body_fini(&v->request_body, v->loop);
    http_body_fini(&v->response_body, v->loop);
    arena_fini(&v->arena);
}

bool visit_begin(struct visit *v, struct up_session *s)
{
    static const struct http_timeouts times = {.head_ms = 60000, .read_ms = 1234};
    v->s = s->ops->take(s);
    if (v->s == NULL) {
        return false;
    }
    v->s->events = &visit_events;
    v->s->user = v;
    v->s->receive_head = &v->response;
    v->s->ops->set_timeouts(v->s, &times);
    bool has = v->request.body != HTTP_BODY_NONE;
    struct http_stream *x = v->s;
    if (has) {
        http_body_set_producer(&v->request_body, v, on_room);
    }
    x->ops->send_head(x, &v->request, has ? &v->request_body : NULL);
    if (has) {
        visit_send(v);
    }
    return true;
}

void visit_reset(struct visit *v, int error)
{
    v->s->ops->reset(v->s, error);
    CHECK(v->s == NULL);
}

// ---- two cores -------------------------------------------------------------------------------------

struct pair pair;

static void pair_on_room(struct up_session *s, void *arg)
{
    (void)arg;
    CHECK(up_session_has_room(s));
    pair.rooms++;
    struct visit *v = pair.on_room_begin;
    pair.on_room_begin = NULL;
    if (v != NULL) {
        CHECK(visit_begin(v, s));
    }
}

static void pair_on_closing(struct up_session *s, void *arg)
{
    (void)arg;
    CHECK(s->closing);
    pair.closings++;
}

static void pair_on_gone(struct up_session *s, void *arg, int error)
{
    (void)arg;
    CHECK(s == pair.near || pair.near == NULL);
    CHECK_EQ_INT(s->streams, 0);
    pair.gone_error = error;
    pair.near = NULL;
}

static const struct up_session_owner pair_owner = {
    .on_room = pair_on_room, .on_closing = pair_on_closing, .on_gone = pair_on_gone};

struct up_session *pair_open(int *error)
{
    static const struct http_peer peer = {.ip_text = "10.0.0.1", .ip_text_len = 8, .secure = true};
    const struct up_session_terms terms = {.peer = &peer, .owner = &pair_owner};
    return bridge_open(pair.core[0], pair.origin.port, &terms, error);
}

void pair_begin(uint32_t streams_max)
{
    static const struct sim_faults calm = {0};
    static const struct loop_limits limits = {4096, 64};
    static const struct bridge_limits bounds = {200, 8};
    memset(&pair, 0, sizeof(pair));
    pair.sim = sim_new(1, &calm);
    REQUIRE(bridges_new(2, &pair.bridges) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        REQUIRE(loop_init(&pair.loop[i], sim_sys(pair.sim), i, &limits) == 0);
        pair.core[i] = bridge_core_new(pair.bridges, &pair.loop[i], &pair.counters[i], &bounds);
        REQUIRE(pair.core[i] != NULL);
    }
    origin_init(&pair.origin, &pair.loop[1], pair.core[1], streams_max);
    int error = 0;
    pair.near = pair_open(&error);
    REQUIRE(pair.near != NULL);
    CHECK_EQ_INT(pair.rooms, 0);
}

void pair_run(uint32_t seconds)
{
    struct loop *loops[] = {&pair.loop[0], &pair.loop[1]};
    (void)sim_run(pair.sim, loops, 2, sim_now_ns(pair.sim) + seconds * UINT64_C(1000000000), NULL,
                  NULL);
}

void pair_end(bool first_first)
{
    bridge_core_close(pair.core[first_first ? 0 : 1]);
    bridge_core_close(pair.core[first_first ? 1 : 0]);
    bridge_core_close(pair.core[0]); // twice is once
    CHECK(pair.near == NULL);
    origin_fini(&pair.origin);
    bridges_free(pair.bridges);
    for (uint32_t i = 0; i < 2; i++) {
        loop_fini(&pair.loop[i]); // checks that no chunk and no timer is left
    }
    sim_free(pair.sim);
}
