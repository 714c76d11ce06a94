// SPDX-License-Identifier: Apache-2.0
//
// The lists of a core's client connections, and what answers of every protocol share.

#include "http/session.h"

enum { CORE_MAGIC = 0x646f776e, CROWD_SHARE = 4 };

void down_core_init(struct down_core *c, struct loop *l, struct counters *counters,
                    struct http_handler *handler)
{
    *c = (struct down_core){
        .magic = CORE_MAGIC, .loop = l, .counters = counters, .handler = handler};
    list_init(&c->idle);
    list_init(&c->busy);
    list_init(&c->newcomers);
    c->key = (struct hash_key){{rng_u64(&l->rng), rng_u64(&l->rng)}};
    for (size_t i = 0; i < DOWN_CROWDS; i++) {
        list_init(&c->crowds[i].members);
    }
}

static uint8_t crowd_of(const struct down_core *c, const struct os_peer *from)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool six = from->kind == OS_ADDR_V6 && memcmp(from->ip, mapped, sizeof(mapped)) != 0;
    const char *ip = (const char *)from->ip + (from->kind == OS_ADDR_V6 && !six ? 12 : 0);
    return (uint8_t)(hash_bytes(&c->key, slice_of(ip, six ? 8 : 4)) % DOWN_CROWDS);
}

void down_session_open(struct down_core *c, struct down_session *s, const struct os_peer *from,
                       const struct down_session_ops *ops)
{
    ensure_magic(c, CORE_MAGIC);
    s->ops = ops;
    s->core = c;
    list_init(&s->link);
    list_init(&s->mate);
    list_push_back(&c->newcomers, &s->link);
    s->newcomer = true;
    s->crowd = crowd_of(c, from);
    list_push_back(&c->crowds[s->crowd].members, &s->mate);
    c->crowds[s->crowd].count++;
    c->newcomer_count++;
    c->count++;
    counter_add(c->counters, COUNTER_connections_open, 1);
}

static void leave_crowd(struct down_session *s)
{
    struct down_core *c = s->core;
    if (s->newcomer) {
        s->newcomer = false;
        list_remove(&s->mate);
        c->crowds[s->crowd].count--;
        c->newcomer_count--;
    }
}

void down_session_close(struct down_session *s)
{
    struct down_core *c = s->core;
    ensure(c->count > 0);
    leave_crowd(s);
    list_remove(&s->link);
    c->count--;
    counter_sub(c->counters, COUNTER_connections_open, 1);
}

void down_session_set_idle(struct down_session *s, bool idle)
{
    leave_crowd(s);
    list_remove(&s->link);
    list_push_back(idle ? &s->core->idle : &s->core->busy, &s->link);
}

/** The newcomer that goes; NULL: there is none. */
static struct down_session *newcomer(const struct down_core *c, const struct os_peer *from)
{
    const struct down_crowd *crowd = from != NULL ? &c->crowds[crowd_of(c, from)] : NULL;
    if (crowd != NULL && crowd->count > c->newcomer_count / CROWD_SHARE) {
        return list_entry(list_first(&crowd->members), struct down_session, mate);
    }
    struct list *node = list_first(&c->newcomers);
    return node != NULL ? list_entry(node, struct down_session, link) : NULL;
}

bool down_core_shed(struct down_core *c, const struct os_peer *from)
{
    struct list *idlest = list_first(&c->idle);
    bool most = c->newcomer_count > c->count / 2;
    struct down_session *s =
        idlest == NULL || most ? newcomer(c, from) : list_entry(idlest, struct down_session, link);
    if (s == NULL) {
        return false;
    }
    counter_add(c->counters, COUNTER_connections_shed, 1);
    s->ops->shed(s);
    return true;
}

void down_core_bound(struct down_core *c, const struct os_peer *from, uint32_t most)
{
    bool many = c->newcomer_count >= most;
    bool crowded = c->crowds[crowd_of(c, from)].count >= most / CROWD_SHARE;
    struct down_session *s = many || crowded ? newcomer(c, from) : NULL;
    if (s != NULL) {
        counter_add(c->counters, COUNTER_connections_shed, 1);
        s->ops->shed(s);
    }
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
    drain_list(&c->newcomers);
    drain_list(&c->idle);
    drain_list(&c->busy);
}

void down_core_abort(struct down_core *c)
{
    struct list *node;
    while ((node = list_first(&c->newcomers)) != NULL || (node = list_first(&c->idle)) != NULL ||
           (node = list_first(&c->busy)) != NULL) {
        struct down_session *s = list_entry(node, struct down_session, link);
        uint32_t before = c->count;
        s->ops->abort(s);
        ensure(c->count < before);
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
