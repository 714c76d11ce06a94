// SPDX-License-Identifier: Apache-2.0
//
// Stages in order and answers of our own, with the program's modules.

#include "proxy/exchange_int.h"
#include "proxy/fake_world.h"

static void answers_without_an_origin(void)
{
    world_begin("routes: [{path: /a, respond: hello}], respond: 404");
    world_go(world_request("GET", "/a"));
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_STR(world_take(), "hello");
    CHECK(world->down_body->ended);
    CHECK_EQ_INT(world->acquires, 0);
    CHECK_EQ_INT(world_count(COUNTER_responses_2xx), 1);
    world_sent();
    world_end();
}

static void answers_pass_the_response_hooks(void)
{
    world_begin("headers: {response: {set: {location: /here}}}, respond: 204");
    world_go(world_request("GET", "/"));
    CHECK_EQ_INT(world->down_status, 204);
    CHECK(world->down_body == NULL);
    CHECK_TEXT(world->location.ptr, world->location.len, "/here");
    world_sent();
    world_end();
}

static void an_earlier_stage_may_answer(void)
{
    world_begin("headers: {request: {set: {x-a: $header(x-evil)}}}, respond: late");
    struct http_head *h = world_request("GET", "/");
    REQUIRE(fields_add(&h->fields, SLICE("X-Evil"), SLICE("a\nb")) == 0);
    world_go(h);
    CHECK_EQ_INT(world->down_status, 400);
    CHECK_EQ_INT(world->down_heads, 1);
    CHECK(strstr(world_take(), "late") == NULL);
    world_sent();
    world_end();
}

static void filters_what_the_origin_sends(void)
{
    world_begin("compress: {min: 0}, proxy: 127.0.0.1:1");
    struct http_head *h = world_request("GET", "/");
    REQUIRE(fields_add(&h->fields, SLICE("Accept-Encoding"), SLICE("gzip")) == 0);
    world_go(h);
    REQUIRE(world->up_request != NULL);
    struct http_head *r = world->up.receive_head;
    REQUIRE(fields_add(&r->fields, SLICE("Content-Type"), SLICE("text/plain")) == 0);
    world_response(200, HTTP_BODY_STREAM);
    CHECK(world->down_body != world->response_body);
    world_give(world->response_body, "some text that is sent", true);
    world_close_up(0);
    CHECK(world_take()[0] == '\x1f');
    CHECK(world->down_body->ended);
    CHECK_EQ_INT(world->response_body->limit, EXCHANGE_FILTER_LIMIT);
    world_sent();
    world_end();
}

static void a_long_answer_waits_for_the_client(void)
{
    static char text[300 * 1000];
    world_begin("respond: x");
    (void)world_request("GET", "/");
    struct exchange *x = exchange_of(&world->down);
    memset(text, 'a', sizeof(text));
    exchange_begin_answer(x, 200);
    exchange_answer_kept(x, SLICE("text/plain"), slice_of(text, sizeof(text)));
    REQUIRE(world->down_body != NULL);
    CHECK(world->down_body->q.bytes <= EXCHANGE_BODY_LIMIT);
    CHECK(!world->down_body->ended);
    size_t taken = 0;
    while (world->down_body->q.bytes > 0) {
        size_t n = world->down_body->q.bytes;
        http_body_take(world->down_body, n);
        http_body_pull(world->down_body);
        taken += n;
    }
    CHECK_EQ_INT(taken, sizeof(text));
    CHECK(world->down_body->ended);
    world_sent();
    world_end();
}

TAP_MAIN(answers_without_an_origin, answers_pass_the_response_hooks, an_earlier_stage_may_answer,
         filters_what_the_origin_sends, a_long_answer_waits_for_the_client)
