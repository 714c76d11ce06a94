// SPDX-License-Identifier: Apache-2.0
//
// Windows of streams: when they grow, what for, what it costs, and that it is all given back.

#include "pair.h"
#include "tap.h"

enum { MIB = 1 << 20, EXTRA = 16 * MIB - H2_STREAM_WINDOW };

static const struct pair_terms ordinary;

// ---- growth ------------------------------------------------------------------------------------------

static void grows_with_the_path(void)
{
    pair_open(&ordinary, 50);
    struct visit *v = pair_ask(UINT64_C(300) * MIB);
    pair_run(3000);
    const struct h2_stream *s = pair_stream(pair_served(v));
    CHECK_EQ_INT(s->window, 16 * MIB);
    CHECK_EQ_INT(s->reserved, EXTRA);
    CHECK_EQ_INT(pair_reserved(), EXTRA);
    CHECK(s->rx_window <= 16 * MIB);
    pair_run(20000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(pair.visits[1].taken, 300 * MIB);
    pair_close();
}

// The client's side of a download, which begins with the same windows.
static void grows_on_the_other_side_as_well(void)
{
    pair_open(&ordinary, 50);
    pair.serve = UINT64_C(100) * MIB;
    struct visit *v = pair_ask(0);
    pair_run(2000);
    CHECK(pair_stream(v)->window >= 8 * MIB);
    pair_run(20000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 100 * MIB);
    pair_close();
}

// 64 KiB every 100 ms need no more than the first window, however long the path is.
static void does_not_grow_for_who_sends_little(void)
{
    pair_open(&ordinary, 50);
    pair.serve = 100 * MIB;
    struct visit *v = pair_ask(0);
    v->slowly = 640; // bytes in a millisecond
    pair_run(10000);
    CHECK_EQ_INT(pair_stream(v)->window, H2_STREAM_WINDOW);
    CHECK_EQ_INT(pair_reserved(), 0);
    CHECK(v->taken >= 5 * MIB);
    pair_close();
}

static void does_not_grow_for_who_does_not_read(void)
{
    pair_open(&ordinary, 50);
    pair.serve = 100 * MIB;
    struct visit *v = pair_ask(0);
    v->stalled = true;
    pair_run(5000);
    const struct h2_stream *s = pair_stream(v);
    CHECK_EQ_INT(s->window, H2_STREAM_WINDOW);
    CHECK_EQ_INT(s->rx_window, 0);
    CHECK_EQ_INT(s->rx_noted, H2_STREAM_WINDOW);
    pair_resume(v);
    pair_run(20000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 100 * MIB);
    pair_close();
}

static void stays_within_what_was_allowed(void)
{
    pair_open(&(struct pair_terms){.window_most = H2_STREAM_WINDOW}, 50);
    pair.serve = 10 * MIB;
    struct visit *v = pair_ask(0);
    pair_run(1000);
    CHECK_EQ_INT(pair_stream(v)->window, H2_STREAM_WINDOW);
    CHECK_EQ_INT(pair_reserved(), 0);
    pair_run(20000);
    CHECK_EQ_INT(v->taken, 10 * MIB);
    pair_close();
}

// ---- shrinking -----------------------------------------------------------------------------------------

static void shrinks_for_a_reader_that_slows_down(void)
{
    pair_open(&ordinary, 50);
    pair.serve = UINT64_C(4000) * MIB;
    struct visit *v = pair_ask(0);
    pair_run(2000);
    const struct h2_stream *s = pair_stream(v);
    CHECK_EQ_INT(s->window, 16 * MIB);
    v->slowly = 500;
    pair_run(1000);
    CHECK_EQ_INT(pair_reserved(), EXTRA); // what was promised has come, and is held
    CHECK(s->rx_noted > 12 * MIB);
    pair_run(75000); // two windows' worth, of 16 and 8 MiB, and what was drained of one before
    CHECK(s->window < 8 * MIB);
    CHECK(s->rx_window + (int64_t)s->rx_noted <= (int64_t)H2_STREAM_WINDOW + s->reserved);
    CHECK_EQ_INT(pair_reserved(), s->reserved);
    CHECK(s->reserved < EXTRA);
    pair_close();
}

static void gives_up_what_a_body_that_ended_does_not_hold(void)
{
    pair_open(&ordinary, 50);
    pair.serve_stalled = false;
    pair.serve = UINT64_C(4000) * MIB; // the answer goes on when the request has ended
    struct visit *v = pair_ask(UINT64_C(60) * MIB);
    v->stalled = true;
    pair_run(20000);
    struct visit *served = pair_served(v);
    CHECK(served->ended && served->taken == 60 * MIB);
    CHECK_EQ_INT(pair_stream(served)->reserved, 0);
    CHECK_EQ_INT(pair_reserved(), 0);
    pair_close();
}

// ---- budgets -----------------------------------------------------------------------------------------

static void goes_on_with_the_first_window_when_the_process_has_nothing_left(void)
{
    pair_open(&(struct pair_terms){.small = true}, 20);
    pair.serve = 20 * MIB;
    struct visit *v = pair_ask(20 * MIB);
    pair_run(1000);
    CHECK_EQ_INT(pair_stream(v)->window, H2_STREAM_WINDOW);
    CHECK_EQ_INT(pair_stream(pair_served(v))->window, H2_STREAM_WINDOW);
    pair_run(20000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 20 * MIB);
    CHECK_EQ_INT(pair.visits[1].taken, 20 * MIB);
    pair_close();
}

static void shares_what_one_connection_may_reserve(void)
{
    pair_open(&ordinary, 50);
    pair.serve = UINT64_C(1000) * MIB;
    for (int i = 0; i < 6; i++) {
        (void)pair_ask(0);
    }
    pair_run(10000);
    CHECK(pair_reserved() <= 32 * MIB);
    CHECK(pair_reserved() >= 16 * MIB);
    CHECK_EQ_INT(pair_reserved(), pair_conn(PAIR_UP)->window_extra);
    for (int i = 0; i < 6; i++) {
        CHECK(pair.visits[i].taken > MIB);
    }
    pair_close();
}

// The last half of what the process has left is never one stream's.
static void leaves_something_to_others(void)
{
    pair_open(&ordinary, 50);
    pair.windows.max = 3 * MIB;
    pair.serve = UINT64_C(1000) * MIB;
    (void)pair_ask(0);
    pair_run(10000);
    CHECK(pair_reserved() >= MIB / 2);
    CHECK(pair_reserved() < 3 * MIB);
    uint64_t first = pair_reserved();
    (void)pair_ask(0);
    pair_run(10000);
    CHECK(pair_reserved() > first);
    CHECK(pair_reserved() <= 3 * MIB);
    pair_close();
}

// With 3 of 4 chunks in use windows are renewed to a part of the first one, and everything goes on.
static void goes_on_when_memory_is_scarce(void)
{
    pair_open(&(struct pair_terms){.chunks_max = 400}, 20);
    pair.serve = 5 * MIB;
    struct chunk *kept[302];
    for (unsigned i = 0; i < array_len(kept); i++) {
        kept[i] = chunk_new(&pair.loop.chunks);
        REQUIRE(kept[i] != NULL);
    }
    struct visit *v = pair_ask(5 * MIB);
    pair_run(2000);
    CHECK(pair_stream(v)->rx_window <= H2_STREAM_WINDOW / 4);
    CHECK_EQ_INT(pair_reserved(), 0);
    for (unsigned i = 0; i < array_len(kept); i++) {
        chunk_unref(kept[i]);
    }
    pair_run(20000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 5 * MIB);
    pair_close();
}

// ---- neighbours ----------------------------------------------------------------------------------------

// Forty streams that nobody reads hold ten MiB, and the one beside them is as fast as alone.
static void stalled_streams_hold_up_nobody(void)
{
    pair_open(&ordinary, 20);
    pair.serve = 20 * MIB;
    for (int i = 0; i < 20; i++) {
        pair_ask(0)->stalled = true;
    }
    pair_run(1000);
    CHECK_EQ_INT(pair_conn(PAIR_UP)->rx_pending, 20 * H2_STREAM_WINDOW);
    struct visit *v = pair_ask(0);
    pair_run(2000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 20 * MIB);
    pair_close();
}

// A client whose uploads nobody takes holds no more than its budget, and has its credit back later.
static void a_client_holds_no_more_than_its_budget(void)
{
    pair_open(&ordinary, 20);
    pair.serve_stalled = true;
    for (int i = 0; i < 30; i++) {
        (void)pair_ask(2 * MIB);
    }
    pair_run(5000);
    const struct h2_conn *c = pair_conn(PAIR_DOWN);
    CHECK(c->rx_pending <= c->budget);
    CHECK(c->rx_pending > c->budget / 4 * 3);
    for (unsigned i = 30; i < pair.visit_count; i++) {
        pair_resume(&pair.visits[i]);
    }
    pair_run(20000);
    uint64_t taken = 0;
    for (unsigned i = 30; i < pair.visit_count; i++) {
        taken += pair.visits[i].taken;
    }
    CHECK_EQ_INT(taken, 60 * MIB);
    pair_close();
}

// The same on a tunnel, where each stream is another person's.
static void a_tunnel_takes_no_ones_credit(void)
{
    pair_open(&(struct pair_terms){.liveness = true}, 20);
    pair.serve_stalled = true;
    for (int i = 0; i < 30; i++) {
        (void)pair_ask(2 * MIB);
    }
    pair_run(2000);
    CHECK_EQ_INT(pair_conn(PAIR_DOWN)->rx_pending, 30 * H2_STREAM_WINDOW);
    pair.serve_stalled = false;
    struct visit *v = pair_ask(10 * MIB);
    pair_run(3000);
    CHECK(v->closed && v->error == 0);
    pair_close();
}

// ---- every end gives back ------------------------------------------------------------------------------

static void the_client_resets(void)
{
    struct visit *v = &pair.visits[0];
    v->stream->ops->reset(v->stream, E_CLIENT_GONE);
}

static void the_server_resets(void)
{
    struct visit *v = pair_served(&pair.visits[0]);
    v->stream->ops->reset(v->stream, E_OVERLOADED);
}

static void the_producer_breaks_off(void)
{
    struct visit *v = &pair.visits[0];
    http_body_fail(&v->out, E_EARLY_CLOSE);
    http_body_notify(&v->out);
}

static void the_reader_stalls_and_breaks(void)
{
    pair_served(&pair.visits[0])->stalled = true;
    pair.visits[0].stalled = true;
    pair_run(1000);
    CHECK(pair_reserved() > 0);
    pair_break();
}

static void a_rule_is_broken(void)
{
    h2_conn_fail(pair_conn(PAIR_DOWN), H2_PROTOCOL_ERROR, E_PROTOCOL);
}

static void the_session_is_aborted(void)
{
    pair.down->ops->abort(pair.down);
}

static void the_client_closes(void)
{
    h2_conn_close(pair_conn(PAIR_UP), false, E_EOF);
}

// ---- pieces --------------------------------------------------------------------------------------------

// Who takes content hears of it when all that there was has been read, or its pipe is nearly full.
static void tells_seldom_of_much(void)
{
    pair_open(&ordinary, 1);
    struct visit *v = pair_ask(16 * MIB);
    pair_run(5000);
    CHECK(v->closed && v->error == 0);
    const struct visit *served = &pair.visits[1];
    CHECK_EQ_INT(served->taken, 16 * MIB);
    CHECK(served->told < 16 * MIB / (2 * H2_FRAME_MAX)); // of 1,027 frames and as many reads
    pair_close();
}

// Between the ends of a tunnel frames are larger than those that everybody takes.
static void a_tunnel_has_larger_frames(void)
{
    static const struct pair_terms tunnel = {.liveness = true};
    for (int i = 0; i < 2; i++) {
        pair_open(i == 0 ? &ordinary : &tunnel, 1);
        uint32_t most = i == 0 ? H2_FRAME_MAX : H2_FRAME_MAX_TUNNEL;
        CHECK_EQ_INT(pair_conn(PAIR_UP)->peer_frame, most);
        CHECK_EQ_INT(pair_conn(PAIR_DOWN)->peer_frame, most);
        uint64_t before = pair.carried[PAIR_UP];
        struct visit *v = pair_ask(16 * MIB);
        pair_run(5000);
        CHECK(v->closed && v->error == 0);
        uint64_t heads = pair.carried[PAIR_UP] - before - 16 * MIB;
        CHECK(heads / H2_FRAME_HEAD >= 16 * MIB / most);
        CHECK(heads / H2_FRAME_HEAD < 16 * MIB / most * 3 / 2); // windows cut some
        pair_close();
    }
}

static void every_end_gives_back(void)
{
    static void (*const ways[])(void) = {the_client_resets,
                                         the_server_resets,
                                         the_producer_breaks_off,
                                         pair_break,
                                         the_reader_stalls_and_breaks,
                                         a_rule_is_broken,
                                         the_session_is_aborted,
                                         the_client_closes};
    for (unsigned i = 0; i < array_len(ways); i++) {
        pair_open(&ordinary, 50);
        pair.serve = UINT64_C(4000) * MIB;
        (void)pair_ask(UINT64_C(4000) * MIB);
        pair_run(3000);
        CHECK(pair_reserved() > 16 * MIB); // on both sides
        ways[i]();
        pair_run(1000);
        CHECK_EQ_INT(pair_reserved(), 0);
        CHECK(pair.visits[0].closed);
        CHECK(pair.visits[1].closed);
        pair_close();
    }
}

TAP_MAIN(grows_with_the_path, grows_on_the_other_side_as_well, does_not_grow_for_who_sends_little,
         does_not_grow_for_who_does_not_read, stays_within_what_was_allowed,
         shrinks_for_a_reader_that_slows_down, gives_up_what_a_body_that_ended_does_not_hold,
         goes_on_with_the_first_window_when_the_process_has_nothing_left,
         shares_what_one_connection_may_reserve, leaves_something_to_others,
         goes_on_when_memory_is_scarce, stalled_streams_hold_up_nobody,
         a_client_holds_no_more_than_its_budget, a_tunnel_takes_no_ones_credit,
         tells_seldom_of_much, a_tunnel_has_larger_frames, every_end_gives_back)
