// SPDX-License-Identifier: Apache-2.0
//
// What both sides of an HTTP/1.1 connection share: its life, its deadlines, and the two small
// dispatchers. Receiving is in rx.c, sending in tx.c; what the two sides do differently in down.c
// and up.c.
//
// Deadlines are lazy: a timer is set for the earliest time it could matter and, when it fires too
// early, set again, so that pushing a deadline back costs an assignment. Objects that are closed in
// a turn are freed at its end (h1_core.reap).

#include "h1/conn_int.h"

#include "base/error.h"
#include "base/text.h"
#include "obs/panic.h"
#include "obs/trace.h"

enum { CORE_MAGIC = 0x68316f72 };

static void fire_rx(struct wheel_timer *t)
{
    struct h1_conn *c = container_of(t, struct h1_conn, rx_timer);
    ensure_magic(c, H1_CONN_MAGIC);
    uint64_t now = c->h1->loop->now_ms;
    if (c->dead || c->rx_deadline_ms == 0) {
        return;
    }
    if (c->rx_deadline_ms > now) {
        loop_timer_set(c->h1->loop, t, c->rx_deadline_ms - now);
        return;
    }
    c->rx_deadline_ms = 0;
    counter_add(c->h1->counters, COUNTER_timeouts, 1);
    c->role->on_fail(c, c->rx_deadline_error);
}

static void fire_tx(struct wheel_timer *t)
{
    struct h1_conn *c = container_of(t, struct h1_conn, tx_timer);
    ensure_magic(c, H1_CONN_MAGIC);
    uint64_t now = c->h1->loop->now_ms;
    if (c->dead || c->tx_deadline_ms == 0) {
        return;
    }
    if (c->tx_deadline_ms > now) {
        loop_timer_set(c->h1->loop, t, c->tx_deadline_ms - now);
        return;
    }
    c->tx_deadline_ms = 0;
    counter_add(c->h1->counters, COUNTER_timeouts, 1);
    c->role->on_fail(c, E_WRITE_TIMEOUT);
}

void h1_rx_deadline(struct h1_conn *c, uint32_t ms, int error)
{
    if (ms == 0) {
        c->rx_deadline_ms = 0;
        return;
    }
    struct loop *l = c->h1->loop;
    c->rx_deadline_ms = l->now_ms + ms;
    c->rx_deadline_error = error;
    if (!wheel_timer_is_set(&c->rx_timer) || c->rx_timer.expires_ms > c->rx_deadline_ms) {
        loop_timer_set(l, &c->rx_timer, ms);
    }
}

void h1_rx_gap_deadline(struct h1_conn *c)
{
    if (c->rx_framing == H1_FRAMING_TUNNEL) {
        h1_rx_deadline(c, c->timeouts.tunnel_ms, E_IDLE_TIMEOUT);
        return;
    }
    h1_rx_deadline(c, c->timeouts.read_ms,
                   c->stream.side == HTTP_DOWN ? E_BODY_TIMEOUT : E_READ_TIMEOUT);
}

void h1_set_timeouts(struct http_stream *s, const struct http_timeouts *t)
{
    h1_of_stream(s)->timeouts = *t;
}

/** For the panic dump. */
static void describe(const void *object, struct text *out)
{
    const struct h1_conn *c = object;
    text_printf(out, "h1 connection %llu %s fd=%d rx=%u/%u tx=%u/%u dead=%d out=%zu\n",
                (unsigned long long)c->peer.connection_id,
                c->stream.side == HTTP_DOWN ? "down" : "up", c->t == NULL ? -1 : c->t->io.fd, c->rx,
                c->rx_framing, c->tx, c->tx_framing, c->dead, c->out.bytes);
    if (c->stream_open && c->stream.events != NULL && c->stream.events->describe != NULL) {
        c->stream.events->describe(&c->stream, out);
    }
}

static void go_on(struct task *t)
{
    struct h1_conn *c = container_of(t, struct h1_conn, again);
    ensure_magic(c, H1_CONN_MAGIC);
    if (c->dead) {
        return;
    }
    struct panic_object scope;
    panic_enter(&scope, c, describe);
    h1_tx_pump(c);
    if (!c->dead) {
        h1_rx_pump(c);
    }
    bool idle = !c->dead && c->rx == H1_RX_IDLE && c->tx == H1_TX_IDLE;
    bool leaving = c->h1->down->draining && !c->h1->down->patient;
    if (idle && leaving && c->stream.side == HTTP_DOWN) {
        h1_conn_close(c, false); // the role's drain() and next_or_close() come here
    }
    panic_leave(&scope);
}

void h1_conn_again(struct h1_conn *c)
{
    c->head_waits = false;
    loop_defer(c->h1->loop, &c->again);
}

static void on_ready(struct transport *t, unsigned events)
{
    struct h1_conn *c = t->owner;
    ensure_magic(c, H1_CONN_MAGIC);
    ensure(!c->dead);
    struct panic_object scope;
    panic_enter(&scope, c, describe);
    c->role->on_events(c, events);
    if (!c->dead && (events & SYS_WRITE) != 0 && (c->tx == H1_TX_ACTIVE || c->out.bytes > 0)) {
        h1_tx_pump(c);
    }
    if (!c->dead && c->t->readable) {
        h1_rx_pump(c);
    }
    panic_leave(&scope);
}

struct h1_conn *h1_conn_new(struct h1_core *h, struct transport *t, const struct h1_role *role,
                            const struct http_peer *peer)
{
    ensure_magic(h, CORE_MAGIC);
    struct h1_conn *c = slab_take(&h->conns);
    if (c == NULL) {
        return NULL;
    }
    memset(c, 0, sizeof(*c));
    c->magic = H1_CONN_MAGIC;
    c->h1 = h;
    c->role = role;
    c->t = t;
    transport_set_owner(t, c, on_ready);
    c->rx = H1_RX_IDLE;
    c->tx = H1_TX_IDLE;
    c->timeouts = h->down->settings.down;
    list_init(&c->link);
    bufq_init(&c->out);
    wheel_timer_init(&c->rx_timer, fire_rx);
    wheel_timer_init(&c->tx_timer, fire_tx);
    task_init(&c->again, go_on);
    c->peer = *peer;
    c->stream.peer = &c->peer;
    return c;
}

void h1_conn_detach(struct h1_conn *c)
{
    if (c->rx_body != NULL) {
        http_body_set_producer(c->rx_body, NULL, NULL);
        c->rx_body = NULL;
    }
    if (c->tx_body != NULL) {
        http_body_set_consumer(c->tx_body, NULL, NULL);
        c->tx_body = NULL;
    }
}

void h1_conn_close(struct h1_conn *c, bool reset)
{
    if (c->dead) {
        return;
    }
    c->dead = true;
    struct loop *l = c->h1->loop;
    trace(TRACE_close, c->peer.connection_id, reset);
    h1_conn_detach(c);
    if (c->t != NULL) {
        transport_close(c->t, reset);
        c->t = NULL;
        c->peer.security = NULL; // it ended with the transport
    }
    loop_timer_stop(l, &c->rx_timer);
    loop_timer_stop(l, &c->tx_timer);
    loop_cancel(l, &c->again);
    bufq_clear(&c->out);
    if (c->in != NULL) {
        chunk_unref(c->in);
        c->in = NULL;
    }
    list_push_back(&c->h1->dead, &c->link);
    loop_defer(l, &c->h1->reap);
    if (c->stream.side == HTTP_DOWN) {
        down_session_close(&c->u.down.session);
    } else {
        counter_sub(c->h1->counters, COUNTER_upstream_open, 1);
    }
}

void h1_conn_reset_message(struct h1_conn *c)
{
    ensure(c->out.bytes == 0);
    h1_conn_detach(c);
    c->rx = H1_RX_IDLE;
    c->tx = H1_TX_IDLE;
    c->tx_last = false;
    c->tx_error = 0;
    c->tx_glue = false;
    c->sent_told = false;
    c->tx_deadline_ms = 0;
    c->rate_since_ms = 0;
}

static void reap(struct task *t)
{
    struct h1_core *h = container_of(t, struct h1_core, reap);
    ensure_magic(h, CORE_MAGIC);
    struct list *node;
    while ((node = list_first(&h->dead)) != NULL) {
        struct h1_conn *c = list_entry(node, struct h1_conn, link);
        list_remove(node);
        c->magic = 0;
        slab_give(&h->conns, c);
    }
}

void h1_core_init(struct h1_core *h, struct loop *l, struct counters *counters,
                  struct down_core *down, uint32_t connections_max)
{
    *h = (struct h1_core){.magic = CORE_MAGIC, .loop = l, .counters = counters, .down = down};
    slab_init(&h->conns, "h1 connections", sizeof(struct h1_conn), connections_max);
    list_init(&h->dead);
    task_init(&h->reap, reap);
}

void h1_core_fini(struct h1_core *h)
{
    ensure_magic(h, CORE_MAGIC);
    reap(&h->reap);
    loop_cancel(h->loop, &h->reap);
    slab_fini(&h->conns);
    h->magic = 0;
}
