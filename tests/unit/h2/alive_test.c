// SPDX-License-Identifier: Apache-2.0
//
// PING: how long the path takes, who is gone, and what goes out first. GOAWAY: what its text says, and
// to whom. All with a client and a server of ours on one wire.

#include "pair.h"
#include "tap.h"

enum { MIB = 1 << 20 };

static const struct pair_terms ordinary;
static const struct pair_terms tunnel = {.liveness = true};

// ---- the path ------------------------------------------------------------------------------------------

static void knows_how_long_the_path_takes(void)
{
    pair_open(&ordinary, 30);
    CHECK(pair.up->rtt_us >= 60000 && pair.up->rtt_us < 70000); // by the SETTINGS
    CHECK(pair.down->rtt_us >= 60000 && pair.down->rtt_us < 70000);
    pair.delay_ns *= 2;
    pair.serve = 400 * MIB;
    pair.rate = 4 * MIB;
    (void)pair_ask(0);
    pair_run(9000);
    CHECK(pair.up->rtt_us > 70000);                  // it is measured while it is in use,
    CHECK(pair_conn(PAIR_UP)->rtt_least_us < 70000); // against the least,
    pair_run(40000);
    CHECK(pair_conn(PAIR_UP)->rtt_least_us >= 120000); // which does not hold for ever
    pair_close();
}

static void asks_nobody_who_is_idle(void)
{
    pair_open(&ordinary, 30);
    uint64_t before = pair.carried[PAIR_UP] + pair.carried[PAIR_DOWN];
    pair_run(30000);
    CHECK_EQ_INT(pair.carried[PAIR_UP] + pair.carried[PAIR_DOWN], before);
    pair_close();
}

// Answers that are smaller than a part of a window bring no PING.
static void measures_nothing_for_small_answers(void)
{
    pair_open(&ordinary, 1);
    pair.serve = 1000;
    for (int i = 0; i < 20; i++) {
        (void)pair_ask(0);
        pair_run(200);
    }
    CHECK(!pair_conn(PAIR_UP)->rtt_pings);
    CHECK_EQ_INT(pair_conn(PAIR_UP)->rtt_next_ms, 0);
    pair_close();
}

// ---- tunnels -------------------------------------------------------------------------------------------

static void keeps_a_tunnel_that_is_idle(void)
{
    pair_open(&tunnel, 30);
    uint64_t before = pair.carried[PAIR_UP] + pair.carried[PAIR_DOWN];
    pair_run(300000);
    CHECK(pair.up != NULL && pair.down != NULL);
    uint64_t pings = (pair.carried[PAIR_UP] + pair.carried[PAIR_DOWN] - before) / 34;
    CHECK(pings >= 25 && pings <= 62);       // one end's, or both's
    CHECK(list_empty(&pair.down_core.idle)); // nobody sheds it
    pair_close();
}

static void gives_up_a_tunnel_that_is_silent(void)
{
    pair_open(&tunnel, 30);
    pair.serve = 100 * MIB;
    struct visit *v = pair_ask(0);
    v->stalled = true;
    pair_run(1000);
    pair.cut = true;
    pair_run(14000);
    CHECK(pair.up != NULL && pair.down != NULL);
    pair_run(2000);
    CHECK_EQ_INT(pair.up_gone, 1);
    CHECK_EQ_INT(pair.up_error, E_PEER_SILENT);
    CHECK_EQ_INT(pair.down_gone, 1);
    CHECK_EQ_INT(pair.down_error, E_PEER_SILENT);
    CHECK(v->closed);
    CHECK_EQ_INT(v->error, E_PEER_SILENT);
    pair_close();
}

/** Lets time pass until the client's session is gone. Returns how much. */
static uint64_t ms_until_gone(uint64_t most)
{
    uint64_t ms = 0;
    while (pair.up != NULL && ms < most) {
        pair_run(10);
        ms += 10;
    }
    return ms;
}

// An agent that came back by another way: what its old connection carries does not wait for long. How
// long is a matter of how long its path was.
static void gives_up_sooner_who_was_replaced(void)
{
    static const struct {
        uint64_t delay_ms;
        uint64_t least;
        uint64_t most;
    } rows[] = {{1, 1000, 1100}, {30, 1000, 1100}, {150, 2400, 3200}, {2000, 5000, 5100}};
    for (unsigned i = 0; i < array_len(rows); i++) {
        pair_open(&tunnel, rows[i].delay_ms);
        pair.serve = 100 * MIB;
        struct visit *v = pair_ask(0);
        v->stalled = true;
        pair_run(9000);
        pair.cut = true;
        pair.up->ops->drain(pair.up, SLICE("replaced"));
        uint64_t ms = ms_until_gone(20000);
        CHECK(ms >= rows[i].least && ms <= rows[i].most);
        CHECK_EQ_INT(pair.up_gone, 1);
        CHECK_EQ_INT(pair.up_error, E_PEER_SILENT);
        CHECK(v->closed);
        pair_close();
    }
}

// It has both ways: nothing that it was asked is taken from it.
static void stays_with_who_was_replaced_and_answers(void)
{
    pair_open(&tunnel, 150);
    pair.serve = MIB;
    struct visit *v = pair_ask(0);
    v->stalled = true;
    pair_run(2000);
    pair.up->ops->drain(pair.up, SLICE("replaced"));
    pair_run(25000);
    CHECK_EQ_INT(pair.up_gone, 0);
    CHECK(!v->closed);
    pair_resume(v);
    pair_run(25000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, MIB);
    pair_close();
}

// What was on its way when it left is no answer.
static void is_not_calmed_by_bytes_from_before(void)
{
    pair_open(&tunnel, 30);
    pair.serve = 400 * MIB;
    (void)pair_ask(0);
    pair_run(500);
    pair.up->ops->drain(pair.up, SLICE("replaced"));
    uint64_t before = pair_conn(PAIR_UP)->rx_total;
    pair_run(25);
    REQUIRE(pair_conn(PAIR_UP)->rx_total > before && pair_conn(PAIR_UP)->alive_pings);
    pair.cut = true;
    uint64_t ms = ms_until_gone(20000);
    CHECK(ms >= 900 && ms <= 3000);
    CHECK_EQ_INT(pair.up_error, E_PEER_SILENT);
    pair_close();
}

// Behind what the kernel holds a PING takes longer than the path does.
static void is_patient_behind_what_is_not_sent(void)
{
    pair_open(&tunnel, 1);
    pair.wire_bytes = 1000;
    pair.serve_stalled = true;
    (void)pair_ask(MIB);
    pair_run(1);
    pair.cut = true;
    pair_run(20);
    REQUIRE(!pair_conn(PAIR_UP)->t->writable);
    pair.up->ops->drain(pair.up, SLICE("replaced"));
    uint64_t ms = ms_until_gone(20000);
    CHECK(ms >= 5000 && ms <= 5100);
    pair_close();
}

// Who slept while another was to answer looks at what has come before it gives him up.
static void bears_a_sleep_in_doubt(void)
{
    pair_open(&tunnel, 30);
    pair.serve = MIB;
    struct visit *v = pair_ask(0);
    v->stalled = true;
    pair_run(1000);
    pair.up->ops->drain(pair.up, SLICE("replaced"));
    pair_sleep(1500);
    pair_run(20000);
    CHECK_EQ_INT(pair.up_gone, 0);
    pair_resume(v);
    pair_run(5000);
    CHECK(v->closed && v->error == 0);
    pair_close();
}

// Who slept looks at what has come meanwhile before it gives anybody up.
static void bears_a_sleep_of_its_own(void)
{
    pair_open(&tunnel, 30);
    for (int i = 0; i < 5; i++) {
        pair_run(10500);
        pair_sleep(60000);
        pair_run(100);
        CHECK(pair.up != NULL && pair.down != NULL);
    }
    pair_close();
}

static void a_busy_tunnel_is_alive(void)
{
    pair_open(&tunnel, 50);
    pair.rate = MIB / 4; // the queue before the wire is longer than the silence that is borne
    pair.serve = 20 * MIB;
    pair_run(1000);
    struct visit *v = pair_ask(20 * MIB);
    pair_run(100000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 20 * MIB);
    pair_close();
}

// ---- what goes out first --------------------------------------------------------------------------------

/** Where a PING stands in the queue of a connection: how many bytes are before it. */
static size_t bytes_before_ping(const struct h2_conn *c)
{
    size_t n = 0;
    for (uint32_t i = 0; c->out != NULL && i < c->out->count; i++) {
        const struct span *s = &c->out->spans[(c->out->head + i) % H2_OUT_SPANS];
        if (s->len == 17 && s->chunk->data[s->off + 3] == H2_PING) {
            return n;
        }
        n += s->len;
    }
    return SIZE_MAX;
}

static void a_ping_jumps_the_queue(void)
{
    pair_open(&ordinary, 50);
    pair.serve = 3 * MIB + 12345;
    pair.wire_bytes = 40000; // the kernel takes little
    struct visit *v[4];
    for (unsigned i = 0; i < array_len(v); i++) {
        v[i] = pair_ask(0);
    }
    unsigned seen = 0;
    for (int i = 0; i < 300; i++) {
        pair_run(10);
        struct h2_conn *c = pair.down == NULL ? NULL : pair_conn(PAIR_DOWN);
        if (c == NULL || h2_out_bytes(c) < 64 * 1024) {
            continue;
        }
        h2_tx_ping(c, "adit-alv", false);
        size_t before = bytes_before_ping(c);
        CHECK(before <= 2 * (H2_FRAME_MAX + 9));
        CHECK(h2_out_bytes(c) > 64 * 1024);
        c->alive_pings = true;
        seen++;
    }
    CHECK(seen > 50);
    pair.wire_bytes = 64 << 20;
    pair_run(20000);
    for (unsigned i = 0; i < array_len(v); i++) {
        CHECK(v[i]->closed && v[i]->error == 0);
        CHECK_EQ_INT(v[i]->taken, 3 * MIB + 12345);
    }
    pair_close();
}

// ---- GOAWAY --------------------------------------------------------------------------------------------

static void drains_with_a_word(void)
{
    pair_open(&tunnel, 30);
    pair.serve = 5 * MIB;
    struct visit *v = pair_ask(0);
    pair_run(100);
    pair.up->ops->drain(pair.up, SLICE("reconnect within=2000"));
    CHECK(!up_session_has_room(pair.up));
    CHECK_EQ_INT(pair.up_gone, 0);
    pair_run(100);
    CHECK_EQ_INT(pair.goaways, 1);
    CHECK_STR(pair.down_text, "reconnect within=2000");
    CHECK_EQ_INT(pair.closings, 0); // the owner knows
    CHECK(pair.up != NULL);
    pair_run(10000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(v->taken, 5 * MIB);
    CHECK_EQ_INT(pair.up_gone, 1);
    CHECK_EQ_INT(pair.up_error, E_EOF);
    CHECK_EQ_INT(pair.down_gone, 1);
    CHECK_EQ_INT(pair.down_error, E_EOF);
    pair_close();
}

static void drains_at_once_when_it_carries_nothing(void)
{
    pair_open(&tunnel, 30);
    pair.up->ops->drain(pair.up, SLICE("end the token was revoked"));
    CHECK_EQ_INT(pair.up_gone, 0); // not from inside
    pair_run(1000);
    CHECK_EQ_INT(pair.up_gone, 1);
    CHECK_EQ_INT(pair.down_gone, 1);
    CHECK_STR(pair.down_text, "end the token was revoked");
    pair_close();
}

// An edge that restarts: what it asks after its word is answered like anything else.
static void asks_on_after_a_word(void)
{
    pair_open(&ordinary, 30);
    pair.stays = true;
    pair.serve = 1000;
    struct visit *first = pair_ask(0);
    pair_run(200);
    REQUIRE(first->closed && first->error == 0);
    pair.up->ops->announce(pair.up, SLICE("reconnect within=1000"));
    pair_run(200);
    CHECK_EQ_INT(pair.goaways, 1);
    CHECK_STR(pair.down_text, "reconnect within=1000");
    struct visit *second = pair_ask(0);
    pair_run(200);
    CHECK(second->closed && second->error == 0);
    CHECK_EQ_INT(pair.up_gone + pair.down_gone, 0);
    pair.up->ops->drain(pair.up, SLICE(""));
    pair_run(1000);
    CHECK_EQ_INT(pair.up_gone, 1);
    pair_close();
}

static void passes_on_what_the_server_says(void)
{
    char text[1000];
    memset(text, 'x', sizeof(text));
    pair_open(&ordinary, 30);
    pair.serve = 30 * MIB;
    struct visit *v = pair_ask(0);
    pair_run(100);
    h2_tx_goaway_text(pair_conn(PAIR_DOWN), H2_STREAM_ID_MAX, H2_NO_ERROR, slice_of(text, 1000));
    pair_run(200);
    CHECK_EQ_INT(pair.closings, 1);
    CHECK_EQ_INT(strlen(pair.up_text), SESSION_TEXT_MAX); // more is left out
    CHECK_EQ_INT(pair.up->goaway_text.len, 0);
    pair_run(10000);
    CHECK(v->closed && v->error == 0);
    CHECK_EQ_INT(pair.up_gone, 1);
    pair_close();
}

/** A GOAWAY whose debug data is n bytes long, as raw bytes from the client. */
static void send_raw_goaway(size_t n)
{
    char head[17];
    char text[4096];
    REQUIRE(n <= sizeof(text));
    memset(text, 'y', n);
    h2_frame_write(head, (struct h2_frame){.length = (uint32_t)(8 + n), .type = H2_GOAWAY});
    memset(head + 9, 0, 8);
    struct h2_conn *c = pair_conn(PAIR_UP);
    REQUIRE(h2_tx_bytes(c, head, sizeof(head)) && h2_tx_bytes(c, text, n));
    h2_conn_again(c);
}

static void bears_any_length_of_text(void)
{
    static const size_t lengths[] = {0, 1, 55, 56, 255, 256, 257, 4000};
    for (unsigned i = 0; i < array_len(lengths); i++) {
        pair_open(&ordinary, 10);
        pair.serve = 300000;
        struct visit *v = pair_ask(0);
        pair_run(5);
        pair.wire_bytes = 40; // comes in slivers
        send_raw_goaway(lengths[i]);
        pair_run(20000);
        size_t want = lengths[i] < SESSION_TEXT_MAX ? lengths[i] : SESSION_TEXT_MAX;
        CHECK_EQ_INT(pair.goaways, 1);
        CHECK_EQ_INT(strlen(pair.down_text), want);
        pair.wire_bytes = 1 << 20;
        pair_run(5000);
        CHECK(v->closed && v->error == 0);
        pair_close();
    }
}

// A text that never comes to its end holds memory of its connection only, and goes with it.
static void forgets_half_a_text(void)
{
    pair_open(&ordinary, 10);
    char head[17];
    h2_frame_write(head, (struct h2_frame){.length = 8 + 100, .type = H2_GOAWAY});
    memset(head + 9, 0, 8);
    REQUIRE(h2_tx_bytes(pair_conn(PAIR_UP), head, sizeof(head)));
    h2_conn_again(pair_conn(PAIR_UP));
    pair_run(100);
    CHECK_EQ_INT(pair.goaways, 0);
    CHECK(pair_conn(PAIR_DOWN)->text != NULL);
    pair_break();
    pair_run(10);
    CHECK_EQ_INT(pair.down_gone, 1);
    pair_close();
}

// ---- other ends ----------------------------------------------------------------------------------------

// A server that breaks the rules: those who wait for the room that its streams leave are not given to it.
static void gives_nothing_to_who_broke_the_rules(void)
{
    static const struct pair_terms *const kinds[] = {&ordinary, &tunnel};
    for (unsigned i = 0; i < array_len(kinds); i++) {
        pair_open(kinds[i], 30);
        pair.serve = 5 * MIB;
        struct visit *first = pair_ask(0);
        struct visit *second = pair_ask(0);
        pair_run(100);
        CHECK(!first->closed && !second->closed);
        h2_conn_fail(pair_conn(PAIR_UP), H2_PROTOCOL_ERROR, E_PROTOCOL);
        CHECK(first->closed && !first->had_room);
        CHECK(second->closed && !second->had_room);
        CHECK_EQ_INT(first->error, E_PROTOCOL);
        CHECK_EQ_INT(pair.closings, 1);
        CHECK_EQ_INT(pair.up_gone, 1);
        CHECK_EQ_INT(pair.up_error, E_PROTOCOL);
        pair_run(5000);
        pair_close();
    }
}

TAP_MAIN(knows_how_long_the_path_takes, asks_nobody_who_is_idle, measures_nothing_for_small_answers,
         keeps_a_tunnel_that_is_idle, gives_up_a_tunnel_that_is_silent,
         gives_up_sooner_who_was_replaced, stays_with_who_was_replaced_and_answers,
         is_not_calmed_by_bytes_from_before, is_patient_behind_what_is_not_sent,
         bears_a_sleep_in_doubt, bears_a_sleep_of_its_own, a_busy_tunnel_is_alive,
         a_ping_jumps_the_queue, drains_with_a_word, drains_at_once_when_it_carries_nothing,
         asks_on_after_a_word, passes_on_what_the_server_says, bears_any_length_of_text,
         forgets_half_a_text, gives_nothing_to_who_broke_the_rules)
