// SPDX-License-Identifier: Apache-2.0
//
// Bodies over a bridge: no more than a window is on its way, however large or small the pieces are, and
// every byte arrives once the other side takes them.

#include "base/error.h"
#include "bridge/bridge_int.h"
#include "tap.h"
#include "world.h"

static struct ostream *open_stream(struct visit *v)
{
    CHECK(visit_begin(v, pair.near));
    pair_run(1);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL);
    return x;
}

static void a_request_is_held_up_by_who_does_not_read(void)
{
    pair_begin(4);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/up", HTTP_BODY_STREAM, 2000000);
    struct ostream *x = open_stream(&v);
    uint64_t ahead = v.request_body.taken_total;
    CHECK(ahead <= BRIDGE_WINDOW && ahead > BRIDGE_WINDOW / 2);
    CHECK_EQ_INT(x->in->q.bytes, ahead);
    CHECK(v.sent < 2000000);
    pair_run(5);
    CHECK_EQ_INT(v.request_body.taken_total, ahead);
    for (int i = 0; i < 100 && !x->got_end; i++) {
        ostream_take(x);
        pair_run(1);
        CHECK(v.request_body.taken_total - x->got <= BRIDGE_WINDOW);
    }
    CHECK_EQ_INT(x->got, 2000000);
    CHECK(x->got_end);
    visit_reset(&v, E_CLIENT_GONE);
    visit_fini(&v);
    pair_end(true);
}

static void little_of_a_request_goes_before_it_has_a_stream(void)
{
    pair_begin(1);
    pair_run(1);
    pair.near->streams_max = 2;
    struct visit v[2];
    for (int i = 0; i < 2; i++) {
        visit_init(&v[i], &pair.loop[0], "/up", HTTP_BODY_STREAM, 2000000);
        CHECK(visit_begin(&v[i], pair.near));
    }
    pair_run(2);
    CHECK(v[0].request_body.taken_total > BRIDGE_FIRST_BYTES);
    CHECK(v[1].request_body.taken_total <= BRIDGE_FIRST_BYTES);
    CHECK(v[1].request_body.taken_total > 0);
    visit_reset(&v[0], E_CLIENT_GONE);
    pair_run(1); // now it has one
    CHECK(v[1].request_body.taken_total > BRIDGE_FIRST_BYTES);
    visit_reset(&v[1], E_CLIENT_GONE);
    visit_fini(&v[0]);
    visit_fini(&v[1]);
    pair_end(true);
}

static void a_response_is_held_up_by_who_does_not_read(void)
{
    pair_begin(4);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/down", HTTP_BODY_NONE, 0);
    v.lazy = true;
    struct ostream *x = open_stream(&v);
    ostream_answer(x, 200, HTTP_BODY_STREAM);
    uint64_t sent = 0;
    for (int i = 0; i < 20; i++) {
        sent += ostream_send(x, sent, 100000);
        pair_run(1);
    }
    CHECK(sent <= 2 * BRIDGE_WINDOW);
    CHECK(v.response_body.q.bytes <= BRIDGE_WINDOW);
    CHECK(x->out->q.bytes > 0);
    v.lazy = false;
    visit_take(&v);
    for (int i = 0; i < 200 && sent < 1500000; i++) {
        sent += ostream_send(x, sent, 100000);
        pair_run(1);
    }
    ostream_end(x, "t");
    ostream_finish(x, 0);
    pair_run(1);
    CHECK_EQ_INT(v.got, sent);
    CHECK(!v.wrong && v.got_end);
    CHECK_STR(v.got_trailer, "t");
    visit_fini(&v);
    pair_end(true);
}

static void slivers_find_their_places(void)
{
    static const size_t sizes[] = {1, 100, 511, 513, 1500, 2047, 2048, 4096};
    for (size_t k = 0; k < array_len(sizes); k++) {
        pair_begin(4);
        struct visit v;
        visit_init(&v, &pair.loop[0], "/bits", HTTP_BODY_NONE, 0);
        v.lazy = true;
        struct ostream *x = open_stream(&v);
        ostream_answer(x, 200, HTTP_BODY_STREAM);
        uint64_t sent = 0;
        for (int i = 0; i < 120; i++) { // a turn for each
            sent += ostream_send(x, sent, sizes[k]);
            pair_run(1);
            CHECK(v.response_body.q.count <= BUFQ_SPANS);
            if (i % 3 == 0 && v.response_body.q.bytes > 700) { // not whole pieces
                http_body_take(&v.response_body, 700);
                v.got += 700;
                http_body_pull(&v.response_body);
            }
        }
        v.lazy = false;
        visit_take(&v);
        ostream_end(x, NULL);
        ostream_finish(x, 0);
        pair_run(1);
        CHECK_EQ_INT(v.got, sent);
        CHECK(!v.wrong && v.got_end && v.closed == 1);
        visit_fini(&v);
        pair_end(true);
    }
}

TAP_MAIN(a_request_is_held_up_by_who_does_not_read, little_of_a_request_goes_before_it_has_a_stream,
         a_response_is_held_up_by_who_does_not_read, slivers_find_their_places)
