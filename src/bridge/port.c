// SPDX-License-Identifier: Apache-2.0
//
// Ports: a session that other cores may use. What they see of it are a few numbers, a moment old; what
// they want of it comes as messages to its own core. Streams that find no room wait here in order, for
// the session's owner to say that there is some.

#include "base/error.h"
#include "bridge/bridge_int.h"

// ---- what it tells near sessions -------------------------------------------------------------------

static bool speak(struct bridge_voice *v)
{
    struct bridge_session *s = container_of(v, struct bridge_session, far_voice);
    struct bridge_channel *c = s->far_channel;
    static const struct {
        uint16_t say;
        enum bridge_type type;
        uint8_t size;
    } order[] = {
        {BRIDGE_SAY_STATE, BRIDGE_STATE, sizeof(struct bridge_port_state)},
        {BRIDGE_SAY_CLOSING, BRIDGE_CLOSING, 0},
        {BRIDGE_SAY_GONE, BRIDGE_GONE, sizeof(struct bridge_end)},
        {BRIDGE_SAY_LAST, BRIDGE_DETACHED, 0},
    };
    for (unsigned i = 0; i < array_len(order); i++) {
        if ((v->say & order[i].say) == 0) {
            continue;
        }
        void *p = bridge_write(c, order[i].type, false, s, order[i].size);
        if (p == NULL) {
            return false;
        }
        if (order[i].say == BRIDGE_SAY_STATE) {
            *(struct bridge_port_state *)p = bridge_port_look(s->port);
        } else if (order[i].say == BRIDGE_SAY_GONE) {
            *(struct bridge_end *)p = (struct bridge_end){.error = s->far_error};
        }
        v->say &= (uint16_t) ~(unsigned)order[i].say;
    }
    return true; // after its last word it may be gone
}

static void say_to_all(struct bridge_port *p, unsigned what)
{
    list_each(node, &p->sessions)
    {
        struct bridge_session *s = list_entry(node, struct bridge_session, port_link);
        bridge_say(s->far_channel, &s->far_voice, what, false);
    }
}

static void say_gone(struct bridge_session *s, int error)
{
    s->far_error = error;
    bridge_say(s->far_channel, &s->far_voice, BRIDGE_SAY_GONE, false);
}

void bridge_port_attach(struct bridge_core *c, struct bridge_channel *back,
                        struct bridge_session *s)
{
    struct bridge_port *p = s->port;
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    s->far_channel = back;
    bridge_voice_init(&s->far_voice, speak);
    if (p->closed || c->closing) {
        say_gone(s, E_DRAINING);
        return;
    }
    list_push_back(&p->sessions, &s->port_link);
    bool open = atomic_load_explicit(&p->open, memory_order_relaxed);
    bridge_say(back, &s->far_voice, BRIDGE_SAY_STATE | (open ? 0u : BRIDGE_SAY_CLOSING), true);
}

void bridge_port_detach(struct bridge_session *s)
{
    list_remove(&s->port_link);
    bridge_hush(&s->far_voice);
    bridge_say(s->far_channel, &s->far_voice, BRIDGE_SAY_LAST, true);
}

// ---- streams ---------------------------------------------------------------------------------------

static void publish(struct bridge_port *p)
{
    const struct up_session *s = p->order.session;
    atomic_store_explicit(&p->streams, s->streams + p->waiting_count, memory_order_relaxed);
    atomic_store_explicit(&p->rtt_us, s->rtt_us, memory_order_relaxed);
    bool same = atomic_load_explicit(&p->streams_max, memory_order_relaxed) == s->streams_max &&
                atomic_load_explicit(&p->can_upgrade, memory_order_relaxed) == s->can_upgrade;
    if (same) {
        return;
    }
    atomic_store_explicit(&p->streams_max, s->streams_max, memory_order_relaxed);
    atomic_store_explicit(&p->can_upgrade, s->can_upgrade, memory_order_relaxed);
    say_to_all(p, BRIDGE_SAY_STATE);
}

bool bridge_port_ask(struct bridge_far *f)
{
    struct bridge_port *p = f->port;
    int error = E_AGAIN;
    struct http_stream *s = NULL;
    if (p->waiting_count == 0) {
        s = p->order.take(p->order.arg, &error);
    }
    if (s != NULL) {
        bridge_far_start(f, s);
    } else if (error != E_AGAIN) {
        bridge_far_refuse(f, error);
    } else if (p->waiting_count >= BRIDGE_WAITING_MAX) {
        bridge_far_refuse(f, E_NOT_PROCESSED);
    } else {
        p->waiting_count++;
        list_push_back(&p->waiting, &f->waiting);
    }
    if (!p->closed) {
        publish(p);
    }
    return list_empty(&f->waiting);
}

void bridge_port_stop_waiting(struct bridge_far *f)
{
    if (!list_empty(&f->waiting)) {
        list_remove(&f->waiting);
        f->port->waiting_count--;
    }
}

static struct bridge_far *first_waiting(const struct bridge_port *p)
{
    struct list *node = list_first(&p->waiting);
    return node == NULL ? NULL : list_entry(node, struct bridge_far, waiting);
}

void bridge_port_room(struct bridge_port *p)
{
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    struct bridge_far *f;
    while (!p->closed && (f = first_waiting(p)) != NULL) {
        int error = 0;
        struct http_stream *s = p->order.take(p->order.arg, &error);
        if (s == NULL && error == E_AGAIN) {
            break;
        }
        bridge_port_stop_waiting(f);
        if (s != NULL) {
            bridge_far_start(f, s);
        } else {
            bridge_far_refuse(f, error);
        }
    }
    if (!p->closed) {
        publish(p);
    }
}

// ---- life ------------------------------------------------------------------------------------------

int bridge_port_new(struct bridge_core *c, const struct bridge_port_order *o,
                    struct bridge_port **out)
{
    ensure_magic(c, BRIDGE_CORE_MAGIC);
    ensure(o->session != NULL && o->take != NULL);
    if (c->closing) {
        return E_DRAINING;
    }
    struct bridge_port *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    p->magic = BRIDGE_PORT_MAGIC;
    p->core = c->loop->core;
    p->home = c;
    p->order = *o;
    p->is_h2 = strcmp(o->session->ops->protocol, "h2") == 0;
    atomic_init(&p->refs, 1);
    atomic_init(&p->streams, o->session->streams);
    atomic_init(&p->streams_max, o->session->streams_max);
    atomic_init(&p->rtt_us, o->session->rtt_us);
    atomic_init(&p->can_upgrade, o->session->can_upgrade);
    atomic_init(&p->open, true);
    list_init(&p->link);
    list_init(&p->sessions);
    list_init(&p->waiting);
    list_push_back(&c->ports, &p->link);
    *out = p;
    return 0;
}

void bridge_port_closing(struct bridge_port *p)
{
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    if (!p->closed && atomic_exchange_explicit(&p->open, false, memory_order_relaxed)) {
        say_to_all(p, BRIDGE_SAY_CLOSING);
    }
}

void bridge_port_close(struct bridge_port *p, int error)
{
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    if (p->closed) {
        return;
    }
    p->closed = true;
    atomic_store_explicit(&p->open, false, memory_order_relaxed);
    list_remove(&p->link);
    struct list *node;
    while ((node = list_first(&p->sessions)) != NULL) {
        list_remove(node);
        say_gone(list_entry(node, struct bridge_session, port_link), error);
    }
    struct bridge_far *f;
    while ((f = first_waiting(p)) != NULL) {
        bridge_port_stop_waiting(f);
        bridge_far_refuse(f, E_NOT_PROCESSED);
    }
    p->order.session = NULL;
}

struct bridge_port *bridge_port_ref(struct bridge_port *p)
{
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void bridge_port_unref(struct bridge_port *p)
{
    ensure_magic(p, BRIDGE_PORT_MAGIC);
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    ensure(p->closed); // its core knows it no more
    p->magic = 0;
    mem_free(p);
}

struct bridge_port_state bridge_port_look(const struct bridge_port *p)
{
    return (struct bridge_port_state){
        .core = p->core,
        .streams = atomic_load_explicit(&p->streams, memory_order_relaxed),
        .streams_max = atomic_load_explicit(&p->streams_max, memory_order_relaxed),
        .rtt_us = atomic_load_explicit(&p->rtt_us, memory_order_relaxed),
        .can_upgrade = atomic_load_explicit(&p->can_upgrade, memory_order_relaxed),
        .open = atomic_load_explicit(&p->open, memory_order_relaxed),
    };
}
