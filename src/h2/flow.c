// SPDX-License-Identifier: Apache-2.0
//
// Flow control (RFC 9113 5.2), both directions.
//
// Receiving: credit of the connection goes back on receipt, that of a stream when its pipe has
// drained, so a stalled stream holds up nobody but itself. What all streams of an ordinary client hold
// undrained is counted (rx_pending), and its connection's window promises no more than what is left
// of the budget. Behind an origin's or an agent's connection are many people, none of whom may make
// another wait: there only the streams' own windows bound what is held.
//
// Every stream has H2_STREAM_WINDOW. When its reader has drained a whole window within four round
// trips, the window may be what limits the path: it doubles (within two: quadruples), after the difference
// was reserved: from the connection (two streams' full windows) and from the process, of which one
// step takes at most half of what is left. So windows end between four and eight times what the path
// holds; less would not bear packets that come late. A reader that takes much longer gets less again.
// A reservation is given back when neither the window nor what the stream holds needs it any more,
// and with the stream. When chunks are scarce on this core nothing grows, and windows are renewed to
// a part of the first one only.

#include "base/error.h"
#include "base/num.h"
#include "h2/conn_int.h"

enum {
    GROW_TRIPS = 4,    // a window drained within so many round trips is too small,
    FAR_TRIPS = 2,     // and much too small
    SHRINK_TRIPS = 32, // one in no less than so many too large,
    SHRINK_MS = 1000,  // if that is not for a short path only
    FULL_WINDOWS = 2,  // that one connection may reserve
    LEFT_SHARE = 2,    // of what the process has left, for one step
    CREDIT_SHARE = 4,  // of a stream's window that must be due before it is renewed
    PRESSED_WINDOW = H2_STREAM_WINDOW / 4,
};

/** Chunks are getting scarce on this core. */
static bool is_pressed(const struct h2_core *core)
{
    const struct chunk_pool *p = &core->loop->chunks;
    return p->in_use > p->in_use_max / 4 * 3;
}

/** To what a stream's window may grow. */
static uint32_t most_of(const struct h2_conn *c)
{
    uint32_t n = c->core->down->settings.window_bytes;
    return n > 0 ? n : H2_STREAM_WINDOW_MAX;
}

// ---- receiving: the connection -----------------------------------------------------------------------

/** What the connection's window may promise now. */
static int64_t conn_window(const struct h2_conn *c)
{
    if (c->side == HTTP_UP || c->liveness) {
        return H2_CONN_WINDOW_MAX;
    }
    uint64_t most = c->budget + c->window_extra;
    uint64_t left = most > c->rx_pending ? most - c->rx_pending : 0;
    return (int64_t)num_min_u64(left, H2_CONN_WINDOW_MAX);
}

bool h2_flow_received(struct h2_conn *c, uint32_t n)
{
    c->rx_window -= n;
    if (c->rx_window < 0) {
        h2_conn_fail(c, H2_FLOW_CONTROL_ERROR, E_FLOW_CONTROL);
        return false;
    }
    return true;
}

void h2_flow_credit_conn(struct h2_conn *c)
{
    int64_t window = conn_window(c);
    int64_t due = window - c->rx_window;
    if (due < window / 2 || due < H2_FRAME_MAX) {
        return;
    }
    c->rx_window += due;
    h2_tx_window(c, 0, (uint32_t)due);
}

void h2_flow_open(struct h2_conn *c)
{
    int64_t due = conn_window(c) - c->rx_window;
    if (due > 0) {
        c->rx_window += due;
        h2_tx_window(c, 0, (uint32_t)due);
    }
}

// ---- receiving: how large a stream's window is ---------------------------------------------------------

static bool reserve(struct h2_conn *c, uint32_t n)
{
    struct h2_windows *w = c->core->windows;
    uint64_t most = (uint64_t)most_of(c) * FULL_WINDOWS;
    if (is_pressed(c->core) || c->window_extra + n > most) {
        return false;
    }
    uint_fast64_t used = atomic_load_explicit(&w->used, memory_order_relaxed);
    do {
        if (used > w->max || n > (w->max - used) / LEFT_SHARE) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&w->used, &used, used + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    c->window_extra += n;
    return true;
}

static void give_back(struct h2_stream *s, uint32_t n)
{
    struct h2_conn *c = s->conn;
    uint_fast64_t before =
        atomic_fetch_sub_explicit(&c->core->windows->used, n, memory_order_relaxed);
    ensure(before >= n && c->window_extra >= n && s->reserved >= n);
    c->window_extra -= n;
    s->reserved -= n;
}

/** Keeps of the reservation what n promised or held bytes need. */
static void keep(struct h2_stream *s, uint64_t n)
{
    uint64_t needs = n > H2_STREAM_WINDOW ? n - H2_STREAM_WINDOW : 0;
    if (needs < s->reserved) {
        give_back(s, s->reserved - (uint32_t)needs);
    }
}

void h2_flow_forget(struct h2_stream *s)
{
    if (s->reserved > 0) {
        give_back(s, s->reserved);
    }
}

/** False: nothing could be reserved for it. */
static bool grow(struct h2_stream *s, unsigned times)
{
    uint64_t want = num_min_u64((uint64_t)s->window * times, most_of(s->conn));
    uint64_t has =
        (uint64_t)H2_STREAM_WINDOW + s->reserved; // more than its window when that shrank
    uint32_t extra = want > has ? (uint32_t)(want - has) : 0;
    if (want <= s->window) {
        return true;
    }
    if (extra > 0 && !reserve(s->conn, extra)) {
        return false;
    }
    s->reserved += extra;
    s->window = (uint32_t)want;
    return true;
}

/** n bytes were drained: times a window's worth of them. */
static void time_window(struct h2_stream *s, uint32_t n)
{
    struct h2_conn *c = s->conn;
    uint64_t now = c->core->loop->now_ns;
    s->epoch_bytes += n;
    if (s->epoch_ns != 0 && s->epoch_bytes < s->window) {
        return;
    }
    bool first = s->epoch_ns == 0;
    uint64_t took = now - s->epoch_ns;
    s->epoch_ns = now;
    s->epoch_bytes = 0;
    h2_alive_measure(c);
    uint64_t trip = (uint64_t)c->rtt_least_us * 1000;
    if (first || trip == 0) {
        return;
    }
    if (took < trip * GROW_TRIPS) {
        bool far = took < trip * FAR_TRIPS;
        if (!far || !grow(s, 4)) {
            (void)grow(s, 2);
        }
    } else if (took > trip * SHRINK_TRIPS && took > (uint64_t)SHRINK_MS * 1000000 &&
               s->window > H2_STREAM_WINDOW) {
        s->window = s->window / 2 > H2_STREAM_WINDOW ? s->window / 2 : H2_STREAM_WINDOW;
    }
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

/** What the stream's window lacks. */
static int64_t due_of(const struct h2_stream *s)
{
    uint32_t window = is_pressed(s->conn->core) ? PRESSED_WINDOW : s->window;
    int64_t due = (int64_t)window - s->rx_window - (int64_t)s->rx_noted;
    return due < (int64_t)(window / CREDIT_SHARE) ? 0 : due;
}

void h2_flow_credit(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    uint64_t before = s->rx_noted;
    note_pending(s);
    if (s->rx_noted < before) {
        h2_flow_credit_conn(c); // it may have waited for the budget
    }
    if (s->window > H2_STREAM_WINDOW && is_pressed(c->core)) {
        s->window = H2_STREAM_WINDOW;
    }
    bool over = s->rx == H2_RX_DONE || s->dead;
    int64_t due = over ? 0 : due_of(s);
    if (due > 0) {
        time_window(s, (uint32_t)due);
        due = due_of(s); // it may have grown, or shrunk
        s->rx_window += due;
        if (due > 0) {
            h2_tx_window(c, s->id, (uint32_t)due);
        }
    }
    if (s->reserved > 0) {
        uint64_t promised = (uint64_t)s->rx_window + s->rx_noted;
        uint64_t needs = promised > s->window ? promised : s->window;
        keep(s, over ? s->rx_noted : needs);
    }
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
