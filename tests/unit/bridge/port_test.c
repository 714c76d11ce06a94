// SPDX-License-Identifier: Apache-2.0
//
// Ports: what other cores see of a session, and what near sessions are told of it.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static void says_what_the_session_allows(void)
{
    pair_begin(2);
    pair_run(1);
    unsigned rooms = pair.rooms;
    CHECK_EQ_INT(pair.near->streams_max, 2);
    CHECK(pair.near->can_upgrade);
    pair.origin.session.streams_max = 9; // SETTINGS
    pair.origin.session.can_upgrade = false;
    bridge_port_room(pair.origin.port);
    const struct bridge_port_state now = bridge_port_look(pair.origin.port);
    CHECK_EQ_INT(now.core, 1);
    CHECK_EQ_INT(now.streams_max, 9);
    CHECK(now.open && !now.can_upgrade);
    pair_run(1);
    CHECK_EQ_INT(pair.near->streams_max, 9);
    CHECK(!pair.near->can_upgrade);
    CHECK_EQ_INT(pair.rooms, rooms + 1);
    bridge_port_room(pair.origin.port); // nothing new
    pair_run(1);
    CHECK_EQ_INT(pair.rooms, rooms + 1);
    pair_end(true);
}

static void counts_what_the_session_carries(void)
{
    pair_begin(3);
    struct visit v;
    visit_init(&v, &pair.loop[0], "/", HTTP_BODY_NONE, 0);
    CHECK(visit_begin(&v, pair.near));
    struct http_stream *own = pair.origin.session.ops->take(&pair.origin.session); // its own core's
    pair_run(1);
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, 2);
    struct ostream *x = container_of(own, struct ostream, stream);
    x->over = true;
    pair.origin.session.streams--;
    bridge_port_room(pair.origin.port);
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, 1);
    visit_reset(&v, E_CLIENT_GONE);
    pair_run(1);
    CHECK_EQ_INT(bridge_port_look(pair.origin.port).streams, 0);
    visit_fini(&v);
    pair_end(true);
}

static void what_lives_goes_on_when_it_is_closing(void)
{
    pair_begin(3);
    struct visit v;
    struct visit late;
    visit_init(&v, &pair.loop[0], "/", HTTP_BODY_NONE, 0);
    visit_init(&late, &pair.loop[0], "/late", HTTP_BODY_NONE, 0);
    CHECK(visit_begin(&v, pair.near));
    pair_run(1);
    bridge_port_closing(pair.origin.port);
    bridge_port_closing(pair.origin.port); // twice is once
    CHECK(!bridge_port_look(pair.origin.port).open);
    pair_run(1);
    CHECK_EQ_INT(pair.closings, 1);
    CHECK(pair.near != NULL && pair.near->closing && !up_session_has_room(pair.near));
    CHECK_EQ_INT(v.closed, 0);
    int error = 0;
    CHECK(pair_open(&error) == NULL);
    CHECK_EQ_INT(error, E_DRAINING);
    struct ostream *x = origin_stream(&pair.origin, 0);
    REQUIRE(x != NULL);
    ostream_answer(x, 200, HTTP_BODY_STREAM);
    ostream_finish(x, 0);
    bridge_port_close(pair.origin.port, E_EOF);
    CHECK(pair.near != NULL);
    pair_run(1);
    CHECK_EQ_INT(v.closed, 1);
    CHECK_EQ_INT(v.status, 200);
    CHECK(pair.near == NULL);
    CHECK_EQ_INT(pair.closings, 1);
    CHECK_EQ_INT(pair.gone_error, E_EOF);
    visit_fini(&v);
    visit_fini(&late);
    pair_end(true);
}

static void a_port_may_close_while_somebody_opens(void)
{
    for (int order = 0; order < 2; order++) {
        pair_begin(3);
        struct visit v;
        visit_init(&v, &pair.loop[0], "/", HTTP_BODY_STREAM, 5000);
        CHECK(visit_begin(&v, pair.near)); // nothing of it has been said yet
        struct bridge_port *held = bridge_port_ref(pair.origin.port);
        bridge_port_close(pair.origin.port, E_RESET);
        pair_run(1);
        CHECK_EQ_INT(v.error, E_NOT_PROCESSED); // to be asked of another
        CHECK(pair.near == NULL);
        CHECK_EQ_INT(pair.gone_error, E_DRAINING);
        visit_fini(&v);
        pair_end(order == 0);
        CHECK(!bridge_port_look(held).open); // outlives all of it
        bridge_port_unref(held);
    }
}

static void its_own_core_may_use_a_bridge(void)
{
    pair_begin(3);
    pair.origin.echoes = true;
    struct bridge_core *first = pair.core[0];
    pair.near->ops->close(pair.near);
    pair.core[0] = pair.core[1]; // whom pair_open() asks
    int error = 0;
    pair.near = pair_open(&error);
    pair.core[0] = first;
    REQUIRE(pair.near != NULL);
    struct visit v;
    visit_init(&v, &pair.loop[1], "/here", HTTP_BODY_STREAM, 400000);
    CHECK(visit_begin(&v, pair.near));
    pair_run(1);
    CHECK_EQ_INT(v.got, 400000);
    CHECK(v.got_end && !v.wrong);
    CHECK_EQ_INT(v.closed, 1);
    visit_fini(&v);
    pair_end(false);
}

TAP_MAIN(says_what_the_session_allows, counts_what_the_session_carries,
         what_lives_goes_on_when_it_is_closing, a_port_may_close_while_somebody_opens,
         its_own_core_may_use_a_bridge)
