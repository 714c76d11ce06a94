// SPDX-License-Identifier: Apache-2.0
//
// The life of an exchange from the client's side: what is refused, and every way to end.

#include "proxy/fake_world.h"

static void carries_a_request_and_its_answer(void)
{
    world_begin("proxy: 127.0.0.1:1");
    struct http_head *h = world_request("POST", "/a?b");
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    REQUIRE(world->up_request == h);
    CHECK(world->up_body == world->request_body);
    CHECK(fields_has(&h->fields, HTTP_X_FORWARDED_FOR));
    world_give(world->request_body, "ping", true);
    CHECK(slice_eq(bufq_front(&world->up_body->q), SLICE("ping")));
    http_body_take(world->up_body, 4);
    world_response(200, HTTP_BODY_STREAM);
    CHECK_EQ_INT(world->down_status, 200);
    world_give(world->response_body, "pong", true);
    world_close_up(0);
    CHECK_STR(world_take(), "pong");
    world_sent();
    CHECK_EQ_INT(world_count(COUNTER_bytes_in), 4);
    CHECK_EQ_INT(world_count(COUNTER_bytes_out), 4);
    world_end();
}

struct refusal {
    const char *method;
    const char *target;
    const char *host;
    unsigned status;
};

static const struct refusal refusals[] = {
    {"CONNECT", "example.com:1", "example.com", 405},
    {"TRACE", "/", "example.com", 405},
    {"GET", "/../x", "example.com", 400},
    {"GET", "/none", "example.com", 404},
};

static void refuses(void)
{
    for (size_t i = 0; i < array_len(refusals); i++) {
        world_begin("routes: [{path: /a, proxy: 127.0.0.1:1}]");
        struct http_head *h = world_request(refusals[i].method, refusals[i].target);
        h->host = slice_str(refusals[i].host);
        world_go(h);
        CHECK_EQ_INT(world->down_status, refusals[i].status);
        CHECK_EQ_INT(world->acquires, 0);
        world_sent();
        world_end();
    }
}

static void refuses_bodies_over_the_limit(void)
{
    world_begin("limits: {body_size: 10}, proxy: 127.0.0.1:1");
    struct http_head *h = world_request("POST", "/");
    h->body = HTTP_BODY_LENGTH;
    h->has_length = true;
    h->content_length = 11;
    world_go(h);
    CHECK_EQ_INT(world->down_status, 413);
    CHECK(world->request_body->discarding);
    world_sent();
    world_end();
}

static void answers_a_broken_message(void)
{
    world_begin("respond: x");
    (void)world_request("GET", "/");
    world->down.events->on_bad_message(&world->down, E_REPEATED_LENGTH);
    CHECK_EQ_INT(world->down_status, 400);
    CHECK(strstr(world_take(), "more than one Content-Length") != NULL);
    world_sent();
    world_end();
}

static void redirects_to_the_canonical_name(void)
{
    world_begin("respond: x}, a.example: {names: b.example, respond: y");
    struct http_head *h = world_request("GET", "/p");
    h->host = SLICE("b.example");
    h->authority = SLICE("b.example");
    world_go(h);
    CHECK_EQ_INT(world->down_status, 308);
    CHECK_TEXT(world->location.ptr, world->location.len, "http://a.example/p");
    world_sent();
    world_end();
}

static bool covers_only_a(const struct http_security *s, struct slice host)
{
    return slice_eq(host, SLICE("a.example")) || (host.len == 0 && s->client_verified);
}

static struct http_security security = {
    .version = SLICE_INIT("TLSv1.3"),
    .cipher = SLICE_INIT("TLS_AES_128_GCM_SHA256"),
    .covers = covers_only_a,
};

static unsigned status_on_tls(const char *host)
{
    world_begin("respond: x}, a.example: {names: b.example, respond: y");
    world->peer.secure = true;
    world->peer.security = &security;
    struct http_head *h = world_request("GET", "/p");
    h->host = slice_str(host);
    h->authority = slice_str(host);
    world_go(h);
    unsigned status = world->down_status;
    world_sent();
    world_end();
    return status;
}

static void a_connection_serves_what_its_certificate_covers(void)
{
    CHECK_EQ_INT(status_on_tls("a.example"), 200);
    CHECK_EQ_INT(status_on_tls("b.example"), 421);
    CHECK_EQ_INT(status_on_tls(""), 421); // HTTP/1.0 names none: that is asked about as well
    security.client_verified = true;
    CHECK_EQ_INT(status_on_tls(""), 200);
    security.client_verified = false;
}

static void a_client_that_leaves_frees_the_origin(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    world->down.events->on_error(&world->down, E_RESET);
    world_close_down();
    CHECK_EQ_INT(world->up_reset, E_CLIENT_GONE);
    world_end();
    world_begin("proxy: 127.0.0.1:1");
    world->mode = WORLD_HOLD;
    world_go(world_request("GET", "/"));
    world_close_down();
    CHECK_EQ_INT(world->cancels, 1);
    world_end();
}

static void becomes_a_pipe(void)
{
    world_begin("proxy: 127.0.0.1:1");
    struct http_head *h = world_request("GET", "/");
    h->upgrade = SLICE("websocket");
    world_go(h);
    world_response(101, HTTP_BODY_TUNNEL);
    CHECK_EQ_INT(world->down_status, 101);
    CHECK_EQ_INT(world->tunnels, 2);
    CHECK_EQ_INT(world_count(COUNTER_upgrades), 1);
    world_close_down();
    CHECK_EQ_INT(world->up_reset, E_CLIENT_GONE);
    world_end();
}

TAP_MAIN(carries_a_request_and_its_answer, refuses, refuses_bodies_over_the_limit,
         answers_a_broken_message, redirects_to_the_canonical_name,
         a_connection_serves_what_its_certificate_covers, a_client_that_leaves_frees_the_origin,
         becomes_a_pipe)
