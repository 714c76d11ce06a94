// SPDX-License-Identifier: Apache-2.0
//
// Counted first, asked second: a core that closes its gate either sees the count and waits for the
// mail, or the sender sees that it is closed. Both are sequentially consistent for that.

#include "loop/gate.h"

#include "base/error.h"

enum { GATE_MAGIC = 0x67617465 };

void gate_init(struct gate *g, struct loop *l, uint32_t inbound_max)
{
    ensure(inbound_max > 0);
    g->magic = GATE_MAGIC;
    g->loop = l;
    g->inbound_max = inbound_max;
    atomic_init(&g->open, false);
    atomic_init(&g->inbound, 0);
}

void gate_open(struct gate *g)
{
    ensure_magic(g, GATE_MAGIC);
    atomic_store(&g->open, true);
}

void gate_close(struct gate *g)
{
    ensure_magic(g, GATE_MAGIC);
    atomic_store(&g->open, false);
    while (atomic_load(&g->inbound) > 0) {
        loop_turn(g->loop, 0); // another core is just posting it
    }
}

int gate_enter(struct gate *g)
{
    ensure_magic(g, GATE_MAGIC);
    uint32_t before = atomic_fetch_add(&g->inbound, 1);
    if (unlikely(!atomic_load(&g->open) || before >= g->inbound_max)) {
        bool open = before >= g->inbound_max && atomic_load(&g->open);
        gate_leave(g);
        return open ? E_OVERLOADED : E_DRAINING;
    }
    return 0;
}

void gate_leave(struct gate *g)
{
    uint32_t before = atomic_fetch_sub(&g->inbound, 1);
    ensure(before > 0);
}

static void on_mail(struct mail *mail, struct loop *to)
{
    struct gate_mail *m = container_of(mail, struct gate_mail, mail);
    struct gate *g = m->gate;
    ensure_magic(g, GATE_MAGIC);
    ensure(g->loop == to);
    m->fn(m);
    gate_leave(g);
}

void gate_post(struct gate *g, struct gate_mail *m)
{
    ensure(m->fn != NULL);
    m->mail.fn = on_mail;
    m->gate = g;
    loop_post(g->loop, &m->mail);
}
