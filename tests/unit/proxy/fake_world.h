// SPDX-License-Identifier: Apache-2.0
//
// A core with a real snapshot and real exchanges between two scripted ends: a client's stream that
// notes what it is sent, and an upstream that hands out a scripted stream, fails, or lets wait. No
// sockets, no sessions; time stands still unless a test moves it.

#pragma once

#include "base/error.h"
#include "proxy/core.h"
#include "proxy/fake_conf.h"

enum world_mode { WORLD_READY, WORLD_FAIL, WORLD_HOLD };

struct world {
    struct fake_conf conf;
    struct sys sys;
    uint64_t ns;
    struct loop loop;
    struct counters counters;
    struct core core;
    struct upstream upstream;
    struct upstream mirror; // the second that the configuration makes; it gets `second`
    bool made;
    struct upstream_request *asked; // waits (WORLD_HOLD)
    enum world_mode mode;
    int fail_error;
    unsigned acquires;
    unsigned cancels;
    struct http_peer peer;
    struct http_stream down;
    struct http_stream up;
    bool up_open;
    struct http_stream second; // given while `up` is open
    bool second_open;
    const struct http_head *second_request;
    struct http_body *second_body;
    int second_reset;
    unsigned places; // given
    unsigned releases;
    struct upstream_outcome outcome; // the last one
    struct upstream_request *ticket; // the last that asked
    bool refuses;                    // may_repeat() says no
    unsigned budget_asked;
    unsigned hedges_asked;
    unsigned down_status; // of the last head sent to the client
    unsigned down_heads;
    struct slice location; // its Location, in `text`
    struct http_body *down_body;
    struct http_body *request_body;
    int down_reset;
    struct http_heir *heir; // whom the client's connection was left to
    const struct http_head *up_request;
    struct http_body *up_body;
    struct http_body *response_body;
    int up_reset;
    unsigned tunnels;
    bool down_closed;
    char text[512];
    char got[65536];
    size_t got_len;
};

static struct world *world;

static uint64_t world_now(struct sys *s)
{
    (void)s;
    return world->ns;
}

static int world_wait(struct sys *s, struct sys_event *events, int max, int timeout_ms)
{
    (void)s;
    (void)events;
    (void)max;
    world->ns += timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000u : 0;
    return 0;
}

static void world_wake(struct sys *s)
{
    (void)s;
}

static void world_random(struct sys *s, void *buf, size_t len)
{
    (void)s;
    memset(buf, 7, len);
}

static const struct sys_ops world_sys_ops = {.name = "world",
                                             .now_ns = world_now,
                                             .wall_ms = world_now,
                                             .wait = world_wait,
                                             .wake = world_wake,
                                             .random = world_random};

// ---- the client's stream --------------------------------------------------------------------------

static void down_send_head(struct http_stream *s, const struct http_head *head,
                           struct http_body *body)
{
    (void)s;
    struct slice location = fields_get_id(&head->fields, HTTP_LOCATION);
    world->down_status = head->status;
    world->down_heads++;
    world->down_body = body;
    (void)snprintf(world->text, sizeof(world->text), "%.*s", SLICE_ARG(location));
    world->location = slice_str(world->text);
}

static void down_receive_body(struct http_stream *s, struct http_body *body)
{
    (void)s;
    world->request_body = body;
}

static void any_tunnel(struct http_stream *s, struct http_body *receive, struct http_body *send)
{
    (void)s;
    CHECK(receive != send);
    world->tunnels++;
}

static void world_close_down(void)
{
    world->down_closed = true;
    world->down.events->on_closed(&world->down);
}

static void down_reset(struct http_stream *s, int error)
{
    (void)s;
    world->down_reset = error;
    world_close_down();
}

static void down_hand_over(struct http_stream *s, const struct http_head *head,
                           struct http_heir *heir)
{
    CHECK(s == &world->down);
    world->down_status = head->status;
    world->heir = heir;
}

static void any_timeouts(struct http_stream *s, const struct http_timeouts *t)
{
    (void)s;
    (void)t;
}

static const struct http_stream_ops down_ops = {.protocol = "1.1",
                                                .send_head = down_send_head,
                                                .receive_body = down_receive_body,
                                                .tunnel = any_tunnel,
                                                .hand_over = down_hand_over,
                                                .reset = down_reset,
                                                .set_timeouts = any_timeouts};

// ---- the origin's side ----------------------------------------------------------------------------

static void up_send_head(struct http_stream *s, const struct http_head *head,
                         struct http_body *body)
{
    if (s == &world->second) {
        world->second_request = head;
        world->second_body = body;
        return;
    }
    world->up_request = head;
    world->up_body = body;
}

static void up_receive_body(struct http_stream *s, struct http_body *body)
{
    (void)s;
    world->response_body = body;
}

static void up_reset(struct http_stream *s, int error)
{
    bool second = s == &world->second;
    *(second ? &world->second_reset : &world->up_reset) = error;
    *(second ? &world->second_open : &world->up_open) = false;
    s->events->on_closed(s);
}

static const struct http_stream_ops up_ops = {.protocol = "1.1",
                                              .send_head = up_send_head,
                                              .receive_body = up_receive_body,
                                              .tunnel = any_tunnel,
                                              .reset = up_reset,
                                              .set_timeouts = any_timeouts};

__attribute__((unused)) static void world_ready(struct upstream_request *rq)
{
    bool second = world->up_open || rq->upstream == &world->mirror;
    REQUIRE(!second || !world->second_open);
    *(second ? &world->second_open : &world->up_open) = true;
    rq->place = world;
    world->places++;
    rq->on_ready(rq, second ? &world->second : &world->up);
}

static void world_release(struct upstream *u, struct upstream_request *rq,
                          const struct upstream_outcome *o)
{
    CHECK(u == rq->upstream && rq->place == world);
    rq->place = NULL;
    world->releases++;
    world->outcome = *o;
}

static bool world_may_repeat(struct upstream *u, struct loop *l, bool hedge)
{
    CHECK(u == &world->upstream && l == &world->loop);
    world->budget_asked += !hedge;
    world->hedges_asked += hedge;
    return !world->refuses;
}

static void world_acquire(struct upstream *u, struct upstream_request *rq)
{
    (void)u;
    world->acquires++;
    rq->server_text = SLICE("10.0.0.1:80");
    CHECK(rq->place == NULL && rq->subject != NULL && rq->subject->request != NULL);
    world->ticket = rq;
    if (world->mode == WORLD_HOLD) {
        world->asked = rq;
    } else if (world->mode == WORLD_FAIL) {
        rq->on_failed(rq, world->fail_error);
    } else {
        world_ready(rq);
    }
}

static void world_cancel(struct upstream *u, struct upstream_request *rq)
{
    (void)u;
    CHECK(rq == world->asked);
    world->asked = NULL;
    world->cancels++;
}

static const struct upstream_ops world_upstream_ops = {.acquire = world_acquire,
                                                       .cancel = world_cancel,
                                                       .release = world_release,
                                                       .may_repeat = world_may_repeat};

static int world_make(struct upstream_factory *f, struct snapshot *s, struct conf_node node,
                      struct slice name, struct upstream **out)
{
    (void)f;
    (void)s;
    (void)node;
    *out = world->made ? &world->mirror : &world->upstream;
    world->made = true;
    (*out)->name = name;
    return 0;
}

// ---- the world ------------------------------------------------------------------------------------

/** `site`: the directives of the site `default`, flow style. */
__attribute__((unused)) static void world_begin(const char *site)
{
    char yaml[1024];
    world = calloc(1, sizeof(*world));
    REQUIRE(world != NULL);
    (void)snprintf(yaml, sizeof(yaml), "sites: {default: {%s}}\n", site);
    struct conf_doc *doc = fake_doc(&world->conf, yaml);
    world->conf.factory.make = world_make;
    world->upstream.ops = &world_upstream_ops;
    world->mirror.ops = &world_upstream_ops;
    world->upstream.attempts = 2;
    world->upstream.retry_on =
        UPSTREAM_RETRY_CONNECT | UPSTREAM_RETRY_TIMEOUT | UPSTREAM_RETRY_RESET;
    REQUIRE(snapshot_compile(doc, &world->conf.factory, world->conf.diags, &world->conf.snapshot) ==
            0);
    world->sys.ops = &world_sys_ops;
    world->ns = 1000000000;
    REQUIRE(loop_init(&world->loop, &world->sys, 0,
                      &(struct loop_limits){.chunks_max = 256, .chunks_free_max = 4}) == 0);
    REQUIRE(core_init(&world->core, &world->loop, &world->counters, NULL, 4) == 0);
    snapshot_publish(world->conf.snapshot, 1);
    core_swap(&world->core, world->conf.snapshot);
    world->conf.snapshot = NULL; // the core's now
    struct os_addr client;
    REQUIRE(os_addr_parse(SLICE("192.0.2.7:4711"), &client) == 0);
    http_peer_set(&world->peer, &client);
    world->down = (struct http_stream){.side = HTTP_DOWN, .ops = &down_ops, .peer = &world->peer};
    world->up = (struct http_stream){.side = HTTP_UP, .ops = &up_ops, .peer = &world->peer};
    world->second = world->up;
}

__attribute__((unused)) static void world_end(void)
{
    loop_turn(&world->loop, 0);
    CHECK_EQ_INT(world->core.live_count, 0);
    CHECK_EQ_INT(world->loop.wheel.count, 0);
    CHECK_EQ_INT(world->releases, world->places);
    core_fini(&world->core);
    kernel_pipe_core_fini(&world->loop);
    loop_fini(&world->loop);
    fake_conf_free(&world->conf);
    free(world);
}

static inline uint64_t world_count(enum counter id)
{
    return counters_sum(&world->counters, 1, id);
}

/** Begins a request; the head may be changed before world_go(). */
__attribute__((unused)) static struct http_head *world_request(const char *method,
                                                               const char *target)
{
    REQUIRE(world->core.handler.begin(&world->core.handler, &world->down) == 0);
    struct http_head *h = world->down.receive_head;
    h->method_text = slice_str(method);
    h->method = (uint8_t)http_method_of(h->method_text);
    h->version_minor = 1;
    h->authority = SLICE("example.com");
    h->host = SLICE("example.com");
    h->target = slice_str(target);
    h->path = h->target;
    return h;
}

static inline void world_go(struct http_head *h)
{
    world->down.events->on_head(&world->down, h);
}

__attribute__((unused)) static void world_head(struct http_stream *s, unsigned status,
                                               enum http_body_kind body)
{
    struct http_head *h = s->receive_head;
    h->status = (uint16_t)status;
    h->version_minor = 1;
    h->body = (uint8_t)body;
    s->events->on_head(s, h);
}

/** A response head of the origin, with or without a body. */
__attribute__((unused)) static void world_response(unsigned status, enum http_body_kind body)
{
    REQUIRE(world->up_request != NULL);
    world_head(&world->up, status, body);
}

__attribute__((unused)) static void world_give(struct http_body *b, const char *bytes, bool last)
{
    REQUIRE(b != NULL && b->magic != 0 && !b->discarding && !b->ended);
    REQUIRE(http_body_write(b, &world->loop.chunks, bytes, strlen(bytes)) == 0);
    if (last) {
        http_body_end(b, NULL);
    }
    http_body_notify(b);
}

/** What the client takes of the answer's body, as a string. */
__attribute__((unused)) static const char *world_take(void)
{
    struct http_body *b = world->down_body;
    while (b != NULL && b->q.bytes > 0) {
        struct slice front = bufq_front(&b->q);
        REQUIRE(world->got_len + front.len < sizeof(world->got));
        memcpy(world->got + world->got_len, front.ptr, front.len);
        world->got_len += front.len;
        http_body_take(b, front.len);
        http_body_pull(b);
    }
    world->got[world->got_len] = '\0';
    return world->got;
}

__attribute__((unused)) static void world_close(struct http_stream *s, int error)
{
    *(s == &world->second ? &world->second_open : &world->up_open) = false;
    if (error != 0) {
        s->events->on_error(s, error);
    }
    s->events->on_closed(s);
}

__attribute__((unused)) static void world_close_up(int error)
{
    REQUIRE(world->up_request != NULL);
    world_close(&world->up, error);
}

/** Lets time pass until `ms` later. */
__attribute__((unused)) static void world_wait_ms(uint64_t ms)
{
    uint64_t until = world->ns + ms * 1000000u;
    for (int i = 0; i < 10000 && world->ns < until; i++) {
        loop_turn(&world->loop, 1);
        world->ns += world->ns < until ? 1000000u : 0;
    }
    loop_turn(&world->loop, 0);
}

/** The answer is out and the client's stream ends. */
__attribute__((unused)) static void world_sent(void)
{
    world->down.events->on_sent(&world->down);
    world_close_down();
}
