// SPDX-License-Identifier: Apache-2.0
//
// Connections that come from outside (upstream/called.h).

#include "upstream/called.h"

#include "base/error.h"
#include "bridge/bridge.h"
#include "upstream/group.h"
#include "upstream/server_int.h"

/** The first connection is there, or the last one has gone: every core is to look again. */
static void set_away(struct server *s, bool away)
{
    if (away) {
        atomic_fetch_or_explicit(&s->vitals.bits, VITALS_AWAY, memory_order_acq_rel);
    } else {
        atomic_fetch_and_explicit(&s->vitals.bits, ~(unsigned)VITALS_AWAY, memory_order_acq_rel);
    }
    group_changed(s->group);
}

static void add_port(struct called *c)
{
    struct server *s = c->server;
    pthread_mutex_lock(&s->registry->lock);
    bool first = list_empty(&s->ports);
    list_push_back(&s->ports, &c->port_link);
    pthread_mutex_unlock(&s->registry->lock);
    if (first) {
        set_away(s, false);
    }
}

/** No core finds it any more. */
static void remove_port(struct called *c)
{
    struct server *s = c->server;
    pthread_mutex_lock(&s->registry->lock);
    bool was_there = !list_empty(&c->port_link);
    list_remove(&c->port_link);
    bool last = was_there && list_empty(&s->ports);
    pthread_mutex_unlock(&s->registry->lock);
    if (last) {
        set_away(s, true);
    }
}

static void on_room(struct up_session *s, void *owner)
{
    struct called *c = owner;
    if (s->greeted && !c->greeted) {
        c->greeted = true;
        if (c->on_greeted != NULL) {
            c->on_greeted(c);
        }
    }
    if (c->port != NULL) {
        bridge_port_room(c->port);
    }
    // It may allow more than before while streams go on: no place becomes free by that. Who waits for one,
    // on whichever core, looks again at the end of the turn.
    c->server->owner->on_room(c->server, c->core);
    lane_on_room(c->lane, s); // it may be closed inside
}

/** Nobody gets a new stream of it. */
static void stop_giving(struct called *c)
{
    lane_place(c->lane, c->session);
    remove_port(c);
    if (c->port != NULL) {
        bridge_port_closing(c->port);
    }
}

static void on_closing(struct up_session *s, void *owner)
{
    struct called *c = owner;
    (void)s;
    stop_giving(c);
    if (c->on_closing != NULL) {
        c->on_closing(c);
    }
}

static void over(struct called *c, int error)
{
    remove_port(c);
    if (c->port != NULL) {
        bridge_port_close(c->port, error);
        bridge_port_unref(c->port);
        c->port = NULL;
    }
    list_remove(&c->link);
    c->session = NULL;
}

void called_closed(struct called *c)
{
    over(c, E_EOF);
    c->on_gone(c, E_EOF);
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    struct called *c = owner;
    struct lane *lane = c->lane;
    over(c, error);
    c->on_gone(c, error);
    lane_on_gone(lane, s);
}

static const struct up_session_owner owner_ops = {
    .on_room = on_room, .on_closing = on_closing, .on_gone = on_gone};

static struct up_session *open_session(struct called *c, struct transport *t,
                                       const struct http_peer *peer, int *error)
{
    const struct up_protocol *p = server_core_what(c->lane->core)->protocols;
    while (p->alpn != NULL && !slice_eq(slice_str(p->alpn), SLICE("h2"))) {
        p++;
    }
    ensure(p->alpn != NULL);
    const struct up_session_terms terms = {
        .peer = peer, .owner = &owner_ops, .owner_arg = c, .liveness = true};
    return p->open(p->core, t, &terms, error);
}

void called_busy(struct called *c)
{
    if (c->on_busy != NULL) {
        c->on_busy(c);
    }
}

unsigned called_count(struct called *c)
{
    struct server *s = c->server;
    unsigned count = 0;
    pthread_mutex_lock(&s->registry->lock);
    list_each(node, &s->ports)
    {
        count++;
    }
    pthread_mutex_unlock(&s->registry->lock);
    return count;
}

/** A stream for another core. */
static struct http_stream *give(void *arg, int *error)
{
    struct called *c = arg;
    if (!lane_has_room(c->lane->core, c->session)) {
        *error = E_AGAIN;
        return NULL;
    }
    struct http_stream *stream = c->session->ops->take(c->session);
    lane_place(c->lane, c->session);
    called_look(c->session);
    *error = stream == NULL ? E_NO_MEMORY : 0;
    return stream;
}

struct http_stream *called_take(struct server *s, uint32_t core, int *error)
{
    *error = E_AGAIN;
    list_each(node, &s->cores[core].called)
    {
        struct called *c = list_entry(node, struct called, link);
        if (lane_has_room(c->lane->core, c->session)) {
            return give(c, error);
        }
    }
    return NULL;
}

static void open_port(struct called *c)
{
    struct bridge_core *bridges = server_core_what(c->lane->core)->bridge;
    const struct bridge_port_order order = {.session = c->session, .take = give, .arg = c};
    if (bridges == NULL || bridge_port_new(bridges, &order, &c->port) < 0) {
        c->port = NULL;
    }
}

static int begin(struct called *c, struct server *s, uint32_t core, struct transport *t,
                 const struct http_peer *peer)
{
    ensure(s->kind.protocol == SERVER_CALLED);
    struct server_core *sc = &s->cores[core];
    if (!server_reserve(sc)) {
        transport_close(t, true);
        return E_UPSTREAM_FULL;
    }
    server_hold(s, core);
    c->server = s;
    c->core = core;
    c->lane = &sc->lanes[LANE_ANY];
    list_init(&c->link);
    list_init(&c->port_link);
    int error = 0;
    c->session = open_session(c, t, peer, &error);
    if (c->session == NULL) {
        server_connection_ended(sc);
        return error;
    }
    c->session->owner_flags = SESSION_CALLED;
    list_push_back(&sc->called, &c->link);
    return 0;
}

int called_open(struct called *c, struct server *s, uint32_t core, struct transport *t,
                const struct http_peer *peer)
{
    int e = begin(c, s, core, t, peer);
    if (e < 0) {
        return e;
    }
    open_port(c); // without memory for it, other cores do without this connection
    add_port(c);
    lane_join(c->lane, c->session);
    return 0;
}

// No lane has it: one whose server has left its group would be closed there before it could speak.
int called_refuse(struct called *c, struct server *s, uint32_t core, struct transport *t,
                  const struct http_peer *peer, struct slice text)
{
    int e = begin(c, s, core, t, peer);
    if (e == 0) {
        c->session->ops->drain(c->session, text);
    }
    return e;
}

/** The one of other cores that carries least. One reference, the caller's. */
static struct bridge_port *least_loaded(struct server *s, uint32_t core)
{
    struct bridge_port *best = NULL;
    uint32_t least = UINT32_MAX;
    pthread_mutex_lock(&s->registry->lock);
    list_each(node, &s->ports)
    {
        const struct called *c = list_entry(node, struct called, port_link);
        if (c->port == NULL || c->core == core) {
            continue;
        }
        const struct bridge_port_state state = bridge_port_look(c->port);
        bool takes = state.open && state.streams_max > 0;
        if (takes && state.streams < least) {
            least = state.streams;
            best = c->port;
        }
    }
    if (best != NULL) {
        best = bridge_port_ref(best);
    }
    pthread_mutex_unlock(&s->registry->lock);
    return best;
}

struct up_session *called_reach(struct lane *lane, const struct up_session_owner *owner)
{
    struct server_core *sc = lane->core;
    struct server *s = sc->server;
    struct bridge_core *bridges = server_core_what(sc)->bridge;
    struct bridge_port *port = bridges == NULL ? NULL : least_loaded(s, (uint32_t)(sc - s->cores));
    if (port == NULL) {
        return NULL;
    }
    const struct http_peer peer = {.addr = os_peer_of(&s->addr), .secure = true};
    const struct up_session_terms terms = {.peer = &peer, .owner = owner, .owner_arg = lane};
    int error = 0;
    struct up_session *session = bridge_open(bridges, port, &terms, &error);
    bridge_port_unref(port);
    return session;
}

void called_announce(struct called *c, struct slice text)
{
    struct up_session *s = c->session;
    if (s != NULL && s->ops->announce != NULL) {
        s->ops->announce(s, text);
    }
}

void called_leave(struct called *c, struct slice text)
{
    struct up_session *s = c->session;
    if (s == NULL || s->ops->drain == NULL) {
        return;
    }
    s->ops->drain(s, text);
    stop_giving(c);
}
