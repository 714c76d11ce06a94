// SPDX-License-Identifier: Apache-2.0
//
// Flow control (RFC 9113 5.2), both directions.
//
// Receiving: credit of the connection goes back on receipt, that of a stream when its pipe has
// drained, so a stalled stream holds up nobody but itself. What all streams hold undrained is counted
// (rx_pending); beyond the connection's budget its credit waits as well.
//
// Windows begin at H2_STREAM_WINDOW. While a stream has used half of its window we time a PING: when
// two thirds of a window arrive within one round trip the window is what limits the path, and it is
// doubled, as far as the connection's budget and that of the core go. Under memory pressure nothing
// grows, and what was promised beyond the first window is not renewed.

#include "base/error.h"
#include "base/num.h"
#include "h2/conn_int.h"

enum {
    BDP_PAUSE_MS = 500,   // between two measurements that changed nothing
    BDP_BUDGET_SHARE = 4, // one stream gets at most this part of the connection's budget
};

/** Chunks are getting scarce on this core. */
static bool is_pressed(const struct h2_core *core)
{
    const struct chunk_pool *p = &core->loop->chunks;
    return p->in_use > p->in_use_max / 4 * 3;
}

// ---- receiving: the connection -----------------------------------------------------------------------

static void measure(struct h2_conn *c, uint32_t n)
{
    if (c->bdp_runs) {
        c->bdp_bytes += n;
        return;
    }
    uint64_t now = h2_now_ms(c);
    if (now < c->bdp_next_ms || c->rx_target - c->rx_window < c->stream_window / 4) {
        return;
    }
    c->bdp_runs = true;
    c->bdp_start_ns = c->core->loop->now_ns;
    c->bdp_bytes = n;
    h2_tx_frame(c, H2_PING, 0, 0, "adit-bdp", 8);
}

bool h2_flow_received(struct h2_conn *c, uint32_t n)
{
    c->rx_window -= n;
    if (c->rx_window < 0) {
        h2_conn_fail(c, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL);
        return false;
    }
    if (n > 0) {
        measure(c, n);
    }
    return true;
}

void h2_flow_credit_conn(struct h2_conn *c)
{
    int64_t due = c->rx_target - c->rx_window;
    if (due < c->rx_target / 2 || c->rx_pending > c->budget) {
        return;
    }
    c->rx_window += due;
    h2_tx_window(c, 0, (uint32_t)due);
}

/** The window was what limited the path: it doubles. */
static void grow(struct h2_conn *c)
{
    struct h2_core *core = c->core;
    uint64_t want = (uint64_t)c->stream_window * 2;
    uint64_t most = num_min_u64(H2_STREAM_WINDOW_MAX, c->budget / BDP_BUDGET_SHARE);
    uint64_t extra = want - c->stream_window;
    if (want > most || is_pressed(core) || core->window_extra + extra > core->window_extra_max) {
        return;
    }
    core->window_extra += extra;
    c->window_extra += (uint32_t)extra;
    c->stream_window = (uint32_t)want;
    if (c->rx_target < (int64_t)(2 * want)) {
        c->rx_target = (int64_t)(2 * want);
    }
}

void h2_flow_pong(struct h2_conn *c)
{
    if (!c->bdp_runs) {
        return;
    }
    c->bdp_runs = false;
    if (c->bdp_bytes >= (uint64_t)c->stream_window / 3 * 2) {
        grow(c);
        c->bdp_next_ms = h2_now_ms(c);
    } else {
        c->bdp_next_ms = h2_now_ms(c) + BDP_PAUSE_MS;
    }
}

void h2_flow_release(struct h2_conn *c)
{
    ensure(c->core->window_extra >= c->window_extra);
    c->core->window_extra -= c->window_extra;
    c->window_extra = 0;
}

// ---- receiving: a stream -----------------------------------------------------------------------------

static uint64_t undrained(const struct h2_stream *s)
{
    uint64_t n = s->held_bytes;
    if (s->rx_body != NULL) {
        n += s->rx_body->put_total - s->rx_body->taken_total;
    }
    return n;
}

static void note_pending(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    uint64_t n = num_min_u64(undrained(s), UINT32_MAX);
    ensure(c->rx_pending >= s->rx_noted);
    c->rx_pending = c->rx_pending - s->rx_noted + n;
    s->rx_noted = (uint32_t)n;
}

void h2_flow_credit(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    uint64_t before = s->rx_noted;
    note_pending(s);
    if (s->rx_noted < before) {
        h2_flow_credit_conn(c); // it may have waited for the budget
    }
    if (s->rx == H2_RX_DONE || s->dead) {
        return;
    }
    uint32_t target = is_pressed(c->core) ? H2_STREAM_WINDOW : c->stream_window;
    int64_t due = (int64_t)target - s->rx_window - (int64_t)s->rx_noted;
    if (due < (int64_t)(target / 4)) {
        return;
    }
    s->rx_window += due;
    h2_tx_window(c, s->id, (uint32_t)due);
}

// ---- sending -----------------------------------------------------------------------------------------

/** A window update is worth something when we have sent something; more than that costs. */
static bool note_update(struct h2_conn *c)
{
    if (c->updates_allowed > 0) {
        c->updates_allowed--;
        return true;
    }
    return h2_glitch(c, H2_GLITCH_WINDOW, 1);
}

static void update_conn(struct h2_conn *c, uint32_t n)
{
    if (n == 0) {
        h2_conn_fail(c, H2_PROTOCOL_ERROR, E_PROTOCOL);
        return;
    }
    if (c->tx_window + n > H2_WINDOW_MAX) {
        h2_conn_fail(c, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL);
        return;
    }
    c->tx_window += n;
    c->stall_deadline_ms = 0;
    if (note_update(c)) {
        h2_conn_again(c);
    }
}

void h2_flow_update(struct h2_conn *c, uint32_t id, uint32_t n)
{
    if (id == 0) {
        update_conn(c, n);
        return;
    }
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL) {
        if (id > c->last_id || id % 2 == 0) {
            h2_conn_fail(c, H2_PROTOCOL_ERROR, E_PROTOCOL); // idle (RFC 9113 5.1)
        } else {
            (void)note_update(c); // on its way when the stream ended
        }
        return;
    }
    bool over = n > 0 && (int64_t)s->tx_window + n > H2_WINDOW_MAX;
    if (n == 0 || over) {
        h2_stream_reset(s, over ? H2_FLOW_CONTROL_ERROR : H2_PROTOCOL_ERROR,
                        over ? E_FLOW_CONTROL : E_PROTOCOL);
        if (!c->dead) {
            (void)h2_glitch(c, H2_GLITCH_MADE_US, 4);
        }
        return;
    }
    s->tx_window += (int32_t)n;
    if (note_update(c)) {
        h2_tx_ready(s);
    }
}

void h2_flow_initial(struct h2_conn *c, uint32_t window)
{
    if (window > H2_WINDOW_MAX) {
        h2_conn_fail(c, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL);
        return;
    }
    int64_t change = (int64_t)window - c->peer_window;
    c->peer_window = window;
    list_each(node, &c->streams)
    {
        struct h2_stream *s = list_entry(node, struct h2_stream, link);
        int64_t fresh = s->tx_window + change;
        if (fresh > H2_WINDOW_MAX) {
            h2_conn_fail(c, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL); // RFC 9113 6.9.2
            return;
        }
        s->tx_window = (int32_t)fresh; // may become negative
        h2_tx_ready(s);
    }
}
