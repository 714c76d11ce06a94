// SPDX-License-Identifier: Apache-2.0
//
// The far end of a bridge: failures of the session's streams at every point, waiting for room, a
// session that dies, cores that end with streams alive.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static void a_failure_comes_behind_what_came_before(void)
{
    for (unsigned when = 0; when < 5; when++) {
        pair_begin(4);
        struct visit v;
        visit_init(&v, &pair.loop[0], "/fails", HTTP_BODY_STREAM, 1000);
        v.ends = when % 2 == 0;
        v.lazy = when >= 3;
        CHECK(visit_begin(&v, pair.near));
        pair_run(1);
        struct ostream *x = origin_stream(&pair.origin, 0);
        REQUIRE(x != NULL);
        size_t sent = 0;
        if (when >= 1) {
            ostream_answer(x, 200, HTTP_BODY_STREAM);
        }
        if (when >= 2) {
            sent = ostream_send(x, 0, 100000);
        }
        if (when >= 3) { // some of it is over, some waits at the far end
            pair_run(1);
            sent += ostream_send(x, sent, 100000);
            pair_run(1);
            CHECK_EQ_INT(v.closed, 0);
        }
        ostream_finish(x, E_STREAM_RESET);
        pair_run(1);
        CHECK_EQ_INT(v.status, when >= 1 ? 200 : 0);
        if (when >= 3) {
            CHECK_EQ_INT(v.closed, 0); // the rest waits for room
            v.lazy = false;
            visit_take(&v);
            pair_run(1);
        }
        CHECK_EQ_INT(v.closed, 1);
        CHECK_EQ_INT(v.error, E_STREAM_RESET);
        CHECK_EQ_INT(v.got, sent);
        CHECK(!v.wrong && !v.got_end);
        CHECK_EQ_INT(v.response_body.error, when >= 1 ? E_STREAM_RESET : 0);
        visit_fini(&v);
        pair_end(when % 2 == 0);
    }
}

static void an_early_answer_lets_the_request_go(void)
{
    pair_begin(4);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/early", HTTP_BODY_STREAM, 900000);
    CHECK(visit_begin(&v, pair.near));
    pair_run(1);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL);
    v.lazy = true;
    ostream_answer(x, 200, HTTP_BODY_STREAM);
    CHECK(ostream_send(x, 0, 200000) > 100000);
    pair_run(1);
    size_t rest = ostream_send(x, 0, 1); // no more than a window was taken
    (void)rest;
    ostream_end(x, NULL);
    ostream_finish(x, 0); // answered, and reads no more
    pair_run(1);
    CHECK_EQ_INT(v.closed, 0);
    CHECK_EQ_INT(v.sent, 900000); // nobody holds it up
    v.wrong = false;
    v.lazy = false;
    visit_take(&v);
    pair_run(1);
    CHECK_EQ_INT(v.closed, 1);
    CHECK_EQ_INT(v.error, 0);
    CHECK(v.got_end);
    visit_fini(&v);
    pair_end(true);
}

static void who_finds_no_room_waits_in_order(void)
{
    enum { VISITS = 6 };
    static const char *const names[VISITS] = {"/0", "/1", "/2", "/3", "/4", "/5"};
    struct visit v[VISITS];
    pair_begin(1);
    pair_run(1);
    pair.near->streams_max = 100; // more than the session has room for
    for (int i = 0; i < VISITS; i++) {
        visit_init(&v[i], &pair.loop[0], names[i], HTTP_BODY_NONE, 0);
        CHECK(visit_begin(&v[i], pair.near));
    }
    pair_run(1);
    CHECK_EQ_INT(pair.origin.session.streams, 1);
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, VISITS);
    visit_reset(&v[3], E_CLIENT_GONE); // while it waits
    pair_run(1);
    for (int i = 0; i < VISITS; i++) {
        struct ostream *x = origin_stream(&pair.origin, 0);
        if (i == 3) {
            continue;
        }
        REQUIRE(x != NULL);
        CHECK(slice_eq(x->head->target, slice_str(names[i])));
        ostream_answer(x, 204, HTTP_BODY_NONE);
        ostream_finish(x, 0);
        pair_run(1);
    }
    for (int i = 0; i < VISITS; i++) {
        CHECK_EQ_INT(v[i].closed, 1);
        CHECK_EQ_INT(v[i].status, i == 3 ? 0 : 204);
        visit_fini(&v[i]);
    }
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, 0);
    pair_end(true);
}

static void nobody_waits_for_ever(void)
{
    struct visit v[2];
    pair_begin(1);
    pair_run(1);
    pair.near->streams_max = 100;
    for (int i = 0; i < 2; i++) {
        visit_init(&v[i], &pair.loop[0], "/w", HTTP_BODY_NONE, 0);
        CHECK(visit_begin(&v[i], pair.near));
    }
    pair_run(5);
    CHECK_EQ_INT(v[1].closed, 0);
    pair_run(20);
    CHECK_EQ_INT(v[1].closed, 1);
    CHECK_EQ_INT(v[1].error, E_NOT_PROCESSED);
    CHECK_EQ_INT(v[0].closed, 0);
    pair.origin.take_error = E_HTTP_1_1_REQUIRED; // or the owner says no
    struct visit third;
    visit_init(&third, &pair.loop[0], "/w", HTTP_BODY_NONE, 0);
    CHECK(visit_begin(&third, pair.near));
    pair_run(1);
    CHECK_EQ_INT(third.error, E_HTTP_1_1_REQUIRED);
    ostream_answer(origin_stream(&pair.origin, 0), 204, HTTP_BODY_NONE);
    ostream_finish(origin_stream(&pair.origin, 0), 0);
    pair_run(1);
    for (int i = 0; i < 2; i++) {
        visit_fini(&v[i]);
    }
    visit_fini(&third);
    pair_end(true);
}

/** The session dies as one with a connection does: its streams first, then itself. */
static void kill_session(void)
{
    struct ostream *x;
    pair.origin.session.owner = NULL;
    while ((x = origin_stream(&pair.origin, 0)) != NULL) {
        ostream_finish(x, E_RESET);
    }
    bridge_port_close(pair.origin.port, E_RESET);
}

static void a_session_dies_at_any_point(void)
{
    for (unsigned when = 0; when < 5; when++) {
        pair_begin(1);
        pair_run(1);
        pair.near->streams_max = 2;
        struct visit v[2];
        for (int i = 0; i < 2; i++) { // the second waits for room
            visit_init(&v[i], &pair.loop[0], "/dies", HTTP_BODY_STREAM, 300000);
            CHECK(visit_begin(&v[i], pair.near));
        }
        if (when >= 1) {
            pair_run(1);
        }
        struct ostream *x = origin_stream(&pair.origin, 0);
        if (when >= 2) {
            ostream_answer(x, 200, HTTP_BODY_STREAM);
        }
        if (when >= 3) {
            CHECK(ostream_send(x, 0, 90000) > 0);
        }
        if (when >= 4) {
            pair_run(1);
        }
        kill_session();
        CHECK(!bridge_port_look(pair.origin.port).open);
        pair_run(1);
        CHECK_EQ_INT(v[0].closed, 1);
        CHECK_EQ_INT(v[0].error, when == 0 ? E_NOT_PROCESSED : E_RESET);
        CHECK_EQ_INT(v[0].got, when >= 3 ? 90000 : 0);
        CHECK_EQ_INT(v[1].closed, 1);
        CHECK_EQ_INT(v[1].error, E_NOT_PROCESSED);
        CHECK(pair.near == NULL);
        CHECK_EQ_INT(pair.closings, 1);
        CHECK_EQ_INT(pair.gone_error, E_RESET);
        int error = 0;
        CHECK(pair_open(&error) == NULL);
        CHECK_EQ_INT(error, E_DRAINING);
        visit_fini(&v[0]);
        visit_fini(&v[1]);
        pair_end(when % 2 == 0);
    }
}

static void cores_end_with_streams_alive(void)
{
    for (unsigned when = 0; when < 8; when++) {
        pair_begin(1);
        pair_run(1);
        pair.near->streams_max = 2;
        struct visit v[2];
        for (int i = 0; i < 2; i++) {
            visit_init(&v[i], &pair.loop[0], "/end", HTTP_BODY_STREAM, 300000);
            v[i].lazy = true;
            CHECK(visit_begin(&v[i], pair.near));
        }
        if (when >= 2) {
            pair_run(1);
        }
        if (when >= 4) {
            ostream_answer(origin_stream(&pair.origin, 0), 200, HTTP_BODY_STREAM);
            CHECK(ostream_send(origin_stream(&pair.origin, 0), 0, 300000) > 0);
        }
        if (when >= 6) {
            pair_run(1);
        }
        bridge_core_close(pair.core[when % 2]);
        if (when % 2 == 0) {
            CHECK(v[0].closed == 1 && v[1].closed == 1);
        }
        pair_run(1);
        CHECK(when < 2 || origin_stream(&pair.origin, 0) == NULL);
        CHECK(v[0].closed == 1 && v[1].closed == 1);
        CHECK(v[0].error != 0 && v[1].error != 0);
        CHECK(pair.near == NULL);
        visit_fini(&v[0]);
        visit_fini(&v[1]);
        pair_end(when % 2 == 0);
    }
}

TAP_MAIN(a_failure_comes_behind_what_came_before, an_early_answer_lets_the_request_go,
         who_finds_no_room_waits_in_order, nobody_waits_for_ever, a_session_dies_at_any_point,
         cores_end_with_streams_alive)
