// SPDX-License-Identifier: Apache-2.0
//
// The life of a connection, its deadlines, its budget for odd behaviour, and the core's memory.
//
// One timer serves a connection and all its streams. Deadlines are lazy: pushing one back is an
// assignment; the timer is set for the earliest that it has heard of, looks through the streams when
// it fires, and is set again for the earliest that it found.
//
// A connection that fails says GOAWAY, shuts its direction and throws away what still comes for a
// little while: closing at once would make the kernel reset it and destroy the GOAWAY on its way.

#include "base/error.h"
#include "base/text.h"
#include "obs/panic.h"
#include "obs/trace.h"

#include "h2/conn_int.h"

enum {
    STREAMS_PER_SESSION = 16, // that the core has room for, over all sessions
};

// ---- deadlines -------------------------------------------------------------------------------------

void h2_conn_deadline(struct h2_conn *c, uint64_t at_ms)
{
    if (wheel_timer_is_set(&c->timer) && c->timer.expires_ms <= at_ms) {
        return;
    }
    uint64_t now = h2_now_ms(c);
    loop_timer_set(c->core->loop, &c->timer, at_ms > now ? at_ms - now : 0);
}

static bool is_due(const struct h2_conn *c, uint64_t at_ms)
{
    return at_ms != 0 && at_ms <= h2_now_ms(c);
}

static void stream_due(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    if (is_due(c, s->tx_deadline_ms)) {
        s->tx_deadline_ms = 0;
        counter_add(c->core->counters, COUNTER_timeouts, 1);
        h2_stream_reset(s, H2_CANCEL, E_WRITE_TIMEOUT);
        if (!c->dead) {
            h2_glitch(c, H2_GLITCH_MADE_US, 4);
        }
    } else if (is_due(c, s->rx_deadline_ms)) {
        s->rx_deadline_ms = 0;
        counter_add(c->core->counters, COUNTER_timeouts, 1);
        c->role->on_bad(s, s->rx_deadline_error);
    }
}

/** Ends what is late among the streams. */
static void streams_due(struct h2_conn *c)
{
    // Each call may end streams of this connection, so the list is begun anew after one that was late.
    bool again = true;
    while (again && !c->dead) {
        again = false;
        list_each(node, &c->streams)
        {
            struct h2_stream *s = list_entry(node, struct h2_stream, link);
            if (is_due(c, s->tx_deadline_ms) || is_due(c, s->rx_deadline_ms)) {
                stream_due(s);
                again = true;
                break;
            }
        }
    }
}

static void earlier(uint64_t *first, uint64_t at_ms)
{
    if (at_ms != 0 && (*first == 0 || at_ms < *first)) {
        *first = at_ms;
    }
}

static void set_next(struct h2_conn *c)
{
    uint64_t first = 0;
    earlier(&first, c->idle_deadline_ms);
    earlier(&first, c->write_deadline_ms);
    earlier(&first, c->stall_deadline_ms);
    earlier(&first, c->settings_deadline_ms);
    earlier(&first, c->drain_deadline_ms);
    earlier(&first, c->ping_deadline_ms);
    earlier(&first, c->block_deadline_ms);
    list_each(node, &c->streams)
    {
        const struct h2_stream *s = list_entry(node, struct h2_stream, link);
        earlier(&first, s->rx_deadline_ms);
        earlier(&first, s->tx_deadline_ms);
    }
    if (first != 0) {
        h2_conn_deadline(c, first);
    }
}

static void conn_due(struct h2_conn *c)
{
    if (c->urgency_mask == 0) {
        c->stall_deadline_ms = 0; // those that were stalled are gone
    }
    if (is_due(c, c->write_deadline_ms) || is_due(c, c->stall_deadline_ms)) {
        counter_add(c->core->counters, COUNTER_timeouts, 1);
        h2_conn_close(c, true, E_WRITE_TIMEOUT);
    } else if (is_due(c, c->settings_deadline_ms)) {
        c->settings_deadline_ms = 0;
        counter_add(c->core->counters, COUNTER_timeouts, 1);
        h2_conn_fail(c, H2_SETTINGS_TIMEOUT, E_IDLE_TIMEOUT);
    } else if (is_due(c, c->block_deadline_ms)) {
        c->block_deadline_ms = 0;
        counter_add(c->core->counters, COUNTER_timeouts, 1);
        h2_conn_fail(c, H2_ENHANCE_YOUR_CALM, E_HEADER_TIMEOUT);
    } else if (is_due(c, c->drain_deadline_ms)) {
        c->drain_deadline_ms = 0;
        h2_down_drain_pong(c);
    } else if (is_due(c, c->ping_deadline_ms)) {
        h2_alive_due(c);
    } else if (is_due(c, c->idle_deadline_ms)) {
        c->idle_deadline_ms = 0;
        if (c->rx == H2_RX_LINGER) {
            h2_conn_close(c, false, E_IDLE_TIMEOUT);
        } else if (c->live == 0) {
            h2_tx_goaway(c, c->side == HTTP_DOWN ? c->last_id : 0, H2_NO_ERROR);
            h2_tx_pump(c);
            h2_conn_close(c, false, E_IDLE_TIMEOUT);
        }
    }
}

/** For the panic dump. */
static void describe(const void *object, struct text *out)
{
    const struct h2_conn *c = object;
    text_printf(out, "h2 connection %llu %s rx=%u frame=%u/%u dead=%d live=%u last=%u out=%zu\n",
                (unsigned long long)c->peer.connection_id, c->side == HTTP_DOWN ? "down" : "up",
                c->rx, c->frame.type, c->frame.length, c->dead, c->live, c->last_id,
                h2_out_bytes(c));
}

static void on_timer(struct wheel_timer *t)
{
    struct h2_conn *c = container_of(t, struct h2_conn, timer);
    ensure_magic(c, H2_CONN_MAGIC);
    if (c->dead) {
        return;
    }
    struct panic_object scope;
    panic_enter(&scope, c, describe);
    streams_due(c);
    if (!c->dead) {
        conn_due(c);
    }
    if (!c->dead) {
        set_next(c);
    }
    panic_leave(&scope);
}

// ---- glitches --------------------------------------------------------------------------------------

static const enum counter glitch_counters[] = {
    [H2_GLITCH_RESET] = COUNTER_h2_glitches_reset,
    [H2_GLITCH_MADE_US] = COUNTER_h2_glitches_made_us,
    [H2_GLITCH_PING] = COUNTER_h2_glitches_ping,
    [H2_GLITCH_SETTINGS] = COUNTER_h2_glitches_settings,
    [H2_GLITCH_PRIORITY] = COUNTER_h2_glitches_priority,
    [H2_GLITCH_WINDOW] = COUNTER_h2_glitches_window,
    [H2_GLITCH_EMPTY] = COUNTER_h2_glitches_empty,
    [H2_GLITCH_BLOCK] = COUNTER_h2_glitches_block,
    [H2_GLITCH_OTHER] = COUNTER_glitches,
};

bool h2_glitch(struct h2_conn *c, enum h2_glitch what, unsigned n)
{
    if (c->dead || c->rx == H2_RX_LINGER) {
        return false;
    }
    if (n == 0) {
        return true;
    }
    uint64_t now = h2_now_ms(c);
    uint64_t refill = (now - c->glitch_ms) / H2_GLITCH_REFILL_MS;
    if (refill > 0) {
        c->glitches = refill >= (uint64_t)c->glitches ? 0 : c->glitches - (int32_t)refill;
        c->glitch_ms = now;
    }
    c->glitches += (int32_t)n;
    counter_add(c->core->counters, glitch_counters[what], n);
    if (c->glitches <= H2_GLITCHES_MAX) {
        return true;
    }
    counter_add(c->core->counters, COUNTER_h2_floods, 1);
    h2_conn_fail(c, H2_ENHANCE_YOUR_CALM, E_GLITCHES);
    return false;
}

// ---- the end ---------------------------------------------------------------------------------------

static void fail_streams(struct h2_conn *c, int error)
{
    struct list *node;
    while ((node = list_first(&c->streams)) != NULL) {
        struct h2_stream *s = list_entry(node, struct h2_stream, link);
        int e = error;
        // Nothing was heard since the request went out on a connection that had served before: it was
        // closed before the request was taken.
        if (c->side == HTTP_UP && (error == E_EOF || error == E_RESET)) {
            bool silent = s->id != 0 && s->seen_at_send == c->rx_total && c->opened > 1;
            e = silent ? E_STALE : error == E_EOF ? E_EARLY_CLOSE : error;
        } else if (c->side == HTTP_DOWN &&
                   (error == E_EOF || error == E_RESET || error == E_PEER_SILENT)) {
            e = E_CLIENT_GONE;
        }
        if (s->id == 0) {
            e = E_NOT_PROCESSED;
        }
        h2_stream_finish(s, e);
    }
}

void h2_conn_close(struct h2_conn *c, bool reset, int error)
{
    if (c->dead) {
        return;
    }
    c->dead = true;
    struct h2_core *core = c->core;
    trace(TRACE_close, c->peer.connection_id, reset);
    if (c->side == HTTP_UP) {
        c->u.up.session.closing = true;
        c->streams_at_end = c->u.up.session.streams;
    }
    transport_close(c->t, reset);
    c->peer.security = NULL; // it ended with the transport; the streams end only now
    loop_timer_stop(core->loop, &c->timer);
    loop_cancel(core->loop, &c->again);
    fail_streams(c, error);
    ensure(c->window_extra == 0);
    h2_tx_free(c);
    if (c->text != NULL) {
        chunk_unref(c->text);
        c->text = NULL;
    }
    if (c->hpack != NULL) {
        h2_hpack_free(c->hpack);
        c->hpack = NULL;
    }
    list_push_back(&core->dead_conns, &c->link);
    loop_defer(core->loop, &core->reap);
    ensure(core->count > 0);
    core->count--;
    c->role->on_gone(c, error);
}

static void begin_linger(struct h2_conn *c)
{
    c->rx = H2_RX_LINGER;
    c->linger_left = H2_LINGER_BYTES;
}

static void linger_deadline(struct h2_conn *c)
{
    c->settings_deadline_ms = 0;
    c->block_deadline_ms = 0;
    c->drain_deadline_ms = 0;
    c->idle_deadline_ms = h2_now_ms(c) + H2_LINGER_MS;
    h2_conn_deadline(c, c->idle_deadline_ms);
}

void h2_conn_fail(struct h2_conn *c, enum h2_code code, int error)
{
    if (c->dead || c->rx == H2_RX_LINGER) {
        return;
    }
    counter_add(c->core->counters, COUNTER_h2_errors, 1);
    h2_tx_goaway(c, c->side == HTTP_DOWN ? c->last_id : 0, code);
    begin_linger(c);
    c->closing = true;
    c->goaway_last = true;
    c->soon_error = 0;
    if (c->side == HTTP_UP) {
        c->role->on_closing(c); // who waits for the room that its streams leave finds it elsewhere
    }
    fail_streams(c, error);
    if (c->dead) {
        return;
    }
    if (c->side == HTTP_UP) {
        h2_tx_pump(c); // an origin that broke the rules is told as far as that goes at once
        h2_conn_close(c, false, error);
        return;
    }
    linger_deadline(c);
    h2_conn_again(c);
}

void h2_conn_fail_soon(struct h2_conn *c, enum h2_code code, int error)
{
    if (c->dead || c->soon_error != 0) {
        return;
    }
    c->soon_error = error;
    c->soon_code = (uint8_t)code;
    h2_conn_again(c);
}

// ---- events ----------------------------------------------------------------------------------------

/** The last words are out: shut our direction, once. */
static void shut(struct h2_conn *c)
{
    c->shut = true;
    if (transport_shutdown_write(c->t) < 0) {
        h2_conn_close(c, false, E_EOF);
    }
}

/** Nobody will ask for anything more, and everything is out. */
static bool is_drained(const struct h2_conn *c)
{
    bool over = c->peer_leaves || (c->closing && (c->goaway_last || c->side == HTTP_UP));
    return over && c->live == 0 && c->rx != H2_RX_LINGER && h2_out_bytes(c) == 0;
}

/** A client still acknowledges its last answers: closing at once would let the kernel reset the
 * connection, and what is on its way would be lost (as in RFC 9112 9.6). */
static void end_drained(struct h2_conn *c)
{
    if (c->side == HTTP_UP || c->t->hung_up) {
        h2_conn_close(c, false, E_EOF);
        return;
    }
    begin_linger(c);
    linger_deadline(c);
    shut(c);
    if (!c->dead && c->t->readable) {
        h2_rx_pump(c);
    }
}

static void go_on(struct task *t)
{
    struct h2_conn *c = container_of(t, struct h2_conn, again);
    ensure_magic(c, H2_CONN_MAGIC);
    if (c->dead) {
        return;
    }
    struct panic_object scope;
    panic_enter(&scope, c, describe);
    if (c->soon_error != 0) {
        h2_conn_fail(c, (enum h2_code)c->soon_code, c->soon_error);
    }
    h2_tx_pump(c);
    if (!c->dead && c->rx == H2_RX_LINGER && !c->shut && h2_out_bytes(c) == 0) {
        shut(c);
    }
    if (!c->dead && c->t->readable) {
        h2_rx_pump(c);
    }
    if (!c->dead && is_drained(c)) {
        end_drained(c);
    }
    panic_leave(&scope);
}

void h2_conn_again(struct h2_conn *c)
{
    if (!c->dead) {
        loop_defer(c->core->loop, &c->again);
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    struct h2_conn *c = t->owner;
    ensure_magic(c, H2_CONN_MAGIC);
    ensure(!c->dead);
    struct panic_object scope;
    panic_enter(&scope, c, describe);
    if ((events & SYS_WRITE) != 0 && h2_out_bytes(c) > 0) {
        h2_conn_again(c);
    }
    if (c->t->readable) {
        h2_rx_pump(c); // reads to the error as well, if there is one
    }
    if (!c->dead && (events & SYS_ERROR) != 0) {
        h2_conn_close(c, false, E_RESET);
    }
    panic_leave(&scope);
}

struct h2_conn *h2_conn_new(struct h2_core *core, struct transport *t, const struct h2_role *role,
                            enum http_side side, const struct http_peer *peer, int *error)
{
    ensure_magic(core, H2_CORE_MAGIC);
    *error = E_NO_MEMORY;
    struct h2_conn *c = slab_take(&core->conns);
    if (c == NULL) {
        return NULL;
    }
    memset(c, 0, sizeof(*c));
    c->hpack = h2_hpack_new();
    if (c->hpack == NULL) {
        slab_give(&core->conns, c);
        return NULL;
    }
    const struct http_settings *settings = &core->down->settings;
    c->magic = H2_CONN_MAGIC;
    c->side = (uint8_t)side;
    c->core = core;
    c->t = t;
    c->role = role;
    c->peer = *peer;
    c->need = H2_FRAME_HEAD;
    c->rx = H2_RX_HEAD;
    c->tx_window = H2_WINDOW_FIRST;
    c->rx_window = H2_WINDOW_FIRST;
    c->budget = settings->connection_bytes > 0 ? settings->connection_bytes : H2_CONN_BYTES_DEFAULT;
    c->peer_window = H2_WINDOW_FIRST;
    c->peer_frame = H2_FRAME_MAX;
    c->peer_streams = UINT32_MAX;
    c->write_ms = settings->down.write_ms;
    c->glitch_ms = core->loop->now_ms;
    c->heard_ms = core->loop->now_ms;
    c->updates_allowed = H2_STREAMS_DEFAULT;
    list_init(&c->streams);
    list_init(&c->leaving);
    list_init(&c->untold);
    list_init(&c->link);
    for (unsigned i = 0; i < H2_URGENCIES; i++) {
        list_init(&c->ready[i]);
    }
    wheel_timer_init(&c->timer, on_timer);
    task_init(&c->again, go_on);
    transport_set_owner(t, c, on_ready);
    core->count++;
    return c;
}

// ---- the core --------------------------------------------------------------------------------------

static void reap(struct task *t)
{
    struct h2_core *core = container_of(t, struct h2_core, reap);
    ensure_magic(core, H2_CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&core->dead_streams)) != NULL) {
        struct h2_stream *s = list_entry(node, struct h2_stream, link);
        list_remove(node);
        s->magic = 0;
        slab_give(&core->streams, s);
    }
    while ((node = list_first(&core->dead_conns)) != NULL) {
        struct h2_conn *c = list_entry(node, struct h2_conn, link);
        list_remove(node);
        c->magic = 0;
        slab_give(&core->conns, c);
    }
}

int h2_core_new(struct loop *l, struct counters *counters, struct down_core *down,
                struct h2_windows *windows, uint32_t sessions_max, struct h2_core **out)
{
    struct h2_core *core = mem_zalloc(sizeof(*core));
    if (core == NULL) {
        return E_NO_MEMORY;
    }
    core->magic = H2_CORE_MAGIC;
    core->loop = l;
    core->counters = counters;
    core->down = down;
    core->windows = windows;
    slab_init(&core->conns, "h2 connections", sizeof(struct h2_conn), sessions_max);
    slab_init(&core->streams, "h2 streams", sizeof(struct h2_stream),
              sessions_max * STREAMS_PER_SESSION);
    slab_init(&core->outs, "h2 output", sizeof(struct h2_out), sessions_max);
    list_init(&core->dead_conns);
    list_init(&core->dead_streams);
    task_init(&core->reap, reap);
    *out = core;
    return 0;
}

void h2_core_free(struct h2_core *core)
{
    ensure_magic(core, H2_CORE_MAGIC);
    ensure(core->count == 0);
    reap(&core->reap);
    loop_cancel(core->loop, &core->reap);
    if (core->in != NULL) {
        chunk_unref(core->in);
    }
    slab_fini(&core->conns);
    slab_fini(&core->streams);
    slab_fini(&core->outs);
    core->magic = 0;
    mem_free(core);
}
