// SPDX-License-Identifier: Apache-2.0
//
// Copies of requests (proxy/mirror.h). A copy is an attempt with a head, a body and an arena of its own
// and a reference to its snapshot. Its body is fed by a tee of the real one (http/body.h), so no byte
// is copied; its answer goes into a body that discards. There is no second try: a mirror that fails has
// failed. Like exchanges, copies are freed at the end of the turn in which they end.

#include "proxy/mirror.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "http/session.h"
#include "proxy/core.h"

enum { COPY_MAGIC = 0x6d697272, COPY_FIRST_ARENA = 1536, COPY_ARENA_MAX = 256 * 1024 };

struct copy {
    uint32_t magic;
    bool sends_body;
    struct core *core;
    struct snapshot *snapshot;
    const struct route *route;
    struct list link;
    struct wheel_timer life;
    struct arena arena;
    struct os_addr client;
    struct http_peer peer;
    struct upstream_subject subject;
    struct http_head request;
    struct http_head response;
    struct http_body body;
    struct http_body waste; // the answer's
    struct attempt attempt;
    char memory[COPY_FIRST_ARENA];
};

static void count(struct core *c, enum counter id)
{
    counter_add(c->counters, id, 1);
}

// ---- life ------------------------------------------------------------------------------------------

static void finish(struct copy *m)
{
    struct core *c = m->core;
    ensure(m->attempt.ticket.place == NULL);
    loop_timer_stop(c->loop, &m->life);
    http_body_fini(&m->body, c->loop);
    http_body_fini(&m->waste, c->loop);
    list_remove(&m->link);
    list_push_back(&c->mirrors.finished, &m->link);
    c->mirrors.count--;
    loop_defer(c->loop, &c->mirrors.reap);
}

static void abandon(struct copy *m)
{
    if (attempt_is_alive(&m->attempt)) {
        attempt_abandon(&m->attempt, E_CLIENT_GONE);
    }
    finish(m);
}

static void on_life_over(struct wheel_timer *t)
{
    struct copy *m = container_of(t, struct copy, life);
    ensure_magic(m, COPY_MAGIC);
    count(m->core, COUNTER_mirror_failed);
    abandon(m);
}

static void free_finished(struct core *c)
{
    struct list *node;
    while ((node = list_first(&c->mirrors.finished)) != NULL) {
        struct copy *m = list_entry(node, struct copy, link);
        list_remove(node);
        arena_fini(&m->arena);
        m->magic = 0;
        snapshot_unref(m->snapshot, c->index);
        slab_give(&c->mirrors.slab, m);
    }
}

static void reap(struct task *t)
{
    free_finished(container_of(t, struct core, mirrors.reap));
}

void mirrors_init(struct mirrors *m)
{
    slab_init(&m->slab, "mirrors", sizeof(struct copy), MIRROR_COPIES_MAX);
    list_init(&m->live);
    list_init(&m->finished);
    task_init(&m->reap, reap);
    m->count = 0;
}

void mirrors_end(struct core *c)
{
    struct list *node;
    while ((node = list_first(&c->mirrors.live)) != NULL) {
        abandon(list_entry(node, struct copy, link));
    }
}

void mirrors_fini(struct core *c)
{
    mirrors_end(c);
    free_finished(c);
    loop_cancel(c->loop, &c->mirrors.reap);
    slab_fini(&c->mirrors.slab);
}

/** The mirror is too slow, or the client has gone in the middle: half a request is of no use. */
static void on_cut(struct http_body *body)
{
    struct copy *m = container_of(body, struct copy, body);
    ensure_magic(m, COPY_MAGIC);
    if (body->error == E_TOO_LARGE) {
        count(m->core, COUNTER_mirror_cut);
    }
    abandon(m);
}

// ---- the attempt -----------------------------------------------------------------------------------

static struct copy *copy_of(const struct attempt *a)
{
    struct copy *m = a->owner;
    ensure_magic(m, COPY_MAGIC);
    return m;
}

static void init_response(struct copy *m)
{
    http_head_init(&m->response, &m->arena, m->snapshot->head_bytes * 2,
                   (uint16_t)(m->snapshot->head_fields + 16));
}

static void on_ready(struct attempt *a)
{
    struct copy *m = copy_of(a);
    const struct upstream *u = a->ticket.upstream;
    if (u->host_mode == UPSTREAM_HOST_TEXT) {
        m->request.authority = u->host_text;
    } else if (u->host_mode == UPSTREAM_HOST_SERVER || m->request.authority.len == 0) {
        bool is_socket = slice_starts(a->ticket.server_host, SLICE("unix:"));
        m->request.authority = is_socket ? SLICE("localhost") : a->ticket.server_host;
    }
    init_response(m);
    attempt_send(a, &m->route->up_timeouts, &m->request, m->sends_body ? &m->body : NULL);
}

static void on_head(struct attempt *a)
{
    struct copy *m = copy_of(a);
    if (http_status_is_interim(a->head->status)) {
        init_response(m);
        return;
    }
    if (a->head->status == 101) { // nobody asked for it
        count(m->core, COUNTER_mirror_failed);
        abandon(m);
        return;
    }
    if (a->head->body != HTTP_BODY_NONE) {
        a->up->ops->receive_body(a->up, &m->waste);
        http_body_discard(&m->waste);
    }
}

static void on_over(struct attempt *a, int error, bool reached)
{
    struct copy *m = copy_of(a);
    (void)reached;
    if (error != 0) {
        count(m->core, COUNTER_mirror_failed);
    }
    finish(m);
}

static void describe(const struct attempt *a, struct text *out)
{
    (void)a;
    text_str(out, "mirror of a request\n");
}

static const struct attempt_events events = {
    .on_ready = on_ready,
    .on_head = on_head,
    .on_over = on_over,
    .describe = describe,
};

// ---- the copy --------------------------------------------------------------------------------------

static int dup(struct arena *arena, struct slice *s)
{
    struct slice copy = arena_dup(arena, *s);
    if (copy.ptr == NULL && s->len > 0) {
        return E_NO_MEMORY;
    }
    *s = copy;
    return 0;
}

static int copy_head(struct copy *m, const struct exchange *x)
{
    struct http_head *h = &m->request;
    const struct fields *from = &x->request.fields;
    *h = x->request;
    h->expect_continue = false;
    fields_init(&h->fields, &m->arena, from->bytes_max, from->count_max);
    struct slice *const texts[] = {&h->method_text, &h->scheme, &h->authority, &h->host,
                                   &h->target};
    for (size_t i = 0; i < array_len(texts); i++) {
        if (dup(&m->arena, texts[i]) < 0) {
            return E_NO_MEMORY;
        }
    }
    // Views of the target, as they were (http/head.h).
    size_t path = num_min_size(x->request.path.len, h->target.len);
    h->path = slice_sub(h->target, 0, path);
    h->query = x->request.query.ptr == NULL || path == h->target.len
                   ? slice_of(NULL, 0)
                   : slice_from(h->target, path + 1);
    return fields_copy(&h->fields, from);
}

static int fill(struct copy *m, struct exchange *x)
{
    int e = copy_head(m, x);
    if (e < 0) {
        return e;
    }
    m->client = x->client;
    m->peer = *x->down->peer; // for who it was, when its connection is gone
    m->peer.secure = false;
    m->peer.security = NULL;
    m->peer.proxied = NULL;
    m->peer.transport = NULL;
    m->subject = (struct upstream_subject){.request = &m->request,
                                           .client = &m->client,
                                           .peer = &m->peer,
                                           .path = x->normal_path,
                                           .arena = &m->arena};
    e = dup(&m->arena, &m->subject.path);
    if (e == 0 && x->request.body != HTTP_BODY_NONE) {
        m->sends_body = true;
        e = http_body_tee(&x->request_body, &m->body, on_cut);
    }
    return e;
}

static void begin(struct exchange *x, const struct mirror *conf)
{
    struct core *c = x->core;
    struct copy *m = slab_take(&c->mirrors.slab);
    if (m == NULL) {
        count(c, COUNTER_mirror_skipped);
        return;
    }
    memset(m, 0, offsetof(struct copy, arena));
    m->magic = COPY_MAGIC;
    m->core = c;
    m->snapshot = x->snapshot;
    m->route = x->route;
    list_init(&m->link);
    wheel_timer_init(&m->life, on_life_over);
    arena_init(&m->arena, m->memory, sizeof(m->memory), &c->loop->chunks, COPY_ARENA_MAX);
    http_body_init(&m->body, MIRROR_BODY_LIMIT);
    http_body_init(&m->waste, MIRROR_BODY_LIMIT);
    m->waste.total_max = MIRROR_ANSWER_MAX;
    attempt_init(&m->attempt, &events, m);
    snapshot_ref(m->snapshot, c->index);
    list_push_back(&c->mirrors.live, &m->link);
    c->mirrors.count++;
    if (fill(m, x) < 0) {
        count(c, COUNTER_mirror_skipped);
        finish(m);
        return;
    }
    struct upstream_request *rq = &m->attempt.ticket;
    m->attempt.head = &m->response;
    rq->loop = c->loop;
    rq->upstream = conf->to;
    rq->subject = &m->subject;
    rq->connect_ms = x->route->connect_ms;
    loop_timer_set(c->loop, &m->life, MIRROR_LIFE_MS);
    count(c, COUNTER_mirror_requests);
    attempt_ask(&m->attempt);
}

void mirror_request(struct exchange *x)
{
    const struct mirror *conf = x->route->mirror;
    if (x->request.upgrade.len == 0 && rng_below(&x->loop->rng, 100) < conf->percent) {
        begin(x, conf);
    }
}
