// SPDX-License-Identifier: Apache-2.0
//
// Bridges between threads: many streams at once in both directions, some of which are given up, and
// cores that end in the middle of it, in any order. Nothing may be lost, nothing left; that no two
// threads touch the same, ThreadSanitizer says.

#include <pthread.h>

#include "base/error.h"
#include "tap.h"
#include "world.h"

enum { CORES = 3, AT_ONCE = 8, VISITS = 300 };

/** One core: a session of its own that the others reach, and visits to theirs. */
struct side {
    uint32_t index;
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct bridge_core *core;
    struct origin origin;
    pthread_t thread;
    struct mail start;
    struct up_session *near[CORES];
    struct visit visits[AT_ONCE];
    bool used[AT_ONCE];
    struct task again;
    uint32_t begun;
    uint32_t good;
    uint32_t cut;
    uint32_t wrong;
    bool told;
};

static struct bridges *bridges;
static struct side sides[CORES];
static atomic_uint started;
static atomic_uint finished;
static bool gives_up;

static struct side *side_of_loop(const struct loop *l)
{
    return &sides[l->core];
}

static void on_over(struct visit *v)
{
    struct side *s = side_of_loop(v->loop);
    loop_defer(&s->loop, &s->again);
}

static void end_visit(struct side *s, struct visit *v)
{
    bool good = v->error == 0 && v->got == v->to_send && v->got_end && v->status == 200;
    s->good += good;
    s->cut += !good;
    s->wrong += v->wrong || v->closed != 1;
    visit_fini(v);
}

static void begin_visit(struct side *s, unsigned slot)
{
    struct up_session *to = s->near[(s->index + 1 + s->begun % (CORES - 1)) % CORES];
    if (to == NULL || !up_session_has_room(to)) {
        return;
    }
    struct visit *v = &s->visits[slot];
    uint64_t bytes = rng_below(&s->loop.rng, 10) == 0 ? rng_below(&s->loop.rng, 600000)
                                                      : rng_below(&s->loop.rng, 5000);
    visit_init(v, &s->loop, "/echo", HTTP_BODY_STREAM, bytes);
    v->on_over = on_over;
    s->begun++;
    s->used[slot] = visit_begin(v, to);
    if (!s->used[slot]) {
        visit_fini(v);
    } else if (gives_up && v->s != NULL && rng_below(&s->loop.rng, 7) == 0) {
        visit_reset(v, E_CLIENT_GONE);
    }
}

static void again(struct task *t)
{
    struct side *s = container_of(t, struct side, again);
    bool live = false;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct visit *v = &s->visits[i];
        if (s->used[i] && v->s == NULL && (v->got_end || v->error != 0 || gives_up)) {
            s->used[i] = false;
            end_visit(s, v);
        }
        if (!s->used[i] && s->begun < VISITS) {
            begin_visit(s, i);
        }
        live = live || s->used[i];
    }
    if (!live && s->begun >= VISITS && !s->told) {
        s->told = true;
        atomic_fetch_add(&finished, 1);
    }
}

static void near_on_room(struct up_session *s, void *arg)
{
    struct side *x = arg;
    (void)s;
    loop_defer(&x->loop, &x->again);
}

static void near_on_gone(struct up_session *s, void *arg, int error)
{
    struct side *x = arg;
    (void)error;
    for (unsigned i = 0; i < CORES; i++) {
        x->near[i] = x->near[i] == s ? NULL : x->near[i];
    }
}

static const struct up_session_owner owner = {.on_room = near_on_room, .on_gone = near_on_gone};

static void on_start(struct mail *m, struct loop *l)
{
    struct side *s = container_of(m, struct side, start);
    (void)l;
    static const struct http_peer peer = {.ip_text_len = 0};
    const struct up_session_terms terms = {.peer = &peer, .owner = &owner, .owner_arg = s};
    for (unsigned i = 0; i < CORES; i++) {
        int error = 0;
        if (i != s->index) {
            s->near[i] = bridge_open(s->core, sides[i].origin.port, &terms, &error);
            CHECK(s->near[i] != NULL || error == E_DRAINING);
        }
    }
    loop_defer(&s->loop, &s->again);
    atomic_fetch_add(&started, 1);
}

static void *run_core(void *arg)
{
    struct side *s = arg;
    loop_run(&s->loop);
    s->begun = VISITS;
    bridge_core_close(s->core);
    loop_cancel(&s->loop, &s->again);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        if (s->used[i]) {
            CHECK(s->visits[i].s == NULL);
            end_visit(s, &s->visits[i]);
            s->used[i] = false;
        }
    }
    origin_fini(&s->origin);
    return NULL;
}

static void begin_all(void)
{
    static const struct loop_limits limits = {4096, 64};
    static const struct bridge_limits bounds = {1000, 8};
    memset(sides, 0, sizeof(sides));
    atomic_store(&started, 0);
    atomic_store(&finished, 0);
    REQUIRE(bridges_new(CORES, &bridges) == 0);
    for (uint32_t i = 0; i < CORES; i++) {
        struct side *s = &sides[i];
        s->index = i;
        s->sys = os_linux_new();
        REQUIRE(s->sys != NULL && loop_init(&s->loop, s->sys, i, &limits) == 0);
        s->core = bridge_core_new(bridges, &s->loop, &s->counters, &bounds);
        REQUIRE(s->core != NULL);
        task_init(&s->again, again);
        s->start.fn = on_start;
    }
    for (uint32_t i = 0; i < CORES; i++) {
        origin_init(&sides[i].origin, &sides[i].loop, sides[i].core, ORIGIN_STREAMS_MAX);
        sides[i].origin.echoes = true;
    }
    for (uint32_t i = 0; i < CORES; i++) {
        REQUIRE(pthread_create(&sides[i].thread, NULL, run_core, &sides[i]) == 0);
    }
    for (uint32_t i = 0; i < CORES; i++) {
        loop_post(&sides[i].loop, &sides[i].start);
    }
}

static void end_all(unsigned order)
{
    while (atomic_load(&started) < CORES) { // ports are looked for until then
        (void)usleep(100);
    }
    for (uint32_t i = 0; i < CORES; i++) {
        loop_stop(&sides[(order + (order % 2 == 0 ? i : CORES - 1 - i)) % CORES].loop);
        if (order >= 3) {
            (void)usleep(500);
        }
    }
    for (uint32_t i = 0; i < CORES; i++) {
        REQUIRE(pthread_join(sides[i].thread, NULL) == 0);
    }
    bridges_free(bridges);
    for (uint32_t i = 0; i < CORES; i++) {
        CHECK_EQ_INT(sides[i].wrong, 0);
        loop_fini(&sides[i].loop);
        os_linux_free(sides[i].sys);
    }
}

static void wait_for_all(void)
{
    for (int i = 0; i < 20000 && atomic_load(&finished) < CORES; i++) {
        (void)usleep(1000);
    }
    CHECK_EQ_INT(atomic_load(&finished), CORES);
}

static void all_come_back(void)
{
    gives_up = false;
    begin_all();
    wait_for_all();
    end_all(0);
    for (uint32_t i = 0; i < CORES; i++) {
        CHECK_EQ_INT(sides[i].good, VISITS);
        CHECK_EQ_INT(sides[i].cut, 0);
    }
}

static void some_are_given_up(void)
{
    gives_up = true;
    begin_all();
    wait_for_all();
    end_all(1);
    for (uint32_t i = 0; i < CORES; i++) {
        CHECK(sides[i].good > 0 && sides[i].cut > 0);
        CHECK_EQ_INT(sides[i].good + sides[i].cut, VISITS);
    }
}

static void cores_end_in_the_middle(void)
{
    gives_up = false;
    for (unsigned order = 0; order < 12; order++) {
        begin_all();
        (void)usleep(300 * order);
        end_all(order % 6);
    }
}

TAP_MAIN(all_come_back, some_are_given_up, cores_end_in_the_middle)
