// SPDX-License-Identifier: Apache-2.0
//
// The near end of a bridge: requests and their answers come whole, each kind of message there is; the
// exchange turns away at every point; nothing is left whatever happens, also without memory.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static void a_request_and_its_answer(void)
{
    pair_begin(4);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/x?a=1", HTTP_BODY_NONE, 0);
    v.request.query = SLICE("a=1");
    v.request.te_trailers = true;
    CHECK_EQ_INT(fields_add(&v.request.fields, SLICE("x-one"), SLICE("1")), 0);
    CHECK_EQ_INT(fields_add(&v.request.fields, SLICE("x-gone"), SLICE("2")), 0);
    CHECK_EQ_INT(fields_add(&v.request.fields, SLICE("accept"), SLICE("")), 0);
    CHECK_EQ_INT(fields_remove(&v.request.fields, SLICE("x-gone")), 1);
    CHECK(visit_begin(&v, pair.near));
    CHECK_EQ_INT(pair.near->streams, 1);
    CHECK_EQ_INT(pair.near->exchanges, 1);
    CHECK_STR(pair.near->ops->protocol, "h2");
    CHECK(v.s->peer == pair.near->peer && v.s->side == HTTP_UP);
    CHECK_STR(pair.near->peer->ip_text, "10.0.0.1");
    pair_run(1);
    CHECK(pair.rooms > 0);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL && x->head != NULL);
    const struct http_head *h = x->head;
    CHECK(h != &v.request && h->method == HTTP_METHOD_POST && h->te_trailers);
    CHECK(slice_eq(h->target, SLICE("/x?a=1")) && slice_eq(h->query, SLICE("a=1")));
    CHECK(slice_eq(h->authority, SLICE("a.test:8443")) && slice_eq(h->host, SLICE("a.test")));
    CHECK(slice_eq(h->method_text, SLICE("POST")) && slice_eq(h->scheme, SLICE("https")));
    CHECK(h->upgrade.len == 0 && h->body == HTTP_BODY_NONE && x->in == NULL);
    CHECK_EQ_INT(h->fields.count, 2);
    CHECK(slice_eq(fields_get(&h->fields, SLICE("X-One")), SLICE("1")));
    CHECK(fields_has(&h->fields, HTTP_ACCEPT));
    CHECK_EQ_INT(x->timeouts.read_ms, 1234);
    const struct http_timeouts later = {.read_ms = 77};
    v.s->ops->set_timeouts(v.s, &later);
    pair_run(1);
    CHECK_EQ_INT(x->timeouts.read_ms, 77);
    ostream_answer(x, 102, HTTP_BODY_NONE);
    ostream_answer(x, 103, HTTP_BODY_NONE);
    ostream_answer(x, 404, HTTP_BODY_NONE);
    ostream_finish(x, 0);
    CHECK_EQ_INT(v.closed, 0);
    pair_run(1);
    CHECK_EQ_INT(v.closed, 1);
    CHECK_EQ_INT(v.interim, 2);
    CHECK_EQ_INT(v.status, 404);
    CHECK_EQ_INT(v.error, 0);
    CHECK(slice_eq(v.response.reason, SLICE("As asked")));
    CHECK_STR(v.field, "/x?a=1");
    CHECK_EQ_INT(fields_add(&v.response.fields, SLICE("x-more"), SLICE("can be added")), 0);
    CHECK_EQ_INT(pair.near->streams, 0);
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, 0);
    visit_fini(&v);
    pair_end(true);
}

static void bodies_both_ways_with_trailers(void)
{
    static const uint64_t sizes[] = {0, 1, 500, 2047, 2048, 5000, 70000, 300000, 3000000};
    for (size_t i = 0; i < array_len(sizes); i++) {
        pair_begin(4);
        pair.origin.echoes = true;
        struct visit v;
        visit_init(&v, &pair.loop[0], "/echo", HTTP_BODY_STREAM, sizes[i]);
        CHECK_EQ_INT(fields_add(&v.trailers, SLICE("x-end"), SLICE("asked")), 0);
        CHECK(visit_begin(&v, pair.near));
        pair_run(5);
        CHECK_EQ_INT(v.interim, 1);
        CHECK_EQ_INT(v.status, 200);
        CHECK_EQ_INT(v.got, sizes[i]);
        CHECK(!v.wrong && v.got_end);
        CHECK_STR(v.got_trailer, "echoed");
        CHECK_EQ_INT(v.closed, 1);
        CHECK_EQ_INT(v.error, 0);
        visit_fini(&v);
        pair_end(i % 2 == 0);
    }
}

static void a_pipe_ends_in_each_direction_by_itself(void)
{
    for (int who = 0; who < 2; who++) {
        pair_begin(4);
        pair.origin.takes = true;
        struct visit v;
        visit_init(&v, &pair.loop[0], "/ws", HTTP_BODY_NONE, 40000);
        v.request.upgrade = SLICE("websocket");
        v.ends = who == 0;
        CHECK(visit_begin(&v, pair.near));
        pair_run(1);
        struct ostream *x = origin_stream(&pair.origin, 0);
        REQUIRE(x != NULL);
        CHECK(slice_eq(x->head->upgrade, SLICE("websocket")));
        ostream_answer(x, 101, HTTP_BODY_NONE);
        pair_run(1);
        CHECK_EQ_INT(v.status, 101);
        CHECK_EQ_INT(x->got, 40000);
        CHECK_EQ_INT(x->got_end, who == 0);
        CHECK_EQ_INT(ostream_send(x, 0, 30000), 30000);
        if (who == 1) {
            ostream_end(x, NULL);
        }
        pair_run(1);
        CHECK_EQ_INT(v.got, 30000);
        CHECK_EQ_INT(v.got_end, who == 1);
        CHECK(v.s != NULL);
        if (who == 0) {
            CHECK_EQ_INT(ostream_send(x, 30000, 10), 10);
            ostream_end(x, NULL);
        } else {
            v.to_send += 10;
            v.ends = true;
            visit_send(&v);
        }
        pair_run(1);
        CHECK_EQ_INT(x->got, who == 0 ? 40000 : 40010);
        CHECK(x->got_end && v.got_end && !v.wrong);
        ostream_finish(x, 0);
        pair_run(1);
        CHECK_EQ_INT(v.closed, 1);
        CHECK_EQ_INT(v.error, 0);
        visit_fini(&v);
        pair_end(true);
    }
}

// ---- turning away ----------------------------------------------------------------------------------

static void the_exchange_turns_away_at_any_point(void)
{
    for (unsigned when = 0; when < 8; when++) {
        pair_begin(4);
        struct visit v;
        visit_init(&v, &pair.loop[0], "/gone", HTTP_BODY_STREAM, 1000000);
        v.lazy = true;
        if (when == 0) {
            v.s = pair.near->ops->take(pair.near);
            REQUIRE(v.s != NULL);
            struct http_stream *s = v.s; // nothing was asked of it yet
            struct visit other;
            visit_init(&other, &pair.loop[0], "/b", HTTP_BODY_NONE, 0);
            CHECK(visit_begin(&other, pair.near));
            s->events = other.s->events;
            s->user = &v;
            s->ops->reset(s, E_CLIENT_GONE);
            visit_reset(&other, E_CLIENT_GONE);
            visit_fini(&other);
        } else {
            CHECK(visit_begin(&v, pair.near));
        }
        struct ostream *x = NULL;
        if (when >= 2) {
            pair_run(1);
            x = origin_stream(&pair.origin, 0);
            REQUIRE(x != NULL);
        }
        if (when >= 3) {
            ostream_answer(x, 200, HTTP_BODY_STREAM);
        }
        if (when >= 4) {
            pair_run(1);
            CHECK_EQ_INT(v.status, 200);
        }
        if (when >= 5) {
            CHECK(ostream_send(x, 0, 500000) > 100000);
        }
        if (when >= 6) {
            pair_run(1);
        }
        if (when >= 7) {
            ostream_take(x);
            pair_run(1);
            CHECK(x->got > 0);
        }
        if (v.s != NULL) {
            visit_reset(&v, E_READ_TIMEOUT);
        }
        CHECK_EQ_INT(v.closed, 1);
        CHECK_EQ_INT(v.error, 0);
        CHECK_EQ_INT(pair.near->streams, 0);
        pair_run(1);
        CHECK(origin_stream(&pair.origin, 0) == NULL);
        if (x != NULL) {
            CHECK_EQ_INT(x->reset, E_READ_TIMEOUT);
        }
        visit_fini(&v);
        pair_end(when % 2 == 0);
    }
}

static void a_request_that_breaks_off_is_reset(void)
{
    pair_begin(4);
    pair.origin.takes = true;
    struct visit v;
    visit_init(&v, &pair.loop[0], "/cut", HTTP_BODY_LENGTH, 10000);
    v.request.content_length = 20000;
    v.ends = false;
    CHECK(visit_begin(&v, pair.near));
    pair_run(1);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL);
    CHECK_EQ_INT(x->head->content_length, 20000);
    CHECK_EQ_INT(x->got, 10000);
    http_body_fail(&v.request_body, E_EARLY_CLOSE);
    http_body_notify(&v.request_body);
    CHECK_EQ_INT(v.closed, 0); // not from inside of the notice
    pair_run(1);
    CHECK_EQ_INT(v.closed, 1);
    CHECK_EQ_INT(v.error, E_EARLY_CLOSE);
    CHECK_EQ_INT(x->reset, E_EARLY_CLOSE);
    visit_fini(&v);
    pair_end(true);
}

static void too_much_for_the_pipe_is_an_error(void)
{
    pair_begin(4);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/big", HTTP_BODY_NONE, 0);
    v.response_body.total_max = 5000;
    CHECK(visit_begin(&v, pair.near));
    pair_run(1);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL);
    ostream_answer(x, 200, HTTP_BODY_STREAM);
    CHECK_EQ_INT(ostream_send(x, 0, 9000), 9000);
    pair_run(1);
    CHECK_EQ_INT(v.closed, 1);
    CHECK_EQ_INT(v.error, E_BODY_TOO_LARGE);
    CHECK_EQ_INT(x->reset, E_BODY_TOO_LARGE);
    visit_fini(&v);
    pair_end(true);
}

// ---- sessions --------------------------------------------------------------------------------------

static void a_session_closes_and_another_opens(void)
{
    pair_begin(4);
    pair_run(1);
    pair.near->ops->close(pair.near);
    pair.near = NULL;
    for (int i = 0; i < 20; i++) { // more than there may be at once
        int error = 0;
        pair.near = pair_open(&error);
        if (!CHECK(pair.near != NULL)) {
            break;
        }
        pair_run(1);
        pair.near->ops->close(pair.near);
        pair.near = NULL;
        pair_run(1);
    }
    int error = 0;
    struct up_session *all[8];
    for (int i = 0; i < 8; i++) {
        all[i] = pair_open(&error);
        CHECK(all[i] != NULL);
    }
    CHECK(pair_open(&error) == NULL);
    CHECK_EQ_INT(error, E_UPSTREAM_FULL);
    pair_run(1);
    CHECK_EQ_INT(pair.rooms, 29);
    for (int i = 0; i < 8; i++) {
        all[i]->ops->close(all[i]);
    }
    pair_end(true);
}

static void many_streams_share_one_way(void)
{
    enum { VISITS = 50 };
    static struct visit v[VISITS];
    pair_begin(64);
    pair.origin.echoes = true;
    for (int i = 0; i < VISITS; i++) {
        visit_init(&v[i], &pair.loop[0], "/one", HTTP_BODY_STREAM, (uint64_t)i * 3001);
        CHECK(visit_begin(&v[i], pair.near));
    }
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams_max, 64);
    pair_run(5);
    for (int i = 0; i < VISITS; i++) {
        CHECK_EQ_INT(v[i].got, (uint64_t)i * 3001);
        CHECK(v[i].got_end && !v[i].wrong && v[i].closed == 1);
        visit_fini(&v[i]);
    }
    pair_end(false);
}

// ---- without memory --------------------------------------------------------------------------------

static void bears_want_of_memory(void)
{
    unsigned failed = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        pair_begin(8);
        pair.origin.echoes = true;
        pair_run(1);
        enum { VISITS = 6 };
        struct visit v[VISITS];
        for (int i = 0; i < VISITS; i++) {
            visit_init(&v[i], &pair.loop[0], "/few", i % 2 == 0 ? HTTP_BODY_STREAM : HTTP_BODY_NONE,
                       i % 2 == 0 ? 200000 : 0);
        }
        alloc_fail_rate(0.05, seed);
        for (int i = 0; i < VISITS; i++) {
            if (pair.near != NULL && !visit_begin(&v[i], pair.near)) {
                failed++;
            }
        }
        pair_run(2);
        alloc_fail_rate(0, 0);
        for (int i = 0; i < VISITS; i++) { // a pipe may have waited for memory of its own
            if (v[i].s != NULL) {
                visit_reset(&v[i], E_NO_MEMORY);
            }
        }
        pair_run(2);
        for (int i = 0; i < VISITS; i++) {
            CHECK(v[i].s == NULL && !v[i].wrong);
            failed += v[i].error != 0;
            visit_fini(&v[i]);
        }
        CHECK(origin_stream(&pair.origin, 0) == NULL);
        pair_end(seed % 2 == 0);
    }
    CHECK(failed > 0);
}

TAP_MAIN(a_request_and_its_answer, bodies_both_ways_with_trailers,
         a_pipe_ends_in_each_direction_by_itself, the_exchange_turns_away_at_any_point,
         a_request_that_breaks_off_is_reset, too_much_for_the_pipe_is_an_error,
         a_session_closes_and_another_opens, many_streams_share_one_way, bears_want_of_memory)
