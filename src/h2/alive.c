// SPDX-License-Identifier: Apache-2.0
//
// PING, and what is learnt from it: how long the path takes, and whether anybody is there.
//
// The path is measured by the acknowledgement of our SETTINGS, then by a PING while windows are in use
// (flow.c), at most one in two seconds, and by those that ask a tunnel's silent peer. rtt_us is
// smoothed, for people and for who chooses among connections; rtt_least_us is the least of the last
// half minute: what the path takes while nothing waits on it. Windows are measured against that one,
// for the bytes that a window too wide leaves waiting make the path look longer.
//
// Two rules say when a peer is gone. An ordinary origin is asked only while requests wait and nothing
// comes. A tunnel's peer, on either side, is asked whenever nothing came for ten seconds and is gone
// after fifteen: the middleboxes between forget who says nothing. One whose connection was replaced may
// have lost it: it is asked at once, and what waits there is asked again elsewhere when no answer comes in
// a time that the path so far makes long: eight round trips and four times what they vary by, but at least
// a second (TCP has sent a lost PING twice again by then) and at most five. Those five it has as well when
// the path is not known, or the kernel takes no more of ours: a PING stands behind all that it holds.

#include "base/error.h"
#include "h2/conn_int.h"

enum {
    LEAST_MS = 30 * 1000, // how long the least round trip counts
    SMOOTH = 8,           // a measurement's share of the smoothed one
};

static const char measure_payload[8] = {'a', 'd', 'i', 't', '-', 'r', 't', 't'};
static const char alive_payload[8] = {'a', 'd', 'i', 't', '-', 'a', 'l', 'v'};

// ---- the path ----------------------------------------------------------------------------------------

static void note(struct h2_conn *c)
{
    uint64_t ns = c->core->loop->now_ns - c->rtt_sent_ns;
    uint64_t us = ns / 1000 + 1;
    uint32_t rtt = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    uint64_t now = h2_now_ms(c);
    if (c->rtt_us == 0) {
        c->rtt_us = rtt;
        c->rtt_varies_us = rtt / 2; // RFC 6298 2.2
    } else {
        uint32_t off = rtt > c->rtt_us ? rtt - c->rtt_us : c->rtt_us - rtt;
        c->rtt_varies_us = (uint32_t)(((uint64_t)c->rtt_varies_us * 3 + off) / 4);
        c->rtt_us = (uint32_t)(((uint64_t)c->rtt_us * (SMOOTH - 1) + rtt) / SMOOTH);
    }
    if (c->rtt_least_us == 0 || rtt < c->rtt_least_us || now - c->rtt_least_ms > LEAST_MS) {
        c->rtt_least_us = rtt;
        c->rtt_least_ms = now;
    }
    if (c->side == HTTP_UP) {
        c->u.up.session.rtt_us = c->rtt_us;
    } else {
        c->u.down.rtt_us = c->rtt_us;
    }
}

void h2_alive_settings(struct h2_conn *c)
{
    c->rtt_sent_ns = c->core->loop->now_ns;
}

void h2_alive_settings_acked(struct h2_conn *c)
{
    note(c);
}

static void ping(struct h2_conn *c, const char *payload)
{
    if (!c->rtt_pings) { // else the one under way is timed
        c->rtt_pings = true;
        c->rtt_sent_ns = c->core->loop->now_ns;
    }
    c->rtt_next_ms = h2_now_ms(c) + H2_RTT_PAUSE_MS;
    h2_tx_ping(c, payload, false);
}

void h2_alive_measure(struct h2_conn *c)
{
    if (c->acked && !c->rtt_pings && !c->dead && h2_now_ms(c) >= c->rtt_next_ms) {
        ping(c, measure_payload);
    }
}

bool h2_alive_pong(struct h2_conn *c, const char *payload)
{
    bool measures = memcmp(payload, measure_payload, sizeof(measure_payload)) == 0;
    bool asks = memcmp(payload, alive_payload, sizeof(alive_payload)) == 0;
    if (!measures && !asks) {
        return false;
    }
    if (c->rtt_pings) {
        c->rtt_pings = false;
        note(c);
    } else if (!asks || !c->alive_pings) {
        return false; // we did not ask
    }
    if (asks) {
        c->alive_pings = false;
        c->doubt_ms = 0;
        if (!c->liveness) {
            c->ping_deadline_ms = 0;
        }
    }
    return true;
}

// ---- is anybody there? ---------------------------------------------------------------------------------

static void ask_at(struct h2_conn *c, uint64_t at_ms)
{
    c->ping_deadline_ms = at_ms;
    h2_conn_deadline(c, at_ms);
}

void h2_alive_begin(struct h2_conn *c)
{
    c->liveness = true;
    transport_tune(c->t, H2_LIVE_DEAD_MS, H2_LIVE_UNSENT);
    ask_at(c, h2_now_ms(c) + H2_LIVE_ASK_MS);
}

void h2_alive_wait(struct h2_conn *c)
{
    if (c->ping_deadline_ms == 0) {
        c->heard_ms = h2_now_ms(c);
        ask_at(c, c->heard_ms + H2_SILENCE_MS);
    }
}

void h2_alive_rest(struct h2_conn *c)
{
    if (!c->liveness) {
        c->ping_deadline_ms = 0;
        c->alive_pings = false;
    }
}

static void ask_origin(struct h2_conn *c, uint64_t now)
{
    if (c->alive_pings) {
        h2_conn_close(c, true, E_RESPONSE_TIMEOUT);
        return;
    }
    if (c->live == 0) {
        c->ping_deadline_ms = 0;
        return;
    }
    if (now - c->heard_ms < H2_SILENCE_MS) {
        c->ping_deadline_ms = c->heard_ms + H2_SILENCE_MS;
        return;
    }
    c->alive_pings = true;
    c->ping_deadline_ms = now + H2_PONG_MS;
    ping(c, alive_payload);
}

/** Nobody is there, it seems at the deadline; or is it us? Who slept looks at what has come meanwhile. */
static void give_up_tunnel(struct h2_conn *c, uint64_t now, uint32_t late_ms)
{
    if (now - c->ping_deadline_ms > late_ms || c->t->readable) {
        c->ping_deadline_ms = now + H2_LIVE_LATE_MS;
    } else {
        h2_conn_close(c, true, E_PEER_SILENT);
    }
}

static void ask_tunnel(struct h2_conn *c, uint64_t now)
{
    uint64_t silent = now - c->heard_ms;
    if (silent < H2_LIVE_ASK_MS) {
        c->alive_pings = false;
        c->ping_deadline_ms = c->heard_ms + H2_LIVE_ASK_MS;
    } else if (!c->alive_pings) {
        c->alive_pings = true;
        c->ping_deadline_ms = now + (H2_LIVE_DEAD_MS - H2_LIVE_ASK_MS);
        ping(c, alive_payload);
    } else {
        give_up_tunnel(c, now, H2_LIVE_LATE_MS);
    }
}

/** Its PING has not come back yet. Bytes that come are older than the doubt, or before the answer. */
static void ask_doubted(struct h2_conn *c, uint64_t now)
{
    if (now - c->heard_ms < c->doubt_ms) {
        c->ping_deadline_ms = c->heard_ms + c->doubt_ms;
    } else {
        give_up_tunnel(c, now, c->doubt_ms / H2_DOUBT_LATE);
    }
}

/** How long an answer to a PING may take, as far as is known. */
static uint32_t patience_ms(const struct h2_conn *c)
{
    uint64_t ms = ((uint64_t)c->rtt_us * 8 + (uint64_t)c->rtt_varies_us * 4) / 1000;
    if (c->rtt_us == 0 || !c->t->writable || ms > H2_DOUBT_MOST_MS) {
        return H2_DOUBT_MOST_MS;
    }
    return ms < H2_DOUBT_LEAST_MS ? H2_DOUBT_LEAST_MS : (uint32_t)ms;
}

void h2_alive_doubt(struct h2_conn *c)
{
    if (!c->liveness || c->dead || c->doubt_ms != 0) {
        return;
    }
    c->doubt_ms = patience_ms(c);
    c->heard_ms = h2_now_ms(c); // as if: the time counts from now
    if (!c->alive_pings) {
        c->alive_pings = true;
        ping(c, alive_payload);
    }
    ask_at(c, c->heard_ms + c->doubt_ms);
}

void h2_alive_due(struct h2_conn *c)
{
    uint64_t now = h2_now_ms(c);
    if (c->doubt_ms != 0) {
        ask_doubted(c, now);
    } else if (c->liveness) {
        ask_tunnel(c, now);
    } else {
        ask_origin(c, now);
    }
}
