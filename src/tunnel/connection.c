// SPDX-License-Identifier: Apache-2.0
//
// An agent's connection between its claim and its end. The transport comes from the core that made the
// handshake, moves to the core that the claim chose, and becomes a session there. What happens to it
// there is told to the tunnel's home core, where it is forgotten.

#include "base/error.h"
#include "base/slab.h"
#include "http/move.h"
#include "tunnel/ask.h"
#include "tunnel/callers.h"
#include "tunnel/tunnel_int.h"

enum { ASK_AGAIN_MS = 2000 };

static struct loop *home_loop(const struct tunnel_connection *c)
{
    const struct tunnel *t = c->tunnel;
    return tunnel_core(t)->loop;
}

static struct registry_core *core_of(const struct tunnel_connection *c)
{
    return &c->tunnel->registry->cores[c->core];
}

static struct tunnel_connection *of_called(struct called *called)
{
    struct tunnel_connection *c = container_of(called, struct tunnel_connection, called);
    ensure_magic(c, CONNECTION_MAGIC);
    return c;
}

// ---- to the home core -------------------------------------------------------------------------------

static void on_arrived_mail(struct mail *m, struct loop *to)
{
    (void)to;
    tunnel_connection_arrived(container_of(m, struct tunnel_connection, arrived));
}

static void on_leaving_mail(struct mail *m, struct loop *to)
{
    (void)to;
    tunnel_connection_leaving(container_of(m, struct tunnel_connection, leaving));
}

static void on_gone_mail(struct mail *m, struct loop *to)
{
    (void)to;
    tunnel_connection_gone(container_of(m, struct tunnel_connection, gone));
}

static void tell_gone(struct tunnel_connection *c)
{
    if (c->open) {
        counter_sub(core_of(c)->counters, COUNTER_tunnel_agents, 1);
    }
    c->open = false;
    loop_post(home_loop(c), &c->gone);
}

static void leave(struct tunnel_connection *c, struct slice why)
{
    c->left_by_us = true;
    called_leave(&c->called, why);
}

static void on_closing(struct called *called)
{
    struct tunnel_connection *c = of_called(called);
    if (c->left_by_us) {
        return;
    }
    if (called->session->left) {
        loop_post(home_loop(c), &c->leaving);
    } else { // it can carry nothing more: the agent is to come with another one
        leave(c, SLICE("this connection can carry nothing more"));
    }
}

static void on_greeted(struct called *called)
{
    atomic_store_explicit(&of_called(called)->greeted, true, memory_order_relaxed);
}

void connection_look(struct tunnel_connection *c)
{
    const struct up_session *s = c->called.session;
    if (s != NULL) {
        atomic_store_explicit(&c->rtt_us, s->rtt_us, memory_order_relaxed);
    }
}

/** Many requests at once: another connection, on another core, would carry some of them. The agent is
 * asked once in a while. */
static void on_busy(struct called *called)
{
    struct tunnel_connection *c = of_called(called);
    uint64_t now = core_of(c)->loop->now_ms;
    unsigned count =
        c->asked_ms == 0 || now - c->asked_ms >= ASK_AGAIN_MS ? called_count(called) : TUNNEL_SLOTS;
    if (count < TUNNEL_SLOTS && !c->left_by_us) {
        c->asked_ms = now;
        tunnel_ask_connections(called->session, count + 1);
    }
}

static void on_gone(struct called *called, int error)
{
    struct tunnel_connection *c = of_called(called);
    (void)error;
    list_remove(&c->at_core);
    tell_gone(c);
}

// ---- from the home core -----------------------------------------------------------------------------

static void on_end_mail(struct mail *m, struct loop *to)
{
    struct tunnel_connection *c = container_of(m, struct tunnel_connection, end);
    (void)to;
    ensure_magic(c, CONNECTION_MAGIC);
    c->end_came = true;
    if (c->open) {
        leave(c, slice_of(c->reason, c->reason_len));
    }
    connection_let_go(c);
}

void connection_end(struct tunnel_connection *c, struct slice why)
{
    ensure_magic(c, CONNECTION_MAGIC);
    if (c->told_end) {
        return;
    }
    c->told_end = true;
    why = slice_sub(why, 0, why.len < TUNNEL_REASON_MAX ? why.len : TUNNEL_REASON_MAX);
    memcpy(c->reason, why.ptr, why.len);
    c->reason_len = (uint32_t)why.len;
    if (c->core ==
        c->tunnel->home) { // before its server leaves the list, which closes what is idle
        c->end_came = true;
        if (c->open) {
            leave(c, why);
        }
        return;
    }
    atomic_fetch_add_explicit(&c->holders, 1, memory_order_relaxed);
    loop_post(c->tunnel->registry->cores[c->core].loop, &c->end);
}

void connection_let_go(struct tunnel_connection *c)
{
    ensure_magic(c, CONNECTION_MAGIC);
    if (atomic_fetch_sub_explicit(&c->holders, 1, memory_order_acq_rel) == 1) {
        if (c->callers != NULL) {
            callers_leave(c->callers, &c->address);
        }
        server_drop(c->server);
        tunnel_let_go(c->tunnel);
        c->magic = 0;
        mem_free(c);
    }
}

/** "reconnect within=5000". Visitors who came before the restart are answered over this connection until
 * the last of them has gone: their next requests come here, and the agent's next connection does not. */
static void announce_restart(struct tunnel_connection *c)
{
    char room[64];
    struct text text = text_on(room, sizeof(room));
    text_str(&text, "reconnect within=");
    text_u64(&text, tunnels_retry_ms(c->tunnel->registry));
    called_announce(&c->called, text_slice(&text));
}

void tunnels_drain(struct tunnel_registry *r, uint32_t core)
{
    struct registry_core *rc = &r->cores[core];
    rc->draining = true;
    list_each_safe(node, next, &rc->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, at_core);
        if (!c->left_by_us) {
            announce_restart(c);
        }
    }
}

// ---- arriving ---------------------------------------------------------------------------------------

/** On the connection's core. */
static void open_here(struct tunnel_connection *c, struct transport *t,
                      const struct http_peer *peer)
{
    c->called.on_greeted = on_greeted;
    c->called.on_closing = on_closing;
    c->called.on_gone = on_gone;
    c->called.on_busy = on_busy;
    c->open = true;
    counter_add(core_of(c)->counters, COUNTER_tunnel_agents, 1);
    list_push_back(&core_of(c)->connections, &c->at_core);
    loop_post(home_loop(c), &c->arrived);
    // Its end may come from inside: the memory is there until the home core has heard of it.
    atomic_fetch_add_explicit(&c->holders, 1, memory_order_relaxed);
    c->left_by_us = c->end_came;
    struct slice why = slice_of(c->reason, c->reason_len);
    int e = c->end_came ? called_refuse(&c->called, c->server, c->core, t, peer, why)
                        : called_open(&c->called, c->server, c->core, t, peer);
    if (e < 0) {
        list_remove(&c->at_core);
        tell_gone(c);
    } else if (c->open && core_of(c)->draining && !c->end_came) {
        announce_restart(c);
    }
    connection_let_go(c);
}

struct arrival {
    struct conn_move move;
    struct tunnel_connection *connection;
};

static void on_moved(struct conn_move *m, struct transport *t, int error)
{
    struct arrival *a = container_of(m, struct arrival, move);
    struct tunnel_connection *c = a->connection;
    (void)error;
    if (t == NULL) {
        tell_gone(c);
    } else {
        open_here(c, t, &m->peer);
    }
    mem_free(a);
}

void tunnel_arrive(struct tunnel_claim *claim, struct transport *t, const struct http_peer *peer)
{
    struct tunnel_connection *c = claim->connection;
    struct tunnel_registry *r = claim->registry;
    bool here = c->core == claim->loop->core;
    c->address = claim->address;
    c->callers = claim->callers;
    claim_free(claim);
    if (here) {
        open_here(c, t, peer);
        return;
    }
    struct arrival *a = mem_zalloc(sizeof(*a));
    if (a != NULL) {
        a->connection = c;
        a->move.arrived = on_moved;
    }
    if (a == NULL || conn_move(&a->move, r->cores[c->core].door, t, peer) < 0) {
        mem_free(a);
        transport_close(t, true);
        tell_gone(c);
    }
}

void tunnel_abandon(struct tunnel_claim *claim)
{
    struct tunnel_connection *c = claim->connection;
    if (claim->callers != NULL) {
        callers_leave(claim->callers, &claim->address);
    }
    claim_free(claim);
    if (c != NULL) {
        tell_gone(c);
    }
}

struct tunnel_connection *connection_new(struct tunnel *t, struct tunnel_instance *i)
{
    struct tunnel_connection *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->magic = CONNECTION_MAGIC;
    atomic_init(&c->holders, 1);
    atomic_init(&c->greeted, false);
    atomic_init(&c->rtt_us, 0);
    c->tunnel = t;
    tunnel_hold(t);
    c->instance = i;
    c->server = i->server;
    server_keep(i->server);
    c->id = 1 + atomic_fetch_add_explicit(&t->registry->connection_ids, 1, memory_order_relaxed);
    c->arrived.fn = on_arrived_mail;
    c->leaving.fn = on_leaving_mail;
    c->gone.fn = on_gone_mail;
    c->end.fn = on_end_mail;
    list_init(&c->at_core);
    list_init(&c->link);
    list_push_back(&t->connections, &c->link);
    return c;
}
