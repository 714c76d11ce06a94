// SPDX-License-Identifier: Apache-2.0
//
// The gzip filter between two pipes: flushing, back-pressure, ends.

#include "compress/filter.h"

#include "pipes.h"

static void flushes_what_has_come(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    e.pulled = true;
    for (int i = 0; i < 20; i++) {
        give(&e, 37);
        CHECK_EQ_INT(unpack(&e, false), e.given);
        CHECK(memcmp(plain, body, e.given) == 0);
    }
    size_t before = e.got;
    http_body_notify(e.in); // nothing new: nothing is sent
    CHECK_EQ_INT(e.got, before);
    http_body_end(e.in, NULL);
    http_body_notify(e.in);
    CHECK(e.out->ended);
    CHECK_EQ_INT(unpack(&e, true), e.given);
    end(&e);
}

static void waits_for_a_slow_client(void)
{
    struct ends e;
    struct rng r;
    begin(&e, "{level: 1}");
    REQUIRE(decide(&e));
    rng_seed(&r, 7);
    for (size_t i = 0; i < sizeof(body); i++) { // does not compress: the pipes fill
        body[i] = (char)rng_u64(&r);
    }
    while (http_body_room(e.in) > 0 && e.given < sizeof(body)) {
        give(&e, 16000);
    }
    CHECK(e.out->q.bytes <= EXCHANGE_FILTER_LIMIT);
    CHECK(e.given < sizeof(body)); // bounded: neither pipe took it all
    CHECK(e.given <= EXCHANGE_BODY_LIMIT + 2 * EXCHANGE_FILTER_LIMIT);
    unsigned rooms = e.rooms;
    while (e.given < sizeof(body)) {
        take(&e, 5000);
        give(&e, sizeof(body) - e.given);
    }
    http_body_end(e.in, NULL);
    http_body_notify(e.in);
    while (!http_body_done(e.out)) {
        take(&e, 5000);
    }
    CHECK(e.rooms > rooms);
    CHECK_EQ_INT(unpack(&e, true), sizeof(body));
    CHECK(memcmp(plain, body, sizeof(body)) == 0);
    end(&e);
}

static void knows_the_length_of_what_was_there(void)
{
    struct ends e;
    begin(&e, "on");
    struct http_head *r = &e.s.f->x.response;
    r->body = HTTP_BODY_LENGTH;
    r->has_length = true;
    r->content_length = 5000;
    give(&e, 5000);
    http_body_end(e.in, NULL);
    REQUIRE(decide(&e));
    CHECK_EQ_INT(r->body, HTTP_BODY_LENGTH);
    CHECK(r->has_length);
    CHECK_EQ_INT(r->content_length, e.out->q.bytes);
    take(&e, SIZE_MAX);
    CHECK_EQ_INT(unpack(&e, true), 5000);
    end(&e);
}

static void cuts_what_was_cut(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    e.pulled = true;
    give(&e, 1000);
    http_body_fail(e.in, E_EARLY_CLOSE);
    http_body_notify(e.in);
    CHECK(!e.out->ended);
    CHECK_EQ_INT(e.out->error, E_EARLY_CLOSE);
    CHECK_EQ_INT(unpack(&e, false), 1000);
    end(&e);
}

static void passes_trailers_on(void)
{
    struct ends e;
    struct fields trailers;
    begin(&e, "on");
    fields_init(&trailers, &e.s.f->x.arena, 1024, 10);
    REQUIRE(decide(&e));
    http_body_end(e.in, &trailers);
    http_body_notify(e.in);
    CHECK(e.out->trailers == &trailers);
    end(&e);
}

static void lets_go_when_the_client_has_gone(void)
{
    struct ends e;
    begin(&e, "on");
    REQUIRE(decide(&e));
    give(&e, 1000);
    http_body_discard(e.out);
    give(&e, 1000);
    CHECK(e.in->discarding);
    CHECK_EQ_INT(deflate_live(), 0);
    end(&e);
}

static void goes_without_when_states_are_used_up(void)
{
    struct deflate *all[DEFLATE_LIVE_MAX];
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        all[i] = deflate_new(1);
        REQUIRE(all[i] != NULL);
    }
    struct ends e;
    begin(&e, "on");
    CHECK(!decide(&e));
    CHECK(!fields_has(&e.s.f->x.response.fields, HTTP_CONTENT_ENCODING));
    CHECK(fields_has(&e.s.f->x.response.fields, HTTP_VARY));
    for (size_t i = 0; i < DEFLATE_LIVE_MAX; i++) {
        deflate_free(all[i]);
    }
    end(&e);
}

TAP_MAIN(flushes_what_has_come, waits_for_a_slow_client, knows_the_length_of_what_was_there,
         cuts_what_was_cut, passes_trailers_on, lets_go_when_the_client_has_gone,
         goes_without_when_states_are_used_up)
