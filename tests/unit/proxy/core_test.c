// SPDX-License-Identifier: Apache-2.0
//
// What a core's exchanges share: their number, the snapshot, the end of a turn.

#include "proxy/core.h"

#include "proxy/fake_world.h"

static void bounds_its_exchanges(void)
{
    struct http_stream streams[5];
    world_begin("respond: x");
    for (size_t i = 0; i < array_len(streams); i++) {
        streams[i] = world->down;
        int rc = world->core.handler.begin(&world->core.handler, &streams[i]);
        CHECK_EQ_INT(rc, i < 4 ? 0 : E_OVERLOADED);
    }
    CHECK_EQ_INT(world->core.live_count, 4);
    CHECK_EQ_INT(world_count(COUNTER_requests_active), 4);
    for (size_t i = 0; i < 4; i++) {
        streams[i].events->on_closed(&streams[i]);
    }
    CHECK_EQ_INT(world->core.live_count, 0);
    CHECK_EQ_INT(world->core.exchanges.in_use, 4); // until the end of the turn
    loop_turn(&world->loop, 0);
    CHECK_EQ_INT(world->core.exchanges.in_use, 0);
    world_end();
}

static void exchanges_keep_their_snapshot(void)
{
    world_begin("proxy: 127.0.0.1:1");
    world_go(world_request("GET", "/"));
    struct fake_conf other;
    REQUIRE(fake_compile(&other, "sites: {default: {respond: new}}") == 0);
    snapshot_publish(other.snapshot, 1);
    core_swap(&world->core, other.snapshot); // the old one lives on in the exchange
    world_response(200, HTTP_BODY_NONE);
    world_close_up(0);
    CHECK_EQ_INT(world->down_status, 200);
    world_sent();
    loop_turn(&world->loop, 0); // and is freed here
    world->down_closed = false;
    world_go(world_request("GET", "/"));
    CHECK_STR(world_take(), "new");
    world_sent();
    world_end();
    other.snapshot = NULL;
    fake_conf_free(&other);
}

static void ids_are_of_their_own(void)
{
    struct http_stream a;
    struct http_stream b;
    world_begin("respond: x");
    a = world->down;
    b = world->down;
    REQUIRE(world->core.handler.begin(&world->core.handler, &a) == 0);
    REQUIRE(world->core.handler.begin(&world->core.handler, &b) == 0);
    const struct exchange *x = a.user;
    const struct exchange *y = b.user;
    CHECK(memcmp(x->id, y->id, sizeof(x->id)) != 0);
    CHECK_EQ_INT(strspn(x->id, "0123456789abcdef") >= sizeof(x->id), 1);
    a.events->on_closed(&a);
    b.events->on_closed(&b);
    world_end();
}

TAP_MAIN(bounds_its_exchanges, exchanges_keep_their_snapshot, ids_are_of_their_own)
