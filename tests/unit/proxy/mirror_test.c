// SPDX-License-Identifier: Apache-2.0
//
// Mirrors: the copy is what the origin gets, and whatever becomes of it, the exchange does not notice.
// `up` of the fake world is the origin, `second` the mirror.

#include "proxy/fake_world.h"

#define MIRRORED "proxy: 127.0.0.1:1, mirror: 127.0.0.1:2"

static void finish_exchange(void)
{
    world_response(200, HTTP_BODY_STREAM);
    world_give(world->response_body, "real", true);
    CHECK_STR(world_take(), "real");
    world_close_up(0);
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_EQ_INT(world->down_heads, 1);
    world_sent();
    loop_turn(&world->loop, 0);
}

static struct http_head *begin(const char *method)
{
    world_begin(MIRRORED);
    return world_request(method, "/a?b=c");
}

static void a_head_is_copied(void)
{
    struct http_head *h = begin("GET");
    REQUIRE(fields_add(&h->fields, SLICE("x-a"), SLICE("1")) == 0);
    world_go(h);
    REQUIRE(world->second_open && world->up_open);
    const struct http_head *copy = world->second_request;
    CHECK(copy != world->up_request);
    CHECK(slice_eq(copy->target, SLICE("/a?b=c")));
    CHECK(slice_eq(copy->authority, SLICE("example.com")));
    CHECK(slice_eq(fields_get(&copy->fields, SLICE("x-a")), SLICE("1")));
    CHECK(slice_eq(fields_get_id(&copy->fields, HTTP_X_REQUEST_ID),
                   fields_get_id(&world->up_request->fields, HTTP_X_REQUEST_ID)));
    finish_exchange();
    CHECK_EQ_INT(world->core.live_count, 0);
    CHECK_EQ_INT(world->core.mirrors.count, 1); // it outlives the exchange
    CHECK(slice_eq(copy->target, SLICE("/a?b=c")));
    world_head(&world->second, 500, HTTP_BODY_NONE);
    world_close(&world->second, 0);
    CHECK_EQ_INT(world->core.mirrors.count, 0);
    CHECK_EQ_INT(world->outcome.status, 500);
    CHECK_EQ_INT(world_count(COUNTER_mirror_requests), 1);
    CHECK_EQ_INT(world_count(COUNTER_mirror_failed), 0);
    world_end();
}

static void a_body_is_copied_as_it_comes(void)
{
    struct http_head *h = begin("POST");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    REQUIRE(world->second_body != NULL);
    world_give(world->request_body, "one", false);
    CHECK_EQ_INT(world->second_body->q.bytes, 3);
    http_body_take(world->up_body, 3);
    CHECK_EQ_INT(world->second_body->q.bytes, 3);
    world_give(world->request_body, "two", true);
    CHECK_EQ_INT(world->second_body->q.bytes, 6);
    CHECK(world->second_body->ended);
    http_body_take(world->up_body, 3);
    http_body_take(world->second_body, 6);
    world_head(&world->second, 204, HTTP_BODY_NONE);
    world_close(&world->second, 0);
    finish_exchange();
    world_end();
}

static void a_slow_mirror_is_cut(void)
{
    struct http_head *h = begin("POST");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    static char piece[4096 + 1];
    memset(piece, 'x', sizeof(piece) - 1);
    for (unsigned i = 0; i < 80 && world->second_open; i++) {
        world_give(world->request_body, piece, false);
        http_body_take(world->up_body, 4096);
    }
    CHECK(!world->second_open && world->second_reset != 0);
    CHECK(world->request_body->error == 0);
    CHECK_EQ_INT(world_count(COUNTER_mirror_cut), 1);
    CHECK(world->outcome.abandoned);
    world_give(world->request_body, "end", true);
    http_body_take(world->up_body, 3);
    finish_exchange();
    world_end();
}

static void a_dead_mirror_is_counted(void)
{
    struct http_head *h = begin("GET");
    world_go(h);
    world_close(&world->second, E_EARLY_CLOSE);
    CHECK_EQ_INT(world_count(COUNTER_mirror_failed), 1);
    CHECK_EQ_INT(world->core.mirrors.count, 0);
    finish_exchange();
    world_end();
    world_begin(MIRRORED);
    world->mode = WORLD_FAIL;
    world->fail_error = E_REFUSED;
    world_go(world_request("GET", "/"));
    CHECK_EQ_INT(world_count(COUNTER_mirror_failed), 1);
    world_sent();
    world_end();
}

static void a_client_that_leaves_cuts_its_body(void)
{
    struct http_head *h = begin("POST");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    world_give(world->request_body, "half", false);
    world_close_down();
    CHECK(!world->second_open);
    CHECK(world->outcome.abandoned);
    world_end();
}

static void a_silent_one_is_not_kept_for_ever(void)
{
    struct http_head *h = begin("GET");
    world_go(h);
    finish_exchange();
    CHECK_EQ_INT(world->core.mirrors.count, 1);
    for (unsigned i = 0; i < 400 && world->core.mirrors.count > 0; i++) {
        world->ns += 1000000000u;
        loop_turn(&world->loop, 0);
    }
    CHECK_EQ_INT(world->core.mirrors.count, 0);
    CHECK(world->second_reset != 0);
    world_end();
}

static void a_core_that_ends_ends_them(void)
{
    struct http_head *h = begin("GET");
    world_go(h);
    finish_exchange();
    mirrors_end(&world->core);
    CHECK(world->second_reset != 0);
    world_end();
}

static void upgrades_and_most_others_are_left_out(void)
{
    struct http_head *h = begin("GET");
    h->upgrade = SLICE("websocket");
    world_go(h);
    CHECK(!world->second_open);
    world_close_down();
    world_end();
    world_begin("proxy: 127.0.0.1:1, mirror: {to: 127.0.0.1:2, share: 1%}");
    unsigned copies = 0;
    for (unsigned i = 0; i < 300; i++) {
        world_go(world_request("GET", "/"));
        copies += world->second_open;
        if (world->second_open) {
            world_close(&world->second, E_EARLY_CLOSE);
        }
        world_response(204, HTTP_BODY_NONE);
        world_close_up(0);
        world_sent();
        loop_turn(&world->loop, 0);
    }
    CHECK(copies < 20);
    world_end();
}

TAP_MAIN(a_head_is_copied, a_body_is_copied_as_it_comes, a_slow_mirror_is_cut,
         a_dead_mirror_is_counted, a_client_that_leaves_cuts_its_body,
         a_silent_one_is_not_kept_for_ever, a_core_that_ends_ends_them,
         upgrades_and_most_others_are_left_out)
