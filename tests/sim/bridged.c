// SPDX-License-Identifier: Apache-2.0
//
// The owner of far sessions, and the way there: a connection that was dialled on one core moves to the
// next one and gets its session there. All cores are one thread here, so the move needs no mail.

#include "bridged.h"

#include <stdlib.h>

#include "base/error.h"
#include "bridge/bridge.h"
#include "driver.h"
#include "edge.h"
#include "http/session.h"
#include "loop/transport.h"
#include "traffic/traffic.h"

enum { PROTOCOLS = 2 };

struct place {
    struct up_protocol real[PROTOCOLS];
    struct bridge_core *bridge;
    struct transport_core *transports; // known from the first connection that was dialled there
};

struct far {
    struct list link;
    struct up_session *session; // NULL: gone
    struct up_session *near;    // NULL: closed by its owner
    struct up_session_ops near_ops;
    const struct up_session_ops *real_near_ops;
    const struct up_session_owner *near_owner;
    void *near_owner_arg;
    struct bridge_port *port;
};

static struct place places[EDGE_CORES_MAX];
static uint32_t place_count;
static struct list fars;

static void forget(struct far *f)
{
    bridge_port_unref(f->port);
    list_remove(&f->link);
    free(f);
}

static void close_if_idle(struct far *f)
{
    if (f->session->streams == 0 && f->near == NULL) {
        bridge_port_close(f->port, E_EOF);
        f->session->ops->close(f->session);
        forget(f);
    }
}

static struct http_stream *take(void *arg, int *error)
{
    struct far *f = arg;
    if (!up_session_has_room(f->session)) {
        *error = E_AGAIN;
        return NULL;
    }
    *error = E_NO_MEMORY;
    return f->session->ops->take(f->session);
}

static void on_room(struct up_session *s, void *owner)
{
    struct far *f = owner;
    ensure(f->session == s);
    bridge_port_room(f->port);
    if (f->session == s) {
        close_if_idle(f);
    }
}

static void on_closing(struct up_session *s, void *owner)
{
    struct far *f = owner;
    (void)s;
    bridge_port_closing(f->port);
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    struct far *f = owner;
    ensure(f->session == s);
    f->session = NULL;
    bridge_port_close(f->port, error);
    if (f->near == NULL) {
        forget(f);
    }
}

static const struct up_session_owner far_owner = {on_room, on_closing, on_gone};

// ---- the near session: the owner's, but for its end ------------------------------------------------

static struct far *of_near(const struct up_session *s)
{
    list_each(node, &fars)
    {
        struct far *f = list_entry(node, struct far, link);
        if (f->near == s) {
            return f;
        }
    }
    ensure(false);
    return NULL;
}

static void near_close(struct up_session *s)
{
    struct far *f = of_near(s);
    f->near = NULL;
    f->real_near_ops->close(s);
    if (f->session != NULL) {
        close_if_idle(f);
    } else {
        forget(f);
    }
}

static void near_on_room(struct up_session *s, void *owner)
{
    struct far *f = owner;
    ensure(f->near == s);
    f->near_owner->on_room(s, f->near_owner_arg);
}

static void near_on_closing(struct up_session *s, void *owner)
{
    struct far *f = owner;
    ensure(f->near == s);
    f->near_owner->on_closing(s, f->near_owner_arg);
}

static void near_on_gone(struct up_session *s, void *owner, int error)
{
    struct far *f = owner;
    ensure(f->near == s);
    f->near = NULL;
    f->near_owner->on_gone(s, f->near_owner_arg, error);
    if (f->session == NULL) {
        forget(f);
    }
}

static const struct up_session_owner near_owner = {near_on_room, near_on_closing, near_on_gone};

static struct up_session *open_near(struct place *p, struct far *f,
                                    const struct up_session_terms *terms, int *error)
{
    const struct up_session_terms own = {
        .peer = terms->peer, .owner = &near_owner, .owner_arg = f, .idle_ms = terms->idle_ms};
    f->near_owner = terms->owner;
    f->near_owner_arg = terms->owner_arg;
    struct up_session *s = bridge_open(p->bridge, f->port, &own, error);
    if (s != NULL) {
        f->near = s;
        f->real_near_ops = s->ops;
        f->near_ops = *s->ops;
        f->near_ops.close = near_close;
        s->ops = &f->near_ops;
    }
    return s;
}

static struct up_session *open_far(struct place *p, struct far *f, unsigned protocol,
                                   struct transport *t, const struct up_session_terms *terms,
                                   int *error)
{
    const struct up_session_terms own = {
        .peer = terms->peer, .owner = &far_owner, .owner_arg = f, .idle_ms = terms->idle_ms};
    f->session = p->real[protocol].open(p->real[protocol].core, t, &own, error);
    if (f->session == NULL) {
        return NULL;
    }
    const struct bridge_port_order order = {.session = f->session, .take = take, .arg = f};
    *error = bridge_port_new(p->bridge, &order, &f->port);
    if (*error < 0) {
        f->session->ops->close(f->session);
        return NULL;
    }
    return f->session;
}

static struct up_session *open_bridged(struct place *near, unsigned protocol, struct transport *t,
                                       const struct up_session_terms *terms, int *error)
{
    near->transports = t->core;
    struct place *far = &places[((uint32_t)(near - places) + 1) % place_count];
    if (far->transports == NULL) {
        far = near; // nothing was ever dialled there
    }
    struct transport_parcel parcel;
    *error = transport_pack(t, &parcel);
    ensure(*error == 0);
    t = transport_unpack(far->transports, &parcel, error);
    struct far *f = t != NULL ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) {
        return NULL;
    }
    list_init(&f->link);
    if (open_far(far, f, protocol, t, terms, error) == NULL) {
        free(f);
        return NULL;
    }
    list_push_back(&fars, &f->link);
    struct up_session *s = open_near(near, f, terms, error);
    if (s == NULL) {
        close_if_idle(f);
    }
    return s;
}

static struct up_session *open_h1(void *core, struct transport *t,
                                  const struct up_session_terms *terms, int *error)
{
    return open_bridged(core, 0, t, terms, error);
}

static struct up_session *open_h2(void *core, struct transport *t,
                                  const struct up_session_terms *terms, int *error)
{
    return open_bridged(core, 1, t, terms, error);
}

void bridged_open(struct traffic_core **cores, uint32_t count)
{
    if (!sim_is_bridged) {
        return;
    }
    ensure(count <= EDGE_CORES_MAX);
    list_init(&fars);
    place_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct up_protocol *p = traffic_core_protocols(cores[i]);
        places[i] = (struct place){.bridge = traffic_core_bridge(cores[i])};
        for (unsigned k = 0; k < PROTOCOLS; k++) {
            places[i].real[k] = p[k];
            p[k].open = k == 0 ? open_h1 : open_h2;
            p[k].core = &places[i];
        }
    }
}

void bridged_close(struct traffic_core **cores, uint32_t count)
{
    if (!sim_is_bridged) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bridge_core_close(traffic_core_bridge(cores[i]));
    }
    struct list *node;
    while ((node = list_first(&fars)) != NULL) {
        struct far *f = list_entry(node, struct far, link);
        if (f->session != NULL) {
            ensure(f->session->streams == 0);
            f->session->ops->close(f->session);
        }
        forget(f);
    }
}
