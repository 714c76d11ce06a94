// SPDX-License-Identifier: Apache-2.0
//
// The lists of a core's client connections, and what answers of every protocol share.

#include "http/session.h"

enum { CORE_MAGIC = 0x646f776e };

void down_core_init(struct down_core *c, struct loop *l, struct counters *counters,
                    struct http_handler *handler)
{
    *c = (struct down_core){
        .magic = CORE_MAGIC, .loop = l, .counters = counters, .handler = handler};
    list_init(&c->idle);
    list_init(&c->busy);
}

void down_session_open(struct down_core *c, struct down_session *s,
                       const struct down_session_ops *ops)
{
    ensure_magic(c, CORE_MAGIC);
    s->ops = ops;
    s->core = c;
    list_init(&s->link);
    list_push_back(&c->idle, &s->link);
    c->count++;
    counter_add(c->counters, COUNTER_connections_open, 1);
}

void down_session_close(struct down_session *s)
{
    struct down_core *c = s->core;
    ensure(c->count > 0);
    list_remove(&s->link);
    c->count--;
    counter_sub(c->counters, COUNTER_connections_open, 1);
}

void down_session_set_idle(struct down_session *s, bool idle)
{
    list_remove(&s->link);
    list_push_back(idle ? &s->core->idle : &s->core->busy, &s->link);
}

bool down_core_shed(struct down_core *c)
{
    struct list *node = list_first(&c->idle);
    if (node == NULL) {
        return false;
    }
    counter_add(c->counters, COUNTER_connections_shed, 1);
    struct down_session *s = list_entry(node, struct down_session, link);
    s->ops->shed(s);
    return true;
}

// A session may close while it is told, but only itself.
static void drain_list(struct list *sessions)
{
    list_each_safe(node, next, sessions)
    {
        struct down_session *s = list_entry(node, struct down_session, link);
        s->ops->drain(s);
    }
}

void down_core_drain(struct down_core *c, bool patient)
{
    c->draining = true;
    c->patient = patient;
    drain_list(&c->idle);
    drain_list(&c->busy);
}

void down_core_abort(struct down_core *c)
{
    struct list *node;
    while ((node = list_first(&c->idle)) != NULL || (node = list_first(&c->busy)) != NULL) {
        struct down_session *s = list_entry(node, struct down_session, link);
        s->ops->abort(s);
        ensure(list_first(&c->idle) != node && list_first(&c->busy) != node);
    }
}

uint64_t http_connection_id(struct loop *l, uint64_t *next)
{
    return l->core + 256 * ++*next;
}

struct slice down_core_date(struct down_core *c)
{
    uint64_t second = c->loop->wall_ms / 1000;
    if (second != c->date_second) {
        c->date_second = second;
        http_date_format(c->date, second);
    }
    return slice_of(c->date, sizeof(c->date));
}
