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

// ---- statuses --------------------------------------------------------------------------------------

static void want_503_repeated(void)
{
    static uint64_t statuses[UPSTREAM_STATUSES_END / 64];
    statuses[503 / 64] = UINT64_C(1) << 503 % 64;
    world->upstream.retry_statuses = statuses;
}

static void a_status_is_repeated(void)
{
    world_begin("proxy: 127.0.0.1:1");
    want_503_repeated();
    world_go(world_request("GET", "/"));
    world_response(503, HTTP_BODY_STREAM);
    CHECK_EQ_INT(world->down_heads, 0);
    REQUIRE(http_body_write(world->response_body, &world->loop.chunks, "away", 4) == 0);
    http_body_end(world->response_body, NULL);
    world_close_up(0);
    CHECK_EQ_INT(world->outcome.status, 503);
    CHECK(!world->outcome.abandoned);
    CHECK_EQ_INT(world->acquires, 2);
    world_response(200, HTTP_BODY_STREAM);
    world_give(world->response_body, "kept", true);
    CHECK_STR(world_take(), "kept");
    world_close_up(0);
    CHECK_EQ_INT(world->down_heads, 1);
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_EQ_INT(world->outcome.status, 200);
    CHECK_EQ_INT(world->budget_asked, 1);
    world_sent();
    world_end();
}

static void a_status_is_passed_on_when_nothing_can_be_repeated(void)
{
    static const struct {
        const char *method;
        uint32_t attempts;
        bool refuses;
    } cases[] = {{"POST", 2, false}, {"GET", 0, false}, {"GET", 2, true}};
    for (size_t i = 0; i < array_len(cases); i++) {
        world_begin("proxy: 127.0.0.1:1");
        want_503_repeated();
        world->upstream.attempts = cases[i].attempts;
        world->refuses = cases[i].refuses;
        world_go(world_request(cases[i].method, "/"));
        world_response(503, HTTP_BODY_NONE);
        world_close_up(0);
        CHECK_EQ_INT(world->acquires, 1);
        CHECK_EQ_INT(world->down_status, 503);
        world_sent();
        world_end();
    }
}

static void what_is_thrown_away_leaves_room_for_an_error_page(void)
{
    world_begin("proxy: 127.0.0.1:1");
    want_503_repeated();
    world_go(world_request("GET", "/"));
    world_response(503, HTTP_BODY_STREAM);
    world->down.events->on_bad_message(&world->down, E_BAD_CHUNK_SIZE);
    CHECK_EQ_INT(world->down_status, 400);
    CHECK(world->got_len == 0 && strlen(world_take()) > 0);
    world_sent();
    world_end();
}

static void a_large_unwanted_answer_is_cut(void)
{
    world_begin("proxy: 127.0.0.1:1");
    want_503_repeated();
    world_go(world_request("GET", "/"));
    world->up.receive_head->has_length = true;
    world->up.receive_head->content_length = 1 << 20;
    world_response(503, HTTP_BODY_LENGTH);
    CHECK(world->up_reset != 0);
    CHECK_EQ_INT(world->acquires, 2);
    world_response(204, HTTP_BODY_NONE);
    world_close_up(0);
    CHECK_EQ_INT(world->down_status, 204);
    world_sent();
    world_end();
}

// ---- conditions and budget -------------------------------------------------------------------------

static void conditions_count(void)
{
    static const struct {
        uint8_t on;
        uint32_t try_ms;
        int error;
        bool reached;
        unsigned acquires;
    } cases[] = {
        {UPSTREAM_RETRY_RESET, 0, E_REFUSED, false, 1},
        {UPSTREAM_RETRY_CONNECT, 0, E_REFUSED, false, 3},
        {UPSTREAM_RETRY_CONNECT, 0, E_EARLY_CLOSE, true, 1},
        {UPSTREAM_RETRY_RESET, 0, E_EARLY_CLOSE, true, 3},
        {UPSTREAM_RETRY_TIMEOUT, 0, E_RESPONSE_TIMEOUT, true, 1}, // the time for all is over
        {UPSTREAM_RETRY_TIMEOUT, 100, E_RESPONSE_TIMEOUT, true, 3},
        {UPSTREAM_RETRY_CONNECT, 100, E_RESPONSE_TIMEOUT, true, 1},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        world_begin("proxy: 127.0.0.1:1");
        world->upstream.retry_on = cases[i].on;
        world->upstream.try_ms = cases[i].try_ms;
        world->mode = cases[i].reached ? WORLD_READY : WORLD_FAIL;
        world->fail_error = cases[i].error;
        world_go(world_request("GET", "/"));
        for (unsigned n = 0; cases[i].reached && n < cases[i].acquires; n++) {
            world_close_up(cases[i].error);
        }
        if (!CHECK(world->acquires == cases[i].acquires)) {
            printf("#   case %zu: %u\n", i, world->acquires);
        }
        CHECK_EQ_INT(world->down_heads, 1);
        world_sent();
        world_end();
    }
}

static void the_budget_is_for_what_reached_a_server(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->refuses = true;
    world_go(world_request("GET", "/"));
    world_close_up(E_EARLY_CLOSE);
    CHECK_EQ_INT(world->acquires, 1);
    CHECK_EQ_INT(world->down_status, 502);
    world_sent();
    world_end();
    world_begin("proxy: 127.0.0.1:1");
    world->refuses = true;
    world->mode = WORLD_FAIL;
    world->fail_error = E_REFUSED;
    world_go(world_request("GET", "/"));
    CHECK_EQ_INT(world->acquires, 3);
    CHECK_EQ_INT(world->budget_asked, 0);
    world_sent();
    world_end();
}

// ---- outcomes --------------------------------------------------------------------------------------

static void outcomes_are_the_servers_doing(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    world->loop.now_ns += 7000000;
    world_response(500, HTTP_BODY_NONE);
    world_close_up(0);
    CHECK_EQ_INT(world->outcome.status, 500);
    CHECK_EQ_INT(world->outcome.latency_ns, 7000000);
    CHECK(world->outcome.error == 0 && !world->outcome.abandoned);
    world_sent();
    world_end();

    world_begin("proxy: 127.0.0.1:1"); // the client goes before the answer
    world_go(world_request("GET", "/"));
    world_close_down();
    CHECK(world->outcome.abandoned);
    world_end();

    world_begin("proxy: 127.0.0.1:1"); // and in the middle of it
    world_go(world_request("GET", "/"));
    world_response(200, HTTP_BODY_STREAM);
    world_close_down();
    CHECK(!world->outcome.abandoned);
    CHECK_EQ_INT(world->outcome.status, 200);
    world_end();

    world_begin("proxy: 127.0.0.1:1"); // its body breaks off
    struct http_head *h = world_request("PUT", "/");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    http_body_fail(world->request_body, E_BODY_TIMEOUT);
    world_close_up(E_BODY_TIMEOUT);
    CHECK(world->outcome.abandoned);
    world_sent();
    world_end();

    world_begin("proxy: 127.0.0.1:1"); // the server goes in the middle
    world_go(world_request("GET", "/"));
    world_response(200, HTTP_BODY_STREAM);
    world_close_up(E_EARLY_CLOSE);
    CHECK_EQ_INT(world->outcome.error, E_EARLY_CLOSE);
    CHECK(!world->outcome.abandoned);
    world_close_down();
    world_end();
}

static void a_cookie_of_the_upstream_is_added(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    world->ticket->set_cookie = SLICE("adit=1; Path=/");
    struct http_head *h = world->up.receive_head;
    world_response(200, HTTP_BODY_NONE);
    CHECK(slice_eq(fields_get_id(&h->fields, HTTP_SET_COOKIE), SLICE("adit=1; Path=/")));
    world_close_up(0);
    world_sent();
    world_end();
}

static void the_host_is_the_servers_own(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.host_mode = UPSTREAM_HOST_SERVER;
    world->mode = WORLD_HOLD;
    world_go(world_request("GET", "/"));
    world->asked->server_host = SLICE("app.internal:80");
    world_ready(world->asked);
    CHECK(slice_eq(world->up_request->authority, SLICE("app.internal:80")));
    world_response(204, HTTP_BODY_NONE);
    world_close_up(0);
    world_sent();
    world_end();
}

// ---- hedges ----------------------------------------------------------------------------------------

static void begin_with_hedge(const char *method)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.hedge_ms = 20;
    world_go(world_request(method, "/"));
    CHECK_EQ_INT(world->acquires, 1);
    world_wait_ms(25);
}

static void the_second_is_asked_when_the_first_is_slow(void)
{
    begin_with_hedge("GET");
    REQUIRE(world->acquires == 2 && world->second_open);
    CHECK_EQ_INT(world->hedges_asked, 1);
    world_head(&world->second, 200, HTTP_BODY_STREAM);
    CHECK(world->up_reset != 0 && !world->up_open); // the first lost
    CHECK(world->outcome.abandoned);
    CHECK_EQ_INT(world->down_status, 200);
    world_give(world->response_body, "second", true);
    CHECK_STR(world_take(), "second");
    world_close(&world->second, 0);
    CHECK_EQ_INT(world->outcome.status, 200);
    CHECK_EQ_INT(world_count(COUNTER_upstream_hedges_won), 1);
    world_sent();
    world_end();
}

static void the_first_may_win_all_the_same(void)
{
    begin_with_hedge("GET");
    REQUIRE(world->second_open);
    world_response(200, HTTP_BODY_NONE);
    CHECK(world->second_reset != 0);
    world_close_up(0);
    CHECK_EQ_INT(world_count(COUNTER_upstream_hedges), 1);
    CHECK_EQ_INT(world_count(COUNTER_upstream_hedges_won), 0);
    world_sent();
    world_end();
}

static void one_that_fails_is_forgotten(void)
{
    begin_with_hedge("GET");
    REQUIRE(world->second_open);
    world_close_up(E_EARLY_CLOSE);
    CHECK_EQ_INT(world->down_heads, 0);
    CHECK_EQ_INT(world->acquires, 2);
    world_head(&world->second, 204, HTTP_BODY_NONE);
    world_close(&world->second, 0);
    CHECK_EQ_INT(world->down_status, 204);
    world_sent();
    world_end();
}

static void both_may_fail(void)
{
    begin_with_hedge("GET");
    REQUIRE(world->second_open);
    world_close(&world->second, E_EARLY_CLOSE);
    CHECK_EQ_INT(world->acquires, 2);
    world_close_up(E_EARLY_CLOSE);
    CHECK_EQ_INT(world->acquires, 3); // a repeat
    world_response(204, HTTP_BODY_NONE);
    world_close_up(0);
    CHECK_EQ_INT(world->down_status, 204);
    world_sent();
    world_end();
}

static void a_leaving_client_ends_both(void)
{
    begin_with_hedge("GET");
    REQUIRE(world->second_open);
    world_close_down();
    CHECK(!world->up_open && !world->second_open);
    CHECK_EQ_INT(world->releases, 2);
    world_end();
}

static void not_everything_is_hedged(void)
{
    begin_with_hedge("POST");
    CHECK_EQ_INT(world->acquires, 1);
    world_close_down();
    world_end();

    world_begin("proxy: 127.0.0.1:1");
    world->upstream.hedge_ms = 20;
    world->refuses = true;
    world_go(world_request("GET", "/"));
    world_wait_ms(25);
    CHECK_EQ_INT(world->acquires, 1);
    world_close_down();
    world_end();

    world_begin("proxy: 127.0.0.1:1");
    world->upstream.hedge_ms = 20;
    struct http_head *h = world_request("GET", "/");
    h->upgrade = SLICE("websocket");
    world_go(h);
    world_wait_ms(25);
    CHECK_EQ_INT(world->acquires, 1);
    world_close_down();
    world_end();
}

static void a_body_is_given_to_both(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world->upstream.hedge_ms = 20;
    world->upstream.replay_bytes = 1024;
    struct http_head *h = world_request("PUT", "/");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    world_give(world->request_body, "hello", true);
    http_body_take(world->up_body, 3);
    world_wait_ms(25);
    REQUIRE(world->second_open && world->second_body != NULL);
    CHECK(world->second_body != world->up_body);
    CHECK_EQ_INT(world->second_body->q.bytes, 5);
    CHECK(world->second_body->ended);
    world_head(&world->second, 204, HTTP_BODY_NONE);
    world_close(&world->second, 0);
    CHECK_EQ_INT(world->down_status, 204);
    world_sent();
    world_end();
}

TAP_MAIN(repeats_what_may_be, a_stale_connection_costs_no_attempt, a_body_is_given_again,
         a_body_that_is_lost_is_not, interim_responses_pass, an_answer_that_began_is_cut,
         pauses_when_every_server_has_failed, a_status_is_repeated,
         a_status_is_passed_on_when_nothing_can_be_repeated,
         what_is_thrown_away_leaves_room_for_an_error_page, a_large_unwanted_answer_is_cut,
         conditions_count, the_budget_is_for_what_reached_a_server, outcomes_are_the_servers_doing,
         a_cookie_of_the_upstream_is_added, the_host_is_the_servers_own,
         the_second_is_asked_when_the_first_is_slow, the_first_may_win_all_the_same,
         one_that_fails_is_forgotten, both_may_fail, a_leaving_client_ends_both,
         not_everything_is_hedged, a_body_is_given_to_both)
