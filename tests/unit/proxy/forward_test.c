// SPDX-License-Identifier: Apache-2.0
//
// The origin's side: what is repeated, what is not, and what the client gets when nothing helps.

#include "proxy/fake_world.h"

struct row {
    const char *method;
    int error;
    bool reached; // the request was sent before it failed
    unsigned acquires;
    unsigned status;
};

// Two attempts beyond the first; servers are never exhausted here, so there is no pause.
static const struct row rows[] = {
    {"GET", E_REFUSED, false, 3, 502},         {"POST", E_REFUSED, false, 3, 502},
    {"GET", E_CONNECT_TIMEOUT, false, 3, 504}, {"GET", E_NO_SERVER, false, 1, 503},
    {"GET", E_NOT_RESOLVED, false, 1, 503},    {"GET", E_EARLY_CLOSE, true, 3, 502},
    {"POST", E_EARLY_CLOSE, true, 1, 502},     {"GET", E_BAD_STATUS_LINE, true, 1, 502},
    {"GET", E_RESPONSE_TIMEOUT, true, 1, 504}, {"PUT", E_RESET, true, 3, 502},
};

static void repeats_what_may_be(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        world_begin("proxy: 127.0.0.1:1");
        world->mode = rows[i].reached ? WORLD_READY : WORLD_FAIL;
        world->fail_error = rows[i].error;
        world_go(world_request(rows[i].method, "/"));
        for (unsigned n = 0; rows[i].reached && n < rows[i].acquires; n++) {
            CHECK_EQ_INT(world->down_heads, 0);
            world_close_up(rows[i].error);
        }
        if (!CHECK(world->acquires == rows[i].acquires)) {
            printf("#   row %zu: %u\n", i, world->acquires);
        }
        CHECK_EQ_INT(world->down_status, rows[i].status);
        CHECK_EQ_INT(world->down_heads, 1);
        world_sent();
        world_end();
    }
}

static void a_stale_connection_costs_no_attempt(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.attempts = 0;
    world_go(world_request("GET", "/"));
    world_close_up(E_STALE);
    CHECK_EQ_INT(world->acquires, 2);
    world_response(204, HTTP_BODY_NONE);
    world_close_up(0);
    CHECK_EQ_INT(world->down_status, 204);
    world_sent();
    world_end();
}

static void a_body_is_given_again(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.replay_bytes = 1024;
    struct http_head *h = world_request("PUT", "/");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    world_give(world->request_body, "hello", true);
    REQUIRE(world->up_body != NULL);
    http_body_take(world->up_body, 3);
    world_close_up(E_EARLY_CLOSE);
    REQUIRE(world->acquires == 2 && world->down_heads == 0);
    CHECK(slice_eq(bufq_front(&world->up_body->q), SLICE("hel")) ||
          slice_eq(bufq_front(&world->up_body->q), SLICE("hello")));
    CHECK_EQ_INT(world->up_body->q.bytes, 5);
    http_body_take(world->up_body, 5);
    world_response(200, HTTP_BODY_NONE);
    world_close_up(0);
    world_sent();
    world_end();
}

static void a_body_that_is_lost_is_not(void)
{
    world_begin("proxy: 127.0.0.1:1");
    struct http_head *h = world_request("PUT", "/");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    world_give(world->request_body, "hello", false);
    REQUIRE(world->up_body != NULL);
    http_body_take(world->up_body, 3);
    world_close_up(E_EARLY_CLOSE);
    CHECK_EQ_INT(world->acquires, 1);
    CHECK_EQ_INT(world->down_status, 502);
    world_sent();
    world_end();
}

static void interim_responses_pass(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    world_response(103, HTTP_BODY_NONE);
    CHECK_EQ_INT(world->down_status, 103);
    world_response(200, HTTP_BODY_NONE);
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_EQ_INT(world->down_heads, 2);
    CHECK_EQ_INT(world_count(COUNTER_responses_1xx), 1);
    world_close_up(0);
    world_sent();
    world_end();
}

static void an_answer_that_began_is_cut(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    world_response(200, HTTP_BODY_STREAM);
    world_give(world->response_body, "half", false);
    world_close_up(E_EARLY_CLOSE);
    CHECK_STR(world_take(), "half");
    CHECK_EQ_INT(world->down_body->error, E_EARLY_CLOSE);
    CHECK_EQ_INT(world->down_heads, 1);
    world_close_down();
    world_end();
}

static void pauses_when_every_server_has_failed(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.backoff_ms = 50;
    world->mode = WORLD_HOLD;
    world_go(world_request("GET", "/"));
    struct upstream_request *rq = world->asked;
    REQUIRE(rq != NULL);
    rq->exhausted = true;
    rq->on_failed(rq, E_REFUSED);
    CHECK_EQ_INT(world->acquires, 1);
    for (int i = 0; i < 100 && world->acquires == 1; i++) {
        loop_turn(&world->loop, 1);
    }
    CHECK_EQ_INT(world->acquires, 2);
    CHECK(world->ns >= 1000000000 + 50 * 1000000ull);
    world_close_down();
    CHECK_EQ_INT(world->cancels, 1);
    world_end();
}

TAP_MAIN(repeats_what_may_be, a_stale_connection_costs_no_attempt, a_body_is_given_again,
         a_body_that_is_lost_is_not, interim_responses_pass, an_answer_that_began_is_cut,
         pauses_when_every_server_has_failed)
