// SPDX-License-Identifier: Apache-2.0
//
// session: the lists of a core's client connections, whoever speaks on them.

#include "http/session.h"

#include "tap.h"

struct fake {
    struct down_session session;
    int drained;
};

static struct loop l;
static struct counters counters;
static struct down_core core;
static const struct os_peer near = {.kind = OS_ADDR_V4, .ip = {192, 0, 2, 1}};

static void leave(struct down_session *s)
{
    down_session_close(s);
}

static void note_drain(struct down_session *s)
{
    struct fake *f = container_of(s, struct fake, session);
    f->drained++;
    if (f->drained == 1) {
        down_session_close(s); // one that is idle goes while the others are told
    }
}

static const struct down_session_ops ops = {.shed = leave, .drain = note_drain, .abort = leave};

static void setup(void)
{
    memset(&counters, 0, sizeof(counters));
    down_core_init(&core, &l, &counters, NULL);
}

static uint64_t open_now(void)
{
    return atomic_load(&counters.v[COUNTER_connections_open]);
}

static void the_idlest_is_shed_first(void)
{
    setup();
    struct fake f[4] = {0};
    for (int i = 0; i < 4; i++) {
        down_session_open(&core, &f[i].session, &near, &ops);
    }
    CHECK_EQ_INT(open_now(), 4);
    down_session_set_idle(&f[0].session, false); // busy
    down_session_set_idle(&f[1].session, false);
    down_session_set_idle(&f[2].session, false);
    down_session_set_idle(&f[2].session, true);
    down_session_set_idle(&f[1].session, true); // idle anew: now the last
    CHECK_EQ_INT(core.newcomer_count, 1);
    CHECK(down_core_shed(&core, NULL));
    CHECK_EQ_INT(core.count, 3);
    CHECK(list_first(&core.idle) == &f[1].session.link);
    CHECK(down_core_shed(&core, &near));
    CHECK(down_core_shed(&core, &near));  // nobody else is idle: the newcomer
    CHECK(!down_core_shed(&core, &near)); // a busy one is never shed
    CHECK_EQ_INT(open_now(), 1);
    CHECK_EQ_INT(atomic_load(&counters.v[COUNTER_connections_shed]), 3);
}

enum { FLOOD = 100 };

/** A flood from one address neither touches who has asked before nor who is about to. */
static void newcomers_are_shed_before_others(void)
{
    static struct fake flood[FLOOD];
    static const struct os_peer far = {.kind = OS_ADDR_V6, .ip = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4}};
    struct os_peer neighbour = far; // of the same /64
    neighbour.ip[15] = 7;
    setup();
    struct fake old = {0};
    struct fake young = {0};
    down_session_open(&core, &old.session, &near, &ops);
    down_session_set_idle(&old.session, false);
    down_session_set_idle(&old.session, true);
    down_session_open(&core, &young.session, &near, &ops);
    for (int i = 0; i < FLOOD; i++) {
        down_session_open(&core, &flood[i].session, i % 2 == 0 ? &far : &neighbour, &ops);
    }
    for (int i = 0; i < FLOOD - 5; i++) {
        CHECK(down_core_shed(&core, i % 2 == 0 ? &neighbour : &far));
        CHECK(!flood[i].session.newcomer); // the oldest of its crowd, not of all
    }
    CHECK(young.session.newcomer);
    CHECK_EQ_INT(core.count, 7);
    CHECK(down_core_shed(&core, NULL)); // nobody knows who comes: the oldest of all
    CHECK(!young.session.newcomer);
    CHECK(list_first(&core.idle) == &old.session.link);
    down_core_abort(&core);
    CHECK_EQ_INT(core.newcomer_count, 0);
}

static void newcomers_are_bounded(void)
{
    static struct fake f[40];
    struct os_peer from = near;
    setup();
    for (int i = 0; i < 20; i++) { // of one address a quarter
        down_core_bound(&core, &from, 40);
        down_session_open(&core, &f[i].session, &from, &ops);
    }
    CHECK_EQ_INT(core.newcomer_count, 10);
    CHECK(!f[9].session.newcomer && f[10].session.newcomer);
    for (int i = 20; i < 40; i++) { // and of many as many as there may be
        from.ip[0]++;
        down_core_bound(&core, &from, 20);
        down_session_open(&core, &f[i].session, &from, &ops);
    }
    CHECK_EQ_INT(core.newcomer_count, 20);
    CHECK(!f[10].session.newcomer && f[39].session.newcomer);
    down_core_abort(&core);
}

static void all_are_told_to_drain_and_may_leave(void)
{
    setup();
    struct fake f[3] = {0};
    for (int i = 0; i < 3; i++) {
        down_session_open(&core, &f[i].session, &near, &ops);
    }
    down_session_set_idle(&f[2].session, false);
    down_core_drain(&core, false);
    CHECK(core.draining);
    CHECK_EQ_INT(f[0].drained + f[1].drained + f[2].drained, 3);
    CHECK_EQ_INT(core.count, 0);
}

static void an_abort_leaves_nobody(void)
{
    setup();
    struct fake f[2] = {0};
    down_session_open(&core, &f[0].session, &near, &ops);
    down_session_open(&core, &f[1].session, &near, &ops);
    down_session_set_idle(&f[1].session, false);
    down_core_abort(&core);
    CHECK_EQ_INT(core.count, 0);
    CHECK_EQ_INT(open_now(), 0);
}

static void the_date_is_made_once_a_second(void)
{
    setup();
    l.wall_ms = UINT64_C(784111777000);
    struct slice d = down_core_date(&core);
    CHECK_TEXT(d.ptr, d.len, "Sun, 06 Nov 1994 08:49:37 GMT");
    l.wall_ms += 1000;
    d = down_core_date(&core);
    CHECK_TEXT(d.ptr, d.len, "Sun, 06 Nov 1994 08:49:38 GMT");
}

static void connections_have_numbers_of_their_own(void)
{
    uint64_t next = 0;
    l.core = 3;
    CHECK_EQ_INT(http_connection_id(&l, &next), 256 + 3);
    CHECK_EQ_INT(http_connection_id(&l, &next), 512 + 3);
}

TAP_MAIN(the_idlest_is_shed_first, newcomers_are_bounded, newcomers_are_shed_before_others,
         all_are_told_to_drain_and_may_leave, an_abort_leaves_nobody,
         the_date_is_made_once_a_second, connections_have_numbers_of_their_own)
